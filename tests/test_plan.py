#!/usr/bin/env python3
"""scope.apply: exactly the rates of the plan reach the rows, bad plans are refused in words and change nothing, undo
takes all back; and the C helper behind it."""
import ctypes
import json
import unittest

import client_support
import torch
import momentscope
from momentscope import _lib, plan

ROWS, DIM, SIZE, LR, BETA = 64, 4, 16, 0.2, 0.9


def setUpModule():
    torch.set_num_threads(1)


class Net(torch.nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.words = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.out = torch.nn.Linear(DIM, 3)

    def forward(self, x):
        return self.out(self.words(x))


def advice(etas, table="words.weight", eta=LR / (1 - BETA), eps=1 - BETA, eps_then=None, **change):
    """As `momentscope advise --json` prints it: etas = {band: eta}."""
    bands = [{"band": b, "eta": x, "eps": eps_then or eps} for b, x in etas.items()]
    return {"table": table, "possible": True, "eta": eta, "eps": eps, "why": "", "advised": "eta alone",
            "gain": 1.5, "stage": {"rescue": False, "look_again": 200, "left_now": .9, "bands": bands}, **change}


class Loop:
    """Row r occurs in every 2^(r mod 8)-th batch, once, of `SIZE` samples; the others are row 0."""

    def __init__(self, sparse=True, **options):
        torch.manual_seed(1)
        self.model = Net(sparse)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=BETA)
        self.scope = momentscope.attach(self.model, self.optimizer, "ipc:///tmp/momentscope-nobody", **options)
        self.steps = 0

    def batch(self):
        rows = [r for r in range(1, 9) if self.steps % 2 ** r == 0]
        return torch.tensor(rows + [0] * (SIZE - len(rows)))

    def step(self):
        x = self.batch()
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(x), x % 3).backward()
        self.optimizer.step()
        self.scope.step()
        self.steps += 1
        return x

    def gradients(self):
        """Of the same batch, of words.weight, dense."""
        x = self.batch()
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(x), x % 3).backward()
        grad = self.model.words.weight.grad
        return (grad.to_dense() if grad.is_sparse else grad).clone()


class Apply(unittest.TestCase):
    def loop(self, *args, **options):
        loop = Loop(*args, **options)
        self.addCleanup(loop.scope.close, 0)
        return loop

    def test_one_rate_for_all_is_the_lr_of_the_group(self):
        loop = self.loop()
        done = loop.scope.apply(advice({3: 4.0, 5: 4.0}, eps_then=0.05), others=True)
        group = loop.optimizer.param_groups[0]
        self.assertAlmostEqual(group["lr"], 4.0 * 0.05, 12)
        self.assertAlmostEqual(group["momentum"], 0.95, 12)
        self.assertIn("eta 2 to 4", str(done))
        done.undo()
        self.assertEqual((group["lr"], group["momentum"]), (LR, BETA))

    def test_what_the_plan_does_not_name_keeps_its_rate(self):
        for sparse in (True, False):
            loop = self.loop(sparse)
            plain, out = loop.gradients(), loop.model.out.weight.grad.clone()
            loop.scope.apply(advice({3: 1.0, 5: 1.0}))
            self.assertEqual(loop.optimizer.param_groups[0]["lr"], LR)
            self.assertTrue(torch.allclose(loop.gradients(), 0.5 * plain, rtol=1e-6))
            self.assertTrue(torch.equal(loop.model.out.weight.grad, out))

    def test_rates_by_band_reach_the_rows_and_build_upon_one_another(self):
        for sparse in (True, False):
            loop = self.loop(sparse, row_rates=True)
            for _ in range(256):
                loop.step()
            seen = loop.scope.tables[0].seen
            self.assertEqual(seen.samples, 256 * SIZE)
            self.assertEqual([int(n) for n in seen.count[1:9]], [256 >> r for r in range(1, 9)])
            plain = loop.gradients()
            etas = {0: 1.0, 5: 1.5, 6: 2.5, 9: 4.0}           # row 1: p 1/32, band 5; row 2: band 6; row 8: band 12
            done = loop.scope.apply(advice(etas))
            want = torch.full((ROWS, 1), 4.0 / 2)
            want[0], want[1], want[2] = 1.0 / 2, 1.5 / 2, 2.5 / 2
            want[3] = 2.5 / 2                                 # band 7, between 6 and 9: the nearest
            self.assertTrue(torch.allclose(loop.gradients(), want * plain, rtol=1e-6))
            self.assertEqual(loop.optimizer.param_groups[0]["lr"], LR)
            again = loop.scope.apply(advice({b: 1.0 for b in range(13)}))
            self.assertTrue(torch.allclose(loop.gradients(), 0.5 * want * plain, rtol=1e-6))
            again.undo()
            self.assertTrue(torch.allclose(loop.gradients(), want * plain, rtol=1e-6))
            done.undo()
            self.assertTrue(torch.equal(loop.gradients(), plain))
            loop.step()
            self.assertEqual(loop.scope.tables[0].is_masked(), False)

    def test_stay_changes_nothing(self):
        loop = self.loop()
        done = loop.scope.apply(json.dumps(advice({3: 9.0}, advised="stay", why="no evidence")) + "\n")
        self.assertEqual(loop.optimizer.param_groups[0]["lr"], LR)
        self.assertEqual(str(done), "words.weight: stay: no evidence")

    def test_bad_plans_are_refused_in_words(self):
        loop = self.loop()
        bad = [
            ("what advise\\(\\) returned", 7), ("what advise\\(\\) returned", []),
            ("not what `momentscope advise", "{"),
            ("no table 'other' is watched", advice({3: 1.0}, table="other")),
            ("twice", [advice({3: 1.0}), advice({3: 1.0})]),
            ("made at another setting", advice({3: 1.0}, eta=1.0)),
            ("made at another setting", advice({3: 1.0}, eps=0.2)),
            ("possible = \"no curvature\"", {"table": "words.weight", "possible": False, "why": "no curvature"}),
            ("eta = -1.0 .above 0", advice({3: -1.0})), ("eta = null", advice({3: 1.0}, eta=None)),
            ("eta = NaN", advice({3: float("nan")})), ("eta = Infinity", advice({3: float("inf")})),
            ("band = 32", advice({32: 1.0})), ("band = 3 .whole numbers, ascending", advice({5: 1.0, 3: 1.0})),
            ("bands = .* .one object", advice({})), ("stage|look_again = missing", advice({3: 1.0}, stage={})),
            ("a rate for each band, and nobody counted", advice({3: 1.0, 4: 2.0})),
        ]
        each = advice({3: 1.0, 4: 1.0})
        each["stage"]["bands"][1]["eps"] = 0.2
        bad.append(("a beta for each band cannot", each))
        for words, given in bad:
            with self.assertRaisesRegex((ValueError, TypeError), words, msg=str(given)):
                loop.scope.apply(given)
            self.assertEqual(loop.optimizer.param_groups[0]["lr"], LR, given)
            self.assertIsNone(loop.scope.tables[0].rates, given)


class Helper(unittest.TestCase):
    """mscope_row_plan_read on text that no program of ours would write."""

    def read(self, text, table=b"a"):
        return plan.lib().mscope_row_plan_read(text, table, ctypes.byref(plan.Rates()))

    def test_order_spaces_and_other_tables(self):
        good = json.dumps(advice({3: 1.0}, table="a", note="a \"quoted\" }{ \\ one"), indent=2).encode()
        other = json.dumps(advice({3: -1.0}, table="b")).encode()
        self.assertEqual(self.read(other + b"\n" + good), 0)
        self.assertEqual(self.read(good, None), 0)
        self.assertEqual(self.read(good + b"\n" + other, None), _lib.EINVAL)         # which of the two?
        turned = json.dumps(dict(reversed(advice({3: 1.0}, table="a").items()))).encode()
        self.assertEqual(self.read(turned), 0)

    def test_every_cut_of_a_plan_is_refused(self):
        good = json.dumps(advice({3: 1.0, 4: 1.0}, table="a", why="x\\y")).encode()
        self.assertEqual(self.read(good), 0)
        for n in range(len(good)):
            self.assertEqual(self.read(good[:n]), _lib.EINVAL, good[:n])

    def test_depth_and_rubbish(self):
        for text in (b"[" * 50, b"{" + b'"a":[' * 50, b'{"table":"a"}', b'{"table":"a","possible":true,"stage":[]}',
                     b'{"table" "a"}', b'{"table":"a",}', b"{]", b'{"table":"a\\'):
            self.assertEqual(self.read(text), _lib.EINVAL, text)


class Asked(unittest.TestCase):
    """From a running daemon: ask, apply, go on."""

    def test_the_daemon_s_own_advice_is_applied(self):
        with client_support.Daemon() as daemon:
            listener = client_support.Listener(daemon, "alert")
            self.addCleanup(listener.close)
            torch.manual_seed(1)
            table, goal = torch.nn.Embedding(400, 4, sparse=True), torch.randn(400, 4)
            optimizer = torch.optim.SGD(table.parameters(), lr=0.05, momentum=0.9)
            now = {}

            def closure(half=None):
                x = now["x"] if half is None else now["x"][half::2]
                return 0.5 * (table(x) - goal[x]).square().sum(1).mean()

            often = 1.0 / torch.arange(1, 401)
            with momentscope.attach(table, optimizer, daemon.ingest, probe_every=5, closure=closure, row_rates=True,
                                    batch=64) as scope:
                for _ in range(400):
                    now["x"] = torch.multinomial(often, 64, True)
                    optimizer.zero_grad()
                    closure().backward()
                    optimizer.step()
                    scope.step()
                scope.flush(10)
                said = scope.advise(10, daemon.telemetry, daemon.replay)
                self.assertEqual([x["table"] for x in said], ["weight"])
                self.assertTrue(said[0]["possible"], said)
                self.assertNotEqual(said[0]["advised"], "stay", said[0]["why"])
                done = scope.apply(said)
                scope.poll(0.1)
                self.assertTrue(listener.until(lambda _: any(a["code"] == "note" and a["text"] == str(done)
                                                             for a in listener.alerts)), listener.alerts)
                bands = {b["band"]: b["eta"] for b in said[0]["stage"]["bands"]}
                t, group = scope.tables[0], optimizer.param_groups[0]
                eta = group["lr"] / (1 - group["momentum"])
                factor = t.rates.factor if t.rates else torch.ones(400, dtype=torch.float64)
                p = t.seen.count.double() / t.seen.samples
                for r in range(0, 400, 7):
                    band = int(-torch.log2(p[r])) if p[r] > 0 else 31
                    near = min(bands, key=lambda b: (abs(b - band), b))
                    self.assertAlmostEqual(eta * float(factor[r]), bands[near], 9, msg=str(done))


if __name__ == "__main__":
    unittest.main()
