#!/usr/bin/env python3
"""momentscope.optim.SGD beyond torch's: decoupled decay, threads, and what it tells of momentum."""
import copy
import math
import os
import pickle
import unittest

import client_support
from optim_support import BATCH, ROWS, Model, apart, batches, torch

import momentscope
from momentscope import optim


def dense_twin(model):
    twin = copy.deepcopy(model)
    twin.words.sparse = False
    return twin


def decayed_step(optimizer, lr, decay):
    """Decoupled decay beside torch.optim.SGD."""
    with torch.no_grad():
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1.0 - lr * decay)
    optimizer.step()


def large(threads, steps=40, dtype=None, **options):
    """A table that two threads share: rows enough for several chunks of an apply."""
    torch.manual_seed(3)
    p = torch.nn.Parameter(torch.randn(20000, 16, dtype=dtype))
    optimizer = optim.SGD([p], lr=0.05, momentum=0.9, threads=threads, **options)
    random = torch.Generator().manual_seed(4)
    for _ in range(steps):
        rows = torch.randint(0, 20000, (3000,), generator=random)
        values = torch.randn(3000, 16, generator=random).to(p.dtype)
        torch.nn.functional.embedding(rows, p)
        p.grad = torch.sparse_coo_tensor(rows[None], values, p.shape)
        optimizer.step()
    return p, optimizer


class Decoupled(unittest.TestCase):
    def compare(self, kind, steps=400, **options):
        model = Model(kind, torch.float64)
        twin, decay = dense_twin(model), 0.05
        ours = optim.SGD(model.parameters(), lr=0.1, weight_decay=decay, decoupled_weight_decay=True, **options)
        truth = torch.optim.SGD(twin.parameters(), lr=0.1, **options)
        for k, (index, target) in enumerate(batches(steps, torch.float64)):
            lr = 0.1 * (1 + math.cos(math.pi * k / steps)) / 2
            for m, o in ((model, ours), (twin, truth)):
                o.zero_grad()
                ((m(index) - target) ** 2).mean().backward()
                o.param_groups[0]["lr"] = lr
            ours.step()
            decayed_step(truth, lr, decay)
        self.assertTrue(ours._tables, "the table never ran on the core")
        for mine, own in zip(model.parameters(), twin.parameters()):
            self.assertLess(apart(mine.detach(), own.detach()), 1e-12, kind)

    def test_silent_rows_decay_lazily_and_exactly(self):
        self.compare("sparse", momentum=0.9)
        self.compare("dense", momentum=0.9, nesterov=True)
        self.compare("bag", momentum=0.0)
        self.compare("sparse", momentum=0.9, dampening=0.3)

    def test_torchs_state_has_no_such_key(self):
        model = Model("sparse", torch.float32)
        ours = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, decoupled_weight_decay=True)
        ours.load_state_dict(torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5).state_dict())
        self.assertEqual((ours.param_groups[0]["lr"], ours.param_groups[0]["decoupled_weight_decay"]), (0.3, True))
        torch.optim.SGD(model.parameters(), lr=0.1).load_state_dict(ours.state_dict())

    def test_copies_keep_what_torch_does_not_know(self):
        optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(4, 2))], lr=0.1, decoupled_weight_decay=True, threads=2)
        for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
            self.assertEqual((twin._pool.threads, twin.param_groups[0]["decoupled_weight_decay"]), (2, True))

    def test_arguments_are_checked(self):
        p = [torch.nn.Parameter(torch.zeros(4, 2))]
        for options, error in (({"threads": 0}, ValueError), ({"threads": 65}, ValueError),
                               ({"threads": 1.5}, ValueError), ({"decoupled_weight_decay": 0.1}, TypeError)):
            with self.assertRaises(error, msg=options) as refusal:
                optim.SGD(p, lr=0.1, **options)
            self.assertIn(next(iter(options)), str(refusal.exception))


class Threads(unittest.TestCase):
    def test_no_bit_depends_on_threads(self):
        for dtype in (torch.float32, torch.float64):
            one, _ = large(1, dtype=dtype, weight_decay=0.01)
            two, optimizer = large(2, dtype=dtype, weight_decay=0.01)
            self.assertIsNotNone(optimizer._pool.workers, "no thread was ever started")
            self.assertTrue(torch.equal(one.detach(), two.detach()))

    @unittest.skipIf("MOMENTSCOPE_SANITIZED" in os.environ, "a fork of a program with threads")
    def test_a_forked_child_goes_on_alone(self):
        p, optimizer = large(2)
        rows = torch.arange(3000)
        torch.nn.functional.embedding(rows, p)
        child = os.fork()
        if child == 0:
            ok = False
            try:
                p.grad = torch.sparse_coo_tensor(rows[None], torch.ones(3000, 16), p.shape)
                optimizer.step()
                ok = bool(torch.isfinite(p.detach()).all())
            finally:
                os._exit(0 if ok else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        optimizer.step()


class Telemetry(unittest.TestCase):
    def train(self, optimizer, model, steps):
        for index, target in batches(steps, model.head.weight.dtype, seed=5):
            optimizer.zero_grad()
            ((model(index) - target) ** 2).mean().backward()
            optimizer.step()

    def both(self, daemon, steps=300, **options):
        """The same training counted in process, and by a daemon: ({(table, band): record}, the same of the daemon)"""
        settings = dict({"lr": 0.05, "momentum": 0.9}, **options)
        own = Model("sparse", torch.float32)
        counted = optim.SGD(own.parameters(), **settings)
        counting = counted.telemetry(own, publish=False, batch=BATCH // 2)
        self.train(counted, own, steps)

        model = Model("sparse", torch.float32)
        optimizer = optim.SGD(model.parameters(), **settings)
        scope = optimizer.telemetry(model, endpoint=daemon.ingest, batch=BATCH // 2)
        listener = client_support.Listener(daemon, "")
        try:
            self.train(optimizer, model, steps)
            self.assertTrue(scope.flush(20), scope.stats())
            there = listener.table("words.weight", steps)
            listener.until(lambda r: all(f"band/words.weight/{int(b)}" in r and
                                         r[f"band/words.weight/{int(b)}"]["step"] == steps for b in there["bands"]))
            records = {t: r for t, r in listener.latest.items() if t.startswith("band/words.weight/")}
        finally:
            scope.close()
            listener.close()
        return counting, there, {int(t.rsplit("/", 1)[1]): r for t, r in records.items() if r["step"] == steps}

    def test_in_process_it_says_what_the_daemon_says(self):
        with client_support.Daemon() as daemon:
            counting, table, there = self.both(daemon, weight_decay=0.001)
        own = {r["band"]: r for r in counting.bands("words.weight", fresh=True)}
        mine = next(t for t in counting.tables() if t["table"] == "words.weight")
        self.assertGreater(len(own), 3)
        self.assertEqual((mine["step"], mine["silent"], mine["rows"]), (table["step"], table["silent"], ROWS))
        # The daemon visits all rows now and then: a row that fell silent may be in a rarer band there, at lower rates.
        same = [b for b in own if b in there and all(own[b][f] == there[b][f] for f in ("rows", "updates"))]
        self.assertGreaterEqual(len(same), len(own) // 2, [(sorted(own), sorted(there))])
        for band, field, off in ((b, f, off) for b in same for f, off in (
                ("p", 0.1), ("P", 0.1), ("burst", 0.1), ("V", 0.02), ("fade", 0.05), ("fade2", 0.05),
                ("retention", 0.05), ("eta", 1e-9), ("eps", 1e-9), ("batch", 0))):
            mine, its = own[band][field], there[band][field]
            self.assertLessEqual(abs(mine - its), off * abs(its), f"band {band}: {field}: {mine} {its}")
        for field in ("rows", "updates"):
            self.assertEqual(sum(r[field] for r in own.values()), sum(r[field] for r in there.values()), field)
        gaps = [sum(r["gaps"] for r in bands.values()) for bands in (own, there)]     # each in the band of its time, which may be empty now
        self.assertAlmostEqual(gaps[0], gaps[1], delta=0.01 * gaps[1])

    def test_counting_begins_and_ends_in_the_middle_of_a_run(self):
        model = Model("sparse", torch.float64)
        twin = dense_twin(model)
        ours, truth = (make(m.parameters(), lr=0.05, momentum=0.9)
                       for make, m in ((optim.SGD, model), (torch.optim.SGD, twin)))
        self.train(ours, model, 50)
        counting = ours.telemetry()
        self.train(ours, model, 50)
        self.assertEqual([t["step"] for t in counting.tables()], [50])
        metrics = counting.metrics("m/")
        self.assertTrue(any(k.startswith("m/0/band") and k.endswith("/retention") for k in metrics), metrics)
        counting.close()
        self.train(ours, model, 50)
        self.assertIsNone(ours._counting)
        for _ in range(3):
            self.train(truth, twin, 50)
        self.assertLess(apart(model.words.weight.detach(), twin.words.weight.detach()), 1e-12)

    def test_counting_changes_no_trajectory(self):
        plain, _ = large(1)
        torch.manual_seed(3)
        p = torch.nn.Parameter(torch.randn(20000, 16))
        optimizer = optim.SGD([p], lr=0.05, momentum=0.9)
        optimizer.telemetry()
        random = torch.Generator().manual_seed(4)
        for _ in range(40):
            rows = torch.randint(0, 20000, (3000,), generator=random)
            values = torch.randn(3000, 16, generator=random)
            torch.nn.functional.embedding(rows, p)
            p.grad = torch.sparse_coo_tensor(rows[None], values, p.shape)
            optimizer.step()
        self.assertTrue(torch.equal(plain.detach(), p.detach()))

    def test_sums_hold_when_torch_makes_a_step(self):
        """A step that the core refuses is torch's, in the memory that the core has summed."""
        model = Model("sparse", torch.float64)
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        counting = optimizer.telemetry(batch=BATCH)
        self.train(optimizer, model, 30)
        index = torch.arange(ROWS).reshape(-1, 2)            # most of the rows at once
        optimizer.zero_grad()
        model.words.sparse = False
        model(index).mean().backward()
        optimizer.step()
        model.words.sparse = True
        self.train(optimizer, model, 5)
        eps = 1 - 0.9
        V = next(t for t in counting.tables() if t["table"] == "0")["V"]
        m = optimizer.state[model.words.weight]["momentum_buffer"].detach()
        self.assertAlmostEqual(V / float((eps * m).pow(2).sum()), 1.0, 9)

    def test_publishing_needs_names(self):
        optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(4, 2))], lr=0.1, momentum=0.9)
        with self.assertRaises(TypeError):
            optimizer.telemetry(publish=True)
        with self.assertRaises(ValueError):
            optimizer.telemetry(batch=0)
        self.assertTrue(momentscope.optim is optim)


if __name__ == "__main__":
    unittest.main()
