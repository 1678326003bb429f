"""The probe: curvature along the momentum, H_b m = (g(theta + delta m) - g(theta))/delta on one batch.

Both gradients come from the user's closure under the same random state, so the difference is free of dropout, negative
sampling and of what happened to .grad (clipping, scaling). The gradient at theta is first compared with the step's own,
and a closure that computes something else is refused (judge.py). Afterwards weights, buffers, gradients and random
states are the same objects with the same bits as before.

Each row moves along its own momentum by the same length, r times the root mean square |theta| of the active rows, with
r = 1e-2 in float32 and 1e-5 in float64. That is far above the rounding of the gradients (1e-7, 1e-16), and small enough
for the third derivative not to matter. *Rejected:* one delta for all rows; rare rows, whose momentum has decayed, would
move by less than rounding. Rows without momentum give no sample. All active rows move at once, so the effect of one row
on another's gradient is in the result, as for steps of equal length.
"""
import random
import sys

import torch

from . import judge

STEP = {torch.float32: 1e-2, torch.float64: 1e-5}
FADED = {torch.float32: 1e-18, torch.float64: 1e-140}    # momentum below this has decayed to nothing: no sample


class Frozen:
    """Everything that a second forward and backward pass may change, to be restored."""

    def __init__(self, model):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.grads = [p.grad for p in self.parameters]
        self.buffers = [(b, b.clone()) for b in model.buffers()]
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self.python = random.getstate()
        self.numpy = sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None

    def start(self):
        """Buffers and random states as they were: every pass begins at the same point."""
        with torch.no_grad():
            for buffer, was in self.buffers:
                buffer.copy_(was)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)

    def restore(self):
        for p, grad in zip(self.parameters, self.grads):
            p.grad = grad
        self.start()


def gradients(frozen, closure, tables):
    """The gradients of the tables' parameters by the closure, in new tensors."""
    frozen.start()
    for p in frozen.parameters:
        p.grad = None
    with torch.enable_grad():
        loss = closure()
        if isinstance(loss, torch.Tensor) and loss.requires_grad and all(p.grad is None for p in frozen.parameters):
            loss.backward()
    return [t.parameter.grad for t in tables]


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


def reach(table, rows, m):
    """The rows that have momentum, their momentum, and a delta for each of them."""
    size = m.norm(dim=1)
    keep = (size > FADED[table.parameter.dtype]).nonzero().reshape(-1)
    rows, m, size = rows[keep], m[keep], size[keep]
    theta = table.parameter.detach().reshape(table.rows, table.dim).index_select(0, rows)
    length = STEP[table.parameter.dtype] * float(theta.norm()) / max(1, rows.numel()) ** 0.5
    return rows, m, (length or float(table.group["lr"]) * float(size.max()) if rows.numel() else 0.0) / size


def perturbed(table, rows, m, delta, work):
    """Run work() with theta + delta m in these rows, and restore the old bits whatever happens."""
    theta = table.parameter.data.view(table.rows, table.dim)
    saved = theta.index_select(0, rows)
    theta.index_copy_(0, rows, saved + delta.unsqueeze(1) * m)
    try:
        return work()
    finally:
        theta.index_copy_(0, rows, saved)


def base(frozen, closure, tables):
    """The gradients at theta, the rows that the closure looked up in each table (None: unknown), and did it draw?"""
    own = [t.lookups for t in tables]
    for t in tables:
        t.lookups, t.recording = [], True
    try:
        here = gradients(frozen, closure, tables)
        seen = [judge.joined(t.lookups) if t.modules else None for t in tables]
        return here, seen, judge.drew(frozen)
    finally:
        for t, lookups in zip(tables, own):
            t.lookups, t.recording = lookups, False


def verdict(frozen, closure, tables, backward, here, seen, drawn, judging):
    """The judge's word and reason. The step's .grad is in place while it looks."""
    def repeat(compared):
        again, rows, _ = base(frozen, closure, tables)
        at = {t: (g, r) for t, g, r in zip(tables, again, rows)}
        return [c.sum_known(judge.entries(c.table, *at[c.table])) if at[c.table][0] is not None else None
                for c in compared]

    for p, grad in zip(frozen.parameters, frozen.grads):
        p.grad = grad
    with torch.no_grad():
        both = [(t, g, r) for t, g, r in zip(tables, here, seen) if g is not None and t.parameter.grad is not None]
        if all(judge.identical(*each) for each in both):
            return judging.agree([t for t, _, _ in both])
        compared = [judge.Compared(t, backward.get(t), g, r) for t, g, r in both]
    return judging(compared, drawn, repeat)


def probe(model, optimizer, tables, closure, send, backward, judging):
    """One pass at theta, and one for each table along its own momentum, sent by send(table, delta, rows, hm).

    backward: {table: judge.Backward} of this step; judging: a judge.Judge. Returns its word and reason, and the tables
    that have a gradient in this step and got none from the closure. A refused probe sends nothing.
    """
    tables = [t for t in tables if t.parameter.dtype in STEP and t.parameter.is_contiguous()]
    stepping = [t.parameter.grad is not None for t in tables]
    frozen = Frozen(model)
    lookups = [judge.joined(t.lookups) if t.modules else None for t in tables]
    for t in tables:
        t.recording = False
    try:
        here, seen, drawn = base(frozen, closure, tables)
        without = [t for t, grad, has in zip(tables, here, stepping) if has and grad is None]
        word, why = verdict(frozen, closure, tables, backward, here, seen, drawn, judging)
        if word not in (judge.SAME, judge.UNCOMPARED):
            return word, why, without
        for i, (table, grad) in enumerate(zip(tables, here)):
            if grad is None:
                continue
            with torch.no_grad():
                rows = rows_of(table, grad, lookups[i])
                rows, m, delta = reach(table, rows, table.momentum_of(optimizer, rows))
                if rows.numel() == 0:
                    continue                 # no row has momentum: there is no direction to probe
            there = perturbed(table, rows, m, delta, lambda: gradients(frozen, closure, tables))
            with torch.no_grad():
                hm = (at_rows(table, there[i], rows) - at_rows(table, grad, rows)) / delta.unsqueeze(1)
            send(table, float(delta.max()), rows, hm)
        return word, why, without
    finally:
        for t in tables:
            t.recording = True
        frozen.restore()
