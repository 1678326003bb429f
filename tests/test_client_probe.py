"""The probe of C: the numbers of directions.py from other code, and H of gated rows through a daemon."""
import ctypes as C
import math
import os
import subprocess
import tempfile
import unittest
from types import SimpleNamespace

import numpy as np
import torch

from client_support import BUILD, Daemon, Listener
from momentscope import _lib, directions
from probe_support import POWER, Probe

EPS = 0.1


def signs():
    """1 or -1 without end: the top bits of splitmix64 of 1, 2, 3 .. steps."""
    mask, k = (1 << 64) - 1, 0
    while True:
        k += 1
        z = k * 0x9e3779b97f4a7c15 & mask
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & mask
        z = (z ^ z >> 27) * 0x94d049bb133111eb & mask
        yield 1.0 if (z ^ z >> 31) >> 63 else -1.0


class Model:
    """Two tables and a dense readout, softmax of their product; another copy of theta for each side."""
    RATES, DECAYS = (0.5, 0.125, 1.0), (0.0, 0.0, 0.01)

    def __init__(self):
        torch.manual_seed(3)
        self.theta = [torch.randn(n, d, dtype=torch.float64) for n, d in ((30, 4), (12, 4), (4, 6))]
        self.rng = np.random.default_rng(4)

    def batch(self, n):
        rare = (self.rng.random(n) ** 3 * 30).astype(np.int64)          # the first rows are frequent, the last are rare
        return [torch.tensor(x) for x in (rare, self.rng.integers(0, 12, n), self.rng.integers(0, 6, n))]

    def gradients(self, theta, batch):
        leaves = [t.clone().requires_grad_() for t in theta]
        a, b, y = batch
        loss = torch.nn.functional.cross_entropy((leaves[0][a] * leaves[1][b]) @ leaves[2], y)
        return list(torch.autograd.grad(loss, leaves))


def halves(batch):
    return [x[0::2] for x in batch], [x[1::2] for x in batch]


class SameAsPython(unittest.TestCase):
    """40 probes of each side, on one sequence of batches and signs."""

    def python(self, model):
        groups = [{"lr": lr, "weight_decay": decay} for lr, decay in zip(model.RATES, model.DECAYS)]
        tables = [SimpleNamespace(handle=0), SimpleNamespace(handle=1), None]
        blocks = [directions.Block(t, g, table) for t, g, table in zip(model.theta, groups, tables)]
        both, script = directions.Directions(blocks, "all"), signs()
        both._draw = lambda: next(script)
        return both

    def give(self, c, model, parts, where):
        for half, part in enumerate(parts):
            for k, grad in enumerate(model.gradients(where, part)):
                if k == 2:
                    self.assertEqual(c.half(half, k, None, grad.numpy()), 0)
                    continue
                rows = part[k].unique()      # one entry of each row is split in two: entries of one row add up
                again, values = torch.cat([rows, rows[:1]]), grad[torch.cat([rows, rows[:1]])].clone()
                values[0] *= 0.25
                values[-1] *= 0.75
                self.assertEqual(c.half(half, k, again.numpy(), values.numpy()), 0)

    def probe(self, c, model, batch, where):
        """v as moved theta shows it, or None."""
        parts = halves(batch)
        self.assertEqual(c.start(), 0)
        self.give(c, model, parts, where)
        self.assertEqual(c.check(0, None, model.gradients(where, batch)[0].numpy()), 0)
        if c.move() != 0:
            return None
        moved = [(t - w) / math.sqrt(rate / model.RATES[0])
                 for t, w, rate in zip(where, model.theta, model.RATES)]
        self.give(c, model, parts, where)
        c.restore()
        return moved

    def test_products_and_directions(self):
        model = Model()
        python, where = self.python(model), [t.clone() for t in model.theta]
        c = Probe([(t.numpy(), table, rate, 0.0, decay)
                   for t, table, rate, decay in zip(where, (0, 1, -1), model.RATES, model.DECAYS)])
        compared, batches = 0, [model.batch(33) for _ in range(41)]
        for k, batch in enumerate(batches):
            parts = halves(batch)
            here = [model.gradients(model.theta, part) for part in parts]
            direction = python.both[python.count % 2]
            before = [(p.rows, p.values) for p in direction.v] if direction.v is not None else None
            share = 17 / 33
            found = python.probe(here, lambda: [model.gradients(model.theta, part) for part in parts], EPS, share,
                                 4 * share * (1 - share))
            moved = self.probe(c, model, batch, where)
            self.assertEqual(c.send(None, EPS), 1)
            self.assertEqual(moved is None, k == 0)
            for a, b in zip(where, model.theta):
                self.assertTrue(torch.equal(a, b), "theta differs after a probe")
            if moved is None:
                continue
            self.same_v(moved, before, direction)
            self.same_product(c.stats().last, found[0])
            compared += 1
        self.assertEqual(compared, 40)
        self.assertEqual((c.stats().refused, c.stats().left_out), (0, 41))
        c.close()

    def same_v(self, moved, before, direction):
        """To the rounding of theta + delta v: 1e-16 of theta over 1e-5 of it."""
        length = math.sqrt(sum(float((m ** 2).sum()) for m in moved))
        for m, (rows, values) in zip(moved, before):
            dense = torch.zeros_like(m)
            dense[rows] = values
            # the sign of delta has changed since
            self.assertLess(float((m / length + direction.sign * dense).abs().max()), 1e-9)

    def same_product(self, last, values):
        for name in ("curvature", "product", "noise", "outside_curvature", "outside_noise", "top_share"):
            size = max(abs(values[name]), 1e-3 * abs(values["curvature"]))
            self.assertLess(abs(getattr(last, name) - values[name]), 1e-9 * size, name)
        for name in ("along", "spans", "values", "top_table", "top_row"):
            self.assertEqual(getattr(last, name), values[name], name)


class UnequalMomentum(unittest.TestCase):
    """A table with momentum beside parameters without, on a quadratic without noise: the limit is a spectral radius."""
    OWN = np.array([EPS, EPS, EPS, 1.0, 1.0, 1.0])

    def radius(self, H, eta):
        own, one = np.diag(self.OWN), np.eye(6)
        return max(abs(np.linalg.eigvals(np.block([[one - eta * own @ H, -eta * (one - own)], [own @ H, one - own]]))))

    def limit(self, H):
        low, high = 0.0, 1e3
        for _ in range(60):
            eta = (low + high) / 2
            low, high = (eta, high) if self.radius(H, eta) <= 1 + 1e-12 else (low, eta)
        return low

    def test_power_finds_the_limit(self):
        rng = np.random.default_rng(12)
        for _ in range(5):
            H = rng.standard_normal((6, 6))
            H = H @ H.T / 6
            theta, apart = [rng.standard_normal((1, 3)) for _ in range(2)], rng.standard_normal(6)
            c = Probe([(theta[0], 0, 1.0, 0.0, 0.0), (theta[1], -1, 1.0, 1.0, 0.0)])

            def give():
                for half in (0, 1):          # the halves differ by a constant, which is no curvature
                    g = H @ np.concatenate(theta, 1)[0] + (apart if half else -apart)
                    c.half(half, 0, None, g[None, :3])
                    c.half(half, 1, None, g[None, 3:])

            told = []
            for k in range(160):
                c.start()
                give()
                c.check(0, None, (H @ np.concatenate(theta, 1)[0])[None, :3])
                if c.move() == 0:
                    give()
                    c.restore()
                self.assertEqual(c.send(None, EPS), 1)
                last = c.stats().last
                if k > 120 and last.along == POWER:
                    told.append(EPS * last.product / (2 * (2 - EPS)) / last.curvature)
            self.assertEqual(c.stats().refused, 0)
            c.close()
            self.assertAlmostEqual(self.limit(H) * np.mean(told), 1, delta=0.02)


    def test_power_of_python_finds_it_too(self):
        rng = np.random.default_rng(12)
        for _ in range(5):
            H = rng.standard_normal((6, 6))
            H = H @ H.T / 6
            theta, apart = [torch.tensor(rng.standard_normal((1, 3))) for _ in range(2)], rng.standard_normal(6)
            groups = [{"lr": EPS, "momentum": 1 - EPS, "weight_decay": 0.0}, {"lr": 1.0, "momentum": 0.0,
                                                                              "weight_decay": 0.0}]
            both = directions.Directions([directions.Block(theta[0], groups[0], SimpleNamespace(handle=0)),
                                          directions.Block(theta[1], groups[1], None)], "all")

            def halves_of():
                g = H @ torch.cat(theta, 1)[0].numpy()
                return [[torch.tensor((g + sign * apart)[None, part]) for part in (slice(3), slice(3, 6))]
                        for sign in (1, -1)]

            told = []
            for k in range(160):
                found = both.probe(halves_of(), halves_of, EPS, 0.5, 1.0)
                if found and k > 120 and found[0]["along"] == directions.ALONG["power"]:
                    told.append(EPS * found[0]["product"] / (2 * (2 - EPS)) / found[0]["curvature"])
            self.assertAlmostEqual(self.limit(H) * np.mean(told), 1, delta=0.02)


class Gated(unittest.TestCase):
    """Rows that are drawn evenly, each with its own linear regression: an exact limit is known."""
    ROWS, DIM, BATCH, ETA = 20, 8, 32, 1.0

    def exact(self):
        """eta n/2 + eta eps k/(2 (1 + beta)) of an isotropic error: l = k = p, n = p (d + 2 - p)/batch over l."""
        p = 1 / self.ROWS
        return self.ETA * (self.DIM + 2 - p) / self.BATCH / 2 + self.ETA * EPS * p / (2 * (2 - EPS))

    def gradient(self, theta, rows, x, noise):
        return ((x * theta[rows]).sum(1) - noise)[:, None] * x / len(rows)

    def train(self, client, handle, probe, theta, steps, rng):
        m = np.zeros_like(theta)
        for _ in range(steps):
            rows = rng.integers(0, self.ROWS, self.BATCH)
            x = rng.standard_normal((self.BATCH, self.DIM)).astype(np.float32)
            noise = 0.1 * rng.standard_normal(self.BATCH).astype(np.float32)

            def give():
                for half in (0, 1):
                    part = slice(half, None, 2)
                    probe.half(half, 0, rows[part], self.gradient(theta, rows[part], x[part], noise[part]))

            grad = self.gradient(theta, rows, x, noise)
            probe.start()
            give()
            probe.check(0, rows, grad)
            if probe.move() == 0:
                give()
                probe.restore()
            m *= 1 - EPS
            np.add.at(m, rows, EPS * grad)
            theta -= self.ETA * m
            step = _lib.Step(self.ETA, EPS, 0, 0, 0, self.BATCH)
            at, values = rows.astype(np.int64), np.ascontiguousarray(grad, np.float32)
            self.assertEqual(probe.lib.mscope_client_push64(client, handle, C.byref(step), at.ctypes.data,
                                                            values.ctypes.data, _lib.F32, None, self.BATCH), 0)
            probe.send(client, EPS)

    def test_H_is_near_the_exact_limit(self):
        self.assertAlmostEqual(self.exact(), 0.1568, 4)
        lib, client = _lib.lib(), C.c_void_p()
        theta = np.ones((self.ROWS, self.DIM), np.float32)
        with Daemon("--interval-steps", "20") as daemon:
            listener = Listener(daemon)
            options = _lib.Options(endpoint=daemon.ingest.encode(), quiet=1, block_ms=2000)
            self.assertEqual(lib.mscope_client_open(C.byref(client), C.byref(options)), 0)
            info = _lib.AttachInfo(table=b"gated", rows=self.ROWS, dim=self.DIM, capacity=self.BATCH, fresh=1)
            handle = lib.mscope_client_attach(client, C.byref(info))
            probe = Probe([(theta, handle, self.ETA, 0.0, 0.0)])
            self.train(client, handle, probe, theta, 240, np.random.default_rng(11))
            self.assertEqual(lib.mscope_client_flush(client, 5000), 0)
            said = listener.until(lambda latest: latest.get("stability/gated", {}).get("probes", 0) >= 219)
            stats = probe.stats()
            probe.close()
            lib.mscope_client_close(client, 1000)
            listener.close()
        self.assertEqual((stats.sent, stats.refused, stats.left_out), (239, 0, 1))
        self.assertTrue(said, listener.latest.get("stability/gated"))
        record = listener.latest["stability/gated"]
        print(f"\nnote H {record['H']:.4f} +- {record['H_se']:.4f}, exact {self.exact():.4f}")
        self.assertGreater(self.exact() / record["H"], 0.7)
        self.assertLess(self.exact() / record["H"], 1.15)


class Demo(unittest.TestCase):
    """The demo's trainer on a text of 60,000 words, of which 5,000 are distinct."""

    def run_of(self, daemon, text, every):
        return subprocess.run([f"{BUILD}/demo_trainer", "--quiet", "--steps", "250", "--batch", "17", "--probe-every",
                               str(every), "--endpoint", daemon.ingest, text], stdout=subprocess.PIPE, check=True,
                              text=True, timeout=60).stdout.splitlines()

    def test_it_says_how_near_its_rate_is_and_trains_the_same_weights(self):
        words = np.concatenate([np.arange(5000), np.random.default_rng(13).zipf(1.3, 55000) % 5000])
        with tempfile.TemporaryDirectory() as at, Daemon("--interval-steps", "50") as daemon:
            with open(f"{at}/text", "w") as f:
                f.write(" ".join("w" + "".join(chr(97 + int(c)) for c in str(w)) for w in words))
            listener = Listener(daemon)
            probed = self.run_of(daemon, f"{at}/text", 5)
            said = listener.until(lambda latest: latest.get("stability/embedding", {}).get("probes", 0) >= 38)
            record = listener.latest.get("stability/embedding")
            listener.close()
            with Daemon() as other:
                plain = self.run_of(other, f"{at}/text", 0)
        self.assertTrue(said, record)
        self.assertEqual(record["spans"], "all")
        self.assertEqual(record["h_source"], "probe")
        self.assertGreater(record["H"], 0)
        self.assertIn("49 products with directions of", probed[-2])
        self.assertIn("sent, 0 refused, 1 left out", probed[-2])
        self.assertEqual(probed[-1].split(";")[1], plain[-1].split(";")[1], "|m|^2 with probes and without")


if __name__ == "__main__":
    unittest.main()
