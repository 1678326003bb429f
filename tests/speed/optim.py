#!/usr/bin/python3
"""optim.py - a step of momentscope.optim.SGD against PyTorch's optimizers: JSON rows (see tests/speed/run)

D = 64 float32, 4096 active rows a step, sparse gradients, one thread, lr 0.05, momentum 0.9. Peers, steps and checks are
those of optimizer.py, which measures the core without Python. Times are processor time of this thread; who is first
changes from turn to turn.

    step                optimizer.step() alone: our rows were brought to now when they were looked up
    look-up and step    F.embedding of the rows as well, for both: what silent rows cost is in it
    counting            optimizer.telemetry(): statistics of every row in float32 lanes
    gather and scatter  index_select and index_copy_ of the rows of theta and of the buffer, as much memory as both move
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure
import optimizer
from optimizer import ACTIVE, DIM, LR, MOMENTUM, Adam, Dense, Sparse, Steps, Truth, sparse_gradient, timed

import numpy as np
import torch
import torch.nn.functional as F
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "host", "python"))
from momentscope import optim


class Ours:
    name = "momentscope.optim.SGD"

    def __init__(self, theta, counting=False):
        self.p, self.truth = torch.nn.Parameter(torch.tensor(theta)), Truth(theta)
        self.optimizer = optim.SGD([self.p], lr=LR, momentum=MOMENTUM)
        if counting:
            self.counting = self.optimizer.telemetry(batch=ACTIVE)

    def step(self, rows, grads):
        sparse_gradient(self.p, rows, grads)
        ms = timed(self.optimizer.step)
        self.truth.step(rows, grads)
        return ms

    def right(self):
        return self.truth.agrees(self.p.detach().numpy(), self.name)


class Move:
    """Memory alone."""
    name = "gather and scatter"

    def __init__(self, theta):
        self.p, self.m = torch.tensor(theta), torch.zeros(theta.shape)

    def step(self, rows, grads):
        index = torch.from_numpy(rows.astype(np.int64))

        def work():
            for x in (self.p, self.m):
                x.index_copy_(0, index, x.index_select(0, index))
        return timed(work)

    def right(self):
        return True


def look_up(who, index):
    if isinstance(who, Move):
        return 0.0
    with torch.no_grad():
        return timed(lambda: F.embedding(index, who.p))


def turns(ours, peer, steps, repeats):
    """ms of [look-up, step] of ours and of the peer in each turn."""
    out = []
    for i in range(repeats + 2):
        rows, grads = steps.next()
        index, pair = torch.from_numpy(rows.astype(np.int64)), [None, None]
        for who in ((0, 1), (1, 0))[i % 2]:
            x = (ours, peer)[who]
            pair[who] = [look_up(x, index), x.step(rows, grads)]
        out.append(pair)
    return np.array(out[2:])                 # the first ones fault memory in


def compare(ours, peer, steps, repeats, row, target):
    x = turns(ours, peer, steps, repeats)
    right = ours.right() & peer.right()
    for what, ms, goal in (("step", x[:, :, 1], target), ("look-up and step", x.sum(2), None)):
        measure.versus("optim", f"{row}: {what}", "ms", ms[:, 0], ms[:, 1], peer.name, ms[:, 1] / ms[:, 0], goal, "higher", right)


def warm(n, counting=False):
    theta = np.random.default_rng(2).normal(size=(n, DIM)).astype(np.float32)
    steps, ours = Steps(n), Ours(theta, counting)
    for _ in range(2 * n // ACTIVE):         # rows that have a past
        ours.step(*one_look(ours, steps))
    return theta, steps, ours


def one_look(ours, steps):
    rows, grads = steps.next()
    look_up(ours, torch.from_numpy(rows.astype(np.int64)))
    return rows, grads


def compare_counting():
    theta, steps, ours = warm(1_000_000, counting=True)
    compare(ours, Dense(theta), steps, 15, "1 M rows, counting, against dense SGD", 60.0)
    compare(ours, Sparse(theta, steps), steps, 9, f"1 M rows, counting, against sparse SGD after {optimizer.BEFORE} steps",
            100.0)
    compare(ours, Adam(theta), steps, 25, "1 M rows, counting, against SparseAdam", 6.0)


def main():
    torch.set_num_threads(1)
    theta, steps, ours = warm(1_000_000)
    compare(ours, Dense(theta), steps, 15, "1 M rows, against dense SGD", 60.0)
    compare(ours, Sparse(theta, steps), steps, 9, f"1 M rows, against sparse SGD after {optimizer.BEFORE} steps", 100.0)
    compare(ours, Adam(theta), steps, 25, "1 M rows, against SparseAdam", 6.0)
    x = turns(ours, Move(theta), steps, 25)
    whole = x[:, 0].sum(1)
    measure.versus("optim", "1 M rows, against memory alone: look-up and step", "ms", whole, x[:, 1, 1], Move.name,
                   whole / x[:, 1, 1], 1.5, "lower", ours.right())
    compare_counting()
    _, few_steps, few = warm(200_000)
    pairs = []
    for _ in range(25):
        pairs.append([ours.step(*one_look(ours, steps)), few.step(*one_look(few, few_steps))])
    pairs = np.array(pairs)
    measure.versus("optim", "a step at 1 M rows, against one at 200 k", "ms", pairs[:, 0], pairs[:, 1], "200 k rows",
                   pairs[:, 0] / pairs[:, 1], 1.3, "lower", ours.right() and few.right())


if __name__ == "__main__":
    main()
