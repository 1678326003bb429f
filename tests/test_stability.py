"""H of stability/<table> against exact limits, through the Python client, a daemon and its record."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "accuracy", "stability"))
import numpy as np
import torch
from exact import bag_limit, gated_limit
from problems import Bag, Gated, spectrum
from product import Product

PROBES = 160
LOW, HIGH = 0.7, 1.15                        # of 1/H over the true eta_max


class Stability(unittest.TestCase):
    def judge(self, name, problem, eta, size, eps):
        with self.subTest(name):
            r = Product().observe(problem, eta, eps, size, PROBES, 1)
            self.assertEqual((r["h_source"], r["probes"]), ("probe", PROBES))
            self.assertTrue(LOW <= 1 / r["H"] <= HIGH, f"1/H {1 / r['H']:.2f} of the true limit")
            self.assertTrue(0 < r["H_se"] < 0.3 * r["H"], r)
            return r

    def test_gated_rows(self):
        parts = []
        for name, pB, size, eps in (("equal", 3, 64, 0.1), ("k^-1", 60, 256, 0.02), ("one large", 600, 1024, 0.1)):
            problem = Gated(np.full(8, pB / size), np.tile(spectrum(name, 32), (8, 1)), 1)
            parts.append(self.judge(name, problem, gated_limit(problem, size, eps), size, eps)["noise_part"])
        self.assertGreater(parts[0], 0.9)    # noise decides there, curvature here
        self.assertLess(parts[2], 0.3)

    def test_bag_of_words(self):
        problem = Bag(8, "licences", 1, vocabulary=128)
        for size, eps in ((16, 0.1), (512, 0.02)):
            self.judge(f"batch {size}", problem, bag_limit(problem, size, eps), size, eps)


if __name__ == "__main__":
    unittest.main()
