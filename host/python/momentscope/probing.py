"""When a probe runs within a training run, what became of it, and how its products go to the daemon."""
import torch

from . import _check, judge
from .directions import Directions, spanned
from .passes import Passes
from .probe import Probe
from .tables import VALUE

FRUITLESS = 3                                # passes of a closure without gradients before the probe gives up


class Probing:
    """every: steps from one probe to the next, 0: never; the other arguments are those of Scope.

    probes were sent; refused were not, why is the last reason; uncompared were sent without a comparison.
    """

    def __init__(self, every, closure, second, spans):
        self.every = _check.integer("probe_every", every, 0, _check.STEPS, "steps from one probe to the next")
        if self.every and not callable(closure):
            raise _check.refuse(TypeError if closure else ValueError, "closure", closure, "a function",
                                "probe_every needs a closure that computes the loss of the present batch again")
        if second is not None and not callable(second):
            raise _check.refuse(TypeError, "second", second, "a function, or None")
        if spans not in (None, "all", "tables"):
            raise _check.refuse(ValueError, "probe", spans, "'all', 'tables' or None")
        self.closure, self.second, self.spans = closure, second, spans
        self.probes = self.refused = self.uncompared = self._fruitless = 0
        self.why, self.judge, self._backward, self._told = None, judge.Judge(), {}, set()
        self._found = None                   # products with a direction, for the daemon after this step
        self.last = (None, None, None)       # of the probe of this step: fields of the direction, mean |m|^2, loss

    def start(self, model, optimizer, tables, warn):
        self.tables, self._warn = tables, warn
        if not self.every:
            return
        passes = Passes(self.closure, self.second)
        blocks, spans = spanned(optimizer, tables, self.spans)
        possible = passes.kind != "whole" and any(b.table is not None for b in blocks)
        self._probe = Probe(model, optimizer, tables, passes, Directions(blocks, spans) if possible else None)

    def due(self, steps):
        return self.every and steps > 0 and steps % self.every == 0

    def listen(self, on):
        """Hooks that copy what backward leaves, only in a step with a probe."""
        for back in self._backward.values():
            back.stop()
        self._backward = {t: judge.Backward(t) for t in self.tables if t.parameter.requires_grad} if on else {}

    def run(self, client):
        """Before the update: the gradients are there, and the weights have not moved."""
        for back in self._backward.values():
            back.stop()                      # the probe's own passes are not the step's

        def send(t, delta, rows, hm):
            rows, hm = rows.to("cpu", torch.int64).contiguous(), hm.to("cpu", t.dtype).contiguous()
            client.probe(t.handle, delta, rows.data_ptr(), hm.data_ptr(), VALUE[t.dtype], rows.numel())

        try:
            eps = self.tables[0].eps(self._probe.optimizer)
            word, why, without, self._found = self._probe(send, self._backward, self.judge, eps)
            self.last = (self._found and self._found[0], self._probe.momentum, self._probe.passes.loss)
        except Exception as e:
            raise RuntimeError(f"the probe failed, so curvature was not measured: {type(e).__name__}: {e}") from e
        if without:
            self._no_gradient(without)
            return
        self._fruitless = 0
        if word not in (judge.SAME, judge.UNCOMPARED):
            self._refuse(word, why)
            if word not in self._told:
                self._told.add(word)
                self._warn(f"the probe was refused, so curvature was not measured: {word}: {why}")
            return
        self.probes += 1
        self.uncompared += word == judge.UNCOMPARED

    def _no_gradient(self, tables):
        names = ", ".join(t.source for t in tables)
        self._refuse(judge.NONE, f"the closure left none in {names}")
        self._warn(f"the probe's closure left no gradient in {names}: it must compute the loss of the present batch "
                   "again and call backward(), or return the loss. "
                   f"After {FRUITLESS} such passes in a row the probe is turned off")
        self._fruitless += 1
        if self._fruitless >= FRUITLESS:
            self.every = 0

    def _refuse(self, word, why):
        self.refused += 1
        self.why = f"{word}: {why}"

    def send_direction(self, client):
        """After the push of the step that was probed: the daemon reads the products with its schedule."""
        if self._found is None:
            return
        (values, tables), self._found = self._found, None
        entries = []
        for t, rows, curvature, noise in tables:
            part = torch.empty((rows.numel(), 4), dtype=torch.int32)
            part[:, 0], part[:, 1] = t.handle, rows.to("cpu", torch.int32)
            part[:, 2] = curvature.to("cpu", torch.float32).view(torch.int32)
            part[:, 3] = noise.to("cpu", torch.float32).view(torch.int32)
            entries.append(part)
        rows = torch.cat(entries).contiguous()
        client.direction(tables[0][0].handle, values, rows.data_ptr() if rows.numel() else None, rows.shape[0])

    def take(self):
        """Of the probe of this step: (fields of mscope_direction, mean |m|^2, loss), each None where there is none."""
        last, self.last = self.last, (None, None, None)
        return last

    def clip(self):
        """The smallest factor by which the last probe found a gradient multiplied before the step, 1: none was."""
        return min(self.judge.shrunk.values(), default=1.0)

    def stats(self):
        return {"clip": self.clip(), "probes": self.probes, "probes_refused": self.refused,
                "probes_uncompared": self.uncompared, "probe_refused": self.why}
