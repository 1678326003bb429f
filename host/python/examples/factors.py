#!/usr/bin/env python3
"""A trainer in NumPy: matrix factorisation with momentum, told to the daemon by the C client. No torch.

momentscope.Client takes addresses, so any array will do. The trainer says each step after it has moved the rows, and
hands over its own rows when the daemon's copy must be healed (read).

    momentscoped &
    python factors.py
"""
import ctypes

import numpy as np

import momentscope
from bands import Bands, Loss, options

ROWS, COLUMNS, DIM, BATCH, LR, BETA = 2000, 500, 8, 32, 0.4, 0.9


class Momentum:
    """One table: theta and m of heavy ball as torch has it, and the daemon told of every step."""

    def __init__(self, client, name, rows, random):
        self.theta = random.normal(0, 0.3, (rows, DIM)).astype(np.float32)
        self.m = np.zeros_like(self.theta)
        self.client = client
        self.handle = client.attach(name, rows, DIM, capacity=BATCH, read=self.read)

    def read(self, first, n, to_theta, to_m):
        """Copy rows first .. first+n-1 as of the last step told."""
        for source, to in ((self.theta, to_theta), (self.m, to_m)):
            part = np.ascontiguousarray(source[first:first + n])
            ctypes.memmove(to, part.ctypes.data, part.nbytes)
        return 0

    def step(self, rows, grads):
        """grads[n][DIM]: of each occurrence of a row; a row may occur twice."""
        self.m *= BETA
        np.add.at(self.m, rows, grads)
        self.theta -= LR * self.m
        rows, grads = rows.astype(np.int64), np.ascontiguousarray(grads, np.float32)
        step = momentscope.Step(eta=LR, eps=1 - BETA, batch=BATCH)
        self.client.push(self.handle, step, rows.ctypes.data, grads.ctypes.data, momentscope.F32, len(rows))


def main():
    said = options(__doc__, 3000).parse_args()
    random = np.random.default_rng(said.seed)
    truth = random.normal(0, 0.7, (ROWS, DIM)), random.normal(0, 0.7, (COLUMNS, DIM))
    chance = [1.0 / (1.0 + np.arange(n)) for n in (ROWS, COLUMNS)]
    chance = [c / c.sum() for c in chance]
    bands, client = Bands("left", "right"), momentscope.Client(name="factors")
    left, right = Momentum(client, "left", ROWS, random), Momentum(client, "right", COLUMNS, random)

    told = Loss(said.steps)
    for step in range(said.steps):
        i, j = random.choice(ROWS, BATCH, p=chance[0]), random.choice(COLUMNS, BATCH, p=chance[1])
        u, v = left.theta[i], right.theta[j]
        error = (u * v).sum(1) - (truth[0][i] * truth[1][j]).sum(1)
        left.step(i, error[:, None] * v / BATCH)
        right.step(j, error[:, None] * u / BATCH)
        bands.listen()
        told.note(step, float((error ** 2).mean()) / 2)
    client.flush(2.0)
    bands.show()
    client.close()


if __name__ == "__main__":
    main()
