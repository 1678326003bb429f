"""What the tests of momentscoped share: daemons, trainers and subscribers that are cleaned up, error codes, a batch."""
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw

EINVAL, ENOMEM, ESTATE, EINDEX, ENONFINITE, EPROTO, EVERSION, EBUSY, EGAP = -1, -2, -3, -4, -5, -6, -7, -8, -9
# theta, m are float64 on both sides and differ by rounding of a few hundred steps; sums of squares double it.
RELATIVE = 1e-9


def zipf_batch(rng, rows, dim, n):
    r = np.minimum((rng.pareto(0.7, n)).astype(int), rows - 1)
    return r, np.round(rng.standard_normal((n, dim)), 2)


class Case(unittest.TestCase):
    def daemon(self, *flags, **more):
        d = raw.Daemon("--interval", "0", *flags, **more)
        self.addCleanup(d.close)
        return d

    def trainer(self, daemon, session=1):
        t = raw.Trainer(daemon, session)
        self.addCleanup(t.close)
        return t

    def subscriber(self, daemon, prefix=""):
        s = raw.Subscriber(daemon, prefix)
        self.addCleanup(s.close)
        return s

    def refused(self, trainer, code, field, done=True):
        got = trainer.error(done)
        self.assertEqual((got["code"], got["field"]), (code, field), got)
        return got

    def near(self, got, want, what, scale=None):
        if want is None or got is None:
            self.assertEqual(got, want, what)
            return
        self.assertLessEqual(abs(got - want), RELATIVE * (scale or abs(want)) + 1e-300, f"{what}: {got} {want}")
