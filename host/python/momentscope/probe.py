"""The probe: curvature along the momentum of each row, and along the two directions of directions.py.

H_b m = (g(theta + delta m) - g(theta))/delta on one batch. Both gradients come from the user's closure under the same
random state (passes.py), so the difference is free of dropout, negative sampling and of what happened to .grad
(clipping, scaling). The gradient at theta is first compared with the step's own, and a closure that computes something
else is refused (judge.py). Afterwards weights, buffers, gradients and random states are the same objects with the same
bits as before. That takes three passes however many tables there are: at theta, along the momenta, along a direction;
two where the closure cannot be halved.

Where the optimizer has a preconditioner P, rows move along P m, as its steps do.

Each row moves along its own momentum by the same length, r times the root mean square |theta| of the active rows, with
r = 1e-2 in float32 and 1e-5 in float64. That is far above the rounding of the gradients (1e-7, 1e-16), and small enough
for the third derivative not to matter. *Rejected:* one delta for all rows; rare rows, whose momentum has decayed, would
move by less than rounding. Rows without momentum give no sample. All active rows of a table move at once, so the effect
of one row on another's gradient is in the result, as for steps of equal length. Tables move at once as well, each with
a random sign: what one does to another has mean 0 over the probes.
"""
import random

import torch

from . import judge
from .directions import moved
from .passes import Frozen, mixed

STEP = {torch.float32: 1e-2, torch.float64: 1e-5}
FADED = {torch.float32: 1e-18, torch.float64: 1e-140}    # momentum below this has decayed to nothing: no sample


def rows_of(table, grad, lookups):
    if grad.is_sparse:
        return torch.unique(grad._indices()[0])
    if lookups is not None:
        return torch.unique(lookups)
    return torch.arange(table.rows, device=grad.device)


def at_rows(table, grad, rows):
    if grad is None:
        return torch.zeros((rows.numel(), table.dim), dtype=table.parameter.dtype, device=rows.device)
    if not grad.is_sparse:
        return grad.detach().reshape(table.rows, table.dim).index_select(0, rows)
    place = torch.full((table.rows,), -1, dtype=torch.int64, device=rows.device)
    place[rows] = torch.arange(rows.numel(), device=rows.device)
    at = place[grad._indices()[0]]
    keep = (at >= 0).nonzero().reshape(-1)
    out = torch.zeros((rows.numel(), table.dim), dtype=table.parameter.dtype, device=rows.device)
    return out.index_add_(0, at[keep], grad._values().detach().reshape(-1, table.dim)[keep])


def reach(table, rows, m, metric=None):
    """The rows that have momentum, their momentum, the direction in which a step moves them, the preconditioner, and a
    delta for each of them."""
    keep = (m.norm(dim=1) > FADED[table.parameter.dtype]).nonzero().reshape(-1)
    rows, m, metric = rows[keep], m[keep], None if metric is None else metric[keep]
    u = m if metric is None else metric * m
    size = u.norm(dim=1)
    theta = table.parameter.detach().reshape(table.rows, table.dim).index_select(0, rows)
    length = STEP[table.parameter.dtype] * float(theta.norm()) / max(1, rows.numel()) ** 0.5
    return rows, m, u, metric, (length or float(table.group["lr"]) * float(size.max()) if rows.numel() else 0.0) / size


class Base:
    """The gradients at theta: a and b of the halves, whole of the batch; seen: the rows that the closure looked up in each
    table, first: how many of them in half a."""

    def __init__(self, frozen, passes, tables, parameters):
        own, halves = [t.lookups.set_aside() for t in tables], []
        try:
            self.a, self.b = passes(frozen, parameters, lambda: halves.append(self._looked_up(tables)))
            halves.append(self._looked_up(tables))
        finally:
            for t, lookups in zip(tables, own):
                t.lookups.resume(lookups)
                t.lookups.recording = False
        self.drawn, self.share = judge.drew(frozen), 0.5
        if passes.kind == "halves":
            with torch.no_grad():
                steps = [frozen.grad_of(t.parameter) for t in tables]
                self.share = judge.share_of(tables, steps, self.a, self.b)
                self.whole = [mixed(a, b, self.share) for a, b in zip(self.a, self.b)]
            self.seen = [torch.cat([a, b]) if a is not None and b is not None else a if b is None else b
                         for a, b in zip(*halves)]
            self.first = [a._indices().shape[1] if a is not None and a.is_sparse else
                          rows.numel() if rows is not None else None for a, rows in zip(self.a, halves[0])]
        else:
            self.whole, self.seen = self.a, halves[0]
            self.first = [None] * len(tables)
        # noise of one batch over |h_a - h_b|^2/4
        self.noise = 4 * self.share * (1 - self.share) if passes.kind == "halves" else 2.0

    @staticmethod
    def _looked_up(tables):
        rows = [t.lookups.joined() for t in tables]
        for t in tables:
            t.lookups.set_aside()
        return rows


def verdict(frozen, passes, tables, backward, base, judging):
    """The judge's word and reason. The step's .grad is in place while it looks."""
    def repeat(compared):
        again = Base(frozen, passes, tables, [t.parameter for t in tables])
        at = {t: (g, r) for t, g, r in zip(tables, again.whole, again.seen)}
        return [c.sum_known(judge.entries(c.table, *at[c.table])) if at[c.table][0] is not None else None
                for c in compared]

    for p, grad in zip(frozen.parameters, frozen.grads):
        p.grad = grad
    with torch.no_grad():
        both = [(t, g, r, first) for t, g, r, first in zip(tables, base.whole, base.seen, base.first)
                if g is not None and t.parameter.grad is not None]
        if passes.kind != "halves" and all(judge.identical(t, g, r) for t, g, r, _ in both):
            return judging.agree([t for t, *_ in both])
        compared = [judge.Compared(t, backward.get(t), g, r, first) for t, g, r, first in both]
    return judging(compared, base.drawn, repeat)


class Probe:
    """passes: passes.Passes; directions: directions.Directions, or None where the closure cannot be halved."""

    def __init__(self, model, optimizer, tables, passes, directions):
        self.model, self.optimizer, self.passes = model, optimizer, passes
        self.tables = [t for t in tables if t.parameter.dtype in STEP and t.parameter.is_contiguous()]
        self.directions, self.random = directions, random.Random(1)
        spanned = [b.parameter for b in directions.blocks] if directions else []
        self.momentum = None                 # mean |m|^2 of the rows of the last probe that have any
        self.parameters = [t.parameter for t in self.tables]
        self.parameters += [p for p in spanned if all(p is not q for q in self.parameters)]
        self.place = [next(i for i, q in enumerate(self.parameters) if q is p) for p in spanned]

    def __call__(self, send, backward, judging, eps):
        """Send curvature along the momenta by send(table, delta, rows, hm), once the closure is judged.

        backward: {table: judge.Backward} of this step; judging: a judge.Judge; eps: 1 - momentum of this step
        Returns the judge's word and reason, the tables that have a gradient in this step and got none from the closure,
        and what Directions.probe returned. A refused probe sends nothing.
        """
        self.momentum = self.passes.loss = None
        stepping = [t.parameter.grad is not None for t in self.tables]
        frozen = Frozen(self.model)
        lookups = [t.lookups.joined() for t in self.tables]
        for t in self.tables:
            t.lookups.recording = False
        try:
            base = Base(frozen, self.passes, self.tables, self.parameters)
            without = [t for t, grad, has in zip(self.tables, base.whole, stepping) if has and grad is None]
            word, why = verdict(frozen, self.passes, self.tables, backward, base, judging)
            if word not in (judge.SAME, judge.UNCOMPARED):
                return word, why, without, None
            shrunk = self._shrunk(frozen, base, judging.shrunk)
            self._momenta(frozen, base, lookups, send, shrunk)
            return word, why, without, self._direction(frozen, base, eps, shrunk) if not without else None
        finally:
            for t in self.tables:
                t.lookups.recording = True
            frozen.restore()

    def _shrunk(self, frozen, base, of_tables):
        """The step's gradient over the closure's, of each parameter. Tables were judged. Of the others no copy of what
        backward left is kept, so they count as shrunk where the two are parallel, and else as much as a dense table."""
        out = [of_tables.get(t, 1.0) for t in self.tables]
        dense = [f for f, grad in zip(out, base.whole) if grad is not None and not grad.is_sparse]
        with torch.no_grad():
            for p, x in zip(self.parameters[len(out):], base.whole[len(out):]):
                out.append(judge.parallel(frozen.grad_of(p), x, max(dense, default=1.0)))
        return out

    def _momenta(self, frozen, base, lookups, send, shrunk):
        moves, reached, squares = [], [], (0.0, 0)
        with torch.no_grad():
            for i, (t, grad) in enumerate(zip(self.tables, base.whole)):
                if grad is None:
                    continue
                rows = rows_of(t, grad, lookups[i])
                metric = None if t.rule is None else t.metric(self.optimizer, rows)
                rows, m, u, metric, delta = reach(t, rows, t.momentum_of(self.optimizer, rows), metric)
                if rows.numel():             # else no row has momentum: there is no direction to probe
                    squares = squares[0] + float(m.double().square().sum()), squares[1] + len(rows)
                    delta = delta * self.random.choice((-1.0, 1.0)) if len(self.tables) > 1 else delta
                    moves.append((t.parameter.data.view(t.rows, t.dim), rows, delta.unsqueeze(1) * u))
                    reached.append((i, t, rows, delta, (u, m, metric)))
        self.momentum = squares[0] / squares[1] if moves else None
        if not moves:
            return
        parameters = [t.parameter for t in self.tables]
        there = moved(moves, lambda: self.passes.whole(frozen, parameters, base.share))
        for i, t, rows, delta, (u, m, metric) in reached:
            with torch.no_grad():
                hm = (at_rows(t, there[i], rows) - at_rows(t, base.whole[i], rows)) * (shrunk[i] / delta.unsqueeze(1))
                hm = hm if t.rule is None else t.image(u, hm, m, metric)
            send(t, float(delta.abs().max()), rows, hm)

    def _direction(self, frozen, base, eps, shrunk):
        if self.directions is None:
            return None
        spanned = [self.parameters[k] for k in self.place]
        here = [[grads[k] for k in self.place] for grads in (base.a, base.b)]
        self.directions.shrunk = [shrunk[k] for k in self.place]
        with torch.no_grad():
            return self.directions.probe(here, lambda: self.passes(frozen, spanned), eps, base.share, base.noise)
