"""What a peer can make the daemon hold, and whom that costs: nobody else. Each case of firmware/README.md, section 12."""
import os
import resource
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
import zmq
from daemon_support import Case
from zmtp import Peer, frame

MEGABYTE = 1 << 20


class Doors(Case):
    def peer(self, daemon, door, kind="DEALER"):
        daemon.said("is ready")
        p = Peer(daemon.endpoint(door), kind)
        self.addCleanup(p.close)
        return p

    @staticmethod
    def resident(daemon):
        with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def serves(self, daemon, session=77):
        """A trainer and a listener find the daemon as it should be."""
        t, sub = self.trainer(daemon, session), self.subscriber(daemon)
        kind, _ = t.hello(f"t{session}", 8, 2)
        self.assertEqual(kind, raw.WELCOME)
        t.step(1, [0], [[1.0, 1.0]])
        t.acked()
        sub.until(lambda topic, r: topic == "daemon")
        return sub

    def ends(self, daemon, peer, data, most, words):
        """Sends data again and again; the daemon ends the connection before `most` bytes, and says why."""
        before, sent = self.resident(daemon), 0
        while sent < most and peer.send(data):
            sent += len(data)
        self.assertLess(sent, most)
        self.assertIn(words, daemon.said(words))
        return self.resident(daemon) - before

    def test_a_message_that_never_ends(self):
        d = self.daemon("--interval", "0.1")
        for door in ("ingest", "replay"):
            for size, n, words in ((4096, 64, "of more than 64 parts"), (1, 4096, "of more than 64 parts")):
                with self.subTest(door=door, size=size):
                    took = self.ends(d, self.peer(d, door), n * frame(size * b"x", more=True), 64 * MEGABYTE, words)
                    self.assertLess(took, 16 * MEGABYTE)
        took = self.ends(d, self.peer(d, "ingest"), frame(300000 * b"x", more=True), 64 * MEGABYTE, "more than 1 MiB before")
        self.assertLess(took, 16 * MEGABYTE)
        self.serves(d)

    def test_a_welcomed_trainer_beyond_its_credit(self):
        d = self.daemon("--interval", "0.1", "--max-part", "1M", "--credit-bytes", "1M")
        self.serves(d)
        p = self.peer(d, "ingest")
        hello = raw.header(raw.HELLO, session=5, seq=1, table=0)
        body = raw.msgpack.packb({"table": "p", "client": "by hand", "rows": 8, "dim": 2, "capacity": 64, "step": 0,
                                  "state": "f64", "form": "ema", "nesterov": False, "reference": "", "fresh": True,
                                  "nll": False, "acf_rows": 0})
        p.send(frame(hello, more=True) + frame(body))
        p.socket.recv(4096)                  # WELCOME
        took = self.ends(d, p, frame(500000 * b"x", more=True), 64 * MEGABYTE, "more unacknowledged than its credit")
        self.assertLess(took, 16 * MEGABYTE)
        self.serves(d, 78)

    def test_a_burst_of_subscriptions(self):
        d = self.daemon("--interval", "0.05")
        sub = self.serves(d)
        burst = b"".join(frame(b"\1band/t%06d" % i) for i in range(100000))
        flood = self.peer(d, "telemetry", "SUB")
        since = time.monotonic()
        flood.send(burst)
        longest = 0.0
        while time.monotonic() < since + 2:  # the other listener goes on hearing the daemon record, every .05 s
            asked = time.monotonic()
            sub.until(lambda topic, r: topic == "daemon")
            longest = max(longest, time.monotonic() - asked)
        self.assertLess(longest, 1.0)
        self.assertIn("--max-subscriptions", d.said("more subscriptions than"))
        since = time.monotonic()
        self.assertEqual(d.stop(), 0)
        self.assertLess(time.monotonic() - since, 5)

    def test_eight_thousand_prefixes_are_served(self):
        d = self.daemon("--interval", "0.05", "--max-tables", "1024")
        self.serves(d)
        many = self.peer(d, "telemetry", "SUB")
        many.send(b"".join(frame(b"\1band/t%06d" % i) for i in range(8000)) + frame(b"\1daemon"))
        since = time.monotonic()
        got = b""
        while b"daemon" not in got:
            got += many.socket.recv(65536)
        self.assertLess(time.monotonic() - since, 2)

    def test_prefixes_of_four_thousand_bytes(self):
        d = self.daemon("--interval", "0.1")
        self.serves(d)
        p = self.peer(d, "telemetry", "SUB")
        took = self.ends(d, p, b"".join(frame(b"\1" + b"%08d" % i + 3990 * b"x") for i in range(64)), 44 * MEGABYTE,
                         "prefixes of more than 64 bytes")
        self.assertLess(took, 64 * MEGABYTE)
        self.serves(d, 78)

    def test_names_that_would_move_a_cursor(self):
        d = self.daemon("--interval", "0.1")
        t = self.trainer(d)
        for bad in ("esc \x1b[2J", "c1 \u009b2J", "turned \u202eround", "\u2066hidden", "bom \ufeff", "line\u2028end"):
            kind, body = t.hello("t", 8, 2, client=bad)
            self.assertEqual((kind, body["field"]), (raw.ERROR, "client"), bad)
        self.assertEqual(t.hello("t", 8, 2, client="Größe 模型")[0], raw.WELCOME)

    def test_bytes_that_are_not_zmtp(self):
        d = self.daemon("--interval", "0.1")
        for door in ("ingest", "telemetry", "replay"):
            p = self.peer(d, door, None)
            p.send(b"GET / HTTP/1.1\r\n\r\n")
            self.assertTrue(p.ended())
        self.assertIn("not ZMTP 3", d.said("not ZMTP 3"))
        self.serves(d)

    def test_connections_that_say_nothing(self):
        """Of 1,024 descriptors, a process takes all it can get; a trainer and a listener still come in."""
        d = raw.Daemon("--interval", "0.1", under=["prlimit", "--nofile=1024:1024"])
        self.addCleanup(d.close)
        d.said("is ready")
        hog = subprocess.Popen([sys.executable, "-c", HOG, d.endpoint("ingest"), d.endpoint("telemetry")],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for tidy in (hog.stdin.close, hog.stdout.close, hog.wait, hog.kill):    # the last one first
            self.addCleanup(tidy)
        self.assertEqual(hog.stdout.readline(), b"done\n")
        self.serves(d)
        self.assertIn("pid %d" % hog.pid, d.said("turned-away"))
        self.assertEqual(d.stop(), 0)


HOG = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for n in range(1500):
    for e in sys.argv[1:]:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        for again in range(100):
            try:
                s.connect(e.removeprefix("ipc://"))
                break
            except BlockingIOError:          # the queue of the listening socket is full
                time.sleep(.01)
        held.append(s)
print("done", flush=True)
sys.stdin.read()
"""

if __name__ == "__main__":
    unittest.main()
