"""Random vocabularies of least-squares rows, and a monitored run of each: what `walk.py` asks advice about.

A sample shows one row, drawn by a power law of its rank, and x ~ N(0, diag h); its loss is half of (<x, e> - xi)^2.
The optimum is 0, so a row is its error. No reference is given to the monitor.
"""
import json
import math
import os
import subprocess
import sys
import warnings

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from client_support import BUILD, Daemon
import momentscope

WIDTH = 16
PROBES = 60


class Case:
    """Drawn by (set's seed, number): everything that is true of one vocabulary and of the run so far.

    bursty: rows come in bursts of 2 or 10 steps on average, and half of the vocabularies have rows 64 : 1."""

    def __init__(self, seed, number, bursty=False):
        rng = np.random.default_rng([seed, number])
        self.seed, self.number = seed, number
        self.power = rng.uniform(0.7, 1.3)
        self.rows = int(2000 * 10 ** rng.uniform())
        self.batch = int(rng.choice([64, 512, 2048]))
        self.noise = float(rng.choice([0, 0.05]))
        uneven = rng.integers(2) == 1
        k = np.arange(1, WIDTH + 1.0)
        h = (k ** -1.5 if bursty else 1 / k) if uneven else np.ones(WIDTH)
        self.h, self.uneven = h / h.mean(), uneven
        p = np.arange(1, self.rows + 1.0) ** -self.power
        self.p = p / p.sum()
        self.eps = float(rng.choice([0.02, 0.1, 0.3]))
        self.H = float(10 ** rng.uniform(-1.7, -0.2))
        self.eta = self.H * min(self.limit(self.p[0]), self.limit(self.p[-1]))
        self.steps = int(rng.choice([400, 800, 1600]))
        self.burst = float(rng.choice([0.5, 0.9])) if bursty else 0.0

    def limit(self, p):
        """Largest stable eta of one row: sum_j (eta h_j/2B)/(1 - eta/top_j) = 1."""
        top = 1 / ((2 - p) * self.h / (2 * self.batch) + self.eps * p * self.h / (2 * (2 - self.eps)))
        low, high = 0, top.min()
        for _ in range(100):
            eta = (low + high) / 2
            total = (eta * self.h / (2 * self.batch) / (1 - eta / top)).sum()
            low, high = (eta, high) if total < 1 else (low, eta)
        return low

    def __str__(self):
        bursts = f" burst {1 / (1 - self.burst):2.0f}" if self.burst else ""
        return (f"{self.number:3d} power {self.power:.2f} rows {self.rows:5d} batch {self.batch:4d} "
                f"noise {self.noise:.2f} {'uneven' if self.uneven else 'even  '} eps {self.eps:.2f} H {self.H:.2f}{bursts}")


class Model(torch.nn.Module):
    def __init__(self, case, rng):
        super().__init__()
        e = rng.standard_normal((case.rows, WIDTH))
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        self.words = torch.nn.Embedding.from_pretrained(torch.tensor(e), freeze=False, sparse=True)

    def loss(self, batch):
        rows, x, xi = batch
        return 0.5 * (((self.words(rows) * x).sum(1) - xi) ** 2).mean()


def draw(case, cumulative, rng, before):
    """before: rows of the step before, or None. See literal.c for the bursts."""
    rows = np.minimum(np.searchsorted(cumulative, rng.uniform(size=case.batch)), case.rows - 1)
    if case.burst and before is not None:
        again = rng.uniform(size=case.batch) < case.burst
        rows[again] = before[rng.integers(case.batch, size=int(again.sum()))]
    x = rng.standard_normal((case.batch, WIDTH)) * np.sqrt(case.h)
    xi = rng.standard_normal(case.batch) * math.sqrt(case.noise)
    return torch.tensor(rows), torch.tensor(x), torch.tensor(xi)


class Run:
    """A vocabulary in training with PyTorch and a monitor that watches: a context."""

    def __init__(self, case):
        self.case, self.rng, self.now, self.rows = case, np.random.default_rng([case.seed, case.number, 1]), {}, None
        self.cumulative = np.cumsum(case.p)
        self.model = model = Model(case, self.rng)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=case.eta, momentum=1 - case.eps, dampening=1 - case.eps)
        # a dense buffer, because torch would keep a sparse one sorted at every step
        self.optimizer.state[model.words.weight]["momentum_buffer"] = torch.zeros_like(model.words.weight)

    def __enter__(self):
        self.daemon = Daemon("--interval", "0", "--interval-steps", "50").__enter__()
        self.scope = momentscope.attach(self.model, self.optimizer, endpoint=self.daemon.ingest, batch=self.case.batch,
                                        closure=self.closure, probe_every=max(1, self.case.steps // PROBES),
                                        block_ms=10000, row_rates=True)
        return self

    def __exit__(self, *why):
        self.scope.close(5)
        return self.daemon.__exit__(*why)

    def closure(self, half=None):
        b = self.now["batch"]
        return self.model.loss(b if half is None else tuple(part[half::2] for part in b))

    def train(self, steps):
        for _ in range(steps):
            self.now["batch"] = batch = draw(self.case, self.cumulative, self.rng, self.rows)
            self.rows = batch[0].numpy()
            self.optimizer.zero_grad()
            self.model.loss(batch).backward()
            self.optimizer.step()
            self.scope.step()

    def advice(self, explain=False):
        """What advise says as a dict; explain: with its words."""
        ask = [os.path.join(BUILD, "momentscope"), "advise", "--telemetry", self.daemon.telemetry, "--replay", ""]
        if not self.scope._client.flush(20):
            raise RuntimeError(f"the daemon does not keep up: {self.scope.stats()}")
        told = subprocess.run([*ask, "--json"], capture_output=True, text=True, timeout=300)
        advice = json.loads(told.stdout.splitlines()[0]) if told.stdout else {"possible": False, "why": told.stderr}
        advice["said"] = explain and subprocess.run([*ask, "--explain"], capture_output=True, text=True,
                                                    timeout=300).stdout
        return advice

    def state(self):
        weight = self.model.words.weight
        return weight.detach().numpy().copy(), self.optimizer.state[weight]["momentum_buffer"].numpy().copy()

    def excess(self):
        e = self.model.words.weight.detach().numpy()
        return float(0.5 * (self.case.p * (self.case.h * e ** 2).sum(1)).sum())


def monitored(case, explain=False):
    """Train with a monitor. Returns (advice, e, m)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with Run(case) as run:
            run.train(case.steps)
            return run.advice(explain), *run.state()


def band_of(p):
    """Rows with 2^-(b+1) < p <= 2^-b."""
    return np.floor(-np.log2(p)).astype(int)


def settings(case, bands):
    """eta and eps of every row by the settings of bands; a band without one takes that of the nearest."""
    eta, eps = np.full(case.rows, case.eta), np.full(case.rows, case.eps)
    at = {b["band"]: b for b in bands}
    for number in np.unique(band_of(case.p)):
        near = min(at, key=lambda b: abs(b - number))
        eta[band_of(case.p) == number] = at[near]["eta"]
        eps[band_of(case.p) == number] = at[near]["eps"]
    return eta, eps


def literal(case, e, m, eta, eps, steps, seed, marks=400):
    """(steps, excess) of a run from that state, sample by sample."""
    state = b"".join(np.ascontiguousarray(x, dtype=np.float64).tobytes() for x in (case.p, case.h, e, m, eta, eps))
    r = subprocess.run([os.path.join(BUILD, "accuracy", "literal"), str(case.rows), str(WIDTH), str(case.batch),
                        str(case.noise), str(seed), str(steps), str(min(marks, steps)), str(case.burst)], input=state,
                       capture_output=True, check=True)
    out = np.array([line.split() for line in r.stdout.decode().splitlines()], float)
    return out[:, 0], out[:, 1]
