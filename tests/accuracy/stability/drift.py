#!/usr/bin/env python3
"""Does H of stability/<table> follow a run that changes? Live training, through the Python client and a daemon.

usage: drift.py [--held-out] [--runs N] [--every STEPS]

Equal gated rows of isotropic features, whose H is known exactly at every step. Four changes: curvature times 8 at once,
curvature times 30 over 6,000 steps, the batch from 512 to 64 and back, and a topic switch (half of the rows, eight
times as steep, take the place of the others). Each run says how often H was within 25 % of the truth, from 300 steps or
20 retention times after the change on, whichever is longer. Exit code 1: a bar was missed.
"""
import argparse
import sys

import numpy as np
import torch

from product import Daemon, Listener, momentscope

ROWS, DIM, EPS, STEPS, PUBLISH = 20, 8, 0.1, 8000, 20
BAR, NEAR = 0.95, 0.25


class Run:
    """scale(step): curvature; batch(step): samples; rows(step): (first, number) of the rows in use."""

    def __init__(self, scale=lambda t: 1.0, batch=lambda t: 64, rows=lambda t: (0, ROWS), changes=()):
        self.scale, self.batch, self.rows, self.changes = scale, batch, rows, changes

    def true(self, t, eta):
        p, h, B = 1 / self.rows(t)[1], self.scale(t), self.batch(t)
        noise, sharpness = h * (DIM + 2 - p) / B, p * h
        return eta * noise / 2 + eta * EPS * sharpness / (2 * (2 - EPS))

    def judged(self, t):
        """Is t far enough from every change?"""
        retention = max(1, (self.rows(t)[1] / self.batch(t) + EPS) / EPS)    # of a row, in steps
        return t > 400 and all(not c <= t < c + max(300, 20 * retention) for c in self.changes)


RUNS = {
    "curvature x 8 at once": Run(scale=lambda t: 1.0 if t < 2000 else 8.0, changes=(2000,)),
    "curvature x 30 over 6,000 steps": Run(scale=lambda t: 30 ** (min(max(t - 1000, 0), 6000) / 6000)),
    "batch 512 to 64 and back": Run(batch=lambda t: 64 if 2000 <= t < 5000 else 512, changes=(2000, 5000)),
    "topic switch": Run(scale=lambda t: 1.0 if t < 3000 else 8.0, changes=(3000,),
                        rows=lambda t: (0, ROWS // 2) if t < 3000 else (ROWS // 2, ROWS // 2)),
}


class Net(torch.nn.Module):
    def __init__(self, star):
        super().__init__()
        self.rows = torch.nn.Embedding(ROWS, DIM, sparse=True, dtype=torch.float64)
        self.star = star

    def forward(self, i, x):
        return 0.5 * ((self.rows(i) - self.star[i]) * x).sum(1).square().mean()


def follow(run, seed, every):
    """[within NEAR?] of the records that count, and the worst ratio H/true."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    net, eta = Net(draw(ROWS, DIM)), 0.2 / max(run.true(t, 1.0) for t in range(0, STEPS, 100))
    optimizer = torch.optim.SGD(net.parameters(), lr=eta * EPS, momentum=1 - EPS)
    with Daemon("--interval", "0", "--interval-steps", str(PUBLISH)) as daemon:
        ear = Listener(daemon, "stability/")
        closure = lambda half=None: net(*(each if half is None else each[half::2] for each in batch))
        with momentscope.attach(net, optimizer, daemon.ingest, probe_every=every, closure=closure, block_ms=5000,
                                reference=None) as scope:
            hits, worst = [], 1.0
            for t in range(STEPS):
                first, number = run.rows(t)
                i = first + torch.randint(number, (run.batch(t),), generator=generator)
                batch = i, run.scale(t) ** 0.5 * draw(run.batch(t), DIM)
                optimizer.zero_grad()
                net(*batch).backward()
                optimizer.step()
                scope.step(batch=run.batch(t))
                if (t + 1) % PUBLISH == 0 and run.judged(t):
                    scope.flush(5)
                    topic = "stability/rows.weight"
                    if not ear.until(lambda r: topic in r and r[topic]["step"] == t + 1, 5):
                        raise RuntimeError("no record")
                    ratio = (ear.latest[topic]["H"] or np.nan) / run.true(t, eta)
                    hits.append(abs(ratio - 1) <= NEAR)
                    worst = max((worst, ratio), key=lambda x: abs(np.log(x)) if x == x else 0)
        ear.close()
    return hits, worst


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--held-out", action="store_true")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--every", type=int, default=5)
    o = options.parse_args()
    torch.set_num_threads(1)
    missed = 0
    print(f"{o.runs} runs each, a probe every {o.every} steps: share of records within {NEAR:.0%}, worst H/true")
    for name, run in RUNS.items():
        got = [follow(run, (201 if o.held_out else 1) + k, o.every) for k in range(o.runs)]
        hits = np.concatenate([h for h, _ in got])
        print(f"{name:34s} {hits.mean():.3f} of {hits.size}   {max((w for _, w in got), key=lambda x: abs(np.log(x))):.2f}",
              flush=True)
        missed |= hits.mean() < BAR
    sys.exit(missed)


if __name__ == "__main__":
    main()
