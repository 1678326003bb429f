"""momentscope advise: JSON lines in, from a real daemon, and wrong usage."""
import json
import math
import os
import struct
import subprocess
import time
import unittest

import client_support
from momentscope import Client, _lib

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
PROGRAM = os.path.join(os.path.abspath(os.path.join(ROOT, os.environ.get("BUILD", "build"))), "momentscope")


def advise(*options, text="", **more):
    return subprocess.run([PROGRAM, "advise", *options], input=text, capture_output=True, text=True, timeout=60, **more)


def bands(batch=16384, eta=40.0, eps=0.1, table="words", error=None, **change):
    """Zipf rows of width 64 by octaves of rank, least squares: what watch --once --json would print of them."""
    lines = [json.dumps({"topic": f"table/{table}", "table": table, "step": 10, "bands": list(range(3, 15))})]
    for k in range(12):
        rows = 1 << k
        p = sum(1 / (8.895 * r) for r in range(rows, 2 * rows)) / rows
        P = -math.expm1(batch * math.log1p(-p))
        band = {"topic": f"band/{table}/{k + 3}", "table": table, "band": k + 3, "rows": rows, "p": p, "P": P, "d": 64,
                "updates": int(1e6 * rows * P), "batch": batch, "eta": eta, "eps": eps, "H1": p / P,
                "H2": p * ((66 - p) / batch + p) / P, "h_source": "probe", "h_samples": 64, "R": None, "g2": None, "U": None}
        if error:                                     # |G|^2 of an error of that square a row, and no label noise
            U = error / batch ** 2
            band.update(U_run=U, U_run_se=0.1 * U, U_run_updates=1000, g2_run=(66 - p) / batch * error / batch)
        band.update(change)
        lines.append(json.dumps(band))
    return "\n".join(lines) + "\n"


class Advise(unittest.TestCase):
    def test_the_first_stage(self):
        r = advise("--jsonl", "--json", text=bands(eta=10.0, error=0.5))
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        a = json.loads(r.stdout)
        self.assertTrue(a["possible"])
        self.assertNotEqual(a["advised"], "stay")
        self.assertEqual(a["error"], "agreement")
        stage = a["stage"]
        self.assertGreater(a["gain"], 1.2)
        self.assertLess(stage["left_then"], 0.97 * stage["left_now"])
        self.assertLess(stage["worst"], 0.97)
        self.assertGreater(stage["look_again"], 10)
        self.assertEqual([b["band"] for b in stage["bands"]], list(range(3, 15)))
        self.assertTrue(all(4.999 <= b["eta"] <= 20.001 and 0.0499 <= b["eps"] <= 0.2001 for b in stage["bands"]), stage)
        self.assertTrue(0 <= a["cost"] <= a["cost_now"] <= 1)
        self.assertEqual([b["band"] for b in a["bounds"]["bands"]], list(range(3, 15)))
        for share in ("updates", "rows"):
            self.assertAlmostEqual(sum(o[share] for o in a["occupancy"].values()), 1, 4)

    def test_without_evidence_it_stays(self):
        a = json.loads(advise("--jsonl", "--json", text=bands(eta=10.0)).stdout)
        self.assertEqual((a["advised"], a["error"], a["gain"]), ("stay", "assumed", 1))
        self.assertIn("nothing tells how far rows are from their optimum", a["why"])

    def test_a_stability_record_bounds_it(self):
        def told(H):
            record = {"topic": "stability/words", "table": "words", "H": H, "H_se": 0.05 * H, "noise_part": 0.5, "eta": 10.0,
                      "eps": 0.1, "h_source": "probe"}
            text = bands(eta=10.0, error=0.5, curvature_share=1 / 12, noise_share=1 / 12).replace('"bands"', '"stability": "words", "bands"')
            return json.loads(advise("--jsonl", "--json", text=text + json.dumps(record) + "\n").stdout)
        free, near, over = told(0.1), told(0.45), told(1.4)
        self.assertAlmostEqual(free["stage"]["H_now"], 0.1)
        self.assertLessEqual(free["stage"]["H_then"], 0.5)
        self.assertTrue(near["advised"] == "stay" or near["stage"]["H_then"] <= 0.5)
        self.assertTrue(over["stage"]["rescue"])
        self.assertLessEqual(over["stage"]["H_then"], 0.7001)
        self.assertTrue(all(b["eta"] < 10 for b in over["stage"]["bands"]))

    def test_words_and_explanation(self):
        r = advise("--jsonl", "--explain", text=bands(eta=10.0, error=0.5))
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        for part in ("table words", "C* = ", "advice, first stage: go to", "look again after", "critical batch",
                     "one eta, one beta", "two-thirds rule", "critical damping", "for reference, no advice", "samples"):
            self.assertIn(part, r.stdout)
        self.assertNotIn("delta", r.stdout)

    def test_the_best_setting_is_left_alone(self):
        first = json.loads(advise("--jsonl", "--json", "--target", "0.01", text=bands(64, 0.1)).stdout)
        single = next(p for p in first["plans"] if p["plan"] == "one eta, one beta")["bands"][0]
        r = advise("--jsonl", "--target", "0.01", text=bands(64, single["eta"], single["eps"], error=0.5))
        self.assertEqual(r.returncode, 0)
        self.assertIn("advice: stay; ", r.stdout)

    def test_no_probe_says_so(self):
        r = advise("--jsonl", text=bands(H1=None, H2=None, h_source="none: no probe was sent"))
        self.assertEqual((r.returncode, r.stderr), (1, ""))
        self.assertIn("no advice: curvature is known for 0 % of the updates only: no probe was sent", r.stdout)
        r = advise("--jsonl", "--json", text=bands(H2=None, h_source="fisher"))
        self.assertEqual(r.returncode, 1)
        self.assertFalse(json.loads(r.stdout)["possible"])

    def test_any_text_is_quoted(self):
        r = advise("--jsonl", "--json", text=bands(table='a"b\\c', H1=None, h_source='none: a "probe"\n'))
        self.assertEqual(json.loads(r.stdout)["table"], 'a"b\\c')
        self.assertIn('"probe"', json.loads(r.stdout)["why"])

    def test_records_out_of_range(self):
        for change in ({"p": 2.0}, {"eps": 3.0}, {"eta": -1.0}, {"P": 0}, {"rows": 0}, {"H2": -1},
                       {"H1": 1e-300}, {"eta": 1e308}, {"H2": 1e308, "H1": 1e154}, {"eps": 1e-12}, {"R": 0}, {"R": 1e308},
                       {"U": 1e300, "U_se": 1e-300}, {"g2": 1e300, "U": 1.0, "U_se": 0.1}):
            r = advise("--jsonl", "--explain", text=bands(**change))
            self.assertIn(r.returncode, (0, 1), (change, r.stderr))
            self.assertEqual(r.stderr, "", change)
            self.assertNotRegex(r.stdout, r"\bnan\b", change)

    def test_two_tables_and_a_choice(self):
        text = bands() + bands(64, 0.1, table="other")
        r = advise("--jsonl", text=text)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("table words", r.stdout)
        self.assertIn("table other", r.stdout)
        self.assertNotIn("table words", advise("--jsonl", "--table", "other", text=text).stdout)

    def test_spread_and_rows(self):
        for options in (("--spread", "23"), ("--by-rows",)):
            r = advise("--jsonl", *options, text=bands(256, 2.0))
            self.assertEqual((r.returncode, r.stderr), (0, ""), options)

    def test_nonsense_is_refused(self):
        for text in ("no json\n", "[1]\n", "{}\n", '{"topic":"band/x"}\n', "", '{"topic":"band/x/99","table":"x","band":99}\n'):
            r = advise("--jsonl", text=text)
            self.assertEqual((r.returncode, r.stdout), (1, ""), text)
            self.assertIn("momentscope advise:", r.stderr)
        wild = advise("--jsonl", text=bands(H1=1e300, H2=1e308))
        self.assertIn(wild.returncode, (0, 1))
        for options in (("--target", "2"), ("--spread", "0"), ("--nothing",), ("extra",), ("--wait", "x")):
            r = advise(*options)
            self.assertEqual(r.returncode, 2, options)
            self.assertTrue(r.stderr)
        for option, value, range_ in (("--target", "2", "1e-09 to 0.999"), ("--spread", "nan", "1 to 1000000"), ("--wait", "-1", "0 to 1000000")):
            self.assertIn(f"{option} is '{value}', expected a number from {range_}\n", advise(option, value).stderr)
        twice = advise("--shard", "ipc:///tmp/a", "--shard", "ipc:///tmp/a")
        self.assertEqual((twice.returncode, "given twice" in twice.stderr, "range" in twice.stderr), (2, True, False))
        both = advise("--jsonl", "--telemetry", "ipc:///tmp/a", text=bands())
        self.assertEqual((both.returncode, both.stdout, "--jsonl asks no daemon" in both.stderr), (2, "", True))

    def test_help(self):
        r = advise("--help")
        self.assertEqual(r.returncode, 0)
        self.assertIn("example:", r.stdout)
        self.assertIn("exit codes:", r.stdout)

    def test_no_daemon(self):
        r = advise("--wait", "0.3", "--telemetry", "ipc:///tmp/momentscope-nobody.ipc", "--replay", "")
        self.assertEqual(r.returncode, 1)
        self.assertIn("is momentscoped running", r.stderr)


def pack(kind, values):
    raw = struct.pack(f"<{len(values)}{kind}", *values)
    return raw, _lib.C.cast(_lib.C.c_char_p(raw), _lib.C.c_void_p).value


class FromDaemon(unittest.TestCase):
    """Two rows with a known curvature, probed; the trainer's curvature H m = 0.05 m."""
    ROWS, DIM = 2, 2

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()
        cls.client = Client(cls.daemon.ingest, name="test_advise")
        cls.table = cls.client.attach("words", cls.ROWS, cls.DIM, 64, form=_lib.FORM_EMA, fresh=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    def push(self, steps, probe):
        momentum = {}
        for i in range(steps):
            rows = [0] if i % 4 else [0, 1]
            raw, at = pack("q", rows)
            raw_g, at_g = pack("f", [0.5] * (self.DIM * len(rows)))
            for r in range(self.ROWS):
                momentum[r] = 0.9 * momentum.get(r, 0.0) + (0.05 if r in rows else 0)
            if probe and i % 8 == 4:
                raw_h, at_h = pack("f", [0.01 * 0.05 * momentum[r] for r in rows for _ in range(self.DIM)])
                self.client.probe(self.table, 0.01, at, at_h, _lib.F32, len(rows))
            self.client.push(self.table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at, at_g, _lib.F32, len(rows))
        self.assertTrue(self.client.flush(10), self.client.stats())

    def ask(self, command, *options):
        return subprocess.run([PROGRAM, command, "--telemetry", self.daemon.telemetry, "--replay", self.daemon.replay, *options],
                              capture_output=True, text=True, timeout=60)

    def test_no_probe_then_a_probe(self):
        self.push(32, False)
        r = self.ask("advise")
        self.assertEqual((r.returncode, r.stderr), (1, ""))
        self.assertIn("no advice: curvature is known for 0 % of the updates only", r.stdout)
        self.assertIn("no advice: curvature is known", self.ask("watch", "--once").stdout)
        self.push(512, True)
        for _ in range(50):
            r = self.ask("advise", "--explain")
            if r.returncode == 0:
                break
            time.sleep(0.1)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stdout)
        self.assertIn("one beta for all bands costs C* = ", r.stdout)
        self.assertRegex(r.stdout, r"speed at this eta.*\.\n  This is (a|no) conflict: .* than with the best single setting")
        once = self.ask("watch", "--once")
        self.assertEqual(once.returncode, 0)
        self.assertIn("one beta for all bands costs C* = ", once.stdout)


if __name__ == "__main__":
    unittest.main()
