"""The core through ctypes: the structs of include/mscope/core.h, and one table over numpy arrays."""
import ctypes as ct
import mmap
import os

import numpy as np

STATE_F32, STATE_MIXED, STATE_F64 = 0, 1, 2
FORM_EMA, FORM_TORCH = 0, 1


class Config(ct.Structure):
    _fields_ = [("rows", ct.c_uint32), ("dim", ct.c_uint32), ("state", ct.c_int), ("form", ct.c_int),
                ("nesterov", ct.c_int), ("reference", ct.c_int), ("capacity", ct.c_uint32), ("history", ct.c_uint32),
                ("acf_rows", ct.c_uint32), ("theta", ct.c_void_p), ("m", ct.c_void_p), ("kernel", ct.c_char_p),
                ("statistics", ct.c_int), ("zeroed", ct.c_int)]


class Step(ct.Structure):
    _fields_ = [(n, ct.c_double) for n in ("eta", "eps", "dampening", "weight_decay", "decoupled_decay", "batch")]


# By their names in C; tests/test_library.py compares them field by field.
STRUCTS = {"mscope_table_config": Config, "mscope_step": Step}


def load():
    lib = ct.CDLL(os.path.join(os.environ.get("BUILD", "build"), "libmomentscope.so"))
    lib.mscope_table_mem.restype = ct.c_size_t
    lib.mscope_table_kernel.restype = ct.c_char_p
    lib.mscope_table_apply.argtypes = [ct.c_void_p, ct.c_void_p, ct.c_void_p, ct.c_void_p, ct.c_size_t]
    lib.mscope_table_touch.argtypes = [ct.c_void_p, ct.c_void_p, ct.c_size_t]
    return lib


def huge(shape, dtype):
    """A zeroed array on pages of 2 MB where the system has them; the daemon asks for the same."""
    count = int(np.prod(shape))
    room = mmap.mmap(-1, count * np.dtype(dtype).itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(room, dtype, count).reshape(shape)


class Core:
    """A table in torch form that starts from a copy of theta, float32 or float64 as theta is; rows and gradients are
    arrays."""

    def __init__(self, lib, theta, nesterov=False, capacity=None, history=256, array=np.zeros, statistics=0):
        self.lib, self.dtype = lib, theta.dtype
        self.theta, self.m = array(theta.shape, theta.dtype), array(theta.shape, theta.dtype)
        self.theta[:] = theta
        rows, dim = theta.shape
        cfg = Config(rows, dim, STATE_F64 if theta.dtype == np.float64 else STATE_F32, FORM_TORCH, int(nesterov), 0,
                     capacity or rows, history, 0, self.theta.ctypes.data, self.m.ctypes.data, None, statistics, 0)
        need = lib.mscope_table_mem(ct.byref(cfg))
        self.block = array(need + 64, np.uint8)
        at = (self.block.ctypes.data + 63) & ~63
        self.t = ct.c_void_p()
        assert lib.mscope_table_init(ct.byref(self.t), ct.byref(cfg), ct.c_void_p(at), ct.c_size_t(need)) == 0

    def step(self, rows, grads, batch=1.0, **schedule):
        rows, grads = np.ascontiguousarray(rows, np.uint32), np.ascontiguousarray(grads, self.dtype)
        p = Step(batch=batch, **schedule)
        assert self.lib.mscope_table_step_begin(self.t, ct.byref(p)) == 0
        assert self.lib.mscope_table_apply(self.t, rows.ctypes.data, grads.ctypes.data, None, len(rows)) == 0
        assert self.lib.mscope_table_step_end(self.t) == 0

    def touch(self, rows):
        rows = np.ascontiguousarray(rows, np.uint32)
        assert self.lib.mscope_table_touch(self.t, rows.ctypes.data, len(rows)) == 0

    def settle(self):
        assert self.lib.mscope_table_settle(self.t) == 0
