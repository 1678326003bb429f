"""The largest stable eta of a network: a population of tangent runs.

x <- x - eta m, m <- beta m + eps H_b x at the frozen theta, every member with batches of its own. Each ten steps the
members are drawn again in proportion to |x|^2 + eta^2 |m|^2: so the population has the law of the mean square, and the
mean of what is drawn from is its growth. Directions of negative mean curvature are projected out: they grow at any eta.
Growth counts from LEVEL eps a step, an e-fold in ten retention times.
"""
import functools

import numpy as np
import torch

LEVEL, EVERY, SAMPLES, TRIES, CLOSE = 0.1, 10, 1024, 8, 1.08


@functools.lru_cache(maxsize=1)
def downhill(network):
    """(largest eigenvalue of the mean curvature, eigenvectors of negative ones)"""
    n = len(network.theta)
    H, at = torch.empty(n, n, dtype=torch.float64), torch.arange(len(network.text) - 8)[None]
    batch = network.draw(at.shape[1], np.random.default_rng(5))
    batch = (at,) + batch[1:]
    for a in range(0, n, 16):
        k = min(16, n - a)
        v = torch.zeros(k, n, dtype=torch.float64)
        v[range(k), range(a, a + k)] = 1
        H[a:a + k] = network.times(network.theta.expand(k, -1).contiguous(),
                                   tuple(x.expand(k, *x.shape[1:]) for x in batch), v)
    e, Q = torch.linalg.eigh((H + H.T) / 2)
    return float(e[-1]), Q[:, e < 0]


class Population:
    def __init__(self, network, batch, eps, seed):
        self.network, self.batch, self.eps = network, batch, eps
        self.largest, self.down = downhill(network)
        self.rng = np.random.default_rng(seed)
        self.members = int(np.clip(SAMPLES // batch, 8, 32))
        self.theta = network.theta.expand(self.members, -1).contiguous()
        self.x = self.up(network.gradient(self.theta, self.draw()) - network.gradient(self.theta, self.draw()))
        self.x = self.x / self.x.norm()
        self.m = torch.zeros_like(self.x)

    def draw(self):
        return self.network.draw(self.batch, self.rng, self.members)

    def up(self, x):
        return x - (x @ self.down) @ self.down.T

    def again(self, eta):
        """Draw the members again; the log of their mean square before."""
        size = (self.x ** 2).sum(1) + eta ** 2 * (self.m ** 2).sum(1)
        at = (np.arange(self.members) + self.rng.random()) / self.members
        keep = np.searchsorted((size.cumsum(0) / size.sum()).numpy(), at).clip(0, self.members - 1)
        scale = 1 / size.sqrt()[:, None]
        self.x, self.m = (self.x * scale)[keep], (self.m * scale)[keep]
        return float(size.mean().log())

    def rate(self, eta, steps):
        """Growth of the mean square a step, over the last two thirds."""
        self.again(eta)
        growth = []
        for k in range(1, steps + 1):
            product = self.up(self.network.times(self.theta, self.draw(), self.x))
            self.m = (1 - self.eps) * self.m + self.eps * product
            self.x = self.x - eta * self.m
            if k % EVERY == 0:
                growth.append(self.again(eta))
        return float(np.mean(growth[len(growth) // 3:])) / EVERY


def first_guess(p):
    """From the noise and curvature along the difference of two gradients, turned a few times."""
    u, l, t, c = p.x[:1], 0.0, 0.0, 0.0
    for k in range(40):
        a, b = (p.network.times(p.theta[:1], p.network.half(p.network.draw(p.batch, p.rng), i), u) for i in (0, 1))
        h = (a + b) / 2
        if k >= 15:
            l, t, c = l + float((u * h).sum()), t + float(((a - b) ** 2).sum()) / 4, c + float((a * b).sum())
        u = 0.8 * u + 0.2 * h / (h.norm() + 1e-30)
        u = u / u.norm()
    return l / (t / 2 + p.eps / (2 * (2 - p.eps)) * max(c, 0.0)) if l > 0 else 1 / p.largest


def tangent_limit(network, batch, eps, seed):
    """eta_max, or None where the population grows at every eta that was tried: flat directions that noise drives."""
    p = Population(network, batch, eps, seed)
    highest = 2.6 * (2 - eps) / (eps * p.largest)
    below, above, eta, steps = {}, {}, min(first_guess(p), 0.9 * highest), int(4 / eps + 120)
    for k in range(TRIES):
        excess = p.rate(eta, steps if k else 2 * steps) - LEVEL * eps
        (above if excess > 0 else below)[eta] = excess
        if not below:
            eta = min(above) / 1.5
        elif not above:
            if eta >= highest:
                return eta
            eta = min(1.5 * max(below), highest)
        else:
            low, high = max(below), min(above)
            if high / low < CLOSE:
                break
            part = -below[low] / (above[high] - below[low])
            eta = low * (high / low) ** float(np.clip(part, 0.2, 0.8)) if high > low else 1.05 * low
    if not below:
        return None
    low = max(below)
    high = min((e for e in above if e > low), default=low)
    part = -below[low] / (above[high] - below[low]) if high > low else 0.0
    return low * (high / low) ** part
