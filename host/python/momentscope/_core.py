"""The core's calls, declared with ctypes.

include/mscope/core.h documents every call and struct below. Pointers are plain integers (tensor.data_ptr()), because a
step makes few calls and each should be cheap.
"""
import ctypes as C

from . import _lib

OK, ENOMEM = 0, -2
BAND_SILENT = 255
STATISTICS_DOUBLE, STATISTICS_FLOAT, STATISTICS_NONE, STATISTICS_OFF = 0, 1, 2, 3


class Config(C.Structure):
    _fields_: _lib.Fields = [("rows", C.c_uint32), ("dim", C.c_uint32), ("state", C.c_int), ("form", C.c_int),
                             ("nesterov", C.c_int), ("reference", C.c_int), ("capacity", C.c_uint32),
                             ("history", C.c_uint32), ("acf_rows", C.c_uint32), ("theta", C.c_void_p),
                             ("m", C.c_void_p), ("kernel", C.c_char_p), ("statistics", C.c_int), ("zeroed", C.c_int)]


class Window(C.Structure):
    _fields_: _lib.Fields = [(n, C.c_double) for n in (
        "updates", "occurrences", "s2", "s2_updates", "s2_occurrences", "u", "u2", "u_updates", "gm", "gm2", "gm_updates")]


class Fade(C.Structure):
    _fields_: _lib.Fields = [(n, C.c_double) for n in ("gaps", "first", "second", "theta2")]


class Curvature(C.Structure):
    _fields_: _lib.Fields = [(n, C.c_double) for n in ("samples", "weight", "half_life", "h1", "h1_var", "h2", "h2_var",
                                                       "spread")]
    _fields_ += [("steep_row", C.c_uint32)]
    _fields_ += [(n, C.c_double) for n in ("steep_samples", "steep_h1", "steep_h2", "steep_var")]


class Band(C.Structure):
    _fields_: _lib.Fields = [("step", C.c_uint64), ("updates", C.c_uint64), ("rows", C.c_uint32)]
    _fields_ += [(n, C.c_double) for n in ("p", "P", "R", "V", "C", "R_err", "V_err", "C_err", "idle_share")]
    _fields_ += [("window", Window), ("fade", Fade), ("curvature", Curvature)]


class Parallel(C.Structure):
    _fields_: _lib.Fields = [("run", C.c_void_p), ("ctx", C.c_void_p)]


STRUCTS = {"mscope_table_config": Config, "mscope_window": Window, "mscope_fade": Fade, "mscope_curvature": Curvature,
           "mscope_band": Band}       # by their names in C

_declared = None


def lib():
    """The library with the core's calls declared."""
    global _declared
    if _declared is None:
        _declared = _declare(_lib.lib())
    return _declared


def _declare(library):
    _lib.compare_sizes(library, _lib.find(), STRUCTS)
    p, size, config, step = C.c_void_p, C.c_size_t, C.POINTER(Config), C.POINTER(_lib.Step)
    signatures = {
        "mscope_table_mem": (size, [config]),
        "mscope_table_init": (C.c_int, [C.POINTER(p), config, p, size]),
        "mscope_table_seek": (C.c_int, [p, C.c_uint64]),
        "mscope_table_touch64": (C.c_int, [p, p, size]),
        "mscope_table_step64": (C.c_int, [p, step, p, p, size, C.POINTER(size)]),
        "mscope_table_late": (size, [p, p, size]),
        "mscope_table_active": (C.c_int, [p, p, p, size, C.POINTER(size)]),
        "mscope_table_rows_get": (C.c_int, [p, C.c_uint32, C.c_uint32, p, p]),
        "mscope_table_settle": (C.c_int, [p]),
        "mscope_table_rows_set": (C.c_int, [p, C.c_uint32, C.c_uint32, p, p]),
        "mscope_table_band": (C.c_int, [p, C.c_uint, C.POINTER(Band)]),
        "mscope_table_window_reset": (None, [p]),
        "mscope_table_resum": (C.c_int, [p]),
        "mscope_table_parallel": (None, [p, C.POINTER(Parallel)]),
        "mscope_table_steps": (C.c_uint64, [p]),
        "mscope_workers_start": (C.c_int, [C.POINTER(p), C.c_uint]),
        "mscope_workers_parallel": (Parallel, [p]),
        "mscope_workers_stop": (None, [p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
