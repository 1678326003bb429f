"""Subscriber: the daemon's telemetry as dicts, without torch, numpy, pyzmq or msgpack.

    for topic, record in momentscope.Subscriber(prefix="table/"):
        print(topic, record["step"], record["exact"])

protocol/README.md 2 lists the topics and the fields of their records, with units.
"""
import ctypes as C
import struct
from types import TracebackType
from typing import Any, Dict, Iterator, Optional, Tuple, Type

from . import _check, _lib
from ._client import Error, Refused, fault, milliseconds

Record = Dict[str, Any]
_RECORD_MAX, _TOPIC, _BEHIND = 2048, 80, 88        # of wire.h: bytes of a record, of a topic; where the record begins


class Subscriber:
    """Listen to the topics that begin with prefix ("": all). Records that the connection lost are asked for again.

    endpoint   of telemetry; None: $MOMENTSCOPE_TELEMETRY, or this user's default
    replay     where lost records are asked for; None: $MOMENTSCOPE_REPLAY or the default if endpoint is None too, else
               nowhere; "": nowhere

    The daemon may be absent: records come once it is there. One thread at a time, and not in a forked child.
    """

    def __init__(self, endpoint: Optional[str] = None, replay: Optional[str] = None, prefix: str = "") -> None:
        self._lib, self._s = _lib.lib(), C.c_void_p()
        self._room = C.create_string_buffer(self._lib.mscope_struct_size(b"mscope_telemetry"))
        self._bytes = C.create_string_buffer(_RECORD_MAX)
        code = self._lib.mscope_subscribe(C.byref(self._s), _check.text("endpoint", endpoint, optional=True),
                                          _check.text("replay", replay, optional=True), _check.text("prefix", prefix))
        if code < 0:
            raise (Refused if code == _lib.EINVAL else Error)("mscope_subscribe", code, fault())

    def next(self, seconds: float = 0.0) -> Optional[Tuple[str, Record]]:
        """The next (topic, record), or None when none came within this many seconds. Values that are not known are
        None."""
        if not self._s:
            raise ValueError("momentscope: the subscriber is closed")
        code = self._lib.mscope_subscriber_next(self._s, self._room, milliseconds(seconds))
        if code in (_lib.EAGAIN, _lib.EPROTO):     # a malformed record is counted, and passed over
            return None
        if code < 0:
            raise Error("mscope_subscriber_next", code, fault())
        size = self._lib.mscope_record_encode(C.byref(self._room, _BEHIND), self._bytes, _RECORD_MAX)
        if size < 0:
            raise Error("mscope_record_encode", size)
        topic = self._room.raw[:_TOPIC].split(b"\0", 1)[0].decode()
        return topic, unpack(self._bytes.raw[:size])

    def stats(self) -> Dict[str, int]:
        """received, lost, replayed, malformed, repeats, epochs: mscope_subscriber_stats of mscope/client.h."""
        out = _lib.SubscriberStats()
        if self._s:
            self._lib.mscope_subscriber_stats_get(self._s, C.byref(out))
        return {name: int(getattr(out, name)) for name, _ in out._fields_}

    def close(self) -> None:
        if self._s:
            self._lib.mscope_subscriber_close(self._s)
            self._s = C.c_void_p()

    def __iter__(self) -> Iterator[Tuple[str, Record]]:
        """Every record from now on; ends at close, or by break."""
        while self._s:
            got = self.next(1.0)
            if got is not None:
                yield got

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


# -- MessagePack, as far as records have it ------------------------------------------------------------------

_NUMBERS = {0xca: ">f", 0xcb: ">d", 0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i",
            0xd3: ">q"}
_SIZES = {0xd9: ">B", 0xda: ">H", 0xdb: ">I", 0xdc: ">H", 0xdd: ">I", 0xde: ">H", 0xdf: ">I"}
_CONSTANTS = {0xc0: None, 0xc2: False, 0xc3: True}


def unpack(data: bytes) -> Any:
    """A MessagePack value of maps, arrays, text, numbers, booleans and nil. ValueError: it is none, or cut short."""
    try:
        value, end = _value(data, 0)
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError) as e:
        raise ValueError(f"momentscope: no MessagePack value: {e}") from None
    if end != len(data):
        raise ValueError(f"momentscope: {len(data) - end} bytes behind a MessagePack value")
    return value


def _value(data: bytes, at: int) -> Tuple[Any, int]:
    head, at = data[at], at + 1
    if head < 0x80 or head >= 0xe0:
        return head - (0x100 if head >= 0xe0 else 0), at
    if head in _CONSTANTS:
        return _CONSTANTS[head], at
    if head in _NUMBERS:
        form = _NUMBERS[head]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if head in _SIZES:
        form = _SIZES[head]
        size, at = struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
        kind = "text" if head <= 0xdb else "list" if head <= 0xdd else "map"
    elif head < 0xc0:
        kind = "map" if head < 0x90 else "list" if head < 0xa0 else "text"
        size = head & (0x1f if kind == "text" else 0x0f)
    else:
        raise ValueError(f"momentscope: byte 0x{head:02x} begins no value of a record")
    if kind == "text":
        if at + size > len(data):
            raise IndexError("text is cut short")
        return data[at:at + size].decode(), at + size
    out = []
    for _ in range(size * (2 if kind == "map" else 1)):
        item, at = _value(data, at)
        out.append(item)
    return (dict(zip(out[::2], out[1::2])) if kind == "map" else out), at
