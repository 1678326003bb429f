"""A small crowd at one daemon (tests/faults/crowd.py is the large one): what some do costs nobody else a record."""
import os
import signal
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import numpy as np
import raw
from daemon_support import Case
from zmtp import GREETING, Peer, frame

sys.path.insert(0, os.path.join(raw.schema.ROOT, "host", "python"))
os.environ.setdefault("MOMENTSCOPE_LIB", os.path.join(raw.BUILD, "libmomentscope.so"))
import momentscope

SECONDS = 4


class Crowd(Case):
    def bad(self, d, turn):
        """Somebody comes and goes: with a subscription to everything, a burst of prefixes, bytes that are no ZMTP."""
        p = Peer(d.endpoint("telemetry"), "SUB" if turn % 3 < 2 else None)
        burst = b"".join(frame(b"\1band/t%06d" % i) for i in range(2000))
        p.send([frame(b"\1"), burst, GREETING + 64 * b"x"][turn % 3])
        p.close()

    def test_eight_trainers_and_fifty_listeners(self):
        d = self.daemon("--interval", "0.1")
        d.said("is ready")
        trainers, many = [self.trainer(d, 1 + i) for i in range(8)], []
        for i, t in enumerate(trainers):
            for handle in range(8):
                self.assertEqual(t.hello(f"t{i}.{handle}", 64, 2, handle=handle)[0], raw.WELCOME)
        good = momentscope.Subscriber(d.endpoint("telemetry"), d.endpoint("replay"))
        self.addCleanup(good.close)
        for i in range(50):
            many.append(self.subscriber(d, "daemon"))
        mute = Peer(d.endpoint("telemetry"), "SUB")
        mute.send(frame(b"\1"))
        self.addCleanup(mute.close)
        numbers, heard, begin, step, longest, last = {}, 0, time.monotonic(), 0, 0.0, None
        while time.monotonic() < begin + SECONDS:
            step += 1
            for t in trainers:
                for handle in range(8):
                    t.step(step, [step % 64], np.ones((1, 2)), handle=handle)
                t.acked()
            self.bad(d, step)
            while (got := good.next(0)) is not None:
                heard += 1
                seq = struct.unpack_from("<Q", good._room.raw, 80)[0]
                first, latest = numbers.get(got[0], (seq, seq))
                numbers[got[0]] = (min(first, seq), max(latest, seq))
                if got[0] == "daemon":
                    now = time.monotonic()
                    longest, last = max(longest, now - (last or now)), now
        stats = good.stats()
        self.assertEqual((stats["lost"], stats["malformed"]), (0, 0))
        self.assertEqual(heard, sum(b - a + 1 for a, b in numbers.values()))
        self.assertGreater(len(numbers), 64)
        self.assertLess(longest, 3.0)
        for s in many:
            s.until(lambda topic, r: topic == "daemon")
        print(f"note {step} steps of 64 tables, {heard} records, none lost, {stats['repeats']} repeats; longest time "
              f"without a daemon record {longest:.2f} s of an interval of 0.1 s")

    def test_newcomers_do_not_make_everybody_read_everything(self):
        """XPUB answers a newcomer through all listeners; ten sweeps a second at most, whoever asks how often."""
        d = self.daemon("--interval", "0")
        d.said("is ready")
        t = self.trainer(d, 1)
        for handle in range(8):
            t.hello(f"t{handle}", 64, 2, handle=handle)
            t.step(1, [1], np.ones((1, 2)), handle=handle)
        t.acked()
        d.signal(signal.SIGHUP)              # every table's records are there
        s = raw.Subscriber(d)
        self.addCleanup(s.close)
        s.until(lambda topic, r: topic == "daemon")
        while s.take(0.3):
            pass
        topics, begin, come = len(s.last), time.monotonic(), 0
        while time.monotonic() < begin + 3:
            p = Peer(d.endpoint("telemetry"), "SUB")
            p.send(frame(b"\1"))
            p.close()
            come += 1
            time.sleep(0.002)
        seconds, heard = time.monotonic() - begin, 0
        while s.socket.poll(300):
            s.socket.recv_multipart()
            heard += 1
        print(f"note {come} newcomers in {seconds:.1f} s: {heard} records of {topics} topics heard by another listener")
        self.assertGreater(come, 60)
        self.assertLess(heard, (10 * seconds + 5) * (topics + 8))


if __name__ == "__main__":
    unittest.main()
