"""A table is one parameter: its gradient as rows, and its theta and momentum when the daemon's copy must be healed."""
import ctypes
import hashlib
import re
import warnings

import torch

from . import _lib
from .lookups import Lookups
from .watched import Raw, table_of

SPOTS, TURNS = 64, 16                        # values that are kept from step to step; places in turn
OUTSIDE_EVERY, SLICES, SLICE = 4, 64, 64     # every 4 steps a 64th of the rows, or 64, is searched for rows moved elsewhere
BYTES = 1 << 26                              # of one step: what a client holds by default
VALUE = {torch.float32: _lib.F32, torch.float16: _lib.F16, torch.bfloat16: _lib.BF16, torch.float64: _lib.F64}


def table_name(prefix, parameter):
    """prefix + parameter in the daemon's alphabet, at most 63 characters. A name that had to be changed ends in a hash
    of the whole parameter name, so that two parameters never get one name."""
    room = 63 - len(prefix)
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", parameter)
    if clean == parameter and 0 < len(clean) <= room:
        return prefix + parameter
    mark = "-" + hashlib.sha256(parameter.encode(errors="backslashreplace")).hexdigest()[:8]
    name = prefix + clean[-(room - len(mark)):] + mark
    warnings.warn(f"momentscope: {prefix + parameter!r} is published as {name!r}: a table name is at most 63 letters, "
                  "digits, _ . -", RuntimeWarning, stacklevel=6)
    return name


def writable(address, n, dtype):
    """A tensor over n numbers of memory of C."""
    kind = ctypes.c_double if dtype is torch.float64 else ctypes.c_float
    return torch.frombuffer((kind * n).from_address(address), dtype=dtype)


def spots(n):
    """Index tensors of values spread over n."""
    apart = max(1, n // SPOTS)
    return [(torch.arange(min(SPOTS, n)) * apart + k * apart // TURNS).clamp(max=n - 1) for k in range(TURNS)]


class Table:
    """The kind of the gradient decides at each step which rows are active:

    sparse            its _indices() and _values() as autograd left them; duplicates are occurrences, so coalesce() is
                      never called
    dense, embedding  the rows looked up whose gradient is not 0 (C sorts and counts them)
    dense, other      the rows whose gradient is not 0
    """
    rule, drifts = None, False               # adaptive.ReadTable has others

    def __init__(self, name, parameter, group, modules, capacity):
        if parameter.dtype not in VALUE:
            raise ValueError(f"momentscope: {name} is {parameter.dtype}; use float16, bfloat16, float32 or float64")
        self.name, self.parameter, self.group = name, parameter, group
        self.rows = parameter.shape[0] if parameter.dim() else 1
        self.dim = max(1, parameter.numel() // max(1, self.rows))
        if not 1 <= self.dim <= 65536 or self.rows < 1:
            raise ValueError(f"momentscope: {name} has shape {tuple(parameter.shape)}; "
                             "a table has at least one row, and 1 to 65536 values in a row")
        self.capacity = capacity or self._enough()
        self.wide = parameter.dtype is torch.float64
        self.dtype, self.was = torch.float64 if self.wide else torch.float32, parameter.dtype
        self.narrow = parameter.dtype in (torch.float16, torch.bfloat16)     # torch rounds rows, the daemon does not
        self.handle, self.ranks = None, 1
        self.lookups = Lookups(parameter, modules)
        self.pending = None                  # (gradient, its version, look-ups, bags) of the step not yet pushed
        self.step = _lib.Step(batch=1)       # the C struct; written only when something has changed
        self.by_step, self.schedule, self.batch = ctypes.byref(self.step), None, 1
        self.told, self.resync, self.ended, self.marks = 0, False, None, None
        self.labels = None                   # labels.Labels of the rows
        self.kept, self.turn = None, 0       # values after the last step, at spots[turn]
        self.spots = spots(parameter.numel())
        self.seen = self.rates = None        # plan.Seen, where rows are counted; plan.RowRates, where they have rates

    def share(self, ranks):
        """The gradient is a mean over ranks: their look-ups are not known here, only how many samples there were."""
        self.ranks = ranks
        self.lookups.count_all()

    def looked_up(self):
        """(look-ups behind the gradient or None, samples where they tell them)"""
        lookups, bags = self.lookups.joined(), self.lookups.bags
        if self.ranks == 1:
            return lookups, bags
        return None, self.ranks * (bags or (lookups.numel() if lookups is not None else 0))

    def _enough(self):
        """Entries of the largest step that is taken: all rows at once, as long as these are no more than BYTES."""
        return max(1024, min(max(self.rows, 65536), BYTES // (4 * self.dim)))

    # -- the gradient as rows ------------------------------------------------------------------------

    def is_masked(self):
        """Has the trainer a hook on the parameter, which may set gradients of rows to 0?"""
        return len(self.parameter._backward_hooks or ()) > self.lookups.hooks()

    def samples(self, n):
        if n != self.batch:
            self.batch = n
            self.step.batch = n or 1

    def ready(self, grad):
        """(indices, values) of a sparse gradient that C can read in place; None: entries() must convert it."""
        if not grad.is_sparse or not grad.is_cpu or self.is_masked():
            return None
        indices, values = grad._indices(), grad._values()
        contiguous = values.is_contiguous() and indices.is_contiguous()
        if contiguous and indices.shape[0] == 1 and values.shape[0] <= self.capacity:
            return indices, values
        return None

    def dense(self, grad, lookups):
        """The values [rows, dim] of a dense gradient, contiguous on the CPU, and the look-ups (int64 on the CPU) or None:
        the rows that are active are those whose gradient is not 0."""
        if lookups is not None and self.told % OUTSIDE_EVERY == 0 and self._moved_elsewhere(grad, lookups):
            # earlier steps may have moved other rows unnoticed: send all again, and look at the gradient from here on
            self.lookups.stop()
            self.resync, lookups = self.told > 0, None
        if not (grad.is_contiguous() and grad.is_cpu):
            grad = grad.detach().to("cpu").contiguous()
        if lookups is not None and not (lookups.dtype is torch.int64 and lookups.is_cpu):
            lookups = lookups.to("cpu", torch.int64)
        return grad, lookups

    def entries(self, grad, lookups):
        """(rows int64[n], values [n, dim], counts int32[n] or None, occurrences) of a sparse gradient, on the CPU.

        lookups: of several passes that were added up, or None: each entry is one occurrence."""
        rows, values, counts = grad._indices()[0], grad._values(), None
        occurrences = rows.numel() if lookups is None else lookups.numel()
        if lookups is not None or occurrences > self.capacity:
            at, inverse, counts = torch.unique(rows, return_inverse=True, return_counts=True)
            values = values.new_zeros((at.numel(),) + tuple(values.shape[1:])).index_add_(0, inverse, values)
            if lookups is not None:
                counts = torch.bincount(torch.searchsorted(at, lookups.to(at.device)), minlength=at.numel())
            rows, counts = at, counts.clamp(min=1).to("cpu", torch.int32).contiguous()
        values = values.detach().to("cpu").reshape(-1, self.dim).contiguous()
        rows = rows.detach().to("cpu", torch.int64).contiguous()
        if self.is_masked():
            keep = values.ne(0).any(1)
            rows, values, counts = rows[keep], values[keep], counts[keep] if counts is not None else None
        return rows, values, counts, occurrences

    def _moved_elsewhere(self, grad, rows):
        """A weight with a second use (a tied output layer, F.embedding) has gradients in rows that no forward pass of its
        modules looked up. One of SLICES slices of the rows is looked at each time, all of them in the first step."""
        size = max(SLICE, -(-self.rows // (SLICES if self.told else 1)))
        first = self.told // OUTSIDE_EVERY * size % self.rows
        outside = grad.reshape(self.rows, self.dim)[first:first + size].ne(0).any(1)
        rows = rows.to(outside.device)
        outside[rows[(rows >= first) & (rows < first + outside.numel())] - first] = False
        return bool(outside.any())

    # -- is it still what was attached? ---------------------------------------------------------------

    def place(self, optimizer):
        """Find the group of the parameter anew, because load_state_dict and the trainer replace groups. Returns why the
        table has ended, or None."""
        for group in optimizer.param_groups:
            if group is self.group and self._is_in(group):
                return self._reshaped()
        for group in optimizer.param_groups:
            if self._is_in(group):
                self.group = group
                return self._reshaped()
        return "its parameter is no longer in the optimizer"

    def _is_in(self, group):
        return any(p is self.parameter for p in group["params"])

    def _reshaped(self):
        if self.parameter.numel() != self.rows * self.dim or self.parameter.dtype != self.was:
            return f"its parameter has another shape or type now: {tuple(self.parameter.shape)}, {self.parameter.dtype}"
        return None

    def mark(self, optimizer):
        """What theta and the momentum are after a step: whoever changes them otherwise leaves another mark."""
        buffer = self.buffer(optimizer)
        theta = self.parameter
        with Raw():                          # the address alone; no row is read
            return (theta._version, theta.data_ptr(), id(buffer), None if buffer is None else buffer._version)

    def disturbed(self, optimizer):
        """What was changed since the last mark: "weights", "momentum", or None."""
        marks, self.marks = self.marks, self.mark(optimizer)
        if marks is None or (marks == self.marks and not self._edited()):
            return None
        return "momentum" if marks[:2] == self.marks[:2] and marks != self.marks else "weights"

    def keep(self):
        """After a step: a few values, because what is written through .data counts no version. Others at each step. Not
        of momentscope.optim, whose rows are moved by reading."""
        self.kept, theta = None, self.parameter
        if self.ended or table_of(theta) is not None or not theta.is_cpu or not theta.is_contiguous():
            return
        self.turn = (self.turn + 1) % len(self.spots)
        self.kept = theta.detach().view(-1).index_select(0, self.spots[self.turn])

    def _edited(self):
        if self.kept is None:
            return False
        now = self.parameter.detach().view(-1).index_select(0, self.spots[self.turn])
        return not torch.equal(now, self.kept) and not torch.equal(now.view(torch.uint8), self.kept.view(torch.uint8))

    # -- theta and momentum --------------------------------------------------------------------------

    def buffer(self, optimizer):
        return optimizer.state.get(self.parameter, {}).get("momentum_buffer")

    def eps(self, optimizer):
        return 1.0 - float(self.group["momentum"])

    def momentum_of(self, optimizer, rows):
        """torch's buffer at rows (unique, int64, on the parameter's device), zeros where it has none.

        With sparse gradients the buffer is a sparse tensor that grows at every step. Only its entries of these rows are
        summed, so memory is that of the rows asked for.
        """
        out = torch.zeros((rows.numel(), self.dim), dtype=self.parameter.dtype, device=self.parameter.device)
        buffer = self.buffer(optimizer)
        if buffer is None:
            return out
        if not buffer.is_sparse:
            return buffer.detach().reshape(self.rows, self.dim).index_select(0, rows)
        place = torch.full((self.rows,), -1, dtype=torch.int64, device=rows.device)
        place[rows] = torch.arange(rows.numel(), device=rows.device)
        at = place[buffer._indices()[0]]
        keep = (at >= 0).nonzero().reshape(-1)
        return out.index_add_(0, at[keep], buffer._values().detach().reshape(-1, self.dim)[keep])

    def read(self, optimizer, first, n, to_theta, to_m):
        """The C client's read callback: rows first .. first+n-1 as of the last step told to it."""
        if self.pending is not None or self.ended:           # the optimizer is a step ahead of what was pushed
            return -1
        own = table_of(self.parameter)
        if own is not None:                  # of momentscope.optim, which must not round otherwise because somebody reads
            return own.rows_get(first, n, to_theta, to_m)
        with torch.no_grad():
            theta = self.parameter.detach().reshape(self.rows, self.dim)[first:first + n]
            m = self.momentum_of(optimizer, torch.arange(first, first + n, device=self.parameter.device))
            writable(to_theta, n * self.dim, self.dtype).copy_(theta.reshape(-1))
            writable(to_m, n * self.dim, self.dtype).copy_(m.reshape(-1))
        return 0
