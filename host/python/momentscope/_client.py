"""Client: one connection to the daemon; arrays are given by address and length, without torch or numpy.

Times are in seconds, as in Python's own library; only block_ms is in milliseconds, like every time in mscope/client.h.
"""
import ctypes as C
from typing import Any, Callable, Dict, List, Optional

from . import _check, _lib

Address = Optional[int]                      # tensor.data_ptr(), array.ctypes.data


class Error(RuntimeError):
    """A call that momentscope refused. code: one of enum mscope_err; field, value, range: text, or None if unknown."""

    def __init__(self, call: str, code: int, why: Optional[_lib.Refusal] = None) -> None:
        self.code = code
        self.field: Optional[str] = None
        self.value: Optional[str] = None
        self.range: Optional[str] = None
        said = _lib.lib().mscope_strerror(code).decode()
        if why is not None and why.code == code:
            self.field, self.value, self.range, said = (getattr(why, k).decode(errors="replace")
                                                        for k in ("field", "value", "range", "text"))
            said = f"{self.field} = {self.value} ({self.range}): {said}"
        super().__init__(f"{call}: {said}")


class Refused(Error, ValueError):
    """An Error about an argument; also a ValueError."""


def fault() -> _lib.Refusal:
    """The last refusal on this thread."""
    why = _lib.Refusal()
    _lib.lib().mscope_client_fault(C.byref(why))
    return why


def default_endpoint(which: str = "ingest") -> str:
    """This user's address for "ingest", "telemetry" or "replay"."""
    out = C.create_string_buffer(256)
    code = _lib.lib().mscope_default_endpoint(which.encode(), out, len(out))
    if code:
        raise Error("mscope_default_endpoint", code)
    return out.value.decode()


def milliseconds(seconds: float) -> int:
    return int(1000 * _check.real("seconds", seconds, 0, 1e6))


class Client:
    """Wraps mscope_client_*. An address is an integer (tensor.data_ptr(), array.ctypes.data); data is copied at once.

    endpoint      of the daemon; None: $MOMENTSCOPE_INGEST, or this user's default
    name          of this trainer in the daemon's log; None: program name and process number
    buffer_bytes  most bytes held until the daemon has acknowledged them, 4096 or more; 0: 64 MiB
    sync_bytes    most bytes of healing sent with a step; 0: what 0.25 ms or 1/200 of a step allow, 64 KiB to 1 MiB
    block_ms      0: never wait, drop the step instead; otherwise a push waits at most this many milliseconds for room
    transport     how gradients travel: "zmq", "shm" (shared memory), or "auto": $MOMENTSCOPE_TRANSPORT, else shared
                  memory when the daemon offers it. stats()["transport"] is the one in use
    quiet         True: no line on stderr about refusals, an absent daemon or steps left at close

    One thread at a time; a forked child opens a client of its own (client.h lists more caveats).
    """

    def __init__(self, endpoint: Optional[str] = None, name: Optional[str] = None, buffer_bytes: int = 0,
                 sync_bytes: int = 0, block_ms: int = 0, quiet: bool = False, transport: str = "auto") -> None:
        self._lib = _lib.lib()
        self._push64, self._push_lookups = self._lib.mscope_client_push64, self._lib.mscope_client_push_lookups
        self._c = C.c_void_p()
        self._last: Dict[str, Any] = {}
        self._keep: List[Any] = []           # callbacks must outlive the client
        options = _lib.Options(_check.text("endpoint", endpoint, "ipc:///PATH, tcp://HOST:PORT or None", optional=True),
                               _check.text("name", name, "text or None", optional=True),
                               _check.integer("buffer_bytes", buffer_bytes, 0, _check.SIZE),
                               _check.integer("sync_bytes", sync_bytes, 0, _check.SIZE),
                               _check.integer("block_ms", block_ms, 0, _check.INT), _check.flag("quiet", quiet),
                               _check.one_of("transport", transport, _lib.TRANSPORTS))
        self._check("mscope_client_open", self._lib.mscope_client_open(C.byref(self._c), C.byref(options)))

    @staticmethod
    def _check(call: str, code: int) -> int:
        if code < 0:
            raise (Refused if code in (_lib.EINVAL, _lib.EINDEX) else Error)(call, code, fault())
        return code

    def attach(self, table: str, rows: int, dim: int, capacity: int, state: int = _lib.STATE_F32,
               form: int = _lib.FORM_TORCH, nesterov: bool = False, nll: bool = False, acf_rows: int = 8,
               step: int = 0, reference: str = "", theta: Address = None, m: Address = None,
               read: Optional[Callable[[int, int, int, int], Optional[int]]] = None, fresh: bool = False,
               narrow: bool = False, optimizer: str = "", width: int = 0) -> int:
        """Declare a table; returns its handle. The rows for healing come from read(first, n, theta_address, m_address),
        which returns 0, or a negative number for "not now"; or theta and m are the addresses of whole arrays, which
        must live until close.
        """
        def call(_ctx: Any, first: int, n: int, to_theta: int, to_m: int) -> int:
            try:
                assert read is not None
                return int(read(first, n, to_theta, to_m) or 0)
            except Exception:                # an exception must not cross into C
                return -1

        callback = _lib.READ(call) if read else _lib.READ(0)
        u32 = (0, _check.U32)                # C checks the tighter ranges
        info = _lib.AttachInfo(_check.text("table", table), _check.integer("rows", rows, *u32),
                               _check.integer("dim", dim, *u32), _check.integer("capacity", capacity, *u32), state,
                               form, _check.flag("nesterov", nesterov), _check.flag("nll", nll),
                               _check.integer("acf_rows", acf_rows, *u32),
                               _check.integer("step", step, 0, _check.STEPS),
                               _check.text("reference", reference), theta, m, _lib.SETTLE(0), None, callback, None,
                               _check.flag("fresh", fresh), _check.flag("narrow", narrow),
                               _check.text("optimizer", optimizer), _check.integer("width", width, *u32))
        self._keep.append(callback)
        return self._check(f"attach {table!r}", self._lib.mscope_client_attach(self._c, C.byref(info)))

    def push(self, table: int, step: Any, rows: Address, grads: Address, value_type: int, n: int,
             counts: Address = None) -> int:
        """One step; returns 0: sent or buffered, 1: dropped. step: _lib.Step or byref; rows: address of int64[n]."""
        code = self._push64(self._c, table, step, rows, grads, value_type, counts, n)
        return code if code >= 0 else self._check("push", code)

    def push_lookups(self, table: int, step: Any, lookups: Address, n: int, grads: Address, value_type: int) -> int:
        """As push, of a dense gradient; active are the rows in lookups (address of int64[n], with repeats)."""
        code = self._push_lookups(self._c, table, step, lookups, n, grads, value_type)
        return code if code >= 0 else self._check("push", code)

    def read_before(self, table: int, lookups: Address, n: int, gradient: Address, sparse: int, of: Any) -> None:
        """Of an optimizer that is read, before its step; of: _lib.ReadArrays. See mscope/read.h."""
        self._check("read_before", self._lib.mscope_client_read_before(self._c, table, lookups, n, gradient, sparse,
                                                                       C.byref(of)))

    def read_after(self, table: int, step: Any, of: Any) -> int:
        """.. and after it; returns as push."""
        return self._check("read_after", self._lib.mscope_client_read_after(self._c, table, step, C.byref(of)))

    def push_dense(self, table: int, step: Any, grads: Address, value_type: int, mask: Address = None) -> int:
        """As push, of a dense gradient; active are the rows where mask (address of uint8[rows]) is not 0, or all."""
        code = self._lib.mscope_client_push_dense(self._c, table, step, grads, value_type, mask)
        return self._check("push_dense", code)

    def skip(self, table: int) -> int:
        """One step without gradients; returns 1: dropped."""
        return self._check("skip", self._lib.mscope_client_skip(self._c, table))

    def resync(self, table: int) -> int:
        """Send every row again, because it was changed otherwise than by a step."""
        return self._check("resync", self._lib.mscope_client_resync(self._c, table))

    def probe(self, table: int, delta: float, rows: Address, hm: Address, value_type: int, n: int) -> int:
        """hm[i] = (g(theta + delta m) - g(theta))/delta of row rows[i] (int64), on the batch of the step to be pushed
        next. Shape: rows[n], hm[n][dim]. Returns 1: left out."""
        return self._check("probe", self._lib.mscope_client_probe(self._c, table, delta, rows, hm, value_type, n))

    def direction(self, table: int, values: Dict[str, Any], rows: Address = None, n: int = 0) -> int:
        """Products with one direction: values is a dict of the fields of mscope_direction (mscope/wire.h), rows the
        address of mscope_direction_row[n]. Returns 1: left out."""
        d = _lib.Direction(**values)
        return self._check("direction", self._lib.mscope_client_direction(self._c, table, C.byref(d), rows, n))

    def reference(self, table: int, first: int, n: int, values: Address, value_type: int) -> None:
        """theta* of rows first .. first+n-1. Shape: values[n][dim]. attach must have announced it in words."""
        self._check("reference", self._lib.mscope_client_reference(self._c, table, first, n, values, value_type))

    def note(self, table: int, text: str) -> int:
        """Say something about a table in words (1 to 191 bytes): the daemon's alert `note`. Returns 1: left out."""
        return self._check("note", self._lib.mscope_client_note(self._c, table, _check.text("text", text)))

    def labels(self, table: int, first: int, n: int, text: bytes) -> None:
        """What rows first .. first+n-1 are called: n labels of at most 63 bytes of UTF-8, each ended by a NUL."""
        self._check("labels", self._lib.mscope_client_labels(self._c, table, first, n, text, len(text)))

    def save(self) -> int:
        """Ask the daemon to write its state file."""
        return self._check("save", self._lib.mscope_client_save(self._c))

    def poll(self, seconds: float = 0.0) -> None:
        """Take in the daemon's answers; wait at most this many seconds for one."""
        if self._c:
            self._lib.mscope_client_poll(self._c, milliseconds(seconds))

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait at most this many seconds until all is acknowledged and the daemon's copies are exact; True if so."""
        wait_ms = milliseconds(seconds)
        return bool(self._c) and self._lib.mscope_client_flush(self._c, wait_ms) == 0

    def stats(self) -> Dict[str, Any]:
        """The fields of mscope_client_stats as a dict; in place of shm it has transport, "shm" or "zmq": how gradients
        travel now. last_error is a dict, or None. steps_sent: sent, or held until a daemon is there; a step of two
        tables is two. After close: the last ones.
        """
        if not self._c:
            return dict(self._last)
        s = _lib.Stats()
        self._lib.mscope_client_stats_get(self._c, C.byref(s))
        out: Dict[str, Any] = {name: int(getattr(s, name)) for name, _ in _lib.Stats._fields_[:-1]}
        out["connected"], out["exact"] = bool(s.connected), bool(s.exact)
        out["transport"] = "shm" if out.pop("shm") else "zmq"
        e = s.last_error
        out["last_error"] = None if e.code == 0 else {"code": e.code, **{
            k: getattr(e, k).decode(errors="replace") for k in ("field", "value", "range", "text")}}
        return out

    def close(self, seconds: float = 1.0) -> None:
        """Say BYE, and wait at most this many seconds until everything is acknowledged."""
        wait_ms = milliseconds(seconds)
        if self._c:
            self._last = self.stats()
            self._lib.mscope_client_close(self._c, wait_ms)
            self._c = C.c_void_p()
