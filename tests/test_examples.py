#!/usr/bin/env python3
"""The examples of host/python/examples, with fewer steps: they run, they learn, and they show bands of their tables."""
import os
import re
import subprocess
import sys
import unittest

import client_support
from client_support import BUILD, ROOT

try:
    import torch
except ImportError:
    torch = None

# name: (steps, tables)
EXAMPLES = {"words": (400, ("center.weight", "context.weight")),
            "recommender": (400, ("users.weight", "items.weight", "tags.weight")),
            "experts": (400, ("key", "value")),
            "factors": (1200, ("left", "right"))}
AT = f"{ROOT}/host/python/examples"


class Examples(unittest.TestCase):
    def run_one(self, name, steps, daemon=None):
        env = {k: v for k, v in os.environ.items() if k not in ("MOMENTSCOPE_STRICT", "MOMENTSCOPE_LIB")}
        where = {w: getattr(daemon, w) if daemon else f"ipc:///tmp/momentscope-test-nobody-{w}"
                 for w in ("ingest", "telemetry", "replay")}
        env.update({f"MOMENTSCOPE_{w.upper()}": at for w, at in where.items()})
        r = subprocess.run([sys.executable, f"{AT}/{name}.py", "--steps", str(steps)], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=300,
                           env=dict(env, PYTHONPATH=f"{ROOT}/host/python", BUILD=BUILD, OMP_NUM_THREADS="1"))
        self.assertEqual(r.returncode, 0, r.stderr)
        return r

    def check(self, name):
        steps, tables = EXAMPLES[name]
        with client_support.Daemon() as daemon:
            r = self.run_one(name, steps, daemon)
        self.assertNotIn("Warning", r.stderr)
        told = [float(x) for x in re.findall(r"^step \d+: loss ([0-9.]+)$", r.stdout, re.M)]
        self.assertLess(told[-1], 0.99 * told[0], "it learnt nothing")
        for table in tables:
            bands = re.findall(rf"^{re.escape(table)} +(\d+) +\S+ +(\d+) +(\d+) +([0-9.]+)$", r.stdout, re.M)
            self.assertGreater(len(bands), 1, f"{table}\n{r.stdout}")
            frequent, rare = float(bands[0][3]), float(bands[-1][3])
            self.assertGreater(frequent, rare, f"{table}: momentum remembers longest where rows are frequent")

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_words(self):
        self.check("words")

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_recommender(self):
        self.check("recommender")

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_experts(self):
        self.check("experts")

    def test_factors(self):
        self.check("factors")

    def test_without_a_daemon_they_train_and_say_so(self):
        said = self.run_one("factors", 100).stdout
        self.assertIn("nothing was heard: start momentscoped", said)

    def test_every_example_is_run_here(self):
        there = {f[:-3] for f in os.listdir(AT) if f.endswith(".py")}
        self.assertEqual(there - {"bands"}, set(EXAMPLES))


if __name__ == "__main__":
    unittest.main()
