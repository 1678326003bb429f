"""A table is one parameter: its gradient as rows, and its theta and momentum when the daemon's copy must be healed."""
import ctypes
import hashlib
import re
import warnings

import torch

from . import _lib

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


class Table:
    """The kind of the gradient decides at each step which rows are active:

    sparse            its _indices() and _values() as autograd left them; duplicates are occurrences, so coalesce() is
                      never called
    dense, embedding  the rows that forward passes looked up (C sorts and counts them)
    dense, other      every row
    """

    def __init__(self, name, parameter, group, modules, capacity):
        if parameter.dtype not in VALUE:
            raise ValueError(f"momentscope: {name} is {parameter.dtype}; use float16, bfloat16, float32 or float64")
        self.name, self.parameter, self.group, self.modules = name, parameter, group, modules
        self.rows = parameter.shape[0] if parameter.dim() else 1
        self.dim = max(1, parameter.numel() // max(1, self.rows))
        if not 1 <= self.dim <= 65536 or self.rows < 1:
            raise ValueError(f"momentscope: {name} has shape {tuple(parameter.shape)}; "
                             "a table has at least one row, and 1 to 65536 values in a row")
        self.capacity = max(self.rows, capacity or 65536)
        self.wide = parameter.dtype is torch.float64
        self.dtype = torch.float64 if self.wide else torch.float32
        self.narrow = parameter.dtype in (torch.float16, torch.bfloat16)     # torch rounds rows, the daemon does not
        self.handle = None
        self.lookups, self.hooks = [], []
        self.pending = None                  # (gradient, its version, look-ups) of the step not yet pushed
        self.step = _lib.Step(batch=1)       # the C struct; written only when something has changed
        self.by_step, self.schedule, self.batch = ctypes.byref(self.step), None, 1
        self.told, self.resync = 0, False
        for module in modules:
            self.hooks.append(module.register_forward_hook(self._looked_up))
        self.recording = True

    def _looked_up(self, module, inputs, _output):
        if not self.recording or not torch.is_grad_enabled() or module.sparse:
            return
        index = inputs[0]
        if module.padding_idx is not None:
            index = index[index != module.padding_idx]
        self.lookups.append(index.clone(memory_format=torch.contiguous_format))      # the trainer may reuse its tensor

    def unhook(self):
        for hook in self.hooks:
            hook.remove()
        self.hooks = []

    # -- the gradient as rows ------------------------------------------------------------------------

    def samples(self, n):
        if n != self.batch:
            self.batch = n
            self.step.batch = n or 1

    def ready(self, grad):
        """(indices, values) of a sparse gradient that C can read in place; None: entries() must convert it."""
        if not grad.is_sparse or not grad.is_cpu:
            return None
        indices, values = grad._indices(), grad._values()
        contiguous = values.is_contiguous() and indices.is_contiguous()
        if contiguous and indices.shape[0] == 1 and values.shape[0] <= self.capacity:
            return indices, values
        return None

    def looked_up(self, lookups):
        """The rows of the forward passes as int64 on the CPU, with repeats; None: unknown, every row is active."""
        if not self.modules:
            return None
        if not lookups:
            return torch.zeros(0, dtype=torch.int64)
        one = lookups[0] if len(lookups) == 1 else torch.cat([index.reshape(-1) for index in lookups])
        return one if one.dtype is torch.int64 and one.is_cpu else one.to("cpu", torch.int64)

    def dense(self, grad, lookups):
        """The values [rows, dim] of a dense gradient, contiguous on the CPU; and are lookups the active rows?"""
        if self.told % 256 == 0 and lookups is not None and self._moved_elsewhere(grad, lookups.reshape(-1)):
            # earlier steps may have moved other rows unnoticed: send all again, and from here on all are active
            self.modules, self.resync, lookups = [], self.told > 0, None
        if not (grad.is_contiguous() and grad.is_cpu):
            grad = grad.detach().to("cpu").contiguous()
        return grad, lookups is not None

    def entries(self, grad):
        """(rows int64[n], values [n, dim], counts int32[n] or None, occurrences) of a sparse gradient, on the CPU."""
        rows, values, counts = grad._indices()[0], grad._values(), None
        occurrences = rows.numel()
        if occurrences > self.capacity:
            rows, inverse, counts = torch.unique(rows, return_inverse=True, return_counts=True)
            values = values.new_zeros((rows.numel(),) + tuple(values.shape[1:])).index_add_(0, inverse, values)
            counts = counts.to("cpu", torch.int32).contiguous()
        values = values.detach().to("cpu").reshape(-1, self.dim).contiguous()
        return rows.detach().to("cpu", torch.int64).contiguous(), values, counts, occurrences

    def _moved_elsewhere(self, grad, rows):
        """A weight with a second use (a tied output layer) has gradients in rows that no forward pass looked up."""
        outside = grad.reshape(self.rows, self.dim).ne(0).any(1)
        outside[rows.to(outside.device)] = False
        return bool(outside.any())

    # -- theta and momentum --------------------------------------------------------------------------

    def buffer(self, optimizer):
        return optimizer.state.get(self.parameter, {}).get("momentum_buffer")

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
        if self.pending is not None:         # the optimizer is a step ahead of what was pushed
            return -1
        with torch.no_grad():
            theta = self.parameter.detach().reshape(self.rows, self.dim)[first:first + n]
            m = self.momentum_of(optimizer, torch.arange(first, first + n, device=self.parameter.device))
            writable(to_theta, n * self.dim, self.dtype).copy_(theta.reshape(-1))
            writable(to_m, n * self.dim, self.dtype).copy_(m.reshape(-1))
        return 0
