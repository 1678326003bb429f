"""A table that the daemon refuses: told once with its reason, not sent at every step, offered again, healed."""
import ctypes
import time
import unittest

import client_support
from momentscope import Client, _lib

ROWS, DIM = 16, 2


class Trainer:
    """A client whose tables are plain SGD on constant gradients, with their rows at hand for healing."""

    def __init__(self, daemon, name, tables):
        self.client = Client(daemon.ingest, name=name, quiet=True)
        self.steps = 0
        self.rows = (ctypes.c_int64 * 2)(1, 2)
        self.grads = (ctypes.c_double * (2 * DIM))(*[0.5] * (2 * DIM))
        self.theta = {t: (ctypes.c_double * (ROWS * DIM))() for t in tables}
        self.m = {t: (ctypes.c_double * (ROWS * DIM))() for t in tables}
        self.handle = {t: self.client.attach(t, ROWS, DIM, 8, _lib.STATE_F64, _lib.FORM_EMA, fresh=True,
                                             theta=ctypes.addressof(self.theta[t]), m=ctypes.addressof(self.m[t]))
                       for t in tables}

    def step(self, n=1, pause=0.002):
        for _ in range(n):
            self.steps += 1
            for t, handle in self.handle.items():
                for row in self.rows:
                    for i in range(row * DIM, (row + 1) * DIM):
                        self.m[t][i] = 0.5 * self.m[t][i] + 0.5 * 0.5
                for i in range(ROWS * DIM):
                    if i // DIM not in self.rows:
                        self.m[t][i] *= 0.5
                    self.theta[t][i] -= 0.1 * self.m[t][i]
                self.client.push(handle, _lib.Step(0.1, 0.5, 0, 0, 0, 8), ctypes.addressof(self.rows),
                                 ctypes.addressof(self.grads), _lib.F64, 2)
            time.sleep(pause)

    def stats(self):
        return self.client.stats()


class Refused(unittest.TestCase):
    def start(self, *options):
        daemon = client_support.Daemon(*options).start()
        self.addCleanup(daemon.stop)
        listener = client_support.Listener(daemon)
        self.addCleanup(listener.close)
        return daemon, listener

    def trainer(self, *args):
        t = Trainer(*args)
        self.addCleanup(t.client.close)
        return t

    def until(self, what, trainer, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end, trainer.stats())
            trainer.step(pause=0.02)

    def field(self, trainer):
        return (trainer.stats()["last_error"] or {}).get("field")

    def test_too_many_tables(self):
        """10 tables, 6 places: four are refused, at most one message a second for each; the six are exact."""
        daemon, listener = self.start("--max-tables", "6")
        t = self.trainer(daemon, "many", [f"t{i}" for i in range(10)])
        self.until(lambda: self.field(t) == "table", t)
        t.step(20)
        before, begun = t.stats(), time.monotonic()
        t.step(400)
        after = t.stats()
        offers = 4 * (time.monotonic() - begun + 1)
        self.assertEqual(after["steps_dropped"] - before["steps_dropped"], 1600)
        self.assertEqual(after["steps_sent"] - before["steps_sent"], 2400)
        self.assertLessEqual(after["errors"] - before["errors"], offers)
        self.assertEqual((after["last_error"]["field"], after["last_error"]["value"]), ("table", "6 tables"))
        self.assertFalse(after["connected"])

    def test_a_place_that_becomes_free(self):
        daemon, listener = self.start("--max-tables", "4", "--takeover", "0.5")
        first = self.trainer(daemon, "first", ["a", "b", "c"])
        self.until(lambda: first.stats()["connected"], first)
        second = self.trainer(daemon, "second", ["d", "e", "f"])
        self.until(lambda: self.field(second) == "table", second)
        second.step(50)
        self.assertFalse(second.stats()["exact"])
        first.client.close()
        self.until(lambda: second.stats()["connected"] and second.stats()["exact"], second)
        second.step(5)
        self.assertEqual(second.client.flush(10), True, second.stats())
        for table in second.handle:
            listener.table(table, second.steps)

    def test_a_place_that_was_given_to_another(self):
        """A trainer that was silent too long meets ESTATE at its next step; it asks again, and comes back."""
        daemon, listener = self.start("--max-tables", "2", "--takeover", "0.3")
        idle = self.trainer(daemon, "idle", ["a", "b"])
        self.until(lambda: idle.stats()["connected"], idle)
        idle.client.flush(10)
        time.sleep(0.6)
        other = self.trainer(daemon, "other", ["c"])
        self.until(lambda: other.stats()["connected"], other)
        errors = idle.stats()["errors"]
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            idle.step()
            other.step(pause=0)
        stats = idle.stats()
        self.assertEqual(stats["last_error"]["field"], "table", stats)
        self.assertLess(stats["errors"] - errors, 30)
        self.assertGreater(stats["steps_dropped"], 100)
        other.client.close()
        self.until(lambda: idle.stats()["connected"] and idle.stats()["exact"], idle)


if __name__ == "__main__":
    unittest.main()
