"""A table whose optimizer is read: Adam and its like. Before and after each step five numbers of every active row.

C reads float32 and float64 tensors where they lie (include/mscope/read.h). Others, on another device, in another type,
or with gradients that torch has merged, go through torch: the same numbers, at the cost of copies of the rows.
"""
import ctypes

import torch

from . import _lib
from .optimizers import decay_of, eps_of, metric_of
from .tables import Table, writable

KIND = {torch.float32: _lib.F32, torch.float64: _lib.F64}


class ReadTable(Table):
    """rule: how the optimizer's state is read. The daemon keeps no row of it, so only norms are ever sent."""

    def __init__(self, name, parameter, group, modules, capacity, rule):
        super().__init__(name, parameter, group, modules, capacity)
        self.rule, self._read = rule, _lib.ReadArrays()      # drifts: silent rows move by more than decay
        self._found = self._at = None
        self._open, self._bags = None, 0     # what _before found: "c", (rows, counts, columns ..), or None

    # -- attaching -----------------------------------------------------------------------------------

    def attach(self, client, optimizer, steps):
        state = optimizer.state.get(self.parameter, {})
        found = self.rule.look(state, self.group)
        used = found.momentum is not None or found.second is not None
        self.drifts = decay_of(optimizer, self.group) > 0 and not self.rule.frozen
        return client.attach(
            self.name, self.rows, _lib.READ_DIM, self.capacity, _lib.STATE_F64,
            _lib.FORM_FROZEN if self.rule.frozen else _lib.FORM_READ, acf_rows=0,
            step=steps if steps is not None else int(float(state.get("step", used))),
            read=lambda first, n, theta, m: self.read(optimizer, first, n, theta, m), fresh=not used,
            narrow=self.narrow or self.drifts, optimizer=self.rule.name, width=self.dim)

    # -- what a change by hand shows in ----------------------------------------------------------------

    def look(self, optimizer):
        return self.rule.look(optimizer.state.get(self.parameter, {}), self.group)

    def mark(self, optimizer):
        found = self._found = self.look(optimizer)           # of this phase of the step
        return tuple((id(x), x._version) for x in (found.momentum, found.second) if x is not None)

    def disturbed(self, optimizer):
        marks, self.marks = self.marks, self.mark(optimizer)
        return "momentum" if marks is not None and marks != self.marks else None

    def keep(self):
        """Nothing: the daemon has no row that an edit of theta could make wrong."""

    # -- for the probe ---------------------------------------------------------------------------------

    def eps(self, optimizer):
        return eps_of(self.look(optimizer))

    def momentum_of(self, optimizer, rows):
        m = self.look(optimizer).momentum
        if m is None:
            return torch.zeros((rows.numel(), self.dim), dtype=self.parameter.dtype, device=self.parameter.device)
        return m.detach().reshape(self.rows, self.dim).index_select(0, rows)

    def metric(self, optimizer, rows):
        return metric_of(self.look(optimizer), (self.rows, self.dim), rows)

    def image(self, u, hu, m, metric):
        """H u of rows as the daemon keeps rows: (along the momentum, across it), in the metric in which the
        preconditioned step is a plain one. There the momentum is P^1/2 m and its curvature P^1/2 H P^1/2."""
        square = (u * m).sum(1).double()
        h1 = (u * hu).sum(1).double() / square
        h2 = ((hu * hu if metric is None else hu * hu * metric).sum(1)).double() / square
        size = m.double().norm(dim=1)
        return torch.stack([h1 * size, (h2 - h1 * h1).clamp(min=0).sqrt() * size], 1)

    # -- a step ----------------------------------------------------------------------------------------

    def before(self, client, optimizer):
        """The gradients are there and nothing has moved."""
        grad, self._open = self.parameter.grad, None
        if grad is None or self.ended:
            return
        found, (lookups, self._bags) = self._found, super().looked_up()
        arrays = self._arrays(found)
        if grad.is_sparse:
            direct = lookups is None and self.ready(grad)
        else:
            grad, lookups = self.dense(grad, lookups)
            direct = True
        masked = grad.is_sparse and self.is_masked()
        if arrays is None or not direct or masked or grad.dtype is not self.parameter.dtype:
            self._open = _measure_before(self, grad, lookups, found)
        elif grad.is_sparse:
            rows, values = direct
            self._begin(client, rows, values, 1, arrays)
        else:
            self._begin(client, lookups, grad, 0, arrays)

    def looked_up(self):
        """Nothing is pushed of the look-ups after the step; samples as they were before it."""
        return None, self._bags

    def _begin(self, client, rows, grad, sparse, arrays):
        n = rows.numel() if rows is not None else 0
        if self.rule.averages:
            arrays.momentum = None
        client.read_before(self.handle, rows.data_ptr() if rows is not None else None, n, grad.data_ptr(), sparse,
                           arrays)
        self._open = "c"

    def _arrays(self, found):
        """The struct for C, or None where it cannot read these tensors; the same ones at the same place were looked at."""
        theta, m, v = self.parameter, found.momentum, found.second
        at = (theta.data_ptr(), m is None or m.data_ptr(), v is None or v.data_ptr(), id(m), id(v))
        r = self._read
        if at != self._at:
            self._at, r.type = None, KIND.get(theta.dtype, 0)
            if not r.type or not all(self._readable(x) for x in (theta, m, v) if x is not None):
                return None
            self._at = at
        r.theta, r.momentum, r.second = at[0], m is not None and at[1] or None, v is not None and at[2] or None
        r.follows = self.rule.follows and not self.drifts and (found.beta2 < 1 or self.rule.name == "Adagrad")
        return r

    def _readable(self, x):
        return (not x.is_sparse and x.is_cpu and x.is_contiguous() and x.dtype is self.parameter.dtype
                and x.numel() == self.rows * self.dim)

    def note_schedule(self, optimizer):
        """After the step, before a scheduler changes it."""
        found, s = self._found, self.step
        s.eta, s.eps = float(found.eta), eps_of(found)
        s.decoupled_decay = 1.0 - float(found.beta2) if found.second is not None else 0.0

    def push(self, client, optimizer, batch):
        opened, self._open = self._open, None
        found = self._found
        self.step.batch = batch or 0
        self.told += 1
        if opened is None:
            return client.skip(self.handle)
        arrays = self._arrays(found)
        if opened == "c" and arrays is not None:
            return client.read_after(self.handle, self.by_step, arrays)
        if opened == "c":
            return client.skip(self.handle)
        return _measure_after(self, client, opened, found)

    def read(self, optimizer, first, n, to_theta, to_m):
        if self.pending is not None or self.ended:
            return -1
        found = self.look(optimizer)
        arrays = self._arrays(found)
        theta, m = (writable(at, 2 * n, torch.float64).reshape(n, 2) for at in (to_theta, to_m))
        if arrays is not None:
            _lib.lib().mscope_read_rows(ctypes.byref(arrays), self.dim, first, n, to_theta, to_m)
        else:
            rows = torch.arange(first, first + n, device=self.parameter.device)
            theta.zero_()[:, 0] = _rms(_at(self, found.second, rows))
            m.zero_()[:, 0] = _norm(_at(self, found.momentum, rows))
        if found.momentum is None:
            m[:, 0] = self._last_gradient(first, n)
        return 0

    def _last_gradient(self, first, n):
        """|g| of rows in the step that was just made, which stands for the momentum where there is none."""
        grad, out = self.parameter.grad, torch.zeros(n, dtype=torch.float64)
        if grad is None:
            return out
        if not grad.is_sparse:
            return _norm(grad.detach().reshape(self.rows, self.dim)[first:first + n].to("cpu", torch.float64))
        grad = grad.coalesce()
        rows = grad.indices()[0].to("cpu") - first
        here = (rows >= 0) & (rows < n)
        out[rows[here]] = _norm(grad.values().to("cpu", torch.float64)[here])
        return out


# -- the same by torch -----------------------------------------------------------------------------------


def _at(table, x, rows):
    """Rows of a tensor like the parameter, float64 on the CPU; zeros where there is none."""
    if x is None:
        return torch.zeros((rows.numel(), table.dim), dtype=torch.float64)
    return x.detach().reshape(table.rows, table.dim).index_select(0, rows.to(x.device)).to("cpu", torch.float64)


def _norm(x):
    return (x * x).sum(1).sqrt()


def _rms(x):
    return x.mean(1).clamp(min=0).sqrt()


def _measure_before(table, grad, lookups, found):
    """(rows, counts, |g|, cos, theta, samples where attach was told none: look-ups, or 1, as C counts them)"""
    if grad.is_sparse:
        rows, values, counts, occurrences = table.entries(grad, lookups)
        if counts is None:
            rows, inverse, counts = torch.unique(rows, return_inverse=True, return_counts=True)
            values = torch.zeros((rows.numel(), table.dim), dtype=torch.float64).index_add_(0, inverse, values.double())
    else:
        if lookups is None:
            rows, occurrences = grad.reshape(table.rows, table.dim).ne(0).any(1).nonzero().reshape(-1), 1
            counts = torch.ones_like(rows)
        else:
            rows, counts = torch.unique(lookups, return_counts=True)
            occurrences = lookups.numel()
        values = grad.reshape(table.rows, table.dim).index_select(0, rows)
        if lookups is not None:
            keep = values.ne(0).any(1)
            rows, counts, values = rows[keep], counts[keep], values[keep]
    values, m = values.double(), _at(table, found.momentum, rows)
    size = _norm(values)
    cosine = (values * m).sum(1) / (size * _norm(m)).clamp(min=torch.finfo(torch.float64).tiny)
    return rows, counts, size, cosine.clamp(-1, 1), _at(table, table.parameter, rows), occurrences


def _measure_after(table, client, opened, found):
    rows, counts, size, cosine, before, occurrences = opened
    m = _norm(_at(table, found.momentum, rows)) if found.momentum is not None else size
    columns = torch.stack([m, _rms(_at(table, found.second, rows)), size, cosine,
                           _norm(_at(table, table.parameter, rows) - before)], 1).float().contiguous()
    counts, rows = counts.to("cpu", torch.int32).contiguous(), rows.to("cpu", torch.int64).contiguous()
    table.step.batch = table.step.batch or max(1, occurrences)
    return client.push(table.handle, table.by_step, rows.data_ptr(), columns.data_ptr(), _lib.F32, rows.numel(),
                       counts.data_ptr())
