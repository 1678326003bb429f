#!/usr/bin/env python3
"""A mixture of experts: one expert is a row of a table, and a row moves only on the steps in which a sample chose it.

The experts are no nn.Embedding, so attach is told the names of their parameters. The gate learns to send most samples
to a few experts; those keep their momentum, and the others lose it between their updates.

    momentscoped &
    python experts.py
"""
import torch

import momentscope
from bands import Bands, Loss, options

EXPERTS, INPUTS, HIDDEN, BATCH, CLUSTERS = 64, 16, 8, 8, 64


class Experts(torch.nn.Module):
    """The best expert of the gate alone answers: x -> value(expert) . tanh(key(expert) x)."""

    def __init__(self):
        super().__init__()
        self.gate = torch.nn.Linear(INPUTS, EXPERTS)
        self.key = torch.nn.Parameter(torch.randn(EXPERTS, HIDDEN, INPUTS) / INPUTS ** 0.5)
        self.value = torch.nn.Parameter(torch.randn(EXPERTS, HIDDEN) / HIDDEN ** 0.5)

    def forward(self, x):
        weight, chosen = torch.softmax(self.gate(x), 1).max(1)
        hidden = torch.tanh(torch.einsum("bhi,bi->bh", self.key[chosen], x))
        return weight * (self.value[chosen] * hidden).sum(1)


class Clusters:
    """Inputs around centers that occur by Zipf's law, each with a target function of its own."""

    def __init__(self):
        self.center, self.slope = torch.randn(CLUSTERS, INPUTS), torch.randn(CLUSTERS, INPUTS)
        self.share = 1.0 / (1.0 + torch.arange(CLUSTERS)) ** 1.5

    def batch(self):
        which = torch.multinomial(self.share, BATCH, replacement=True)
        x = self.center[which] + 0.3 * torch.randn(BATCH, INPUTS)
        return x, torch.tanh((self.slope[which] * x).sum(1))


def main():
    said = options(__doc__, 3000).parse_args()
    torch.manual_seed(said.seed)
    clusters, model = Clusters(), Experts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.95)
    bands = Bands("key", "value")
    scope = momentscope.attach(model, optimizer, tables=["key", "value"], batch=BATCH)

    told = Loss(said.steps)
    for step in range(said.steps):
        x, y = clusters.batch()
        optimizer.zero_grad()
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        optimizer.step()
        scope.step()
        bands.listen()
        told.note(step, float(loss))
    scope.flush(2.0)
    bands.show()
    scope.close()


if __name__ == "__main__":
    main()
