"""DIRECTION and the stability record, against means written from their definition and hand-made messages."""
import math
import os
import unittest

import msgpack
import numpy as np

from daemon_support import EINDEX, EINVAL, ENONFINITE, EPROTO, ESTATE, Case, raw

SLOW, SKIP = 16, 4


def expected(products, eta, eps, batch):
    """(H, relative standard error) of a list of (l, c, noise), by weights written out instead of recursions."""
    x = np.array([[l, c, batch * t] for l, c, t in products])
    n = len(x) - SKIP
    weights = np.zeros(n)                    # of x[SKIP:], as they stand at the end
    for k in range(n):
        w = max(1 / (k + 1), 1 / SLOW)
        weights[:k] *= 1 - w
        weights[k] = w
    mean = weights @ x[SKIP:]
    l, c, t = mean
    H = (eta * t / (2 * batch) + eta * eps / (2 * (2 - eps)) * max(c, 0)) / l
    return H, mean


class Directions(Case):
    def start(self, *flags, tables=1):
        d = self.daemon("--interval-steps", "1", *flags)
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        for i in range(tables):
            t.hello("abc"[i], 8, 2, handle=i)
            t.step(1, np.arange(8), np.ones((8, 2)), 0.5, 0.1, 32, handle=i)
        t.acked()
        return d, sub, t

    def record(self, sub, t, step, handle=0, name="a", eta=0.5, eps=0.1, batch=32):
        t.step(step, np.arange(8), np.ones((8, 2)), eta, eps, batch, handle=handle)
        return sub.until(lambda topic, r: topic == f"stability/{name}" and r["step"] == step, f"stability at {step}")

    def test_H_is_that_of_the_means_and_follows_the_schedule(self):
        _, sub, t = self.start()
        rng = np.random.default_rng(5)
        sent = {"power": [], "tangent": []}
        for k in range(30):
            along = ("power", "tangent")[k % 2]
            scale = 1 + 0.1 * rng.standard_normal()
            x = (2 * scale, 5 * scale * scale, (0.25 if along == "power" else 0.5) * scale)
            sent[along].append(x)
            t.direction(1, along=along, curvature=x[0], product=x[1], noise=x[2], values=16)
            t.acked()
            if k in (0, 18):
                r = self.record(sub, t, 2 + k, batch=32)
                self.assertIsNone(r["H"])
                self.assertIn("fewer than 20", r["h_source"])
        r = self.record(sub, t, 40)
        for along in sent:
            self.near(r[f"H_{along}"], expected(sent[along], 0.5, 0.1, 32)[0], along)
        H, mean = expected(sent["tangent"], 0.5, 0.1, 32)
        self.assertEqual((r["along"], r["h_source"], r["probes"], r["spans"]), ("tangent", "probe", 30, "tables"))
        self.near(r["H"], H, "H")
        self.near(r["curvature"], mean[0], "curvature")
        self.near(r["sharpness"], mean[1] / mean[0], "sharpness")
        self.near(r["noise"], mean[2] / 32 / mean[0], "noise")
        self.assertTrue(0 < r["H_se"] < 0.2 * H, r)
        # another schedule: eta, eps and batch enter when H is read
        r = self.record(sub, t, 41, eta=0.25, eps=0.02, batch=8)
        self.near(r["H"], expected(sent["tangent"], 0.25, 0.02, 32)[0] +
                  0.25 * mean[2] / mean[0] / 2 * (1 / 8 - 1 / 32), "H under another schedule")

    def test_shares_of_bands_and_the_row(self):
        _, sub, t = self.start(tables=2)
        for k in range(24):
            t.direction(1, [(0, 1, 3.0, 1.0), (1, 2, 1.0, 2.0)], along=("power", "tangent")[k % 2], curvature=5.0,
                        product=1.0, noise=4.0, outside_curvature=1.0, outside_noise=1.0, top_table=1, top_row=2,
                        top_share=0.5)
        t.acked()
        r = self.record(sub, t, 2)
        self.near(r["outside_curvature"], 0.2, "outside curvature")
        self.near(r["outside_noise"], 0.25, "outside noise")
        self.assertEqual((r["row_table"], r["row"], r["row_share"]), ("b", 2, 0.5))
        self.assertEqual(r["H_se"], 0.0)     # products that do not scatter
        t.step(2, np.arange(8), np.ones((8, 2)), 0.5, 0.1, 32, handle=1)
        sub.table("b", 2)
        latest = {topic: r for topic, _, r, _ in sub.records}
        self.assertEqual((latest["table/a"]["stability"], latest["table/b"]["stability"]), ("a", "a"))
        bands = {n: [r for topic, r in latest.items() if topic.startswith(f"band/{n}/") and r["step"] == 2] for n in "ab"}
        for name, curvature, noise in (("a", 3 / 5, 1 / 4), ("b", 1 / 5, 2 / 4)):
            self.near(sum(r["curvature_share"] for r in bands[name]), curvature, name)
            self.near(sum(r["noise_share"] for r in bands[name]), noise, name)

    def test_a_change_is_followed_up_at_once_and_down_by_forgetting(self):
        for before, after, forgotten, off in ((1, 8, 0, 0.25), (8, 1, 2, 0.05)):
            with self.subTest(before=before, after=after):
                _, sub, t = self.start()
                rng = np.random.default_rng(7)
                for k in range(60):
                    x = (before if k < 48 else after) * (1 + 0.02 * rng.standard_normal())
                    t.direction(1, along=("power", "tangent")[k % 2], curvature=x, product=x * x, noise=x * x)
                    t.acked()
                r = self.record(sub, t, 2)
                self.assertEqual(r["forgotten"], forgotten)
                self.assertAlmostEqual(r["H"] / (0.5 * after / 2 + 0.5 * 0.1 / 3.8 * after), 1, delta=off)

    def test_not_known(self):
        for over, word in (({"curvature": -1.0}, "not positive"), ({}, "half of its value")):
            with self.subTest(word):
                _, sub, t = self.start()
                for k in range(24):
                    spread = {} if over else {"curvature": 20.0 * (-1) ** (k // 2) + 1}
                    t.direction(1, along=("power", "tangent")[k % 2], **over, **spread)
                t.acked()
                r = self.record(sub, t, 2)
                self.assertIsNone(r["H"])
                self.assertIn(word, r["h_source"])

    def test_refusals_change_nothing(self):
        _, sub, t = self.start(tables=2)
        one = [(0, 1, 1.0, 1.0)]
        bad = [(EINVAL, "along", {"along": "left"}, one), (EINVAL, "values", {"values": 0}, one),
               (ENONFINITE, "curvature", {"curvature": math.inf}, one), (EINVAL, "noise", {"noise": -1.0}, one),
               (EINVAL, "top_share", {"top_share": 2.0}, one), (ESTATE, "tables", {}, [(7, 1, 1.0, 1.0)]),
               (EINDEX, "rows", {}, [(0, 8, 1.0, 1.0)]), (ENONFINITE, "values", {}, [(0, 1, math.nan, 1.0)]),
               (ENONFINITE, "values", {}, [(0, 1, 1.0, -1.0)]),
               (ESTATE, "top_table", {"top_table": 9, "top_share": 0.5}, one),
               (EINDEX, "top_row", {"top_row": 8, "top_share": 0.5}, one)]
        for code, field, over, entries in bad:
            t.direction(2, entries, **over)
            self.refused(t, code, field)
        t.send(raw.DIRECTION, step=2)
        self.refused(t, EPROTO, "parts")
        t.send(raw.DIRECTION, msgpack.packb({}), step=2)
        self.refused(t, EPROTO, "along")
        t.send(raw.DIRECTION, b"\xc1", b"", step=2, count=1, index_type=4, value_type=1)
        self.refused(t, EPROTO, "body")
        t.direction(2, one, handle=5)
        self.refused(t, ESTATE, "table (handle)")
        t.step(2, [], np.zeros((0, 2)))
        self.assertEqual(sub.table("a", 2)["refused_messages"], len(bad) + 3)
        self.assertFalse([1 for topic, *_ in sub.records if topic.startswith("stability/")])

    def test_the_state_file_and_a_new_owner(self):
        d = self.daemon("--interval-steps", "1")
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("a", 8, 2)
        t.step(1, np.arange(8), np.ones((8, 2)), 0.5, 0.1, 32)
        rng = np.random.default_rng(3)
        for k in range(30):
            t.direction(1, [(0, 1, 1.0, 0.5)], along=("power", "tangent")[k % 2], curvature=rng.uniform(1, 2),
                        product=rng.uniform(1, 2), noise=rng.uniform(0.5, 1))
        t.acked()
        before = self.record(sub, t, 2)
        d.stop()
        d.start()
        after = self.record(sub, t, 3)
        known = [k for k in before if k not in ("epoch", "step")]
        self.assertEqual({k: before[k] for k in known}, {k: after[k] for k in known})
        t.send(raw.BYE)
        other = self.trainer(d, session=2)
        other.hello("a", 8, 2, step=3)
        other.step(4, np.arange(8), np.ones((8, 2)), 0.5, 0.1, 32)
        sub.table("a", 4)
        self.assertEqual([r["stability"] for topic, _, r, _ in sub.records if topic == "table/a"][-1], "")


if __name__ == "__main__":
    unittest.main()
