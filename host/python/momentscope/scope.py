"""Scope: a torch.optim.SGD training loop attached to the daemon in two lines."""
import atexit
import os
import re
import warnings
import weakref
from typing import Any, Callable, Dict, Optional

import torch

from . import _check, _lib, plan
from ._client import Client, Error, default_endpoint
from .follow import Follower
from .finding import check_optimizer, find_tables, labels_of, references
from .probing import Probing
from .pushing import note_schedule, push
from .ranks import Nobody, Ranks
from .reading import Reader
from .tables import VALUE
from .worst import BY, worst
from .wrapping import Wrapped

PREFIX = "at most 40 letters, digits, _ . -"
_live = weakref.WeakValueDictionary()        # (endpoint, table name) -> the scope of this process that watches it


def _strict():
    return bool(os.environ.get("MOMENTSCOPE_STRICT"))


class Scope:
    """Watch a model's embeddings while torch.optim.SGD trains it.

        scope = momentscope.attach(model, optimizer)
        for ...:
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            scope.step()                     # after optimizer.step(), before the gradients are zeroed

    optimizer         torch.optim.SGD or momentscope.optim.SGD, without maximize; lr, momentum, dampening, nesterov
                      and weight_decay are read from the parameter's group at every step. torch's Adam, AdamW, NAdam,
                      RAdam, SparseAdam, Adagrad and RMSprop are read and not followed (host/README.md, "Adam and its
                      like"): V and the second moment of bands, their memory and age, updates, curvature and H of the
                      preconditioned step, but no R, C, U, reference or nll
    read, frozen      for another optimizer: read(state, group) returns a momentscope.Read of the state of one parameter;
                      frozen=True: rows without a gradient keep their momentum and second moment, as in SparseAdam
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
    batch             samples in a step, for p = occurrences/sample; None: the bags of an EmbeddingBag, else
                      occurrences. scope.step(batch=..) sets it for one step
    row_rates         True: count the occurrences of every row, so that apply() can give rows rates of their own
    steps             steps already done; None: 0, or 1 when the optimizer already holds momentum
    labels            what rows are called, so that rows(), watch, check and alerts name them: a tokenizer, a list, a
                      dict of row numbers, or a function of a row's number, for every table; or {parameter name: one of
                      these}. They travel once: at most 2 M rows, 63 bytes each
    every_rank        False: with torch.distributed only rank 0 is attached. True: every rank that calls attach, because
                      their parameters differ; then each needs a prefix of its own
    telemetry         where the daemon publishes, for metrics() and on_alert(); None: beside the endpoint, or
                      $MOMENTSCOPE_TELEMETRY, or the user's default
    prefix            of every table name, so that two runs do not claim one name: at most 40 letters, digits, _ . -
    capacity          most rows (or look-ups, of sparse gradients) in one step; 0: all rows, or as many as make 64 MiB.
                      A step above it is lost, with a warning
    buffer_bytes      most bytes held until the daemon has acknowledged them; 0: 64 MiB, or half of the largest
                      table, so that a daemon that meets a large table for the first time loses no step
    name, sync_bytes, block_ms: as in Client; acf_rows (0 to 64): as in mscope/client.h

    An argument out of its range is refused with field, value and range. Times (poll, flush, close) are in seconds.
    Weights or momenta that were changed otherwise than by optimizer.step are noticed at the next step (by version,
    identity and address of the tensors): exact falls, a warning says what was seen, and all rows are sent again. What
    is written through .data in place is seen where it changes one of 64 values spread over the table, others at each
    step. So edits of whole tables are seen; those of single rows, on a GPU or of momentscope.optim are not: call
    resync() after them. torch rounds half and bfloat16 parameters and the daemon's copy does not: their numbers are
    approximate, and exact stays False.

    A parameter without a gradient in a step does not move in torch, and its table's clock does not move either.
    Active rows are those whose gradient in an applied step is not 0; occurrences are the look-ups that backward passes
    of that step reached. A forward pass for a metric, a batch whose step was skipped and rows masked by a hook count
    for nothing.
    optimizer.step is wrapped until close: the wrapper reads the schedule of each step before a scheduler changes it,
    and runs the probe when the gradients are there and the weights have not moved. Nothing is hung on the model: it
    copies, pickles and scripts as before. A second attach in one process to the same tables ends the first.
    Errors of momentscope become warnings, each given once; MOMENTSCOPE_STRICT=1 raises them instead. A bad argument is
    raised by attach. What is wrong with the environment (MOMENTSCOPE_*, the socket's directory, keys, no descriptor or
    thread left) is a warning: then nothing is attached, and every call of the scope does nothing.
    """

    def __init__(self, model, optimizer, endpoint=None, tables=None, probe_every=0, closure=None, second=None,
                 probe=None, nll=False, reference=None, batch=None, steps=None, prefix="", capacity=0, name=None,
                 buffer_bytes=0, sync_bytes=0, block_ms=0, acf_rows=8, row_rates=False, telemetry=None, read=None,
                 frozen=False, every_rank=False, labels=None):
        if not isinstance(model, torch.nn.Module):
            raise _check.refuse(TypeError, "model", model, "a torch.nn.Module")
        rule = check_optimizer(optimizer, read, frozen)
        self.model, self.optimizer = model, optimizer
        self.probing = Probing(probe_every, closure, second, probe)
        self.batch = None if batch is None else _check.integer("batch", batch, 1, _check.U32, "samples in a step")
        nll = _check.flag("nll", nll)
        if steps is not None:
            steps = _check.integer("steps", steps, 0, _check.STEPS, "steps already done")
        acf_rows = _check.integer("acf_rows", acf_rows, 0, 64, "rows sampled for autocorrelations in each band")
        capacity = _check.integer("capacity", capacity, 0, _check.ENTRIES, "most entries in one step; 0: enough")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{0,40}", _check.text("prefix", prefix, PREFIX).decode()):
            raise _check.refuse(ValueError, "prefix", prefix, PREFIX)
        _check.text("telemetry", telemetry, "ipc:///PATH, tcp://HOST:PORT or None", optional=True)
        self.steps, self._warned, self._closed, self._client, self.follower = 0, set(), False, None, None
        self._replaced = False
        ranks, every_rank = Ranks(), _check.flag("every_rank", every_rank)
        if ranks.rank and not every_rank:
            self._stay_away(ranks.absent())
            return
        self.tables = find_tables(model, optimizer, tables, prefix, capacity, rule)
        try:
            for t, words in zip(self.tables, labels_of(self.tables, labels)):
                t.labels = words
            for t in self.tables if _check.flag("row_rates", row_rates) or labels is not None else ():
                t.seen = plan.Seen(t.rows)
            if ranks.of > 1 and not every_rank:
                nll = self._share(ranks, nll)
            self.probing.start(model, optimizer, self.tables, self._warn)
            stars = references(self.tables, reference)
            largest = max(t.rows * t.dim * (8 if t.wide else 4) for t in self.tables)
            self._client = Client(endpoint, name, buffer_bytes or max(1 << 26, largest // 2), sync_bytes, block_ms)
            self._take_over(endpoint)
            for t, star in zip(self.tables, stars):
                self._attach(t, nll, star, steps, acf_rows)
        except BaseException as e:
            for t in self.tables:
                t.lookups.stop()
            if self._client:
                self._client.close(0)
            if not self._may_go_on(e, endpoint):
                raise
            self._stay_away(f"nothing is attached: {e}")
            return
        self._reader = Reader([t.name for t in self.tables], endpoint, telemetry)
        for t in self.tables:
            for first, n, text in t.labels.chunks() if t.labels is not None else ():
                self._client.labels(t.handle, first, n, text)
            _live[self._endpoint, t.name] = self
            t.disturbed(optimizer)           # from here on
        self._warn_narrow()
        if closure is not None and not probe_every:
            self._warn("closure is not called, because probe_every is 0: give attach(.., probe_every=100) to measure "
                       "curvature, or leave the closure out")
        self._wrapped = Wrapped(optimizer, lambda: self._guard(self._before), lambda: self._guard(self._after),
                                lambda: self._warn("optimizer.step is traced by torch.compile: it is not followed. "
                                                   "Leave it out of what is compiled"))
        atexit.register(self.close, 0.2)

    # -- setting up ----------------------------------------------------------------------------------

    def _may_go_on(self, error, endpoint):
        """Is it the machine's state or environment, and no argument, that keeps the client from opening? A run that costs
        money does not end for that."""
        field = (isinstance(error, Error) and not self._client and error.field) or ""
        return (field.startswith("MOMENTSCOPE_") or (field == "endpoint" and endpoint is None)) and not _strict()

    def _stay_away(self, why):
        """A scope that does nothing."""
        self.tables, self._client, self._closed = [], Nobody(), True
        self._reader = Reader([], None, None)
        self._warn(why)

    def _share(self, ranks, nll):
        """Gradients are means over ranks. Returns nll."""
        self._warn(ranks.limits(self.probing.every, nll))
        self.probing.every = 0
        for t in self.tables:
            t.share(ranks.of)
        return 0

    def _take_over(self, endpoint):
        """End scopes of this process that watch tables of these names: a notebook's cell that is run again."""
        self._endpoint = endpoint or default_endpoint()
        for old in {id(s): s for s in (_live.get((self._endpoint, t.name)) for t in self.tables) if s}.values():
            old.close()
            old._replaced = True

    def _warn_narrow(self):
        narrow = [f"{t.name} ({str(t.parameter.dtype).replace('torch.', '')})" for t in self.tables if t.narrow]
        if narrow:
            self._warn(f"torch rounds {', '.join(narrow)} to fewer digits at every step and the daemon's copy does "
                       "not, so R, V and C are ten percent and more away from torch's within hundreds of steps, and "
                       "exact stays False. Call scope.resync() now and then, or keep these weights in float32"
                       + ("; the probe leaves out such tables" if self.probing.every else ""))

    def _attach(self, t, nll, reference, steps, acf_rows):
        about, values = reference
        if t.rule is not None:
            self._attach_read(t, nll, about, steps)
            return
        if any(getattr(m, "scale_grad_by_freq", False) for m in t.lookups.modules):
            nll = 0
            self._warn(f"{t.source} has scale_grad_by_freq, which divides the gradient of a row by its occurrences: gm "
                       "of its records is divided once more, and nll tells no curvature of it")
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

    def _attach_read(self, t, nll, about, steps):
        if about:
            raise _check.refuse(ValueError, "reference", about, "None", f"{t.rule.name} is read and not followed, so "
                                "there is no theta in the daemon to compare with")
        if nll:
            self._warn(f"nll says nothing of the preconditioned steps of {t.rule.name}: give attach a probe")
        t.handle = t.attach(self._client, self.optimizer, steps)
        if t.drifts:
            self._warn(f"weight decay of {t.rule.name} enters the momentum of every row at every step, also of silent "
                       f"ones that nobody reads: V and v of {t.source} are approximate and exact stays False. Decoupled "
                       "decay (AdamW) does not")

    def _guard(self, work, *args):
        """Run work; an error of momentscope must not become the trainer's."""
        try:
            return work(*args)
        except Exception as e:
            if _strict():
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
            if t.rule is not None:
                t.before(self._client, self.optimizer)
        if not self.probing.every:
            return
        try:
            if self.probing.due(self.steps) and not any(t.pending for t in self.tables):
                self.probing.run(self._client)
        finally:
            self.probing.listen(False)

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
            self._warn(f"{what} of {t.source} were changed otherwise than by optimizer.step() (a checkpoint, an edit "
                       "by hand, max_norm): its rows are sent again each time, and exact is False meanwhile")

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
            t.keep()
            grad = t.parameter.grad
            if grad is not None and not t.ended:
                t.pending = (grad, grad._version, *t.looked_up())
                note_schedule(t, self._warn) if t.rule is None else t.note_schedule(self.optimizer)
        if self.probing.due(self.steps):
            self.probing.listen(True)

    def step(self, batch: Optional[int] = None, loss: Any = None) -> int:
        """Push the optimizer step just done. Returns how many tables dropped it (0: none).

        batch: samples in this step, where that differs from step to step. loss: of this step, for follow().
        """
        if batch is not None:                # a bad one gives a warning, and this step has the default
            batch = self._guard(_check.integer, "batch", batch, 1, _check.U32, "samples in a step")
        if self._replaced:
            self._warn("this scope has ended, because a later attach watches tables of the same names: give attach(.., "
                       "prefix=) to watch both models")
        dropped = self._guard(self._tell, batch) or 0
        if self.follower is not None and not self._closed:
            self._guard(self._follow, loss)
        return dropped

    def _follow(self, loss):
        product, momentum, own = self.probing.take()
        self.follower.after(own if loss is None else float(loss), product, momentum)

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
            if t.rule is not None:
                dropped += t.push(self._client, self.optimizer, batch or self.batch or bags)
                continue
            if grad._version != version:
                self._warn("gradients were zeroed or changed before scope.step(), so the step is lost to the daemon: "
                           "call scope.step() before the gradients are zeroed")
                dropped += self._client.skip(t.handle)
                continue
            dropped += push(self._client, t, grad, lookups, batch or self.batch or bags, self._warn)
            if t.seen is not None:
                t.seen.note(t, grad, lookups)
        self.probing.send_direction(self._client)
        self._reader.deliver()
        return dropped

    # -- advice --------------------------------------------------------------------------------------

    def advise(self, seconds=10, telemetry=None, replay=None):
        """What `momentscope advise --json` says of these tables now: a dict for each. It waits at most so many seconds
        for a full set of records, and searches for a second or so: call it where the trainer may wait."""
        where = (telemetry, replay) if telemetry else self._reader.where()
        return plan.ask([t.name for t in self.tables], seconds, *where)

    def apply(self, advice, others=False):
        """Put the first stage of an advice on the optimizer: what advise() returned, one dict of it, or the text that
        `momentscope advise --json` printed. Tables that are told to stay, and parameters that no table has, keep their
        rates; others=True: these parameters move by the largest factor of the plans in their group.

        One rate for everything in a group becomes its lr. Otherwise the gradients of rows are multiplied by their rate
        over the group's, from the next backward pass on (weight decay keeps the group's rate). Rates for each band need
        attach(row_rates=True). lr and momentum are set once: a scheduler that sets them anew wins. Returns an object
        that prints what was done and has undo(). A plan made at another setting, of an unknown table or with values out
        of range is refused with a ValueError, and nothing is changed."""
        done = plan.apply(self, advice, others)
        self.note(str(done))
        return done

    def follow(self, steps=None, on_move=None):
        """Let lr walk by itself from here on, a stage at a time; see follow.py for the rules. Off unless called.

        steps: of the optimizer from now to the end, where known: the rate then halves towards it. on_move: called with
        each move, a dict of step, factor, lr and why. Give step(loss=..) the loss of every step; without it the
        closure's loss at each probe stands in. Returns the follower, whose moves are all moves so far; stop() ends it.
        """
        self.follower = Follower(self, steps, on_move)
        return self.follower

    def note(self, text: str) -> None:
        """Say something about this run in words, 191 bytes of them: `momentscope watch` shows it as an alert."""
        if self.tables and not self._closed:
            self._client.note(self.tables[0].handle, text.encode()[:191].decode(errors="ignore"))

    # -- the rest ------------------------------------------------------------------------------------

    def poll(self, seconds: float = 0.0) -> None:
        """Take in the daemon's answers; wait at most this many seconds for one. step() does the same without waiting,
        so call poll when steps are far apart."""
        self._client.poll(seconds)

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait at most this many seconds until the daemon has exactly these weights and momenta; True if it has."""
        return self._client.flush(seconds)

    def resync(self) -> None:
        """Send all rows again: call it after weights or momenta were changed otherwise than by optimizer.step (rows
        edited by hand, a checkpoint loaded, optimizer.state cleared)."""
        for t in self.tables:
            self._client.resync(t.handle)

    def metrics(self, prefix: str = "momentscope/", words: bool = True, full: bool = False,
                wait: float = 0.0) -> Dict[str, Any]:
        """The last judged records of this run's tables, as one flat dict for a logger. The first call only begins to
        listen: it returns {}, as later ones do until the daemon's next set (after its --interval-steps); wait= waits.

            wandb.log({"loss": loss, **scope.metrics()})                 # trackio.log takes the same
            mlflow.log_metrics(scope.metrics(words=False), step=i)
            for name, value in scope.metrics(words=False).items():
                writer.add_scalar(name, value, i)

        Keys are prefix + TABLE/FIELD, TABLE/bandNN/FIELD and TABLE/stability/FIELD; include/mscope/metrics.def and
        host/README.md say what the fields mean. What is not known is left out. Values are numbers, bools and words
        (regime, standing). With a probe prefix + clip is the factor that clipping left of the last probed gradient.
        words     False: no words
        full      True: every number of every record; else the main ones
        wait      0: as it is; else wait at most so many seconds for the next set

        The first call starts `momentscope watch --json` as a child and a thread that reads it; each later one copies.
        """
        out = self._guard(self._reader.metrics, prefix, words, full, wait) or {}
        return {**out, prefix + "clip": self.probing.clip()} if out and self.probing.probes else out

    def on_alert(self, listener: Callable[[Dict[str, Any]], Any]) -> None:
        """Call listener(alert) within step() for each alert of the daemon about this run's tables, and when a band
        becomes near-instability or unstable. alert is a dict: table, step, code, text. Alerts from before are not
        repeated, save the last."""
        if not callable(listener):
            raise _check.refuse(TypeError, "listener", listener, "a function of one alert")
        self._guard(self._reader.on_alert, listener)

    def rows(self, band=None, by="m", k=10, table=None):
        """The k rows with the largest momentum ("m"), gradient ("g") or update ("u", without weight decay) now, largest
        first: a list of dicts with table, row, label, value (a norm, in torch's form) and p.

        band      only rows of this band. Rows are sorted into bands by what was counted since attach with labels= or
                  row_rates=True, else since the first such call
        table     the parameter's name; None: the first table
        Cost      O(rows dim) of the tables asked for: call it now and then
        """
        if by not in BY:
            raise _check.refuse(ValueError, "by", by, "'m', 'g' or 'u'")
        k = _check.integer("k", k, 1, _check.INT, "rows")
        band = None if band is None else _check.integer("band", band, 0, 31, "number of a band")
        found = [t for t in self.tables if table in (None, t.source, t.name)][:1]
        if not found and self.tables:
            raise _check.refuse(ValueError, "table", table, ", ".join(t.source for t in self.tables))
        for t in found if band is not None else ():
            t.seen = t.seen or plan.Seen(t.rows)
        return self._guard(worst, found[0], self.optimizer, band, by, k) or [] if found else []

    def save(self) -> int:
        """Ask the daemon to write its state file."""
        return self._client.save()

    def stats(self) -> Dict[str, Any]:
        """The stats of the client; steps, the probes and their refusals, and the names of the tables."""
        out = dict(self._client.stats(), steps=self.steps, tables=[t.name for t in self.tables], **self.probing.stats())
        out["exact"] = out["exact"] and not any(t.narrow or t.drifts for t in self.tables)
        return out

    def close(self, seconds: float = 1.0) -> None:
        """Leave the daemon and restore optimizer.step; wait at most this many seconds until all is acknowledged."""
        if self._closed:
            return
        self._closed = True
        self.probing.listen(False)
        atexit.unregister(self.close)
        for t in self.tables:
            t.lookups.stop()
        self._wrapped.restore()
        self._reader.close()
        self._client.close(seconds)

    def __reduce__(self):
        raise TypeError("momentscope: a Scope is a connection of this process and can be neither copied nor pickled: "
                        "copy the model and the optimizer, and attach to the copies")

    def __enter__(self) -> "Scope":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
