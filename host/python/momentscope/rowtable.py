"""One parameter whose rows the core moves in place; theta and the momentum buffer are torch's own memory."""
import ctypes
import mmap
import warnings

import torch

from . import _core, _lib
from .watched import table_of, unwatch, watch

HISTORY = 256, 16384                         # fewest and most steps kept to catch up from
COUNTED = 65536                              # the same for a table that counts: growth would begin its counts anew
CAPACITY = 1024                              # fewest occurrences in one call
READS = 8                                    # steps in turn that read the weight whole before it is said
HUGE, COLLAPSE = 1 << 21, 25                 # bytes; MADV_COLLAPSE of Linux 6.1, which Python does not name
WIDEST, MOST_ROWS = 65536, 1 << 31           # of a table in the core


def zeros(count, dtype):
    """Zeros on pages of 2 MB where the system has them: rows lie far apart, and each costs a translation."""
    size = max(count, 1) * torch.empty(0, dtype=dtype).element_size()
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            room.madvise(mmap.MADV_HUGEPAGE)
        except OSError:                      # a kernel without them
            pass
    return torch.frombuffer(room, dtype=dtype)[:count]


def spread(tensor):
    """Move memory that exists onto pages of 2 MB, at its address; where the system cannot, it stays as it is."""
    start = -(-tensor.data_ptr() // HUGE) * HUGE
    size = (tensor.data_ptr() + tensor.numel() * tensor.element_size()) // HUGE * HUGE - start
    if size > 0 and hasattr(mmap, "MADV_HUGEPAGE"):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        if advise(start, size, mmap.MADV_HUGEPAGE) == 0:
            advise(start, size, COLLAPSE)


def can_hold(parameter):
    rows = parameter.shape[0] if parameter.dim() else 0
    return (parameter.dtype in (torch.float32, torch.float64) and parameter.is_cpu and not parameter.is_sparse
            and parameter.is_contiguous() and 2 <= rows < MOST_ROWS and 1 <= parameter.numel() // rows <= WIDEST)


class RowTable:
    """parameter    float32 or float64 on the CPU, contiguous; its rows are those of dimension 0
    buffer       torch's momentum buffer, dense or sparse, or None before the first step with momentum
    nesterov     0 or 1
    pool         lends threads
    counting     a Counting, or None: nothing is counted

    Not safe in several threads at once. Every method but look_up, read_whole and settle is called under Raw and no_grad.
    """

    def __init__(self, parameter, buffer, nesterov, pool, counting=None):
        self.pool, self.counting, self.began = pool, counting, 0
        self.lib = _core.lib()
        self.parameter, self.nesterov = parameter, bool(nesterov)
        self.theta = parameter.detach()      # keeps the memory alive whatever becomes of the parameter
        self.places = None                   # addresses of theta and m
        self.rows, self.dim = parameter.shape[0], parameter.numel() // parameter.shape[0]
        if buffer is None:
            self.m = zeros(parameter.numel(), parameter.dtype).view(parameter.shape)
        else:
            self.m = (buffer.to_dense() if buffer.is_sparse else buffer.detach()).to(parameter.dtype).contiguous()
            spread(self.m)
        spread(self.theta)
        self.places = self.theta.data_ptr(), self.m.data_ptr()
        self.buffer = self.m.detach()        # the one that the optimizer's state shows
        self.made = buffer is not None       # torch has a buffer from its first step with momentum on
        self.capacity, self.n, self.were_late, self.moves = 0, ctypes.c_size_t(), ctypes.c_size_t(), _lib.Step(batch=1)
        self.by_moves, self.by_late, self.by_n = (ctypes.byref(x) for x in (self.moves, self.were_late, self.n))
        self.version = self.theta[:0]        # shares the parameter's version counter
        self.most = max(1, self.rows // 2)
        self.found = None
        self.late = False                    # some row may be late
        self.foreign = False                 # the rows were moved by torch's own step
        self.seen = self.whole = False       # since the last step: a look-up, a read of all rows
        self.reads, self.unseen, self.said = 0, False, False
        self._open(COUNTED if counting else CAPACITY)
        watch(parameter, self)
        watch(self.buffer, self)

    def _open(self, capacity):
        """A core table of this capacity; every row is as of now."""
        history = HISTORY[0]
        while history < min(HISTORY[1], self.rows // 64):
            history *= 2
        wide = self.theta.dtype is torch.float64
        config = _core.Config(self.rows, self.dim, _lib.STATE_F64 if wide else _lib.STATE_F32, _lib.FORM_TORCH,
                              int(self.nesterov), 0, capacity, history, 0, self.theta.data_ptr(), self.m.data_ptr(), None,
                              self._statistics(wide), 1)
        size = self.lib.mscope_table_mem(ctypes.byref(config))
        self.block = zeros(size + 64, torch.uint8)
        at = self.block.data_ptr() + 63 & ~63
        self.t = ctypes.c_void_p()
        self._must(self.lib.mscope_table_init(ctypes.byref(self.t), ctypes.byref(config), at, size))
        if self.made:
            self._must(self.lib.mscope_table_seek(self.t, 1))        # the undamped first step is over
        self.began = self.lib.mscope_table_steps(self.t)
        self.capacity = capacity
        self.pool.lend(self)

    def _statistics(self, wide):
        if self.counting is None:
            return _core.STATISTICS_OFF
        return _core.STATISTICS_DOUBLE if wide else _core.STATISTICS_FLOAT

    def count(self, counting):
        """Count from here on, or no longer. Called under Raw and no_grad."""
        self.settle()
        self.counting = counting
        self._open(max(self.capacity, COUNTED) if counting else self.capacity)

    def _must(self, code):
        if code != _core.OK:
            raise RuntimeError(f"momentscope: the core refused a table of {self.rows} x {self.dim}: "
                               + self.lib.mscope_strerror(code).decode())

    def _grow(self, n):
        self.settle()
        self._open(max(n, 2 * self.capacity))

    # -- reads -----------------------------------------------------------------------------------------

    def look_up(self, index):
        """Bring the rows that are about to be read to now."""
        self.seen = True
        if not self.late:
            return
        if type(index) is not torch.Tensor or not index.is_cpu or torch.jit.is_tracing() or index.numel() > self.rows // 2:
            self.settle()
            return
        self._stay()
        index = index.detach().reshape(-1).to(torch.int64).contiguous()
        for first in range(0, index.numel(), self.capacity):
            part = index[first:first + self.capacity]
            # an index out of range is refused here with nothing done, and torch says it to the caller
            self.lib.mscope_table_touch64(self.t, part.data_ptr(), part.numel())

    def rows_get(self, first, n, to_theta, to_m):
        """Copy rows as of now to these addresses. No row is settled, so that reading does not change how later steps
        round. Returns 0, or an error code of the core."""
        self._stay()
        return self.lib.mscope_table_rows_get(self.t, first, n, to_theta, to_m)

    def _stay(self):
        """share_memory_() on an alias takes the memory away unseen, and the core would write to what is not there."""
        if (self.theta.data_ptr(), self.m.data_ptr()) != self.places:
            self.late = False
            raise RuntimeError(f"momentscope: the memory of a parameter of shape {tuple(self.theta.shape)} was moved through an "
                               "alias while rows of it were late, and their values are lost: move the parameter itself, or "
                               "call optimizer.settle() before")

    def read_whole(self):
        self.seen = self.whole = True
        self.settle()

    def settle(self):
        if self.late:
            self._stay()
            self._must(self.lib.mscope_table_settle(self.t))
            self.late = False

    # -- the step --------------------------------------------------------------------------------------

    def fits(self, parameter, buffer, nesterov):
        """Are parameter and buffer still the memory that the core works on?"""
        return (buffer is (self.buffer if self.made else None) and bool(nesterov) == self.nesterov
                and (parameter.data_ptr(), self.m.data_ptr()) == self.places and parameter.shape == self.theta.shape
                and parameter.dtype == self.theta.dtype and parameter.is_contiguous())

    def step(self, grad, group):
        """One step as torch.optim.SGD makes it. False: nothing was moved and all rows are as of now, so that torch can make
        it: more than half of the rows are active, or a value is not finite, or out of the core's range."""
        rows, values = self._entries(grad, group["maximize"])
        if rows is None or not self._moved(rows, values, group):
            self.settle()
            self.foreign = True              # whoever makes this step makes it in the core's memory
            return False
        if self.were_late.value and self.late:
            self._note_unseen()              # before the first step nothing can have been old
        self.version.zero_()                 # of nothing: counts as a change made in place
        self.late = True
        self.made = self.made or float(group["momentum"]) != 0
        self._note_reads()
        return True

    def _moved(self, rows, values, group):
        n, moves = rows.numel(), self.moves
        if n > self.capacity:
            self._grow(n)
        if self.counting is not None:
            self._look_again()
            moves.batch = self.counting.batch or n or 1
        decay, apart = float(group["weight_decay"]), group["decoupled_weight_decay"]
        moves.eta, moves.eps = float(group["lr"]), 1.0 - float(group["momentum"])
        moves.dampening = float(group["dampening"])
        moves.weight_decay, moves.decoupled_decay = (0.0, decay) if apart else (decay, 0.0)
        return self.lib.mscope_table_step64(self.t, self.by_moves, rows.data_ptr(), values.data_ptr(), n,
                                            self.by_late) == _core.OK

    def _look_again(self):
        """The sums of rows that torch moved are those of other values."""
        if self.foreign:
            self._must(self.lib.mscope_table_rows_set(self.t, 0, self.rows, *self.places))
        self.foreign = False

    def _entries(self, grad, negative):
        """(int64 rows, [n] or [1, n], and values [n, dim]) of the rows that the gradient moves; (None, None): too
        many."""
        if grad.is_sparse:
            if grad.sparse_dim() != 1:
                return None, None
            rows, values = grad._indices().contiguous(), grad._values()
            if not rows.numel():
                rows = values = self.theta[:0]       # addresses that may be read
        else:
            grad = grad.detach().contiguous()
            if self.found is None:
                self.found = torch.empty(self.most, dtype=torch.int32)
            if self.lib.mscope_table_active(self.t, grad.data_ptr(), self.found.data_ptr(), self.most, self.by_n):
                return None, None
            rows = self.found[:self.n.value].to(torch.int64)
            values = grad.view(self.rows, self.dim).index_select(0, rows)
        return rows, (values.neg() if negative else values.contiguous())

    # -- what was not seen, and what is read too often -----------------------------------------------------

    def _note_unseen(self):
        """Rows that had a gradient and were late were read late, or the gradient comes from elsewhere."""
        if self.unseen:
            return
        if self.seen and torch.distributed.is_available() and torch.distributed.is_initialized():
            return                           # the look-ups of other ranks
        self.unseen = True
        warnings.warn(f"momentscope: rows of a parameter of shape {tuple(self.theta.shape)} have a gradient, and no look-up "
                      "of them was seen: a scripted module read them, or the gradient was made by hand. Their values may "
                      "have been some steps old. From now on all rows are brought to now after every step, which is exact "
                      "and slow", RuntimeWarning, stacklevel=6)

    def _note_reads(self):
        self.reads = self.reads + 1 if self.whole else 0
        self.seen = self.whole = False
        if self.unseen:
            self.settle()
        if self.reads == READS and not self.said:
            self.said = True
            warnings.warn(f"momentscope: a parameter of shape {tuple(self.theta.shape)} is read whole between all steps (a "
                          "tied layer, an average of the weights, a norm), so all its rows are brought to now each time. "
                          "That is exact, and as slow as torch.optim.SGD", RuntimeWarning, stacklevel=6)

    def release(self):
        """Leave parameter and buffer as torch would have them; the table is of no use after it."""
        self.settle()
        for tensor in (self.parameter, self.buffer):
            if table_of(tensor) is self:     # another optimizer may have the parameter by now
                unwatch(tensor)
