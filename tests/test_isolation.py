"""Trainer isolation: whatever happens to the daemon, the weights are bit for bit those of a run alone and no call
waits; and when a daemon is there again, its copy gets the trainer's own numbers.
"""
import contextlib
import random
import resource
import signal
import struct
import time
import unittest

import client_support
import momentscope
from momentscope import _lib
try:
    import torch
except ImportError as e:
    torch, without_torch = None, str(e)

ROWS, DIM, BATCH, STEPS = 2000, 32, 256, 400
BUFFER, SYNC = 2 << 20, 128 << 10            # 30 steps fit; a SYNC takes 8 or more pushes
# A call that waits gives the processor away voluntarily, and the kernel counts that apart from preemption. Wall time
# alone would blame the client for every other process of the machine.
LONGEST = 0.500                              # s


def waits():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def setUpModule():
    if torch:
        torch.set_num_threads(1)


class Trainer:
    """A sparse embedding and a dense readout; everything it does depends on the seed alone."""

    def __init__(self, momentum=0.9):
        torch.manual_seed(3)
        self.model = torch.nn.ModuleDict({"words": torch.nn.Embedding(ROWS, DIM, sparse=True),
                                          "out": torch.nn.Linear(DIM, 1)}).double()
        self.weight = self.model["words"].weight
        self.initial = self.weight.detach().clone()
        # momentum on a sparse gradient makes torch's buffer grow by every step; the readout keeps its own
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=momentum)
        self.random = torch.Generator().manual_seed(4)
        self.batch = None
        self.scope, self.times, self.waits = None, [], 0

    def loss(self):
        index, target = self.batch
        loss = ((self.model["out"](self.model["words"](index)).squeeze(1) - target) ** 2).mean()
        loss.backward()

    def attach(self, daemon, **options):
        options.setdefault("buffer_bytes", BUFFER)
        self.scope = momentscope.attach(self.model, self.optimizer, endpoint=daemon.ingest, sync_bytes=SYNC,
                                        probe_every=100, closure=self.loss, reference="initial", **options)
        return self

    def run(self, steps=STEPS, at=None):
        for i in range(steps):
            if at and i in at:
                at[i]()
            u = torch.rand(BATCH, generator=self.random)
            self.batch = (u.pow(3).mul(ROWS - 1).long(), torch.rand(BATCH, generator=self.random, dtype=torch.float64))
            self.optimizer.zero_grad(set_to_none=True)
            self.loss()
            self.optimizer.step()
            if self.scope:
                before, start = waits(), time.perf_counter()
                self.scope.step()
                self.times.append(time.perf_counter() - start)
                self.waits += waits() - before
            # torch's sparse buffer doubles its work at each step; coalesced it has the same numbers in the same order
            state = self.optimizer.state[self.weight]
            if state.get("momentum_buffer") is not None and i % 10 == 9:
                state["momentum_buffer"] = state["momentum_buffer"].coalesce()
        return self

    def final(self):
        return [p.detach().clone() for p in self.model.parameters()]

    def numbers(self):
        """R about the initial rows, V and C in EMA form."""
        buffer = self.optimizer.state[self.weight]["momentum_buffer"]
        m = (1 - 0.9) * (buffer.to_dense() if buffer.is_sparse else buffer)
        e = (self.weight - self.initial).detach()
        return float((e * e).sum()), float((m * m).sum()), float((e * m).sum())


@unittest.skipIf(torch is None, f"needs torch: {'' if torch else without_torch}")
class Isolation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.alone = Trainer().run().final()

    def check(self, trainer, what):
        same = all(torch.equal(a, b) for a, b in zip(self.alone, trainer.final()))
        self.assertTrue(same, f"{what}: weights differ from the run alone")
        times = sorted(trainer.times)
        print(f"\nnote {what}: scope.step median {1e6 * times[len(times) // 2]:.0f} us, "
              f"longest {1e3 * times[-1]:.2f} ms of {len(times)}, waits {trainer.waits}; "
              f"dropped {trainer.scope.stats()['steps_dropped']}", flush=True)
        self.assertLess(times[-1], LONGEST, f"{what}: a step waited")
        # a lock of malloc or of libzmq's mailbox may be held for an instant; waiting for a peer shows at every step
        self.assertLessEqual(trainer.waits, len(times) // 20, f"{what}: steps waited")

    def check_healed(self, trainer, ear, steps=STEPS):
        self.assertTrue(trainer.scope.flush(20), trainer.scope.stats())
        record = ear.table("words.weight", steps)
        R, V, C = trainer.numbers()
        worst = max(abs(record["R"] - R) / R, abs(record["V"] - V) / V, abs(record["C"] - C) / (R * V) ** 0.5)
        self.assertLess(worst, 1e-9, (record, R, V, C))
        print(f"\nnote shadow against trainer, worst of R, V, C: {worst:.2g}", flush=True)
        return record

    def test_absent_daemon(self):
        daemon = client_support.Daemon()
        trainer = Trainer().attach(daemon).run()
        self.assertGreater(trainer.scope.stats()["steps_dropped"], 0)
        self.check(trainer, "absent")
        start = time.perf_counter()
        trainer.scope.close(0.2)
        self.assertLess(time.perf_counter() - start, 1.0)
        daemon.stop()

    def test_present_daemon(self):
        with client_support.Daemon() as daemon:
            ear = client_support.Listener(daemon)
            trainer = Trainer().attach(daemon, buffer_bytes=64 << 20).run()
            self.check(trainer, "present")
            record = self.check_healed(trainer, ear)
            self.assertEqual(record["lost_steps"], 0)
            self.assertEqual(trainer.scope.stats()["errors"], 0, trainer.scope.stats())
            trainer.scope.close()
            ear.close()

    def test_stopped_daemon(self):
        with client_support.Daemon() as daemon:
            ear = client_support.Listener(daemon)
            trainer = Trainer().attach(daemon)
            self.assertTrue(trainer.scope.flush(10))
            trainer.run(at={100: lambda: daemon.signal(signal.SIGSTOP)})
            self.check(trainer, "SIGSTOP")
            dropped = trainer.scope.stats()["steps_dropped"]
            self.assertGreater(dropped, 0)
            daemon.signal(signal.SIGCONT)
            record = self.check_healed(trainer, ear)
            self.assertEqual(record["lost_steps"], dropped)     # telemetry says what happened meanwhile
            # a buffer that is coalesced is another one: steps may be lost while the table is healed for that
            self.assertTrue(any(a["code"] in ("inexact", "changed") for a in ear.alerts), ear.alerts)
            self.assertTrue(any(a["code"] == "exact" and a["step"] >= 100 for a in ear.alerts), ear.alerts)
            trainer.scope.close()
            ear.close()

    def killed(self, trainer, daemon, what, lost):
        def connected():
            end = time.monotonic() + 10
            while not trainer.scope.stats()["connected"] and time.monotonic() < end:
                trainer.scope.poll(0.01)

        # the second kill comes during the SYNC that the first one made necessary
        trainer.run(at={100: daemon.kill, 150: daemon.start, 200: connected, 204: daemon.kill, 260: daemon.start,
                        300: connected})
        ear = client_support.Listener(daemon)
        self.check(trainer, what)
        record = self.check_healed(trainer, ear)
        stats = trainer.scope.stats()
        self.assertGreaterEqual(stats["reconnects"], 1)
        self.assertGreaterEqual(stats["syncs"], 2)
        self.assertEqual(stats["steps_dropped"] > 0, lost)
        trainer.scope.close()
        ear.close()
        return record

    def test_daemon_killed_and_restarted(self):
        with client_support.Daemon() as daemon:
            trainer = Trainer().attach(daemon, buffer_bytes=64 << 20)
            self.assertTrue(trainer.scope.flush(10))
            record = self.killed(trainer, daemon, "kill -9", lost=False)
            self.assertEqual(record["attached"], True)

    def test_daemon_killed_with_a_small_buffer(self):
        with client_support.Daemon() as daemon:
            trainer = Trainer().attach(daemon, buffer_bytes=512 << 10)
            self.assertTrue(trainer.scope.flush(10))
            self.killed(trainer, daemon, "kill -9, small buffer", lost=True)

    def test_daemon_back_from_an_older_state_file(self):
        daemon = client_support.Daemon()
        daemon.options += ["--state", daemon.dir + "/state"]
        with daemon:
            trainer = Trainer().attach(daemon, buffer_bytes=64 << 20)

            def save():
                trainer.scope.flush(10)
                trainer.scope.save()
                trainer.scope.flush(10)
            trainer.run(at={80: save, 120: daemon.kill, 130: daemon.start})
            ear = client_support.Listener(daemon)
            self.check(trainer, "restored")
            record = self.check_healed(trainer, ear)
            self.assertLess(record["lost_steps"], 130)
            trainer.scope.close()
            ear.close()

    def test_garbage_at_the_endpoint(self):
        import threading
        import zmq
        daemon = client_support.Daemon()
        context, stop = zmq.Context(), threading.Event()
        router = context.socket(zmq.ROUTER)
        router.bind(daemon.ingest)

        def babble():
            while not stop.is_set():
                if router.poll(20):
                    who = router.recv_multipart()[0]
                    for n in (0, 1, 64, 65, 3000):
                        router.send_multipart([who, bytes(n), b"\xff" * n])
        thread = threading.Thread(target=babble)
        thread.start()
        trainer = Trainer().attach(daemon, buffer_bytes=8 << 20).run()
        self.check(trainer, "garbage")
        self.assertGreater(trainer.scope.stats()["errors"], 0)
        trainer.scope.close(0.1)
        stop.set()
        thread.join()
        router.close(0)
        context.term()
        daemon.stop()

    def test_records_received_and_lost_add_up(self):
        with client_support.Daemon() as daemon:
            ear = client_support.Listener(daemon)
            trainer = Trainer().attach(daemon, buffer_bytes=64 << 20).run()
            self.assertTrue(trainer.scope.flush(10))
            trainer.scope.close()
            ear.pump(0.3)
            sent = sum(ear.next[k] - ear.first[k] for k in ear.next)
            self.assertEqual(ear.received + ear.lost, sent)
            self.assertGreater(ear.received, 20)
            ear.close()


class PlainTrainer:
    """Heavy ball in EMA form without torch: rows in C memory, which the client reads in place for healing."""
    ROWS, DIM, STEPS = 200, 3, 3000

    def __init__(self):
        self.theta = (_lib.C.c_double * (self.ROWS * self.DIM))()
        self.m = (_lib.C.c_double * (self.ROWS * self.DIM))()
        self.longest = 0.0

    def run(self, client=None, at=None):
        draw, eps, eta = random.Random(5), 0.1, 0.2
        address = lambda x: _lib.C.cast(x, _lib.C.c_void_p).value
        if client:
            table = client.attach("plain", self.ROWS, self.DIM, 16, _lib.STATE_F64, _lib.FORM_EMA,
                                  theta=address(self.theta),
                                  m=address(self.m), fresh=True, reference="zero")
            zero = (_lib.C.c_double * (self.ROWS * self.DIM))()
            client.reference(table, 0, self.ROWS, address(zero), _lib.F64)
        for i in range(self.STEPS):
            if at and i in at:
                at[i]()
            rows = sorted({int(self.ROWS * draw.random() ** 3) for _ in range(8)})
            grads = [draw.gauss(0, 1) + self.theta[r * self.DIM + j] for r in rows for j in range(self.DIM)]
            g = [0.0] * (self.ROWS * self.DIM)
            for k, r in enumerate(rows):
                g[r * self.DIM:(r + 1) * self.DIM] = grads[k * self.DIM:(k + 1) * self.DIM]
            for k in range(self.ROWS * self.DIM):
                self.m[k] = (1 - eps) * self.m[k] + eps * g[k]
                self.theta[k] -= eta * self.m[k]
            if client:
                raw_rows, raw_grads = struct.pack(f"<{len(rows)}q", *rows), struct.pack(f"<{len(grads)}d", *grads)
                start = time.perf_counter()
                client.push(table, _lib.Step(eta, eps, 0, 0, 0, 8), address(_lib.C.c_char_p(raw_rows)),
                            address(_lib.C.c_char_p(raw_grads)), _lib.F64, len(rows))
                self.longest = max(self.longest, time.perf_counter() - start)
        return bytes(self.theta) + bytes(self.m)


class PlainIsolation(unittest.TestCase):
    def test_stopped_killed_and_restarted(self):
        alone = PlainTrainer().run()
        with client_support.Daemon() as daemon:
            client = momentscope.Client(daemon.ingest, buffer_bytes=100_000, sync_bytes=2000)
            trainer = PlainTrainer()

            def connected():
                end = time.monotonic() + 10
                while not client.stats()["connected"] and time.monotonic() < end:
                    client.poll(0.01)
            watched = trainer.run(client, {200: connected, 500: lambda: daemon.signal(signal.SIGSTOP),
                                           1500: daemon.kill, 1600: daemon.start, 1700: connected, 1702: daemon.kill,
                                           1800: daemon.start, 1900: connected})
            self.assertEqual(alone, watched, "the trainer's rows differ from the run alone")
            self.assertLess(trainer.longest, LONGEST)
            ear = client_support.Listener(daemon)
            self.assertTrue(client.flush(20), client.stats())
            record = ear.table("plain", PlainTrainer.STEPS)
            stats = client.stats()
            print(f"\nnote plain trainer: longest push {1e3 * trainer.longest:.2f} ms of {PlainTrainer.STEPS}, "
                  f"dropped {stats['steps_dropped']}, {stats['syncs']} SYNCs", flush=True)
            self.assertGreater(stats["steps_dropped"], 0)
            self.assertLess(abs(record["V"] / sum(x * x for x in trainer.m) - 1), 1e-9)
            self.assertLess(abs(record["R"] / sum(x * x for x in trainer.theta) - 1), 1e-9)
            client.close()
            ear.close()


class HealingTime(unittest.TestCase):
    """Unless the trainer says how many bytes of healing go with a push, rows that are slow to read come in small pieces:
    a piece of 1 MiB would take 80 ms here, one of 64 KiB 5 ms."""
    ROWS, DIM, LEAST, MOST = 65536, 16, 65536, 1 << 20

    def pieces(self, ns_a_row, **options):
        """Rows of each read with a push, until all were sent."""
        n_read, zeros = [], bytes(self.ROWS * self.DIM * 4)

        def read(_first, n, theta, m):
            n_read.append(n)
            _lib.C.memmove(theta, zeros, n * self.DIM * 4)
            _lib.C.memmove(m, zeros, n * self.DIM * 4)
            end = time.perf_counter() + 1e-9 * n * ns_a_row
            while time.perf_counter() < end:
                pass

        with client_support.Daemon() as daemon, \
                contextlib.closing(momentscope.Client(daemon.ingest, **options)) as client:
            table = client.attach("slow", self.ROWS, self.DIM, 1, form=_lib.FORM_EMA, read=read)
            row, grad = (_lib.C.c_int64 * 1)(3), (_lib.C.c_float * self.DIM)()
            end = time.monotonic() + 60
            while sum(n_read) < self.ROWS and time.monotonic() < end:
                client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 8), _lib.C.addressof(row), _lib.C.addressof(grad),
                            _lib.F32, 1)
                time.sleep(0.0005)
            self.assertTrue(client.flush(20), client.stats())
        self.assertGreaterEqual(sum(n_read), self.ROWS)      # more where a step was dropped: then all are sent again
        return [2 * self.DIM * 4 * n for n in n_read]

    def test_slow_rows_come_in_small_pieces(self):
        self.assertLessEqual(max(self.pieces(10000)), self.LEAST)

    def test_fast_rows_come_in_larger_ones(self):
        pieces = self.pieces(0)
        self.assertEqual(pieces[0], self.LEAST)      # nothing is known yet
        self.assertGreater(max(pieces), self.LEAST)
        self.assertLessEqual(max(pieces), self.MOST)

    def test_the_trainer_may_decide(self):
        self.assertEqual(self.pieces(1000, sync_bytes=self.MOST)[0], self.MOST)

    def test_pieces_fit_a_small_buffer(self):
        for options in ({}, {"sync_bytes": 1 << 20}):
            with self.subTest(options=options):
                self.assertLess(max(self.pieces(0, buffer_bytes=4096, **options)), 2048)


if __name__ == "__main__":
    unittest.main()
