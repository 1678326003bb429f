"""Four daemons over the rows of one table against one daemon over all of them, fed the same stream."""
import json
import os
import subprocess
import sys
import time
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
from raw import PROBE, REFERENCE

SHARDS, ROWS, DIM, EVERY = 4, 64, 3, 50
EXACT = ("table", "band", "step", "rows", "updates", "d", "batch", "eta", "eps", "window_updates", "g2_occurrences",
         "U_updates", "exact", "lost_steps", "idle_share", "r_source", "h_source", "regime")
CLOSE = ("p", "P", "R", "V", "C", "g2", "U", "U_se", "gm", "gm_se", "h_samples", "h_weight", "H1", "H1_se", "H2", "H2_se", "retention", "fade", "fade2", "gaps", "burst", "learning", "delta",
         "zeta", "H")
# Sums of the same float64 numbers in another order, and standard errors taken apart and put together again.
RELATIVE = 1e-9


class Stream:
    """Row r is row r // n of shard r % n; n = 1 is the whole table."""

    def __init__(self, daemons, session):
        self.trainers = [raw.Trainer(d, session) for d in daemons]
        self.n, self.k = len(daemons), 0
        rng = np.random.default_rng(3)
        ref = rng.standard_normal((ROWS, DIM))
        for i, t in enumerate(self.trainers):
            mine = ref[i::self.n]
            assert t.hello("words", len(mine), DIM, reference="drawn", acf_rows=4)[0] == raw.WELCOME
            t.rows(REFERENCE, 0, 0, mine, last=True)
            t.ack()

    def step(self, rows, grads, only=None):
        self.k += 1
        for i, t in enumerate(self.trainers):
            mine = rows % self.n == i
            if only in (None, i):
                t.step(self.k, rows[mine] // self.n, grads[mine], 0.05, 0.1, 16)
                t.ack()

    def probe(self, rows, hm):
        for i, t in enumerate(self.trainers):
            mine = rows % self.n == i
            if not mine.any():
                continue
            t.send(PROBE, (rows[mine] // self.n).astype("<u4").tobytes(), hm[mine].astype("<f8").tobytes(), step=self.k + 1,
                   a=1e-3, count=int(mine.sum()), index_type=4, value_type=4)
            t.ack()

    def close(self):
        for t in self.trainers:
            t.close()


def draw(rng):
    n = int(rng.integers(1, 40))
    return np.minimum(rng.pareto(0.5, n).astype(int), ROWS - 1), rng.standard_normal((n, DIM))


class Shards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemons = [raw.Daemon("--interval", "0", "--interval-steps", str(EVERY)) for _ in range(SHARDS + 1)]
        cls.parts, cls.whole = Stream(cls.daemons[:SHARDS], 1), Stream(cls.daemons[SHARDS:], 1)
        rng = np.random.default_rng(11)
        for k in range(1, 8 * EVERY + 1):
            rows, grads = draw(rng)
            if k % 20 == 7:
                hm = rng.standard_normal((ROWS, DIM)) + 2
                for s in (cls.parts, cls.whole):
                    s.probe(np.arange(0, ROWS, 1 + k % 3), hm[::1 + k % 3])
            for s in (cls.parts, cls.whole):
                s.step(rows, grads)

    @classmethod
    def tearDownClass(cls):
        cls.parts.close()
        cls.whole.close()
        for d in cls.daemons:
            d.close()

    def command(self, name, *options, shards=range(SHARDS)):
        flags = [f for i in shards for f in ("--shard", self.daemons[i].endpoint("telemetry"))]
        return [os.path.join(raw.BUILD, "momentscope"), name, *flags, *options]

    def run_(self, *args, **more):
        return subprocess.run(self.command(*args, **more), capture_output=True, text=True, timeout=60)

    def records(self, text):
        return {r["topic"]: r for r in map(json.loads, text.splitlines())}

    def test_four_shards_are_one_table(self):
        got = self.run_("watch", "--once", "--json")
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        d = self.daemons[SHARDS]
        want = subprocess.run([os.path.join(raw.BUILD, "momentscope"), "watch", "--once", "--json", "--telemetry",
                               d.endpoint("telemetry"), "--replay", ""], capture_output=True, text=True, timeout=60)
        got, want = self.records(got.stdout), self.records(want.stdout)
        bands = [t for t in want if t.startswith("band/")]
        self.assertGreaterEqual(len(bands), 5)
        self.assertEqual(sorted(t for t in got if t.startswith("band/")), sorted(bands))
        worst, probed = 0.0, 0
        for topic in bands:
            g, w = got[topic], want[topic]
            # A shard whose rows entered a band, were probed and left it between two records never told of the sample.
            self.assertLessEqual(w["h_weight"] - g["h_weight"], 4, topic)
            untold = abs(w["h_weight"] - g["h_weight"]) > 1e-9 * w["h_weight"]
            # A part that took a change of its few samples for real forgets others than the whole does.
            untold |= g["h_memory"] != w["h_memory"]
            probed += w["h_samples"] > 0 and not untold
            # The same of gaps that ended in a band which a shard's rows have left.
            self.assertLess(w["gaps"] - g["gaps"], 0.01 * w["gaps"] + 2, topic)
            gone = abs(w["gaps"] - g["gaps"]) > 1e-9 * w["gaps"]
            for name in EXACT:
                if not (untold and name == "regime"):
                    self.assertEqual(g[name], w[name], f"{topic} {name}")
            for name in CLOSE:
                if gone and name in ("retention", "fade", "fade2", "gaps", "burst", "delta"):
                    continue
                if untold and name in ("h_samples", "h_weight", "H1", "H1_se", "H2", "H2_se", "learning", "delta", "zeta", "H"):
                    continue
                worst = max(worst, self.close(g[name], w[name], f"{topic} {name}"))
            self.assertGreater(g["r_bound"], 0)
            self.assertLess(g["r_bound"], 1e-9)
        self.assertGreaterEqual(probed, 4)
        g, w = got["table/words"], want["table/words"]
        for name in ("step", "rows", "d", "silent", "bands", "attached", "exact", "lost_steps", "refused_messages", "r_source",
                     "form", "state"):
            self.assertEqual(g[name], w[name], name)
        for name in ("R", "V", "C"):
            worst = max(worst, self.close(g[name], w[name], name))
        self.assertEqual(got["shards/words"]["complete"], True)
        self.assertEqual((got["shards/words"]["shards"], got["shards/words"]["skew"]), (SHARDS, 0))
        print(f"note {len(bands)} bands of 4 shards against one daemon: worst relative difference {worst:.1e}")

    def close(self, got, want, what):
        if want is None or got is None:
            self.assertEqual(got, want, what)
            return 0.0
        apart = abs(got - want) / max(abs(want), 1e-300)
        self.assertLessEqual(apart, RELATIVE, f"{what}: {got} {want}")
        return apart

    def test_check_and_advise_take_shards_too(self):
        whole = self.daemons[SHARDS]
        for name in ("check", "advise"):
            a = self.run_(name, "--json")
            b = subprocess.run([os.path.join(raw.BUILD, "momentscope"), name, "--json", "--replay", "", "--telemetry",
                                whole.endpoint("telemetry")], capture_output=True, text=True, timeout=60)
            self.assertEqual((a.returncode, a.stderr), (b.returncode, b.stderr), name)
            ours = [json.loads(line) for line in a.stdout.splitlines()]
            apart = [x for x in ours if x.get("topic") == "shards/words"]
            self.assertEqual([(x["shards"], x["complete"], x["skew"], x["step"]) for x in apart], [(SHARDS, True, 0, 8 * EVERY)], name)
            for x, y in zip([x for x in ours if x not in apart], map(json.loads, b.stdout.splitlines()), strict=True):
                for key in ("regime", "worst", "band", "bands", "rows", "updates"):
                    self.assertEqual(x.get(key), y.get(key), (name, key))

    def test_a_missing_shard_is_never_a_smaller_table(self):
        lone = raw.Daemon("--interval", "0")
        self.addCleanup(lone.close)
        flags = ["--shard", lone.endpoint("telemetry")]
        r = self.run_("watch", "--once", "--wait", "2", *flags)          # heard, but without the table
        self.assertEqual(r.returncode, 1)
        self.assertIn("1 of 5 shards missing", r.stderr)
        self.assertIn("has no table words", r.stderr)
        for name in ("check", "advise"):
            r = self.run_(name, "--wait", "1.5", "--shard", f"ipc://{lone.dir}/nobody")
            self.assertEqual(r.returncode, 1, name)
            self.assertIn("was not heard", r.stderr)
        r = self.run_("watch", "--json", "--for", "1", "--shard", f"ipc://{lone.dir}/nobody")
        got = self.records(r.stdout)
        self.assertIsNone(got["table/words"]["V"])
        self.assertFalse(got["table/words"]["exact"])
        self.assertIn("shard", got["table/words"]["r_source"])
        r = self.run_("watch", "--for", "1", "--every", "0.5", *flags)
        self.assertIn("INCOMPLETE: 1 of 5 shards missing", r.stdout)

    def test_words_name_the_shards(self):
        empty = [raw.Daemon("--interval", "0") for _ in range(2)]
        for d in empty:
            self.addCleanup(d.close)
        flags = [f for d in empty for f in ("--shard", d.endpoint("telemetry"))]
        r = self.run_("watch", "--once", "--wait", "2", *flags, shards=())
        self.assertEqual(r.returncode, 1)
        self.assertIn("each of the 2 shards has no table", r.stderr)
        r = self.run_("watch", "--once", "--shard", "bogus", shards=())
        self.assertEqual(r.returncode, 2)
        self.assertIn("--shard is 'bogus', expected", r.stderr)

    def test_usage(self):
        there = self.daemons[0].endpoint("telemetry")
        for flags, says in ((["--shard", there], "given twice"), (["--telemetry", there], "goes without")):
            r = self.run_("watch", "--once", *flags)
            self.assertEqual(r.returncode, 2, flags)
            self.assertIn(says, r.stderr)


class Skew(unittest.TestCase):
    def test_steps_apart_are_shown(self):
        daemons = [raw.Daemon("--interval", "0.05") for _ in range(2)]
        for d in daemons:
            self.addCleanup(d.close)
        s = Stream(daemons, 1)
        self.addCleanup(s.close)
        rng = np.random.default_rng(5)
        for _ in range(20):
            s.step(*draw(rng))
        for _ in range(7):
            s.step(*draw(rng), only=0)
        command = [os.path.join(raw.BUILD, "momentscope"), "watch", "--shard", daemons[0].endpoint("telemetry"), "--shard",
                   daemons[1].endpoint("telemetry")]
        r = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=60)
        self.assertIn("shards: 2, the last at step 20, the first 7 steps ahead of it", r.stdout)
        self.assertIn("table words: step 20,", r.stdout)
        for name in ("check", "advise"):
            r = subprocess.run([command[0], name, *command[2:]], capture_output=True, text=True, timeout=60)
            self.assertIn("words shards: 2, the last at step 20, the first 7 steps ahead of it\n", r.stdout, name)
        live = subprocess.Popen([*command, "--for", "11", "--every", "0.5"], stdout=subprocess.PIPE, text=True)
        time.sleep(2)
        daemons[1].kill()
        out = live.communicate(timeout=60)[0]
        self.assertIn("INCOMPLETE: 1 of 2 shards missing: shard 2, ", out)
        self.assertIn("fell silent", out.split("INCOMPLETE")[-1])


if __name__ == "__main__":
    unittest.main()
