"""Client: one connection to the daemon, by address and length; no torch, no numpy.

Every time here is in seconds, as in Python's own library, but block_ms, whose name says so; mscope/client.h has
milliseconds throughout.
"""
import ctypes as C

from . import _check, _lib


class Error(RuntimeError):
    """A call that momentscope refused: .code is its enum mscope_err; .field, .value and .range are text or None."""

    def __init__(self, call, code, why=None):
        self.code, self.field, self.value, self.range = code, None, None, None
        said = _lib.lib().mscope_strerror(code).decode()
        if why is not None and why.code == code:
            self.field, self.value, self.range, said = (getattr(why, k).decode(errors="replace")
                                                        for k in ("field", "value", "range", "text"))
            said = f"{self.field} = {self.value} ({self.range}): {said}"
        super().__init__(f"{call}: {said}")


class Refused(Error, ValueError):
    """An Error about an argument."""


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
    """Wraps mscope_client_*. Pointers are integers (tensor.data_ptr(), array.ctypes.data); data is copied in the call.

    buffer_bytes  most bytes held until the daemon has them, 4096 or more; 0: 64 MiB
    sync_bytes    most bytes of healing sent with a step; 0: 1 MiB
    block_ms      0: never wait, drop instead; above: a push waits at most this many milliseconds for room
    transport    "auto" ($MOMENTSCOPE_TRANSPORT, else shared memory where the daemon offers it), "zmq" or "shm"
    quiet         no line on stderr about refusals or a daemon that is not there
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
        """read(first, n, theta_address, m_address) -> 0 or negative; or theta and m as addresses of whole arrays."""
        def call(_ctx, first, n, to_theta, to_m):
            try:
                return int(read(first, n, to_theta, to_m) or 0)
            except Exception:                # an exception may not cross into C
                return -1

        callback = _lib.READ(call) if read else _lib.READ(0)
        u32 = (0, _check.U32)                # the tighter ranges are C's
        info = _lib.AttachInfo(_check.text("table", table), _check.integer("rows", rows, *u32),
                               _check.integer("dim", dim, *u32), _check.integer("capacity", capacity, *u32), state, form,
                               _check.flag("nesterov", nesterov), _check.flag("nll", nll),
                               _check.integer("acf_rows", acf_rows, *u32), _check.integer("step", step, 0, _check.STEPS),
                               _check.text("reference", reference), theta, m, _lib.SETTLE(0), None, callback, None,
                               _check.flag("fresh", fresh), _check.flag("narrow", narrow))
        self._keep.append(callback)
        return self._check(f"attach {table!r}", self._lib.mscope_client_attach(self._c, C.byref(info)))

    def push(self, table, step, rows, grads, value_type, n, counts=None):
        """0 sent or buffered, 1 dropped. step: _lib.Step, or byref of one; rows: address of int64[n]."""
        code = self._push64(self._c, table, step, rows, grads, value_type, counts, n)
        return code if code >= 0 else self._check("push", code)

    def push_lookups(self, table, step, lookups, n, grads, value_type):
        """As push, of the rows in lookups (address of int64[n], with repeats) out of a dense gradient."""
        code = self._push_lookups(self._c, table, step, lookups, n, grads, value_type)
        return code if code >= 0 else self._check("push", code)

    def push_dense(self, table, step, grads, value_type, mask=None):
        return self._check("push_dense", self._lib.mscope_client_push_dense(self._c, table, step, grads, value_type, mask))

    def skip(self, table):
        return self._check("skip", self._lib.mscope_client_skip(self._c, table))

    def resync(self, table):
        return self._check("resync", self._lib.mscope_client_resync(self._c, table))

    def probe(self, table, delta, rows, hm, value_type, n):
        return self._check("probe", self._lib.mscope_client_probe(self._c, table, delta, rows, hm, value_type, n))

    def reference(self, table, first, n, values, value_type):
        self._check("reference", self._lib.mscope_client_reference(self._c, table, first, n, values, value_type))

    def save(self):
        return self._check("save", self._lib.mscope_client_save(self._c))

    def poll(self, seconds=0.0):
        """Take in answers, waiting at most this many seconds for one."""
        if self._c:
            self._lib.mscope_client_poll(self._c, _milliseconds(seconds))

    def flush(self, seconds=5.0):
        """True when everything is acknowledged and every shadow exact, within this many seconds."""
        wait_ms = _milliseconds(seconds)
        return bool(self._c) and self._lib.mscope_client_flush(self._c, wait_ms) == 0

    def stats(self):
        if not self._c:
            return dict(self._last)
        s = _lib.Stats()
        self._lib.mscope_client_stats_get(self._c, C.byref(s))
        out = {name: int(getattr(s, name)) for name, _ in _lib.Stats._fields_[:-1]}
        out["connected"], out["exact"] = bool(s.connected), bool(s.exact)
        out["transport"] = "shm" if s.shm else "zmq"
        e = s.last_error
        out["last_error"] = None if e.code == 0 else {"code": e.code, **{
            k: getattr(e, k).decode(errors="replace") for k in ("field", "value", "range", "text")}}
        return out

    def close(self, seconds=1.0):
        """Say BYE and wait at most this many seconds for it to leave."""
        wait_ms = _milliseconds(seconds)
        if self._c:
            self._last = self.stats()
            self._lib.mscope_client_close(self._c, wait_ms)
            self._c = C.c_void_p()
