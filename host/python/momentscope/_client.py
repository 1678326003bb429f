"""Client: one connection to the daemon; arrays are given by address and length, without torch or numpy.

Times are in seconds, as in Python's own library; only block_ms is in milliseconds, like every time in mscope/client.h.
"""
import ctypes as C

from . import _check, _lib


class Error(RuntimeError):
    """A call that momentscope refused. code: one of enum mscope_err; field, value, range: text, or None if unknown."""

    def __init__(self, call, code, why=None):
        self.code, self.field, self.value, self.range = code, None, None, None
        said = _lib.lib().mscope_strerror(code).decode()
        if why is not None and why.code == code:
            self.field, self.value, self.range, said = (getattr(why, k).decode(errors="replace")
                                                        for k in ("field", "value", "range", "text"))
            said = f"{self.field} = {self.value} ({self.range}): {said}"
        super().__init__(f"{call}: {said}")


class Refused(Error, ValueError):
    """An Error about an argument; also a ValueError."""


def _why():
    why = _lib.Refusal()
    _lib.lib().mscope_client_fault(C.byref(why))
    return why


def default_endpoint(which="ingest"):
    out = C.create_string_buffer(256)
    code = _lib.lib().mscope_default_endpoint(which.encode(), out, len(out))
    if code:
        raise Error("mscope_default_endpoint", code)
    return out.value.decode()


def _milliseconds(seconds):
    return int(1000 * _check.real("seconds", seconds, 0, 1e6))


class Client:
    """Wraps mscope_client_*. An address is an integer (tensor.data_ptr(), array.ctypes.data); data is copied at once.

    endpoint      of the daemon; None: $MOMENTSCOPE_INGEST, or this user's default
    name          of this trainer in the daemon's log; None: program name and process number
    buffer_bytes  most bytes held until the daemon has acknowledged them, 4096 or more; 0: 64 MiB
    sync_bytes    most bytes of healing sent with a step; 0: 1 MiB
    block_ms      0: never wait, drop the step instead; otherwise a push waits at most this many milliseconds for room
    transport     how gradients travel: "zmq", "shm" (shared memory), or "auto": $MOMENTSCOPE_TRANSPORT, else shared
                  memory when the daemon offers it. stats()["transport"] is the one in use
    quiet         True: no line on stderr about refusals, an absent daemon or steps left at close

    One thread at a time; a forked child opens a client of its own (client.h lists more caveats).
    """

    def __init__(self, endpoint=None, name=None, buffer_bytes=0, sync_bytes=0, block_ms=0, quiet=False,
                 transport="auto"):
        self._lib = _lib.lib()
        self._push64, self._push_lookups = self._lib.mscope_client_push64, self._lib.mscope_client_push_lookups
        self._c = C.c_void_p()
        self._last = {}
        self._keep = []                      # callbacks must outlive the client
        options = _lib.Options(_check.text("endpoint", endpoint, "ipc:///PATH, tcp://HOST:PORT or None", optional=True),
                               _check.text("name", name, "text or None", optional=True),
                               _check.integer("buffer_bytes", buffer_bytes, 0, _check.SIZE),
                               _check.integer("sync_bytes", sync_bytes, 0, _check.SIZE),
                               _check.integer("block_ms", block_ms, 0, _check.INT), _check.flag("quiet", quiet),
                               _check.one_of("transport", transport, _lib.TRANSPORTS))
        self._check("mscope_client_open", self._lib.mscope_client_open(C.byref(self._c), C.byref(options)))

    @staticmethod
    def _check(call, code):
        if code < 0:
            raise (Refused if code in (_lib.EINVAL, _lib.EINDEX) else Error)(call, code, _why())
        return code

    def attach(self, table, rows, dim, capacity, state=_lib.STATE_F32, form=_lib.FORM_TORCH, nesterov=False, nll=False,
               acf_rows=8, step=0, reference="", theta=None, m=None, read=None, fresh=False, narrow=False):
        """Declare a table; returns its handle. The rows for healing come from read(first, n, theta_address, m_address),
        which returns 0, or a negative number for "not now"; or theta and m are the addresses of whole arrays, which
        must live until close.
        """
        def call(_ctx, first, n, to_theta, to_m):
            try:
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
                               _check.flag("fresh", fresh), _check.flag("narrow", narrow))
        self._keep.append(callback)
        return self._check(f"attach {table!r}", self._lib.mscope_client_attach(self._c, C.byref(info)))

    def push(self, table, step, rows, grads, value_type, n, counts=None):
        """One step; returns 0: sent or buffered, 1: dropped. step: _lib.Step or byref; rows: address of int64[n]."""
        code = self._push64(self._c, table, step, rows, grads, value_type, counts, n)
        return code if code >= 0 else self._check("push", code)

    def push_lookups(self, table, step, lookups, n, grads, value_type):
        """As push, of a dense gradient; active are the rows in lookups (address of int64[n], with repeats)."""
        code = self._push_lookups(self._c, table, step, lookups, n, grads, value_type)
        return code if code >= 0 else self._check("push", code)

    def push_dense(self, table, step, grads, value_type, mask=None):
        """As push, of a dense gradient; active are the rows where mask (address of uint8[rows]) is not 0, or all."""
        code = self._lib.mscope_client_push_dense(self._c, table, step, grads, value_type, mask)
        return self._check("push_dense", code)

    def skip(self, table):
        """One step without gradients; returns 1: dropped."""
        return self._check("skip", self._lib.mscope_client_skip(self._c, table))

    def resync(self, table):
        """Send every row again, because it was changed otherwise than by a step."""
        return self._check("resync", self._lib.mscope_client_resync(self._c, table))

    def probe(self, table, delta, rows, hm, value_type, n):
        return self._check("probe", self._lib.mscope_client_probe(self._c, table, delta, rows, hm, value_type, n))

    def direction(self, table, values, rows=None, n=0):
        """Products with one direction: values is a dict of the fields of mscope_direction (mscope/wire.h), rows the
        address of mscope_direction_row[n]. Returns 1: left out."""
        d = _lib.Direction(**values)
        return self._check("direction", self._lib.mscope_client_direction(self._c, table, C.byref(d), rows, n))

    def reference(self, table, first, n, values, value_type):
        self._check("reference", self._lib.mscope_client_reference(self._c, table, first, n, values, value_type))

    def save(self):
        """Ask the daemon to write its state file."""
        return self._check("save", self._lib.mscope_client_save(self._c))

    def poll(self, seconds=0.0):
        """Take in the daemon's answers; wait at most this many seconds for one."""
        if self._c:
            self._lib.mscope_client_poll(self._c, _milliseconds(seconds))

    def flush(self, seconds=5.0):
        """Wait at most this many seconds until all is acknowledged and the daemon's copies are exact; True if so."""
        wait_ms = _milliseconds(seconds)
        return bool(self._c) and self._lib.mscope_client_flush(self._c, wait_ms) == 0

    def stats(self):
        """The fields of mscope_client_stats as a dict; in place of shm it has transport, "shm" or "zmq": how gradients
        travel now. last_error is a dict, or None. After close: the last ones.
        """
        if not self._c:
            return dict(self._last)
        s = _lib.Stats()
        self._lib.mscope_client_stats_get(self._c, C.byref(s))
        out = {name: int(getattr(s, name)) for name, _ in _lib.Stats._fields_[:-1]}
        out["connected"], out["exact"] = bool(s.connected), bool(s.exact)
        out["transport"] = "shm" if out.pop("shm") else "zmq"
        e = s.last_error
        out["last_error"] = None if e.code == 0 else {"code": e.code, **{
            k: getattr(e, k).decode(errors="replace") for k in ("field", "value", "range", "text")}}
        return out

    def close(self, seconds=1.0):
        """Say BYE, and wait at most this many seconds until everything is acknowledged."""
        wait_ms = _milliseconds(seconds)
        if self._c:
            self._last = self.stats()
            self._lib.mscope_client_close(self._c, wait_ms)
            self._c = C.c_void_p()
