"""Scope: a torch.optim.SGD training loop attached to the daemon in two lines."""
import atexit
import inspect
import os
import re
import types
import warnings
import weakref

import torch

from . import _check, _lib, judge, optim
from ._client import Client, default_endpoint
from .directions import Directions, spanned
from .passes import Passes
from .probe import Probe
from .tables import VALUE, Table, table_name


PREFIX = "at most 40 letters, digits, _ . -"
_live = weakref.WeakValueDictionary()        # (endpoint, table name) -> the scope of this process that watches it
FRUITLESS = 3                                # passes of a closure without gradients before the probe gives up


class Scope:
    """Watch a model's embeddings while torch.optim.SGD trains it.

        scope = momentscope.attach(model, optimizer)
        for ...:
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            scope.step()                     # after optimizer.step(), before the gradients are zeroed

    optimizer         torch.optim.SGD or momentscope.optim.SGD, without maximize; lr, momentum, dampening, nesterov
                      and weight_decay are read from the parameter's group at every step
    endpoint          of the daemon, which may be absent; None: $MOMENTSCOPE_INGEST, or the user's default
    tables            None: the weight of every nn.Embedding and nn.EmbeddingBag. Or names of parameters: exactly those,
                      of any kind (a parameter that is no embedding has all its rows active at every step)
    probe_every       0: never. k: every k steps measure curvature, in three passes of closure (two where it cannot be
                      halved): at theta, along the momenta, and along one of two directions for how near lr is to its
                      largest stable value
    closure           a function that computes the loss of the present batch again and calls backward(), or returns the
                      loss. With a parameter named half it can be halved: half 0 or 1 is the mean loss of that half of
                      the present batch (batch[half::2]), None of all of it. Its gradient is compared with the step's
                      own: another batch, a wrong scale or noise that differs from call to call is refused with a
                      warning. stats() counts probes_refused and probes_uncompared (dropout, negative samples);
                      probe_refused is the last reason, or None
    second            for a closure that cannot be halved: the mean loss of another batch of the same size, which must
                      stay the same while the closure's batch does
    probe             what the two directions move: "tables", the watched ones; "all", every parameter of the optimizer;
                      None: "all" where the other parameters have fewer than 4 million values. A direction holds at most
                      so many; parameters that are not float32 or float64 are left out
    nll               True: the loss is a mean negative log likelihood, so Fisher curvature may stand in for a probe
    reference         theta* for R and C: None, "initial" (theta as it is now), or {parameter name: tensor}
    batch             samples in a step, for p = occurrences/sample; None: the bags of an EmbeddingBag, else occurrences.
                      scope.step(batch=..) sets it for one step
    steps             steps already done; None: 0, or 1 when the optimizer already holds momentum
    prefix            of every table name, so that two runs do not claim one name: at most 40 letters, digits, _ . -
    name, buffer_bytes, sync_bytes, block_ms: as in Client; capacity, acf_rows (0 to 64): as in mscope/client.h

    An argument out of its range is refused with field, value and range. Times (poll, flush, close) are in seconds.
    Weights or momenta that were changed otherwise than by optimizer.step are noticed at the next step (by version,
    identity and address of the tensors): exact falls, a warning says what was seen, and all rows are sent again. Not
    seen is what is written through .data in place: call resync() after it. torch rounds half and bfloat16 parameters and
    the daemon's copy does not: their numbers are approximate, and exact stays False.

    A parameter without a gradient in a step does not move in torch, and its table's clock does not move either.
    Active rows are those whose gradient in an applied step is not 0; occurrences are the look-ups that backward passes of
    that step reached. A forward pass for a metric, a batch whose step was skipped and rows masked by a hook count for
    nothing.
    optimizer.step is wrapped until close: the wrapper reads the schedule of each step before a scheduler changes it,
    and runs the probe when the gradients are there and the weights have not moved. Nothing is hung on the model: it
    copies, pickles and scripts as before. A second attach in one process to the same tables ends the first.
    Errors of momentscope become warnings, each given once; MOMENTSCOPE_STRICT=1 raises them instead.
    """

    def __init__(self, model, optimizer, endpoint=None, tables=None, probe_every=0, closure=None, second=None,
                 probe=None, nll=False, reference=None, batch=None, steps=None, prefix="", capacity=0, name=None, buffer_bytes=0, sync_bytes=0,
                 block_ms=0, acf_rows=8):
        self._check_optimizer(optimizer)
        self.model, self.optimizer, self.closure = model, optimizer, closure
        self.probe_every = _check.integer("probe_every", probe_every, 0, _check.STEPS,
                                          "steps from one probe to the next")
        if self.probe_every and not callable(closure):
            raise _check.refuse(TypeError if closure else ValueError, "closure", closure, "a function",
                                "probe_every needs a closure that computes the loss of the present batch again")
        if second is not None and not callable(second):
            raise _check.refuse(TypeError, "second", second, "a function, or None")
        if probe not in (None, "all", "tables"):
            raise _check.refuse(ValueError, "probe", probe, "'all', 'tables' or None")
        self.batch = None if batch is None else _check.integer("batch", batch, 1, _check.U32, "samples in a step")
        nll = _check.flag("nll", nll)
        if steps is not None:
            steps = _check.integer("steps", steps, 0, _check.STEPS, "steps already done")
        acf_rows = _check.integer("acf_rows", acf_rows, 0, 64, "rows sampled for autocorrelations in each band")
        capacity = _check.integer("capacity", capacity, 0, _check.ENTRIES, "most entries in one step; 0: enough")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{0,40}", _check.text("prefix", prefix, PREFIX).decode()):
            raise _check.refuse(ValueError, "prefix", prefix, PREFIX)
        self.steps = self.probes = self._fruitless = self.probes_refused = self.probes_uncompared = 0
        self.probe_refused, self.judge, self._backward = None, judge.Judge(), {}
        self._warned, self._closed, self._client, self.tables = set(), False, None, []
        self._found = None                   # products with a direction, for the daemon after this step
        try:
            self._find_tables(tables, prefix, capacity)
            self._probe = self._make_probe(second, probe) if self.probe_every else None
            references = [self._reference_of(t, reference) for t in self._check_reference(reference)]
            self._take_over(endpoint)
            self._client = Client(endpoint, name, buffer_bytes, sync_bytes, block_ms)
            for t, values in zip(self.tables, references):
                self._attach(t, nll, values, steps, acf_rows)
        except BaseException:
            for t in self.tables:
                t.lookups.stop()
            if self._client:
                self._client.close(0)
            raise
        for t in self.tables:
            _live[self._endpoint, t.name] = self
            t.disturbed(optimizer)           # from here on
        self._warn_narrow()
        self._wrap()
        atexit.register(self.close, 0.2)

    # -- setting up ----------------------------------------------------------------------------------

    @staticmethod
    def _check_optimizer(optimizer):
        if not isinstance(optimizer, torch.optim.SGD):
            raise TypeError("momentscope: optimizer must be a torch.optim.SGD; "
                            f"{type(optimizer).__name__} moves rows by other rules")
        if inspect.unwrap(type(optimizer).step) not in {inspect.unwrap(kind.step) for kind in (torch.optim.SGD, optim.SGD)}:
            raise TypeError(f"momentscope: {type(optimizer).__name__} is a torch.optim.SGD with a step of its own, which "
                            "the daemon cannot follow; use torch.optim.SGD or momentscope.optim.SGD")
        for group in optimizer.param_groups:
            if group.get("maximize"):
                raise ValueError("momentscope: maximize=True is not supported; minimise the negative loss instead")
            _check.real("lr", group["lr"], 0, float("inf"))
            if _check.real("momentum", group["momentum"], 0, 1):
                _check.real("dampening", group["dampening"], 0, 1)

    def _take_over(self, endpoint):
        """End scopes of this process that watch tables of these names: a notebook's cell that is run again."""
        self._endpoint = endpoint or default_endpoint()
        for old in {id(s): s for s in (_live.get((self._endpoint, t.name)) for t in self.tables) if s}.values():
            old.close()

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
        wanted = list(wanted)
        if not wanted:
            raise ValueError("momentscope: no embedding to watch; name some of these parameters in tables=[...]: "
                             + ", ".join(named))
        for parameter in wanted:
            if wanted.count(parameter) > 1:
                raise ValueError(f"momentscope: tables = {wanted!r} (each parameter once): "
                                 f"{parameter!r} is given twice")
            if parameter not in named:
                raise ValueError(f"momentscope: no parameter {parameter!r}; the model has " + ", ".join(named))
            p = named[parameter]
            if p not in groups:
                raise ValueError(f"momentscope: parameter {parameter!r} is not in the optimizer")
            modules = embeddings.get(p, [])
            if any(m.max_norm is not None for m in modules):
                raise ValueError(f"momentscope: parameter {parameter!r} has max_norm, "
                                 "which moves rows outside the optimizer")
            self.tables.append(Table(table_name(prefix, parameter), p, groups[p], modules, capacity))
            self.tables[-1].source = parameter

    def _make_probe(self, second, spans):
        passes = Passes(self.closure, second)
        blocks, spans = spanned(self.optimizer, self.tables, spans)
        possible = passes.kind != "whole" and any(b.table is not None for b in blocks)
        return Probe(self.model, self.optimizer, self.tables, passes, Directions(blocks, spans) if possible else None)

    def _check_reference(self, reference):
        """All tables; refuses a reference for anything else."""
        sources = [t.source for t in self.tables]
        if isinstance(reference, dict):
            for name in reference:
                if name not in sources:
                    raise ValueError(f"momentscope: reference[{name!r}]: no such table; watched are "
                                     + ", ".join(sources))
        elif reference is not None and reference != "initial":
            raise _check.refuse(ValueError if isinstance(reference, str) else TypeError, "reference", reference,
                                "None, 'initial' or {parameter name: tensor}")
        return self.tables

    def _reference_of(self, t, reference):
        """(words for theta*, its values or None)"""
        if reference == "initial":
            return "initial: theta at attach", t.parameter.detach()
        values = (reference or {}).get(t.source)
        if values is None:
            return "", None
        if not isinstance(values, torch.Tensor):
            raise _check.refuse(TypeError, f"reference[{t.source!r}]", type(values).__name__, "a tensor")
        if tuple(values.shape) != tuple(t.parameter.shape):
            raise _check.refuse(ValueError, f"the shape of reference[{t.source!r}]", tuple(values.shape),
                                str(tuple(t.parameter.shape)))
        return "given by the trainer", values

    def _warn_narrow(self):
        narrow = [f"{t.name} ({str(t.parameter.dtype).replace('torch.', '')})" for t in self.tables if t.narrow]
        if narrow:
            self._warn(f"torch rounds {', '.join(narrow)} to fewer digits at every step and the daemon's copy does "
                       "not, so R, V and C are ten percent and more away from torch's within hundreds of steps, and "
                       "exact stays False. Call scope.resync() now and then, or keep these weights in float32"
                       + ("; the probe leaves out such tables" if self.probe_every else ""))

    def _attach(self, t, nll, reference, steps, acf_rows):
        about, values = reference
        has_buffer = t.buffer(self.optimizer) is not None
        t.handle = self._client.attach(
            t.name, t.rows, t.dim, t.capacity, _lib.STATE_F64 if t.wide else _lib.STATE_F32, _lib.FORM_TORCH,
            nesterov=t.group["nesterov"], nll=nll, acf_rows=acf_rows, reference=about,
            step=steps if steps is not None else int(has_buffer),
            read=lambda first, n, theta, m: t.read(self.optimizer, first, n, theta, m),
            fresh=not has_buffer and not bool(t.parameter.detach().any()), narrow=t.narrow)
        t.nesterov = t.group["nesterov"]
        if values is not None:
            values = values.detach().to("cpu", t.dtype).contiguous()
            self._client.reference(t.handle, 0, t.rows, values.data_ptr(), VALUE[t.dtype])

    def _wrap(self):
        """A bound method in place of optimizer.step, as learning-rate schedulers expect to find one."""
        inner, scope = self.optimizer.step, self

        def step(_optimizer, closure=None):
            def loss():                      # the gradients are there when it returns, and the weights have not moved
                out = closure()
                scope._guard(scope._before)
                return out

            if closure is None:
                scope._guard(scope._before)
            out = inner(closure if closure is None else loss)
            scope._guard(scope._after)
            return out

        if hasattr(inner, "_with_counter"):
            step._with_counter = inner._with_counter
        self._own = "step" in self.optimizer.__dict__
        self._inner, self._wrapper = inner, types.MethodType(step, self.optimizer)
        self.optimizer.step = self._wrapper

    def _guard(self, work, *args):
        """Run work; an error of momentscope must not become the trainer's."""
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

    def _before(self):
        """Before the update: the gradients are there, and the weights have not moved."""
        if self._closed:
            return
        for t in self.tables:
            self._look_at(t)
        if not self.probe_every:
            return
        try:
            if self._due() and not any(t.pending for t in self.tables):
                self._probe_now()
        finally:
            self._listen(False)

    def _look_at(self, t):
        """Is the table still what was attached, and as the last step left it?"""
        if t.ended:
            return
        t.ended = t.place(self.optimizer)
        if t.ended:
            self._client.resync(t.handle)    # no row is ever sent again, so its copy stays inexact
            self._warn(f"{t.source} is followed no longer: {t.ended}. Attach again to follow what took its place")
            return
        what = t.disturbed(self.optimizer)
        if what:
            t.resync = True
            self._warn(f"{what} of {t.source} were changed otherwise than by optimizer.step() (a checkpoint, an edit by "
                       "hand, max_norm): its rows are sent again each time, and exact is False meanwhile")

    def _due(self):
        return self.probe_every and self.steps > 0 and self.steps % self.probe_every == 0

    def _listen(self, on):
        """Hooks that copy what backward leaves, only in a step with a probe."""
        for back in self._backward.values():
            back.stop()
        self._backward = {t: judge.Backward(t) for t in self.tables if t.parameter.requires_grad} if on else {}

    def _probe_now(self):
        for back in self._backward.values():
            back.stop()                      # the probe's own passes are not the step's
        try:
            eps = 1 - float(self.tables[0].group["momentum"])
            word, why, without, self._found = self._probe(self._send_probe, self._backward, self.judge, eps)
        except Exception as e:
            raise RuntimeError(f"the probe failed, so curvature was not measured: {type(e).__name__}: {e}") from e
        if without:
            names = ", ".join(t.source for t in without)
            self._refuse(judge.NONE, f"the closure left none in {names}")
            self._warn(f"the probe's closure left no gradient in {names}: it must compute the loss of the present "
                       "batch again and call backward(), or return the loss. After "
                       f"{FRUITLESS} such passes in a row the probe is turned off")
            self._fruitless += 1
            if self._fruitless >= FRUITLESS:
                self.probe_every = 0
            return
        self._fruitless = 0
        if word not in (judge.SAME, judge.UNCOMPARED):
            self._refuse(word, why)
            if word not in self._warned:
                self._warned.add(word)
                self._warn(f"the probe was refused, so curvature was not measured: {word}: {why}")
            return
        self.probes += 1
        self.probes_uncompared += word == judge.UNCOMPARED

    def _refuse(self, word, why):
        self.probes_refused += 1
        self.probe_refused = f"{word}: {why}"

    def _send_probe(self, t, delta, rows, hm):
        rows = rows.to("cpu", torch.int64).contiguous()
        hm = hm.to("cpu", t.dtype).contiguous()
        self._client.probe(t.handle, delta, rows.data_ptr(), hm.data_ptr(), VALUE[t.dtype], rows.numel())

    def _send_direction(self):
        """After the push of the step that was probed: the daemon reads the products with its schedule."""
        (values, tables), self._found = self._found, None
        entries = []
        for t, rows, curvature, noise in tables:
            part = torch.empty((rows.numel(), 4), dtype=torch.int32)
            part[:, 0], part[:, 1] = t.handle, rows.to("cpu", torch.int32)
            part[:, 2] = curvature.to("cpu", torch.float32).view(torch.int32)
            part[:, 3] = noise.to("cpu", torch.float32).view(torch.int32)
            entries.append(part)
        rows = torch.cat(entries).contiguous()
        self._client.direction(tables[0][0].handle, values, rows.data_ptr() if rows.numel() else None, rows.shape[0])

    def _after(self):
        """After optimizer.step: keep references to what scope.step() will push."""
        if self._closed:
            return
        self.steps += 1
        for t in self.tables:
            if t.pending is not None:
                self._warn("optimizer.step() was called twice without scope.step() in between: one step is lost to the "
                           "daemon, and all rows are sent again")
                self._client.skip(t.handle)
                t.pending = None
            t.marks = t.mark(self.optimizer)
            grad = t.parameter.grad
            if grad is not None and not t.ended:
                t.pending = (grad, grad._version, t.lookups.joined(), t.lookups.bags)
                self._note_schedule(t)
        if self._due():
            self._listen(True)

    def _note_schedule(self, t):
        """Read the schedule now, before a scheduler or the trainer changes it."""
        group = t.group
        schedule = (group["lr"], group["momentum"], group["dampening"], group["weight_decay"])
        if schedule == t.schedule and group["nesterov"] == t.nesterov and not group.get("maximize"):
            return
        t.schedule, s = tuple(map(float, schedule)), t.step
        s.eta, s.eps = t.schedule[0], 1.0 - t.schedule[1]
        s.dampening = t.schedule[2] if t.schedule[1] else 0.0
        s.weight_decay = t.schedule[3]
        if group["nesterov"] != t.nesterov or group.get("maximize"):
            self._warn(f"nesterov or maximize of {t.name} was changed after attach, so its numbers are wrong from now "
                       "on: attach again")

    def step(self, batch=None):
        """Push the optimizer step just done. Returns how many tables dropped it (0: none).

        batch: samples in this step, where that differs from step to step.
        """
        if batch is not None:                # a bad one gives a warning, and this step has the default
            batch = self._guard(_check.integer, "batch", batch, 1, _check.U32, "samples in a step")
        return self._guard(self._tell, batch) or 0

    def _tell(self, batch):
        dropped = 0
        if self._closed:
            return 0
        for t in self.tables:
            if t.pending is None:
                continue
            grad, version, lookups, bags = t.pending
            t.pending = None                 # from here on theta and momentum are those of the step being pushed
            if t.resync:
                t.resync = False
                self._client.resync(t.handle)
            if grad._version != version:
                self._warn("gradients were zeroed or changed before scope.step(), so the step is lost to the daemon: "
                           "call scope.step() before the gradients are zeroed")
                dropped += self._client.skip(t.handle)
                continue
            dropped += self._push(t, grad, lookups, batch or self.batch or bags)
        if self._found is not None:
            self._send_direction()
        return dropped

    def _push(self, t, grad, lookups, batch):
        ready = t.ready(grad) if lookups is None else None
        if ready:
            rows, values = ready
            n, counts = values.shape[0], None
            t.samples(batch or n)
        elif grad.is_sparse:
            rows, values, counts, occurrences = t.entries(grad, lookups)
            n = rows.shape[0]
            t.samples(batch or occurrences)
        else:
            return self._push_dense(t, grad, lookups, batch)
        t.told += 1
        return self._client.push(t.handle, t.by_step, rows.data_ptr(), values.data_ptr(), VALUE[values.dtype], n,
                                 counts.data_ptr() if counts is not None else None)

    def _push_dense(self, t, grad, lookups, batch):
        values, lookups = t.dense(grad, lookups)
        t.told += 1
        if t.resync:
            t.resync = False
            self._client.resync(t.handle)
        if lookups is None:
            active = values.reshape(t.rows, t.dim).ne(0).any(1)
            t.samples(batch or 1)
            return self._client.push_dense(t.handle, t.by_step, values.data_ptr(), VALUE[values.dtype],
                                           active.data_ptr())
        n = lookups.numel()
        t.samples(batch or n)
        return self._client.push_lookups(t.handle, t.by_step, lookups.data_ptr(), n, values.data_ptr(),
                                         VALUE[values.dtype])

    # -- the rest ------------------------------------------------------------------------------------

    def poll(self, seconds=0.0):
        """Take in the daemon's answers; wait at most this many seconds for one. step() does the same without waiting,
        so call poll when steps are far apart."""
        self._client.poll(seconds)

    def flush(self, seconds=5.0):
        """Wait at most this many seconds until the daemon has exactly these weights and momenta; True if it has."""
        return self._client.flush(seconds)

    def resync(self):
        """Send all rows again: call it after weights or momenta were changed otherwise than by optimizer.step (rows
        edited by hand, a checkpoint loaded, optimizer.state cleared)."""
        for t in self.tables:
            self._client.resync(t.handle)

    def save(self):
        """Ask the daemon to write its state file."""
        return self._client.save()

    def stats(self):
        """The stats of the client; steps, the probes and their refusals, and the names of the tables."""
        out = dict(self._client.stats(), steps=self.steps, probes=self.probes, probes_refused=self.probes_refused,
                   probes_uncompared=self.probes_uncompared, probe_refused=self.probe_refused,
                   tables=[t.name for t in self.tables])
        out["exact"] = out["exact"] and not any(t.narrow for t in self.tables)
        return out

    def close(self, seconds=1.0):
        """Leave the daemon and restore optimizer.step; wait at most this many seconds until all is acknowledged."""
        if self._closed:
            return
        self._closed = True
        self._listen(False)
        atexit.unregister(self.close)
        for t in self.tables:
            t.lookups.stop()
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
