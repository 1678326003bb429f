#!/usr/bin/env python3
"""momentscope.optim.SGD against torch.optim.SGD on dense gradients: the same model, the same batches, closed loop."""
import unittest

import optim_support
from optim_support import torch


class Exact(unittest.TestCase):
    """Each configuration: a schedule, scheduled momentum, a checkpoint loaded in the middle. Over 10,000 steps:
    tests/accuracy/optim.py."""
    STEPS = 800

    def test_float64(self):
        for case in optim_support.CASES:
            with self.subTest(case=case):
                off = optim_support.distance(case, self.STEPS, torch.float64)
                print(f"note {case}: theta {off[0]:.1e} buffer {off[1]:.1e}")
                self.assertLessEqual(max(off), 1e-12)

    def test_float32_to_its_rounding(self):
        for case in ("schedule", "nesterov, dense gradients, decay", "dampening, decay"):
            with self.subTest(case=case):
                ours, own = optim_support.rounding(case, self.STEPS)
                print(f"note {case}: float32 off by {ours:.1e}, torch's own by {own:.1e}")
                self.assertLessEqual(ours, max(2.0 * own, 1e-6))


class HandOver(unittest.TestCase):
    """State goes to torch's optimizer and back, and whoever reads a weight whole sees it as of now."""
    ROWS, DIM = 400, 6

    def model(self, sparse):
        torch.manual_seed(1)
        return torch.nn.Embedding(self.ROWS, self.DIM, sparse=sparse, dtype=torch.float64)

    def train(self, model, optimizer, first, steps):
        for i in range(first, first + steps):
            rows = torch.randint(self.ROWS, (12,), generator=torch.Generator().manual_seed(i))
            optimizer.zero_grad()
            (model(rows) - i % 5).square().sum().backward()
            optimizer.step()

    def test_there_and_back(self):
        import copy
        from momentscope.optim import SGD
        options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3}
        plain = self.model(False)
        torchs = torch.optim.SGD(plain.parameters(), **options)
        self.train(plain, torchs, 0, 90)
        model = self.model(True)
        ours = SGD(model.parameters(), **options)
        self.train(model, ours, 0, 30)
        middle = copy.deepcopy(model)                            # read in the middle: silent rows are as of now
        again = self.model(False)
        again.load_state_dict(middle.state_dict())
        dense = torch.optim.SGD(again.parameters(), **options)
        dense.load_state_dict(ours.state_dict())
        self.train(again, dense, 30, 30)
        back = self.model(True)
        back.load_state_dict(again.state_dict())
        ours = SGD(back.parameters(), **options)
        ours.load_state_dict(dense.state_dict())
        self.train(back, ours, 60, 30)
        self.assertLess(float((back.weight - plain.weight).abs().max() / plain.weight.abs().max()), 1e-12)
        self.train(model, SGD(model.parameters(), lr=0.1), 90, 1)            # the class is torch's own where it can be
        self.assertIs(type(copy.deepcopy(back).weight), torch.nn.Parameter)


if __name__ == "__main__":
    unittest.main()
