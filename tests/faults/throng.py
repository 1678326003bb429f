"""throng.py ROLE N KEY=ADDRESS...: the many, and the ill-mannered, of crowd.py. Prints one JSON object a second.

subscribers  N subscribers, each to the daemon's records and to one table's; they count gaps in the daemon's numbers
mute         N that subscribe to everything and never read
flood        N connections that subscribe to 8,000 prefixes, cancel and do it again; one more exceeds its limit
storm        N connections a second that say HELLO, or subscribe, or ask for replay, and are gone
garbage      N connections a second that send what is not ZMTP, or begins as such, and some that say nothing and stay
"""
import itertools
import json
import os
import random
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import msgpack
import raw
import zmq
from zmtp import GREETING, Peer, frame

said = {}


def teller():
    """A line a second; ends with the input of this process."""
    def tell():
        while True:
            print(json.dumps(said), flush=True)
            time.sleep(1)
    threading.Thread(target=tell, daemon=True).start()


def subscribers(n, at, tables):
    context, poller, last = zmq.Context(), zmq.Poller(), {}
    context.set(zmq.MAX_SOCKETS, n + 16)
    for i in range(n):
        s = context.socket(zmq.SUB)
        s.linger, s.rcvhwm = 0, 4096
        s.connect(at["telemetry"])
        for prefix in ("daemon", f"table/{tables[i % len(tables)]}", f"band/{tables[i % len(tables)]}/"):
            s.subscribe(prefix)
        poller.register(s, zmq.POLLIN)
        last[s] = (None, time.monotonic())
    said.update(records=0, missed=0, heard=0, longest=0.0)
    while True:
        for s, _ in poller.poll(1000):
            for _ in range(64):
                try:
                    topic, seq, _ = s.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                said["records"] += 1
                if topic != b"daemon":
                    continue
                number, now = struct.unpack(">Q", seq)[0], time.monotonic()
                before, at_ = last[s]
                if before is None:
                    said["heard"] += 1
                elif number > before:
                    said["missed"] += number - before - 1
                    said["longest"] = max(said["longest"], now - at_)
                last[s] = (number, now)


def mute(n, at, _):
    held = []
    for _ in range(n):
        p = Peer(at["telemetry"], "SUB")
        p.send(frame(b"\1"))
        held.append(p)
    said.update(mute=n)
    while True:
        time.sleep(1)


def flood(n, at, _):
    said.update(subscriptions=0, ended=0)
    burst = b"".join(frame(b"\1band/t%06d" % i) for i in range(8000))
    undo = b"".join(frame(b"\0band/t%06d" % i) for i in range(8000))
    peers = []
    while True:
        while len(peers) < n:
            peers.append(Peer(at["telemetry"], "SUB"))
        for p in list(peers):
            if p.send(burst) and p.send(undo):
                said["subscriptions"] += 8000
            else:
                said["ended"] += 1
                peers.remove(p)
        bad = Peer(at["telemetry"], "SUB")
        for _ in range(3):
            if not bad.send(burst.replace(b"band/t", b"band/u")) or not bad.send(burst.replace(b"band/t", b"band/v")):
                said["ended"] += 1
                break
        bad.close()
        time.sleep(0.05)


def hello(session, table):
    body = {"table": table, "client": "storm", "rows": 8, "dim": 2, "capacity": 64, "step": 0, "state": "f64",
            "form": "ema", "nesterov": False, "reference": "", "fresh": True, "nll": False, "acf_rows": 0}
    return frame(raw.header(raw.HELLO, session=session, seq=1, table=0), more=True) + frame(msgpack.packb(body))


def paced(n, act):
    """act(i) n times a second, however long each takes (as far as one thread can)."""
    said.update(done=0, refused=0)
    begin = time.monotonic()
    for i in itertools.count():
        late = time.monotonic() - begin - i / n
        if late < 0:
            time.sleep(-late)
        elif late > 1:
            begin += late
        try:
            act(i)
        except OSError:
            said["refused"] += 1
        said["done"] += 1


def storm(n, at, _):
    def act(i):
        kind = i % 4
        p = Peer(at[("ingest", "telemetry", "replay", "ingest")[kind]], ("DEALER", "SUB", "DEALER", "DEALER")[kind], 5)
        if kind == 0:
            p.send(hello(7, "storm"))                    # one trainer, again and again
        elif kind == 1:
            p.send(frame(b"\1"))
        elif kind == 2:
            p.send(frame(b"daemon", more=True) + frame(bytes(8)))
        elif i % 40 == 3:
            p.send(hello(1000 + i, "storm"))             # another one with its table
        p.close()
    paced(n, act)


def garbage(n, at, _):
    draw, held, doors = random.Random(1), [], list(at.values())
    curve = GREETING.replace(b"NULL" + bytes(16), b"CURVE" + bytes(15))

    def act(i):
        p = Peer(doors[i % len(doors)], None, 5)
        kind = i // len(doors) % 8
        p.send([draw.randbytes(draw.randrange(1, 4096)),
                GREETING[:draw.randrange(1, 64)],
                GREETING + draw.randbytes(draw.randrange(1, 4096)),
                curve + draw.randbytes(draw.randrange(1, 4096)),
                curve + frame(b"\x05HELLO" + b"\1\0" + draw.randbytes(192), command=True),
                GREETING + frame(b"\x05READY\x0bSocket-Type" + struct.pack(">I", 2**31), command=True),
                GREETING + b"\x02" + struct.pack(">Q", 2**62) + bytes(1000),
                b""][kind])
        if kind in (1, 7):
            held.append(p)                               # and says no more
            if len(held) > 400:
                held.pop(0).close()
        else:
            p.close()
    paced(n, act)


if __name__ == "__main__":
    teller()
    pairs = dict(word.split("=", 1) for word in sys.argv[3:])
    names = pairs.pop("tables", "").split(",")
    threading.Thread(target=globals()[sys.argv[1]], args=(int(sys.argv[2]), pairs, names), daemon=True).start()
    sys.stdin.read()
    os._exit(0)
