"""A daemon, a trainer and a subscriber in bytes: pyzmq, msgpack and struct, nothing of momentscope's own."""
import contextlib
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import msgpack
import numpy as np
import zmq

import schema
from golden import header

BUILD = os.environ.get("BUILD", os.path.join(schema.ROOT, "build"))
HELLO, STEP, PROBE, REFERENCE, SYNC, BYE, SAVE, DIRECTION, NOTE = range(1, 10)
WELCOME, ACK, ERROR = 64, 65, 66
COUNTS, SCHEDULE, LAST, INEXACT = 1, 2, 4, 8
END = 2**64 - 1
ENVIRONMENT = dict(os.environ)
ENVIRONMENT.setdefault("TSAN_OPTIONS", "suppressions=" + os.path.join(schema.ROOT, "tests/tsan.supp"))
VALUE = {"f4": 1, "f2": 2, "bf": 3, "f8": 4}
# seconds until a test gives up on an answer; never reached when all is well
PATIENCE = 40.0 if "MOMENTSCOPE_SANITIZED" in os.environ else 10.0


class Daemon:
    """momentscoped in a directory of its own; `under`: a command that starts it."""

    def __init__(self, *flags, keep=None, under=()):
        self.under = list(under)
        self.dir = keep or tempfile.mkdtemp(prefix="mscope-")
        self.flags = list(flags)
        self.process = None
        self.log = ""
        self.start()

    def endpoint(self, name):
        return f"ipc://{self.dir}/{name}.ipc"

    def command(self, *more):
        return [*self.under, os.path.join(BUILD, "momentscoped"), "--ingest", self.endpoint("ingest"), "--telemetry",
                self.endpoint("telemetry"), "--replay", self.endpoint("replay"), *self.flags, *more]

    def start(self):
        self.stderr = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(self.command(), stderr=self.stderr, env=ENVIRONMENT)
        self.stderr.close()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.stop()
        with contextlib.suppress(FileNotFoundError):
            if ": runtime error: " in self.said():       # UBSan has no file of its own beside ASan: tests/run looks for it
                print(self.said())
        shutil.rmtree(self.dir, ignore_errors=True)

    def said(self, wait_for=""):
        """The log; its lines come from a thread of their own, so a line that is expected is waited for."""
        until = time.monotonic() + PATIENCE
        while True:
            with open(os.path.join(self.dir, "log"), encoding="utf-8") as f:
                log = f.read()
            if wait_for in log or time.monotonic() > until:
                return log
            time.sleep(0.02)


def read_header(raw):
    kind, flags, session, seq, step = struct.unpack_from("<BHQQQ", raw, 5)
    table, count, _extra = struct.unpack_from("<III", raw, 48)
    assert header(kind, flags, session, seq, step, table=table, count=count) == raw
    return {"kind": kind, "flags": flags, "session": session, "seq": seq, "step": step, "table": table, "count": count}


class Trainer:
    """One DEALER, one session; answers are (header, decoded body or None)."""

    def __init__(self, daemon, session):
        self.daemon, self.session, self.seq = daemon, session, 0
        self.connect()

    def connect(self):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(self.daemon.endpoint("ingest"))

    def close(self):
        self.socket.close()

    def raw(self, *parts):
        self.socket.send_multipart(parts)

    def send(self, kind, *parts, **fields):
        if "seq" not in fields:
            self.seq += 1
            fields["seq"] = self.seq
        fields.setdefault("session", self.session)
        fields.setdefault("table", 0)
        self.raw(header(kind, **fields), *parts)

    def answer(self, wait=PATIENCE):
        while True:
            if not self.socket.poll(int(wait * 1000)):
                raise TimeoutError("no answer from the daemon")
            parts = self.socket.recv_multipart()
            head = read_header(parts[0])
            if head["kind"] != ACK or head["session"] == self.session:   # else: repeated to one that says nothing
                break
        return head, msgpack.unpackb(parts[1]) if len(parts) > 1 else None

    def ack(self):
        head, body = self.answer()
        assert head["kind"] == ACK, (head, body)
        return head

    def acked(self):
        """Everything sent so far, by as many ACKs as the daemon likes: they are cumulative."""
        head = self.ack()
        while head["seq"] < self.seq:
            head = self.ack()
        return head

    def error(self, done=True):
        """The ERROR map; `done`: the message counts as handled, so an ACK follows."""
        head, body = self.answer()
        assert head["kind"] == ERROR, (head, body)
        assert set(body) == {"code", "field", "value", "range", "text"}
        assert body["field"] and body["value"] and body["range"] and body["text"], body
        if done:
            self.ack()
        return body

    def hello(self, table="t", rows=8, dim=2, seq=None, handle=0, **over):
        body = {"table": table, "client": f"raw {self.session}", "rows": rows, "dim": dim, "capacity": 64, "step": 0,
                "state": "f64", "form": "ema", "nesterov": False, "reference": "", "fresh": True, "nll": False,
                "acf_rows": 0}
        body.update(over)
        self.send(HELLO, msgpack.packb(body), seq=seq or self.seq + 1, table=handle)
        head, answer = self.answer()
        while head["kind"] == ACK:           # of messages sent before
            head, answer = self.answer()
        if head["kind"] == WELCOME:
            assert head["table"] == handle
        return head["kind"], answer

    def step(self, number, rows, grads, eta=0.1, eps=0.1, batch=8, kind="f8", handle=0, schedule=None, counts=None,
             seq=None, index="u4"):
        rows, parts, flags = np.asarray(rows), [], 0
        if len(rows):
            parts = [rows.astype("<" + index).tobytes(), encode(grads, kind)]
        if counts is not None:
            flags |= COUNTS
            parts.append(np.asarray(counts, "<u4").tobytes())
        if schedule is not None:
            flags |= SCHEDULE
            parts.append(struct.pack("<3d", *schedule))
        extra = {} if seq is None else {"seq": seq}
        self.send(STEP, *parts, flags=flags, step=number, a=eta, b=eps, table=handle, count=len(rows), extra=batch,
                  index_type=int(index[1]) if len(rows) else 0, value_type=VALUE[kind] if len(rows) else 0, **extra)

    def direction(self, step, entries=(), handle=0, along="power", **over):
        """entries: (handle of the table, row, curvature, noise)"""
        body = {"along": along, "spans": "tables", "values": 16, "curvature": 1.0, "product": 1.0, "noise": 0.0,
                "outside_curvature": 0.0, "outside_noise": 0.0, "top_table": 0, "top_row": 0, "top_share": 0.0}
        body.update(over)
        parts = []
        if len(entries):
            parts = [np.array([e[i] for e in entries], "<u4").tobytes() for i in (0, 1)]
            parts.append(np.array([e[2:] for e in entries], "<f4").tobytes())
        self.send(DIRECTION, msgpack.packb(body), *parts, step=step, table=handle, count=len(entries),
                  index_type=4 if len(entries) else 0, value_type=1 if len(entries) else 0)

    def rows(self, message, step, first, *arrays, kind="f8", last=False, handle=0):
        self.send(message, *[encode(a, kind) for a in arrays], flags=LAST if last else 0, step=step, table=handle,
                  count=len(arrays[0]), extra=first, value_type=VALUE[kind])


def encode(values, kind):
    values = np.ascontiguousarray(values)
    if kind == "bf":                     # truncation: exact for the values the tests use
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype("<" + kind).tobytes()


class Subscriber:
    """Everything published under a prefix, in order, with sequence numbers and schema checked on the way."""

    def __init__(self, daemon, prefix=""):
        self.daemon, self.rules = daemon, schema.load()
        self.records, self.last, self.repeats, self.lost = [], {}, 0, 0
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = 0
        self.socket.connect(daemon.endpoint("telemetry"))
        self.socket.subscribe(prefix.encode())

    def close(self):
        self.socket.close()

    def take(self, wait):
        if not self.socket.poll(int(wait * 1000)):
            return None
        topic, seq, body = self.socket.recv_multipart()
        topic, seq, record = topic.decode(), struct.unpack(">Q", seq)[0], msgpack.unpackb(body)
        bad = schema.faults(self.rules, topic, record)
        assert not bad, bad
        known = self.last.get((topic, record["epoch"]))
        if known is not None and seq <= known:
            self.repeats += 1
            return topic, None
        self.lost += seq - known - 1 if known is not None else 0
        self.last[(topic, record["epoch"])] = seq
        self.records.append((topic, seq, record, body))
        return topic, record

    def until(self, test, what="a record", wait=PATIENCE):
        """Take records until test(topic, record) holds; that record."""
        end = time.monotonic() + wait
        while True:
            got = self.take(max(0.0, end - time.monotonic()))
            if got is None:
                raise TimeoutError(f"{what} never came; last: {[r[:3] for r in self.records[-3:]]}")
            if got[1] is not None and test(*got):
                return got[1]

    def alert(self, code, table=None):
        return self.until(lambda t, r: t == "alert" and r["code"] == code and table in (None, r["table"]), code)

    def table(self, name, step):
        return self.until(lambda t, r: t == f"table/{name}" and r["step"] == step, f"table {name} at {step}")


def replay(daemon, topic, first, request=False):
    """[(seq, raw body)] and the closing body."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(daemon.endpoint("replay"))
    lead = [b""] if request else []
    socket.send_multipart(lead + [topic.encode(), struct.pack(">Q", first)])
    out = []
    while socket.poll(int(PATIENCE * 1000)):
        parts = socket.recv_multipart()
        assert parts[:len(lead)] == lead and parts[len(lead)] == topic.encode(), parts
        seq, body = struct.unpack(">Q", parts[-2])[0], parts[-1]
        if seq == END:
            socket.close()
            return out, body
        out.append((seq, body))
    raise TimeoutError("replay never ended")
