"""H of preconditioned gated least squares against direct maps of its second moments, and against Adam itself.

    python3 tests/accuracy/adaptive.py [--seeds 5] [--first 100]

fixed    momentum under a preconditioner P that stands still. A row is active in a sample with probability p; features
         are N(0, diag h). The truth is the eta at which the exact map of E e_j^2, E e_j m_j, E m_j^2 over all coordinates
         has spectral radius 1. frozen: the same where silent rows stand still, by the map between active steps
moving   Adam with almost no gradient noise: v follows the error down, so P grows until H is about 1, and stays there
"""
import argparse
import math
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "host", "python"), os.path.join(ROOT, "tests")]

import client_support
import numpy as np
import torch
import momentscope

ROWS, DIM, BETA = 4, 12, 0.9


def radius(h, p, batch, eta, frozen):
    """Spectral radius of the map of (E e_j^2, E e_j m_j, E m_j^2), h the curvatures under P; m <- b m + (1-b) g."""
    d, eps = len(h), 1 - BETA
    seen = 1 - (1 - p) ** batch if frozen else 1.0           # frozen: steps are those with the row in them
    one, two = p / batch / seen, p * p * (1 - 1 / batch) / seen
    mean = p / seen * h
    full = np.zeros((3 * d, 3 * d))
    g2 = np.diag(2 * one * h * h + two * h * h) + one * np.outer(h, h)           # E g_j^2 = g2 R
    for j in range(d):
        R, C, V = j, d + j, 2 * d + j
        # m' = b m + eps g, e' = e - eta m'
        v = np.zeros(3 * d)
        v[V] += BETA ** 2
        v[C] += 2 * BETA * eps * mean[j]
        v[:d] += eps ** 2 * g2[j]
        c = np.zeros(3 * d)                                                      # E e m'
        c[C] += BETA
        c[R] += eps * mean[j]
        full[V] = v
        full[C] = c - eta * v
        full[R] = -2 * eta * c + eta ** 2 * v
        full[R, R] += 1
    return max(abs(np.linalg.eigvals(full)))


def limit(h, p, batch, frozen):
    low, high = 1e-9, 1e9
    for _ in range(70):
        mid = math.sqrt(low * high)
        low, high = (mid, high) if radius(h, p, batch, mid, frozen) < 1 else (low, mid)
    return low


class Preconditioned(torch.optim.Optimizer):
    """m <- b m + (1-b) g; theta <- theta - lr m/root of `second`, which stands still."""

    def __init__(self, p, lr, second, frozen):
        super().__init__([p], {"lr": lr})
        self.frozen = frozen
        self.state[p] = {"m": torch.zeros_like(p), "second": second}

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            s = self.state[p]
            rows = p.grad.ne(0).any(1) if self.frozen else slice(None)
            s["m"][rows] = BETA * s["m"][rows] + (1 - BETA) * p.grad[rows]
            p[rows] -= self.param_groups[0]["lr"] * s["m"][rows] / s["second"][rows].sqrt()


def read(state, group):
    return momentscope.Read(state.get("m"), state.get("second"), group["lr"], beta1=BETA)


class Problem:
    """ROWS rows, each in a sample with probability p; the target is 0, and theta starts away from it."""

    def __init__(self, seed, h, p, batch, noise=0.0):
        self.draw = torch.Generator().manual_seed(seed)
        self.words = torch.nn.Embedding(ROWS, DIM)
        self.h, self.p, self.batch, self.noise = torch.as_tensor(h), p, batch, noise
        self.model = torch.nn.ModuleDict({"words": self.words})

    def next(self):
        gate = torch.rand(self.batch, ROWS, generator=self.draw) < self.p
        sample, row = gate.nonzero(as_tuple=True)
        x = torch.randn(len(row), DIM, generator=self.draw) * self.h.sqrt()
        self.here = sample, row, x, self.noise * torch.randn(len(row), generator=self.draw)

    def loss(self, half=None):
        sample, row, x, noise = self.here
        of = slice(None) if half is None else sample % 2 == half
        size = self.batch if half is None else self.batch // 2
        return (((self.words(row[of]) * x[of]).sum(1) - noise[of]) ** 2).sum() / 2 / size

    def run(self, daemon, optimizer, steps, every, name, **options):
        ear = client_support.Listener(daemon, f"stability/{name}.")
        scope = momentscope.attach(self.model, optimizer, endpoint=daemon.ingest, prefix=f"{name}.", probe_every=every,
                                   closure=lambda half=None: self.loss(half), batch=self.batch, **options)
        for _ in range(steps):
            self.next()
            optimizer.zero_grad()
            self.loss().backward()
            optimizer.step()
            scope.step()
        scope.flush(10)
        scope.close()
        topic = f"stability/{name}.words.weight"
        ear.until(lambda r: topic in r and r[topic]["step"] == steps, 5)
        ear.close()
        return ear.latest[topic]


def fixed(daemon, seed, p, batch, frozen, target=0.4, probes=160):
    """(H published)/(true H)"""
    pick = np.random.default_rng(seed)
    h, second = np.exp(pick.normal(0, 1, DIM)), np.exp(pick.normal(0, 2, DIM))
    true = limit(h / np.sqrt(second), p, batch, frozen)
    torch.manual_seed(seed)
    problem = Problem(seed, h, p, batch)
    words = problem.words.weight
    optimizer = Preconditioned(words, target * true, torch.as_tensor(second).repeat(ROWS, 1), frozen)
    every = 3
    found = problem.run(daemon, optimizer, probes * every, every, f"f{seed}.{p}.{batch}.{int(frozen)}", read=read,
                        frozen=frozen)
    return found["H"] / target, found["H_se"] / target


def moving(daemon, seed, lr=0.01, batch=512):
    """H of Adam where nothing but the error makes v."""
    pick = np.random.default_rng(seed)
    problem = Problem(seed, np.exp(pick.normal(0, 1, DIM)), 1.0, batch)
    optimizer = torch.optim.Adam(problem.words.parameters(), lr=lr, betas=(BETA, 0.99))
    return problem.run(daemon, optimizer, 1500, 5, f"m{seed}")["H"]


CASES = ((0.02, 64), (0.2, 64), (0.2, 512), (1.0, 64))


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--seeds", type=int, default=5)
    ask.add_argument("--first", type=int, default=100)
    o = ask.parse_args()
    seeds = range(o.first, o.first + o.seeds)
    with client_support.Daemon() as daemon:
        print("H published over true H, of each seed")
        for frozen in (False, True):
            for p, batch in CASES:
                found = [fixed(daemon, seed, p, batch, frozen)[0] for seed in seeds]
                print(f"  {'frozen' if frozen else 'dense '} p {p:<5} B {batch:<4}", *(f"{x:5.2f}" for x in found),
                      flush=True)
        print("H of Adam without gradient noise:", *(f"{moving(daemon, seed):.2f}" for seed in seeds))


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    main()
