"""The C library, found and declared with ctypes.

include/mscope/client.h documents every call and struct below.
"""
import ctypes as C
import os
import shutil
from typing import Any, List, Tuple

F32, F16, BF16, F64 = 17, 18, 19, 20          # enum mscope_value; the wire has 1 to 4
STATE_F32, STATE_MIXED, STATE_F64 = 0, 1, 2
FORM_EMA, FORM_TORCH, FORM_READ, FORM_FROZEN = 0, 1, 2, 3
READ_DIM = 2                                  # MSCOPE_READ_DIM
EINVAL, EINDEX, EPROTO, EAGAIN = -1, -4, -6, -11

TRANSPORTS = ("auto", "zmq", "shm")          # enum mscope_transport

READ = C.CFUNCTYPE(C.c_int, C.c_void_p, C.c_uint32, C.c_uint32, C.c_void_p, C.c_void_p)
SETTLE = C.CFUNCTYPE(None, C.c_void_p, C.c_uint32, C.c_uint32)


Fields = List[Tuple[str, Any]]                # mypy finds c_int and c_double of different kinds


class Options(C.Structure):
    _fields_: Fields = [("endpoint", C.c_char_p), ("name", C.c_char_p), ("buffer_bytes", C.c_uint64),
                ("sync_bytes", C.c_uint64), ("block_ms", C.c_int), ("quiet", C.c_int), ("transport", C.c_int)]


class AttachInfo(C.Structure):
    _fields_: Fields = [("table", C.c_char_p), ("rows", C.c_uint32), ("dim", C.c_uint32), ("capacity", C.c_uint32),
                ("state", C.c_int), ("form", C.c_int), ("nesterov", C.c_int), ("nll", C.c_int),
                ("acf_rows", C.c_uint32), ("step", C.c_uint64), ("reference", C.c_char_p),
                ("theta", C.c_void_p), ("m", C.c_void_p), ("settle", SETTLE), ("settle_ctx", C.c_void_p),
                ("read", READ), ("read_ctx", C.c_void_p), ("fresh", C.c_int), ("narrow", C.c_int),
                ("optimizer", C.c_char_p), ("width", C.c_uint32)]


class Step(C.Structure):
    _fields_: Fields = [(n, C.c_double) for n in ("eta", "eps", "dampening", "weight_decay", "decoupled_decay", "batch")]


class ReadArrays(C.Structure):
    _fields_: Fields = [("type", C.c_int), ("theta", C.c_void_p), ("momentum", C.c_void_p), ("second", C.c_void_p),
                        ("follows", C.c_int)]


class Direction(C.Structure):
    _fields_: Fields = [("along", C.c_int), ("spans", C.c_int), ("values", C.c_uint64)]
    _fields_ += [(n, C.c_double) for n in ("curvature", "product", "noise", "outside_curvature", "outside_noise")]
    _fields_ += [("top_table", C.c_uint32), ("top_row", C.c_uint32), ("top_share", C.c_double)]


class DirectionRow(C.Structure):
    _fields_: Fields = [("table", C.c_uint32), ("row", C.c_uint32), ("curvature", C.c_float), ("noise", C.c_float)]


class Refusal(C.Structure):
    _fields_: Fields = [("code", C.c_int), ("field", C.c_char * 32), ("value", C.c_char * 48), ("range", C.c_char * 64),
                ("text", C.c_char * 192)]


class Stats(C.Structure):
    _fields_: Fields = [(n, C.c_uint64) for n in ("steps_sent", "steps_dropped", "messages_resent", "messages_unacked",
                                          "bytes_unacked", "syncs", "errors", "reconnects", "epoch",
                                          "steps_shm")]
    _fields_ += [("connected", C.c_int), ("exact", C.c_int), ("shm", C.c_int), ("last_error", Refusal)]


class SubscriberStats(C.Structure):
    _fields_: Fields = [(n, C.c_uint64) for n in ("received", "lost", "replayed", "malformed", "repeats", "epochs")]


SONAME = "libmomentscope.so.0"


def find() -> str:
    """$MOMENTSCOPE_LIB, else the one in this package (a wheel), else $BUILD or build/ of the tree around this file,
    else the system's."""
    said = os.environ.get("MOMENTSCOPE_LIB")
    if said:
        return said
    here = os.path.dirname(os.path.abspath(__file__))
    tree = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    builds = (os.environ.get("BUILD", "build"), "build") if os.path.exists(os.path.join(tree, "Makefile")) else ()
    for folder in (here, *(os.path.join(tree, build) for build in builds)):
        path = os.path.join(folder, SONAME)
        if os.path.exists(path):
            return path
    return SONAME


def program(name: str) -> str:
    """The path of a program of this project: beside the library, else on the path."""
    folder = os.path.dirname(find())
    beside = os.path.join(folder, name)
    path = beside if folder and os.access(beside, os.X_OK) else shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"momentscope: the program {name} is neither beside {find()} nor on the path: run make, or "
                                "make install")
    return path


# The structs above by their names in C; every one of them is compared with the library's own size on loading.
STRUCTS = {"mscope_client_options": Options, "mscope_attach_info": AttachInfo, "mscope_step": Step,
           "mscope_read": ReadArrays,
           "mscope_direction": Direction, "mscope_direction_row": DirectionRow, "mscope_refusal": Refusal,
           "mscope_client_stats": Stats, "mscope_subscriber_stats": SubscriberStats}


def compare_sizes(lib, path, structs=STRUCTS):
    """A library of another version would read and write beyond the structs declared here."""
    size = getattr(lib, "mscope_struct_size", None)
    if size is not None:
        size.restype, size.argtypes = C.c_size_t, [C.c_char_p]
    for name, mirror in structs.items():
        there = size(name.encode()) if size is not None else 0
        if there != C.sizeof(mirror):
            raise ImportError(f"momentscope: {path} is of another version than this package: {name} has {there} bytes "
                              f"there and {C.sizeof(mirror)} here; build both from one tree, or set MOMENTSCOPE_LIB")


def load():
    path = find()
    try:
        lib = C.CDLL(path)
    except OSError as e:
        raise ImportError(f"momentscope: cannot load {path}: {e}; " + (
            "install libzmq 4 (Debian: libzmq5)" if "libzmq" in str(e) and "mscope" not in str(e) else
            "run make, or set MOMENTSCOPE_LIB")) from e
    compare_sizes(lib, path)
    p, step, i64 = C.c_void_p, C.POINTER(Step), C.c_void_p
    signatures = {
        "mscope_strerror": (C.c_char_p, [C.c_int]),
        "mscope_version": (C.c_char_p, []),
        "mscope_default_endpoint": (C.c_int, [C.c_char_p, C.c_char_p, C.c_size_t]),
        "mscope_client_open": (C.c_int, [C.POINTER(p), C.POINTER(Options)]),
        "mscope_client_fault": (None, [C.POINTER(Refusal)]),
        "mscope_client_attach": (C.c_int, [p, C.POINTER(AttachInfo)]),
        "mscope_client_push64": (C.c_int, [p, C.c_int, step, i64, p, C.c_int, p, C.c_size_t]),
        "mscope_client_push_dense": (C.c_int, [p, C.c_int, step, p, C.c_int, p]),
        "mscope_client_push_lookups": (C.c_int, [p, C.c_int, step, i64, C.c_size_t, p, C.c_int]),
        "mscope_client_read_before": (C.c_int, [p, C.c_int, i64, C.c_size_t, p, C.c_int, C.POINTER(ReadArrays)]),
        "mscope_client_read_after": (C.c_int, [p, C.c_int, step, C.POINTER(ReadArrays)]),
        "mscope_read_rows": (None, [C.POINTER(ReadArrays), C.c_uint32, C.c_uint32, C.c_uint32, p, p]),
        "mscope_client_skip": (C.c_int, [p, C.c_int]),
        "mscope_client_resync": (C.c_int, [p, C.c_int]),
        "mscope_client_probe": (C.c_int, [p, C.c_int, C.c_double, i64, p, C.c_int, C.c_size_t]),
        "mscope_client_direction": (C.c_int, [p, C.c_int, C.POINTER(Direction), p, C.c_size_t]),
        "mscope_client_reference": (C.c_int, [p, C.c_int, C.c_uint32, C.c_uint32, p, C.c_int]),
        "mscope_client_note": (C.c_int, [p, C.c_int, C.c_char_p]),
        "mscope_client_labels": (C.c_int, [p, C.c_int, C.c_uint32, C.c_uint32, C.c_char_p, C.c_size_t]),
        "mscope_client_save": (C.c_int, [p]),
        "mscope_client_poll": (C.c_int, [p, C.c_int]),
        "mscope_client_flush": (C.c_int, [p, C.c_int]),
        "mscope_client_stats_get": (None, [p, C.POINTER(Stats)]),
        "mscope_client_close": (None, [p, C.c_int]),
        "mscope_subscribe": (C.c_int, [C.POINTER(p), C.c_char_p, C.c_char_p, C.c_char_p]),
        "mscope_subscriber_next": (C.c_int, [p, p, C.c_int]),
        "mscope_subscriber_stats_get": (None, [p, C.POINTER(SubscriberStats)]),
        "mscope_subscriber_close": (None, [p]),
        "mscope_record_encode": (C.c_int, [p, p, C.c_size_t]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


_loaded = None


def lib():
    global _loaded
    if _loaded is None:
        _loaded = load()
    return _loaded
