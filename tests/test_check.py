"""momentscope check on a real daemon: exit codes, JSON, alerts on change; and verdicts on simulated bands, small."""
import json
import os
import re
import struct
import subprocess
import time
import unittest

import client_support
import msgpack
import zmq
from momentscope import Client, _lib


def pack(kind, values):
    raw = struct.pack(f"<{len(values)}{kind}", *values)
    return raw, _lib.C.cast(_lib.C.c_char_p(raw), _lib.C.c_void_p).value


class Trainer:
    """Eight rows, all active in every step: P = 1, curvature 1 without noise, so H = eta eps/(2 (2 - eps))."""
    ROWS, DIM, EPS = 8, 2, 0.1

    def __init__(self, daemon, table="words"):
        self.client = Client(daemon.ingest, name="test_check")
        self.table = self.client.attach(table, self.ROWS, self.DIM, 64, form=_lib.FORM_EMA, fresh=True)
        self.m = [0.0] * (self.ROWS * self.DIM)

    def steps(self, n, eta, probe=False, gradient=1.0, exact=True):
        rows = list(range(self.ROWS))
        raw_rows, at_rows = pack("q", rows)
        for _ in range(n):
            if probe and self.m[0]:
                raw_hm, at_hm = pack("f", self.m)
                self.client.probe(self.table, 0.01, at_rows, at_hm, _lib.F32, self.ROWS)
            raw_g, at_g = pack("f", [gradient] * len(self.m))
            self.m = [(1 - self.EPS) * m + self.EPS * gradient for m in self.m]
            self.client.push(self.table, _lib.Step(eta, self.EPS, 0, 0, 0, 1), at_rows, at_g, _lib.F32, self.ROWS)
        assert self.client.flush(10 if exact else 0.5) == exact, self.client.stats()


class Check(unittest.TestCase):
    def setUp(self):
        self.daemon = client_support.Daemon().start()
        self.addCleanup(self.daemon.stop)

    def command(self, *options):
        return [os.path.join(client_support.BUILD, "momentscope"), "check", "--telemetry", self.daemon.telemetry,
                "--replay", self.daemon.replay, *options]

    def check(self, *options):
        return subprocess.run(self.command(*options), capture_output=True, text=True, timeout=30)

    def settled(self, *options):
        """The exit code once it no longer speaks of an earlier record."""
        time.sleep(0.2)
        return self.check(*options)

    def test_exit_code_is_the_worst_regime(self):
        t = Trainer(self.daemon)
        self.addCleanup(t.client.close)
        t.steps(20, 1.0)
        r = self.settled()
        self.assertEqual(r.returncode, 6, r)
        self.assertIn("unknown: stability unknown: no probe was sent", r.stdout)
        self.assertIn("worst of 1 bands: unknown (words band 0)", r.stdout)
        self.assertEqual(self.check("--fail-on", "near-instability,unstable").returncode, 0)
        for eta, code, regime in ((1.0, 5, "heavy-ball"), (0.03, 3, "resonant"), (0.001, 4, "sgd-like"),
                                  (35, 7, "near-instability"), (39, 8, "unstable")):
            t.steps(4, eta, probe=True)
            r = self.settled("--fail-on", "resonant,sgd-like,heavy-ball,unknown,near-instability,unstable")
            self.assertEqual((r.returncode, r.stderr), (code, ""), r)
            self.assertIn(f"words band 0: {regime}", r.stdout)
            r = self.check()
            self.assertEqual(r.returncode, code if code > 6 else 0, r)
            self.assertEqual(self.check("--fail-on", "none").returncode, 0)

    def test_gradients_that_are_not_finite_are_no_fine_run(self):
        t = Trainer(self.daemon)
        self.addCleanup(t.client.close)
        t.steps(20, 0.03, probe=True)
        self.assertEqual(self.settled().returncode, 0)
        t.steps(3, 0.03, gradient=float("nan"), exact=False)      # refused by the daemon; the trainer has made the steps
        r = self.settled()
        self.assertEqual(r.returncode, 8, r)
        self.assertIn("worst of 1 bands: unstable (words rows or gradients are not finite)", r.stdout)
        watch = subprocess.run([self.command()[0], "watch", "--once", *self.command()[2:]], capture_output=True, text=True)
        self.assertIn("unstable: rows of table words, or the gradients that came after its step 20, are not finite",
                      watch.stdout)
        self.assertIn("note: not exact", watch.stdout)
        t.steps(1, 0.03, exact=False)                # the three are lost, and nobody sends the rows
        r = self.settled()
        self.assertEqual(r.returncode, 0, r)
        r = subprocess.run([self.command()[0], "watch", "--once", *self.command()[2:]], capture_output=True, text=True)
        self.assertIn("note: 3 steps never arrived", r.stdout)

    def test_json_is_one_object_a_band_and_one_for_all(self):
        t = Trainer(self.daemon)
        self.addCleanup(t.client.close)
        t.steps(20, 35, probe=True)
        r = self.settled("--json", "--table", "words")
        self.assertEqual(r.returncode, 7, r)
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertNotIn("no trainer holds", r.stderr)
        band, bounds, whole = lines
        self.assertEqual((band["table"], band["band"], band["regime"], band["rows"]), ("words", 0, "near-instability", 8))
        self.assertAlmostEqual(band["H"], 35 / 38, places=5)
        self.assertGreater(band["confidence"], 0.9)
        self.assertIsNone(band["acf_omega"])
        times = {k: whole.pop(k) for k in ("late_worst", "pause_worst", "message_worst")}
        self.assertTrue(all(0 <= t < 10 for t in times.values()), times)
        self.assertEqual(whole, {"worst": "near-instability", "table": "words", "band": 0, "overflowed": False, "bands": 1,
                                 "unknown_passed_over": 0, "exit": 7})
        t.client.close()
        self.assertIn("no trainer holds table words now: it is judged as of step 20", self.settled("--json").stderr)

    def test_unknown_bands_count_from_a_twentieth_of_the_updates(self):
        """One row moves at every fourth step, in a band of its own, without a probe, beside rows probed at each step."""
        for often, code, passed in ((5, 0, 1), (4, 6, 0)):       # 4.8 % and 5.9 % of the row updates are unknown
            name = f"beside{often}"
            client = Client(self.daemon.ingest, name="test_check")
            self.addCleanup(client.close)
            table = client.attach(name, 8, 1, 64, form=_lib.FORM_EMA, fresh=True)
            for i in range(128):
                rows = list(range(often if i % 4 else often + 1))
                raw, at = pack("q", rows)
                raw_hm, at_hm = pack("f", [1.0 - 0.9 ** i] * often)
                if i > 0:
                    client.probe(table, 0.01, at, at_hm, _lib.F32, often)
                raw_g, at_g = pack("f", [1.0] * len(rows))
                client.push(table, _lib.Step(1.0, 0.1, 0, 0, 0, 1), at, at_g, _lib.F32, len(rows))
            assert client.flush(10), client.stats()
            r = self.settled("--table", name)
            self.assertEqual(r.returncode, code, r)
            self.assertEqual(len(re.findall(r"band \d+: unknown", r.stdout)), 1, r.stdout)
            self.assertEqual("; 1 unknown with at most 5 % of the updates" in r.stdout, passed == 1, r.stdout)
            self.assertIn(f"worst of 2 bands: {'heavy-ball' if passed else 'unknown'}", r.stdout)
            whole = json.loads(self.check("--table", name, "--json").stdout.splitlines()[-1])
            self.assertEqual((whole["unknown_passed_over"], whole["exit"]), (passed, code))

    def test_wrong_usage_and_silence(self):
        for options, said in ((["--fail-on", "bad"], "'bad' is no regime"), (["--fail-on", ""], "'' is no regime"),
                              (["--wait", "x"], "--wait is 'x', expected a number"), (["--publish", "ipc:///x"], "needs --follow"),
                              (["--follow", "--publish", "tcp://0.0.0.0:5555"], "--publish is 'tcp://0.0.0.0:5555', expected"),
                              (["--follow", "--wait", "10"], "--wait has no effect with --follow"),
                              (["word"], "unexpected argument"), (["--bogus"], "bogus")):
            r = self.check(*options)
            self.assertEqual((r.returncode, r.stdout), (2, ""), options)
            self.assertIn(said, r.stderr)
        r = self.check("--wait", "0.3")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no table", r.stderr)
        r = self.check("--wait", "0.3", "--table", "absent")
        self.assertIn("no table absent", r.stderr)
        self.daemon.kill()
        r = self.check("--wait", "0.3")
        self.assertEqual(r.returncode, 1)
        self.assertIn("is momentscoped running?", r.stderr)

    def test_follow_says_each_change_once_and_publishes_it(self):
        where = f"ipc://{self.daemon.dir}/alerts"
        t = Trainer(self.daemon)
        self.addCleanup(t.client.close)
        context = zmq.Context()
        sub = context.socket(zmq.SUB)
        sub.subscribe(b"alert")
        sub.connect(where)
        p = subprocess.Popen(self.command("--follow", "--json", "--publish", where), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        t.steps(10, 1.0)
        time.sleep(0.2)
        for eta in (1.0, 35, 35.5, 39):
            t.steps(4, eta, probe=True)
            time.sleep(0.3)
        t.client.close()
        self.assertIn("no trainer holds table words now: it is judged as of step 26", p.stderr.readline())
        p.terminate()
        out, said = p.communicate(timeout=10)
        self.assertEqual(said, "")
        self.assertEqual(p.returncode, 8, out)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(x["before"], x["regime"]) for x in lines[:-1]],
                         [("unknown", "heavy-ball"), ("heavy-ball", "near-instability"), ("near-instability", "unstable")])
        self.assertEqual(lines[-1]["exit"], 8)
        got = []
        while sub.poll(500):
            topic, seq, body = sub.recv_multipart()
            record = msgpack.unpackb(body)
            self.assertEqual((topic, struct.unpack(">Q", seq)[0]), (b"alert", len(got)))
            self.assertEqual(set(record), {"epoch", "table", "step", "code", "text"})
            self.assertEqual(record["table"], "words")
            got.append(record["code"])
        sub.close(0)
        context.term()
        self.assertEqual(got, ["heavy-ball", "near-instability", "unstable"])


class Accuracy(unittest.TestCase):
    """The bench in small: a fixed draw of bands that the monitor has to name rightly, through daemon and subscriber."""

    def test_verdicts_on_simulated_bands(self):
        r = subprocess.run([os.path.join(client_support.BUILD, "accuracy", "verdicts"), "--balanced", "--bands", "24"],
                           capture_output=True, text=True, timeout=300)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        right = [float(x) for x in re.findall(r"accuracy ([0-9.]+)", r.stdout)]
        print("\nnote verdicts on 24 simulated bands: right %.3f with 16 samples, %.3f with 64" % tuple(right))
        self.assertIn("unknown 1.000 of them", r.stdout)


if __name__ == "__main__":
    unittest.main()
