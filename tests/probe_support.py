"""The probe of include/mscope/probe.h through ctypes, over numpy arrays."""
import ctypes as C

import numpy as np

from momentscope import _lib

POWER, TANGENT = 0, 1


class Span(C.Structure):
    _fields_ = [("theta", C.c_void_p), ("value_type", C.c_int), ("rows", C.c_uint32), ("dim", C.c_uint32),
                ("table", C.c_int), ("rate", C.c_double), ("eps", C.c_double), ("weight_decay", C.c_double)]


class Stats(C.Structure):
    _fields_ = [(n, C.c_uint64) for n in ("sent", "refused", "left_out", "values", "rows_left_out")]
    _fields_ += [("refusal", _lib.Refusal), ("last", _lib.Direction)]


# By their names in C; tests/test_library.py compares them field by field.
STRUCTS = {"mscope_probe_span": Span, "mscope_probe_stats": Stats}


class Probe:
    """spans: (theta, table, rate, eps, weight_decay) each; theta a matrix of float32 or float64, moved in place. Its
    calls return what C returns."""

    def __init__(self, spans, most_values=0):
        self.lib, self.p = _lib.lib(), C.c_void_p()
        self.lib.mscope_probe_open.argtypes = [C.c_void_p, C.c_void_p, C.c_size_t, C.c_uint64]
        for name, more in (("start", []), ("half", [C.c_int, C.c_size_t, C.c_void_p, C.c_void_p, C.c_size_t]),
                           ("check", [C.c_size_t, C.c_void_p, C.c_void_p, C.c_size_t]), ("move", []), ("restore", []),
                           ("send", [C.c_void_p, C.c_double]), ("stats_get", [C.c_void_p]), ("close", [])):
            getattr(self.lib, f"mscope_probe_{name}").argtypes = [C.c_void_p, *more]
        self.theta = [theta for theta, *_ in spans]
        array = (Span * len(spans))(*[
            Span(theta.ctypes.data, _lib.F64 if theta.dtype == np.float64 else _lib.F32, *theta.shape, table, rate,
                 eps, decay)
            for theta, table, rate, eps, decay in spans])
        rc = self.lib.mscope_probe_open(C.byref(self.p), array, len(spans), most_values)
        assert rc == 0, rc

    def start(self):
        return self.lib.mscope_probe_start(self.p)

    def _given(self, span, rows, values):
        values = np.ascontiguousarray(values, self.theta[span].dtype)
        rows = None if rows is None else np.ascontiguousarray(rows, np.uint32)
        self.kept = rows, values             # until the call returns
        return None if rows is None else rows.ctypes.data, values.ctypes.data, len(values)

    def half(self, half, span, rows, values):
        return self.lib.mscope_probe_half(self.p, half, span, *self._given(span, rows, values))

    def check(self, span, rows, values):
        return self.lib.mscope_probe_check(self.p, span, *self._given(span, rows, values))

    def move(self):
        return self.lib.mscope_probe_move(self.p)

    def restore(self):
        self.lib.mscope_probe_restore(self.p)

    def send(self, client, eps):
        return self.lib.mscope_probe_send(self.p, client, eps)

    def stats(self):
        out = Stats()
        self.lib.mscope_probe_stats_get(self.p, C.byref(out))
        return out

    def close(self):
        self.lib.mscope_probe_close(self.p)
