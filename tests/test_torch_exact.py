"""The core in float64 against torch.optim.SGD in float64: every option, constant and moving lr and momentum.

The core is called directly through ctypes; torch runs dense, so silent rows decay and move as its documentation says.
"""
import unittest

import numpy as np

import core_support

import torch

ROWS, DIM, STEPS = 24, 3, 3000


def schedule_constant(k):
    return 0.05, 0.9


def schedule_moving(k):
    warm = min(1.0, (k + 1) / 300)
    return 0.1 * warm * 0.5 * (1 + np.cos(np.pi * k / STEPS)), 0.95 - 0.25 * (k // 700 % 2)


def schedule_momentum_off(k):
    """momentum 0 for a while, at the start too: torch then leaves its buffer alone, and makes it undamped later."""
    return 0.03, 0.0 if k < 40 or 1000 <= k < 1100 or k % 97 == 0 else 0.9


class TorchExact(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lib = core_support.load()

    def run_case(self, schedule, **options):
        rng = np.random.default_rng(5)
        start, star = rng.normal(size=(ROWS, DIM)), rng.normal(size=(ROWS, DIM))
        activity = 0.9 * (1.0 + np.arange(ROWS)) ** -1.5
        param = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
        opt = torch.optim.SGD([param], lr=0.1, **dict({"momentum": 0.9}, **options))
        core = core_support.Core(self.lib, start, options.get("nesterov", False))
        for k in range(STEPS):
            lr, mu = schedule(k)
            rows = np.flatnonzero(rng.random(ROWS) < activity)
            noise = 0.1 * rng.normal(size=(len(rows), DIM))
            g = np.zeros((ROWS, DIM))
            g[rows] = param.detach().numpy()[rows] - star[rows] + noise
            opt.param_groups[0].update(lr=lr, momentum=mu)
            param.grad = torch.tensor(g)
            opt.step()
            core.step(rows, g[rows], eta=lr, eps=1.0 - mu, dampening=options.get("dampening", 0.0),
                      weight_decay=options.get("weight_decay", 0.0), decoupled_decay=0.0)
        core.settle()
        theta = param.detach().numpy()
        buf = opt.state[param]["momentum_buffer"].numpy()
        err_theta = np.linalg.norm(core.theta - theta) / np.linalg.norm(theta)
        err_m = np.linalg.norm(core.m - buf) / np.linalg.norm(buf)
        print(f"note torch.optim.SGD {options} {schedule.__name__}: theta {err_theta:.1e} buffer {err_m:.1e}")
        self.assertLessEqual(err_theta, 1e-12)
        self.assertLessEqual(err_m, 1e-12)

    def test_plain(self):
        self.run_case(schedule_constant)
        self.run_case(schedule_moving)
        self.run_case(schedule_momentum_off)

    def test_nesterov(self):
        self.run_case(schedule_constant, nesterov=True)
        self.run_case(schedule_moving, nesterov=True)

    def test_dampening(self):
        self.run_case(schedule_constant, dampening=0.4)
        self.run_case(schedule_moving, dampening=0.4)
        self.run_case(schedule_momentum_off, dampening=0.4)

    def test_coupled_decay(self):
        self.run_case(schedule_constant, weight_decay=0.01)
        self.run_case(schedule_moving, weight_decay=0.01)
        self.run_case(schedule_momentum_off, weight_decay=0.01)
        self.run_case(schedule_moving, weight_decay=0.01, dampening=0.2)
        self.run_case(schedule_moving, weight_decay=0.01, nesterov=True)


if __name__ == "__main__":
    unittest.main()
