"""Scope: a torch.optim.SGD training loop attached to the daemon in two lines."""
import atexit
import os
import types
import warnings

import torch

from . import _lib
from ._client import Client
from .probe import probe
from .tables import VALUE, Table, table_name


class Scope:
    """Watch a model's embeddings while torch.optim.SGD trains it.

        scope = momentscope.attach(model, optimizer)
        for ...:
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            scope.step()                     # after optimizer.step(), before the gradients are zeroed

    model, optimizer  torch.optim.SGD without maximize; lr, momentum, dampening, nesterov and weight_decay are read from
                      the parameter's group at every step
    endpoint          of the daemon; None: $MOMENTSCOPE_INGEST or the user's default. It need not be there
    tables            None: every nn.Embedding and nn.EmbeddingBag weight. Or parameter names: exactly those, of any kind
                      (a dense one has all its rows active at every step)
    probe_every       every k steps measure curvature along the momentum, with two more passes (one more for each further
                      table) of closure: it computes the loss of the present batch and calls backward, or returns the loss
    nll               the loss is a mean negative log likelihood: Fisher curvature may stand in for a probe
    reference         theta* of R and C: None, "initial" (theta as it is now), or {parameter name: tensor}
    batch             samples a step, for p = occurrences/sample; None: the number of occurrences. Also scope.step(batch=..)
    steps             steps already done; None: 0, or 1 when the optimizer already holds momentum
    prefix            before every table name, so that two runs do not claim one name
    capacity, buffer_bytes, sync_bytes, block_ms, acf_rows, name: as in mscope/client.h

    A parameter without a gradient in a step does not move in torch, and its table's clock does not move either.
    optimizer.step is wrapped (and put back by close): that is how the schedule of each step is caught before a
    scheduler changes it, and where the probe runs, with gradients there and weights not yet moved.
    Errors of momentscope are warnings, given once; MOMENTSCOPE_STRICT=1 raises them instead.
    """

    def __init__(self, model, optimizer, endpoint=None, tables=None, probe_every=0, closure=None, nll=False,
                 reference=None, batch=None, steps=None, prefix="", capacity=0, name=None, buffer_bytes=0, sync_bytes=0,
                 block_ms=0, acf_rows=8):
        self.model, self.optimizer = model, optimizer
        self.probe_every, self.closure, self.batch = int(probe_every), closure, batch
        self.steps = self.probes = 0
        self._warned, self._closed = set(), False
        self._check(optimizer, probe_every, closure)
        self.tables = self._find_tables(tables, prefix, capacity)
        self._client = Client(endpoint, name, buffer_bytes, sync_bytes, block_ms)
        self._step = _lib.Step()
        for t in self.tables:
            self._attach(t, nll, reference, steps, acf_rows)
        self._wrap()
        atexit.register(self.close, 0.2)

    # -- setting up ----------------------------------------------------------------------------------

    @staticmethod
    def _check(optimizer, probe_every, closure):
        if not isinstance(optimizer, torch.optim.SGD):
            raise TypeError(f"momentscope follows torch.optim.SGD; {type(optimizer).__name__} moves rows by other rules")
        for group in optimizer.param_groups:
            if group.get("maximize"):
                raise ValueError("momentscope: maximize=True is not supported; minimise the negative loss instead")
        if probe_every and closure is None:
            raise ValueError("momentscope: probe_every needs closure, which computes the present batch's loss again")

    def _find_tables(self, wanted, prefix, capacity):
        groups = {p: g for g in self.optimizer.param_groups for p in g["params"]}
        named = dict(self.model.named_parameters())
        embeddings = {}
        for module in self.model.modules():
            if isinstance(module, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
                embeddings.setdefault(module.weight, []).append(module)
        if wanted is None:
            wanted = [n for n, p in named.items() if p in embeddings and p in groups]
        elif isinstance(wanted, str):
            wanted = [wanted]
        if not wanted:
            raise ValueError("momentscope: no embedding to watch; name parameters in tables=[...]: " + ", ".join(named))
        out = []
        for parameter in wanted:
            if parameter not in named:
                raise ValueError(f"momentscope: no parameter {parameter!r}; there are " + ", ".join(named))
            p = named[parameter]
            if p not in groups:
                raise ValueError(f"momentscope: {parameter} is not in the optimizer")
            modules = embeddings.get(p, [])
            if any(m.max_norm is not None for m in modules):
                raise ValueError(f"momentscope: {parameter} has max_norm, which moves rows outside the optimizer")
            out.append(Table(table_name(prefix + parameter, [t.name for t in out]), p, groups[p], modules, capacity))
            out[-1].source = parameter
        return out

    def _attach(self, t, nll, reference, steps, acf_rows):
        if isinstance(reference, str):
            if reference != "initial":
                raise ValueError(f"momentscope: reference is None, 'initial' or a dict, not {reference!r}")
            about, values = "initial: theta at attach", t.parameter.detach()
        else:
            values = (reference or {}).get(t.source)
            about = "" if values is None else "given by the trainer"
        has_buffer = t.buffer(self.optimizer) is not None
        t.handle = self._client.attach(
            t.name, t.rows, t.dim, t.capacity, _lib.STATE_F64 if t.wide else _lib.STATE_F32, _lib.FORM_TORCH,
            nesterov=t.group["nesterov"], nll=nll, acf_rows=acf_rows, reference=about,
            step=steps if steps is not None else int(has_buffer),
            read=lambda first, n, theta, m: t.read(self.optimizer, first, n, theta, m),
            fresh=not has_buffer and not bool(t.parameter.detach().any()))
        t.nesterov = t.group["nesterov"]
        if values is not None:
            if tuple(values.shape) != tuple(t.parameter.shape):
                raise ValueError(f"momentscope: the reference of {t.source} has shape {tuple(values.shape)}")
            values = values.detach().to("cpu", t.dtype).contiguous()
            self._client.reference(t.handle, 0, t.rows, values.data_ptr(), VALUE[t.dtype])

    def _wrap(self):
        """A bound method in place of optimizer.step, as learning-rate schedulers expect to find one."""
        inner, scope = self.optimizer.step, self

        def step(_optimizer, *args, **kwargs):
            scope._guard(scope._before, bool(args) or kwargs.get("closure") is not None)
            out = inner(*args, **kwargs)
            scope._guard(scope._after)
            return out

        if hasattr(inner, "_with_counter"):
            step._with_counter = inner._with_counter
        self._own = "step" in self.optimizer.__dict__
        self._inner, self._wrapper = inner, types.MethodType(step, self.optimizer)
        self.optimizer.step = self._wrapper

    def _guard(self, work, *args):
        """momentscope's errors are not the trainer's."""
        try:
            return work(*args)
        except Exception as e:
            if os.environ.get("MOMENTSCOPE_STRICT"):
                raise
            self._warn(f"{type(e).__name__}: {e}")

    def _warn(self, text):
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn("momentscope: " + text, RuntimeWarning, stacklevel=4)

    # -- each step -----------------------------------------------------------------------------------

    def _before(self, has_closure):
        """Gradients are there, weights have not moved."""
        if self._closed:
            return
        self._schedule = [(float(t.group["lr"]), t.group["momentum"], t.group["dampening"], t.group["weight_decay"])
                          for t in self.tables]
        due = self.probe_every and self.steps > 0 and self.steps % self.probe_every == 0
        if due and not has_closure and not any(t.pending for t in self.tables):
            probe(self.model, self.optimizer, self.tables, self.closure, self._send_probe)
            self.probes += 1

    def _send_probe(self, t, delta, rows, hm):
        rows = rows.to("cpu", torch.int64).contiguous()
        hm = hm.to("cpu", t.dtype).contiguous()
        self._client.probe(t.handle, delta, rows.data_ptr(), hm.data_ptr(), VALUE[t.dtype], rows.numel())

    def _after(self):
        """The weights have moved: keep what scope.step() will tell, by reference."""
        if self._closed:
            return
        self.steps += 1
        for t, schedule in zip(self.tables, self._schedule):
            if t.pending is not None:
                self._warn("optimizer.step() twice without scope.step() between: a step was lost, rows are sent again")
                self._client.skip(t.handle)
                t.pending = None
            lookups = torch.cat(t.lookups) if t.modules and t.lookups else None
            if t.modules and lookups is None:
                lookups = torch.zeros(0, dtype=torch.int64)
            t.lookups.clear()
            grad = t.parameter.grad
            if grad is not None:
                t.pending = (grad, grad._version, lookups, schedule)
                if t.group["nesterov"] != t.nesterov or t.group.get("maximize"):
                    self._warn(f"nesterov or maximize of {t.name} was changed after attach: its numbers are wrong from here")

    def step(self, batch=None):
        """Tell the daemon about the optimizer step just done. Returns the steps dropped by it (0: none)."""
        return self._guard(self._tell, batch) or 0

    def _tell(self, batch):
        dropped = 0
        if self._closed:
            return 0
        for t in self.tables:
            if t.pending is None:
                continue
            grad, version, lookups, schedule = t.pending
            t.pending = None                 # from here on theta and momentum are those of the step being told
            if grad._version != version:
                self._warn("call scope.step() before the gradients are zeroed or changed: the step is lost")
                dropped += self._client.skip(t.handle)
                continue
            dropped += self._push(t, grad, lookups, schedule, batch)
        return dropped

    def _push(self, t, grad, lookups, schedule, batch):
        rows, values, counts, occurrences = t.entries(grad, lookups if t.modules else None)
        t.told += 1
        if t.resync:
            t.resync = False
            self._client.resync(t.handle)
        s = self._step
        s.eta, s.eps = schedule[0], 1.0 - schedule[1]
        s.dampening = schedule[2] if schedule[1] else 0.0
        s.weight_decay = schedule[3]
        samples = batch or self.batch
        if samples is None:
            samples = occurrences if t.modules or grad.is_sparse else 1
        s.batch = max(1, samples)
        return self._client.push(t.handle, s, rows.data_ptr(), values.data_ptr(), VALUE[values.dtype], rows.numel(),
                                 counts.data_ptr() if counts is not None else None)

    # -- the rest ------------------------------------------------------------------------------------

    def poll(self, seconds=0.0):
        """Take in answers when steps are far apart; step() does this by itself."""
        self._client.poll(1000 * seconds)

    def flush(self, seconds=5.0):
        """Wait until the daemon holds exactly these weights and momenta; True if it does."""
        return self._client.flush(seconds)

    def resync(self):
        """Weights or momenta were changed otherwise than by optimizer.step (a checkpoint was loaded): send all rows again."""
        for t in self.tables:
            self._client.resync(t.handle)

    def save(self):
        """Ask the daemon to write its state file."""
        return self._client.save()

    def stats(self):
        return dict(self._client.stats(), steps=self.steps, probes=self.probes,
                    tables=[t.name for t in self.tables])

    def close(self, seconds=1.0):
        """Leave the daemon and put optimizer.step back."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        for t in self.tables:
            t.unhook()
        if self.optimizer.__dict__.get("step") is self._wrapper:
            if self._own:
                self.optimizer.step = self._inner
            else:
                del self.optimizer.step
        self._client.close(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
