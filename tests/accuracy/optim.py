#!/usr/bin/python3
"""optim.py - momentscope.optim.SGD against torch.optim.SGD on dense gradients over 10,000 steps

The 15 cases of tests/optim_support.py: a model in closed loop, schedules of lr and momentum, a checkpoint written and
loaded in the middle. float64: distance of theta and of the buffer, relative to their norm, at most 1e-12. float32: both
against torch in float64; ours may be twice as far as torch's own rounding, or 1e-6. Exit status 1 when one is missed."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import optim_support
from optim_support import torch

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000


def main():
    missed = 0
    print(f"{STEPS} steps             float64: theta   buffer   float32, off the truth: ours   torch")
    for case in optim_support.CASES:
        wide = optim_support.distance(case, STEPS, torch.float64)
        ours, own = optim_support.rounding(case, STEPS)
        good = max(wide) <= 1e-12 and ours <= max(2.0 * own, 1e-6)
        missed += not good
        print(f"{case:36} {wide[0]:8.1e} {wide[1]:8.1e} {ours:29.1e} {own:7.1e}{'' if good else '   MISSED'}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
