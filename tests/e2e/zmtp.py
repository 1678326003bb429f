"""A peer that speaks ZMTP 3.1 by hand (mechanism NULL), so that it can do what libzmq would not."""
import socket
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def frame(body, more=False, command=False):
    flags = (1 if more else 0) | (4 if command else 0)
    if len(body) > 255:
        return struct.pack(">BQ", flags | 2, len(body)) + body
    return bytes([flags, len(body)]) + body


class Peer:
    """Connected to ipc://PATH or tcp://HOST:PORT; `kind`: the socket type that it claims to be; None: says nothing."""

    def __init__(self, endpoint, kind="DEALER", patience=10):
        tcp = endpoint.startswith("tcp://")
        self.socket = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(patience)
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.socket.connect((host, int(port)) if tcp else endpoint.removeprefix("ipc://"))
        if kind is None:
            return
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind.encode()
        self.socket.sendall(GREETING + frame(ready, command=True))
        got = b""
        while len(got) < 64 or b"READY" not in got:
            more = self.socket.recv(4096)
            if not more:
                raise ConnectionResetError("ended in the handshake")
            got += more

    def send(self, data):
        """Returns False when the daemon has ended the connection."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def ended(self):
        """Waits until the daemon has ended the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.socket.close()
