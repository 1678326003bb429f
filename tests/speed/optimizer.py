#!/usr/bin/python3
"""optimizer.py - a step of exact sparse momentum against a step of PyTorch's optimizers: JSON rows (see tests/speed/run)

D = 64, 4096 active rows a step, one thread, torch form (lr 0.05, momentum 0.9). Ours: begin, apply, end through ctypes in
float32, statistics in float64 and in float32 lanes, on huge pages as the daemon asks for them. torch: its own memory. Times are processor time
of this thread; ours and each peer in turn; the ratio is how many times faster ours was in the same turn.

    SGD, dense gradients    zero the gradient, put the active rows in, optimizer.step(): what a dense training step needs
                            after backward; optimizer.step() alone is told beside it
    SGD, sparse gradients   step 65: its buffer then holds all rows of 64 steps, as it was put back before each repeat
    SparseAdam              another algorithm, and silent rows stand still; a peer in cost only

Checked: sampled rows of ours, dense SGD and sparse SGD against the dense recursion in float64, to 1e-6 of the norm.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure

try:
    import numpy as np
    import torch
except ImportError as e:
    measure.cannot(f"{e.name} is not installed (python3-torch, python3-numpy)")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import core_support

DIM, ACTIVE, LR, MOMENTUM, BEFORE = 64, 4096, 0.05, 0.9, 64
SAMPLES, TOLERANCE = 2000, 1e-6


class Truth:
    """Some rows of a table in dense float64."""

    def __init__(self, theta):
        self.at = np.sort(np.random.default_rng(3).choice(len(theta), SAMPLES, replace=False))
        self.place = np.full(len(theta), -1)
        self.place[self.at] = np.arange(SAMPLES)
        self.theta, self.m = theta[self.at].astype(np.float64), np.zeros((SAMPLES, DIM))

    def step(self, rows, grads):
        self.m *= MOMENTUM
        at = self.place[rows]
        self.m[at[at >= 0]] += grads[at >= 0]
        self.theta -= LR * self.m

    def agrees(self, theta, what):
        off = np.linalg.norm(theta[self.at] - self.theta) / np.linalg.norm(self.theta)
        if off > TOLERANCE:
            print(f"{what}: off by {off:.2g} of the norm, allowed {TOLERANCE}", file=sys.stderr)
        return off <= TOLERANCE


class Steps:
    """Distinct uniform rows, and one of a few gradient parts."""

    def __init__(self, rows):
        self.rows, self.rng = rows, np.random.default_rng(1)
        self.parts = [self.rng.normal(size=(ACTIVE, DIM)).astype(np.float32) for _ in range(4)]

    def next(self):
        some = np.unique(self.rng.integers(0, self.rows, ACTIVE + ACTIVE // 2))
        return self.rng.permutation(some)[:ACTIVE].astype(np.uint32), self.parts[self.rng.integers(4)]


def timed(work):
    start = time.thread_time_ns()
    work()
    return 1e-6 * (time.thread_time_ns() - start)


class Ours:
    def __init__(self, lib, theta, statistics=0):
        self.core = core_support.Core(lib, theta, capacity=ACTIVE, history=16384, array=core_support.huge, statistics=statistics)
        self.truth, self.name = Truth(theta), lib.mscope_table_kernel(self.core.t).decode()

    def step(self, rows, grads, touch=False):
        def work():
            if touch:
                self.core.touch(rows)
            self.core.step(rows, grads, batch=float(ACTIVE), eta=LR, eps=1.0 - MOMENTUM)
        ms = timed(work)
        self.truth.step(rows, grads)
        return ms

    def right(self):
        self.core.settle()
        return self.truth.agrees(self.core.theta, "ours")


class Dense:
    name = "torch SGD, dense gradients"

    def __init__(self, theta):
        self.p = torch.nn.Parameter(torch.tensor(theta))
        self.p.grad, self.truth = torch.zeros_like(self.p), Truth(theta)
        self.optimizer = torch.optim.SGD([self.p], lr=LR, momentum=MOMENTUM)

    def step(self, rows, grads):
        index, values = torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(grads)
        gradient = timed(lambda: self.p.grad.zero_().index_add_(0, index, values))
        self.alone = timed(self.optimizer.step)
        self.truth.step(rows, grads)
        return gradient + self.alone

    def right(self):
        return self.truth.agrees(self.p.detach().numpy(), self.name)


def sparse_gradient(p, rows, grads):
    p.grad = torch.sparse_coo_tensor(torch.from_numpy(rows.astype(np.int64))[None], torch.from_numpy(grads), p.shape)


class Sparse:
    name = f"torch SGD, sparse gradients, after {BEFORE} steps"

    def __init__(self, theta, steps):
        self.p = torch.nn.Parameter(torch.tensor(theta))
        self.truth = Truth(theta)
        self.optimizer = torch.optim.SGD([self.p], lr=LR, momentum=MOMENTUM)
        for _ in range(BEFORE):
            rows, grads = steps.next()
            sparse_gradient(self.p, rows, grads)
            self.optimizer.step()
            self.truth.step(rows, grads)
        self.checked = self.truth.agrees(self.p.detach().numpy(), self.name)
        self.buffer = self.optimizer.state[self.p]["momentum_buffer"].clone()

    def step(self, rows, grads):
        self.optimizer.state[self.p]["momentum_buffer"] = self.buffer.clone()
        sparse_gradient(self.p, rows, grads)
        return timed(self.optimizer.step)

    def right(self):
        return self.checked


class Adam:
    name = "torch SparseAdam"

    def __init__(self, theta):
        self.p = torch.nn.Parameter(torch.tensor(theta))
        self.optimizer = torch.optim.SparseAdam([self.p], lr=LR)

    def step(self, rows, grads):
        sparse_gradient(self.p, rows, grads)
        return timed(self.optimizer.step)

    def right(self):
        return bool(torch.isfinite(self.p).all())


def compare(ours, peer, steps, repeats, row, target, also=None):
    """One row: ours and a peer on the same steps, who is first in turn."""
    mine, theirs, alone = [], [], []
    for i in range(repeats + 2):
        rows, grads = steps.next()
        pair = [None, None]
        for who in ((0, 1), (1, 0))[i % 2]:
            pair[who] = (ours, peer)[who].step(rows, grads)
        if i >= 2:                           # the first ones fault memory in
            mine.append(pair[0])
            theirs.append(pair[1])
            alone.append(getattr(peer, "alone", 0.0))
    right = ours.right() & peer.right()
    mine = np.array(mine)
    measure.versus("optimizer", row, "ms", mine, theirs, peer.name, theirs / mine, target, "higher", right,
                   kernel=ours.name)
    if also:
        measure.versus("optimizer", also, "ms", mine, alone, "optimizer.step() alone", alone / mine, None, "higher", right)


def main():
    torch.set_num_threads(1)
    lib = core_support.load()
    for n, dense_target in ((100_000, 15.0), (1_000_000, 150.0)):
        theta = np.random.default_rng(2).normal(size=(n, DIM)).astype(np.float32)
        size, repeats = f"{n // 1000} k rows" if n < 1_000_000 else "1 M rows", 25 if n < 1_000_000 else 15
        for statistics, how in ((1, "float32 lanes"), (0, "float64")):
            steps, ours = Steps(n), Ours(lib, theta, statistics)
            for _ in range(2 * n // ACTIVE):     # rows that have a past
                ours.step(*steps.next())
            compare(ours, Dense(theta), steps, repeats, f"{size}, statistics in {how}: dense SGD", dense_target,
                    f"{size}, statistics in {how}: dense SGD" if statistics == 0 else None)
        if n == 1_000_000:
            compare(ours, Sparse(theta, steps), steps, 9, f"{size}, statistics in {how}: sparse SGD", 100.0)
            compare(ours, Adam(theta), steps, 25, f"{size}, statistics in {how}: SparseAdam", 8.0)
            first = [ours.step(*steps.next(), touch=True) for _ in range(51)]
            measure.value("optimizer", f"{size}: ours with a touch of the rows before they are read", "ms", first, None, ours.right())


if __name__ == "__main__":
    main()
