#!/usr/bin/env python3
"""Word embeddings: skip-gram with negative samples, on the help texts that come with Python, or on a text of yours.

Both tables are trained by momentscope.optim.SGD, which costs O(rows touched) and follows the trajectory of dense
gradients. Its telemetry goes to the daemon by itself: there is no scope.step().

    momentscoped &
    python words.py                  # --text FILE for your own
"""
import collections
import re

import torch
import torch.nn.functional as F

import momentscope
from bands import Bands, Loss, options

WORDS, DIM, BATCH, WINDOW, NEGATIVES = 4096, 32, 256, 3, 5


def read(path):
    if path:
        with open(path, errors="replace") as f:
            return f.read()
    from pydoc_data import topics            # some 100,000 words that every Python has
    return " ".join(topics.topics.values())


def numbers(text):
    """Every word's rank, the most frequent first; words beyond WORDS are left out. Returns (ranks, vocabulary size)."""
    words = re.findall(r"[a-z]+", text.lower())
    rank = {w: i for i, (w, _) in enumerate(collections.Counter(words).most_common(WORDS))}
    return torch.tensor([rank[w] for w in words if w in rank]), len(rank)


class SkipGram(torch.nn.Module):
    def __init__(self, words):
        super().__init__()
        self.center = torch.nn.Embedding(words, DIM, sparse=True)
        self.context = torch.nn.Embedding(words, DIM, sparse=True)
        torch.nn.init.normal_(self.center.weight, std=DIM ** -0.5)
        torch.nn.init.zeros_(self.context.weight)

    def forward(self, center, context, others):
        v = self.center(center)
        near = (v * self.context(context)).sum(1)
        far = torch.bmm(self.context(others), v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(near) + F.logsigmoid(-far).sum(1)).mean()


def main():
    parser = options(__doc__, 3000)
    parser.add_argument("--text", help="a text file")
    said = parser.parse_args()
    torch.manual_seed(said.seed)
    text, words = numbers(read(said.text))
    model = SkipGram(words)
    optimizer = momentscope.optim.SGD(model.parameters(), lr=2.0, momentum=0.9)
    bands = Bands("center.weight", "context.weight")
    scope = optimizer.telemetry(model, nll=True, batch=BATCH)

    told = Loss(said.steps)
    for step in range(said.steps):
        at = torch.randint(WINDOW, len(text) - WINDOW, (BATCH,))
        away = torch.randint(1, WINDOW + 1, (BATCH,)) * (torch.randint(0, 2, (BATCH,)) * 2 - 1)
        others = text[torch.randint(0, len(text), (BATCH, NEGATIVES))]
        optimizer.zero_grad()
        loss = model(text[at], text[at + away], others)
        loss.backward()
        optimizer.step()
        bands.listen()
        told.note(step, float(loss))
    scope.flush(2.0)
    bands.show()
    scope.close()


if __name__ == "__main__":
    main()
