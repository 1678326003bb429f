"""Problems whose largest stable eta has an exact map: gated rows, and bags of words. networks.py has the rest.

A problem is frozen at one theta. For the product it is a torch module with a batch source:

    module()           torch.nn.Module, float64; module.loss(batch) is the mean loss of the batch's samples
    draw(size, rng)    a batch of independent samples
    half(batch, k)     k 0, 1: every second sample of it

Both losses are quadratic, so theta is the same problem everywhere; it stands at a random error.
"""
import glob
import os
import re

import numpy as np
import torch

CORPORA = {"licences": "/usr/share/common-licenses/*", "python": "/usr/lib/python3*/*.py"}   # on any Debian
SPECTRA = ("equal", "k^-.5", "k^-1", "k^-1.5", "1e4:1", "one large")
_words = {}


def read(path):
    with open(path, errors="ignore") as f:
        return f.read()


def words(corpus):
    """The corpus as a list of lower-case words."""
    if corpus not in _words:
        paths = sorted(p for p in glob.glob(CORPORA[corpus]) if corpus == "licences" or not os.path.islink(p))[:120]
        _words[corpus] = [w for p in paths for w in re.findall(r"[a-z]+", read(p).lower())]
    return _words[corpus]


def tokens(corpus, vocabulary):
    """Numbers of the most frequent words, the most frequent 0; other words are dropped."""
    every = words(corpus)
    kinds, counts = np.unique(every, return_counts=True)
    number = {w: i for i, w in enumerate(kinds[np.argsort(-counts, kind="stable")][:vocabulary])}
    return np.array([number[w] for w in every if w in number])


def spectrum(name, d):
    """d curvatures of mean 1."""
    k = np.arange(1, d + 1, dtype=float)
    h = {"equal": np.ones(d), "k^-.5": k**-0.5, "k^-1": 1 / k, "k^-1.5": k**-1.5,
         "1e4:1": 10.0**(-4 * (k - 1) / (d - 1)), "one large": np.r_[30.0, np.ones(d - 1)]}[name]
    return h / h.mean()


class Table(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.words = torch.nn.Embedding.from_pretrained(torch.tensor(theta), freeze=False)


class GatedModule(Table):
    def loss(self, batch):
        _, rows, x, size = batch
        return 0.5 * ((self.words(rows) * x).sum(1) ** 2).sum() / size


class Gated:
    """Row r is in a sample with probability p[r], with features of N(0, diag h[r]); the rows do not meet."""

    def __init__(self, p, h, seed):
        self.p, self.h = np.asarray(p, float), np.asarray(h, float)
        self.error = np.random.default_rng(seed).standard_normal(self.h.shape)

    def module(self):
        return GatedModule(self.error)

    def draw(self, size, rng):
        sample, rows = np.nonzero(rng.random((size, len(self.p))) < self.p)
        x = rng.standard_normal((len(rows), self.h.shape[1])) * np.sqrt(self.h[rows])
        return torch.tensor(sample), torch.tensor(rows), torch.tensor(x), size

    @staticmethod
    def half(batch, k):
        sample, rows, x, size = batch
        mine = sample % 2 == k
        return sample[mine], rows[mine], x[mine], (size + 1 - k) // 2


class BagModule(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.words = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(theta), freeze=False, mode="mean")

    def loss(self, batch):
        return 0.5 * (self.words(batch) ** 2).sum(1).mean()


class Bag:
    """A sample is the mean of the rows of C words that follow one another; 6000 places of the text, each as likely."""

    def __init__(self, C, corpus, seed, vocabulary=256, width=4, places=6000):
        rng = np.random.default_rng(seed)
        text = tokens(corpus, vocabulary)
        at = rng.integers(0, len(text) - C, places)
        self.bags = torch.tensor(text[at[:, None] + np.arange(C)])
        self.X = np.zeros((places, vocabulary))
        np.add.at(self.X, (np.arange(places)[:, None], self.bags.numpy()), 1.0 / C)
        self.error = rng.standard_normal((vocabulary, width))

    def module(self):
        return BagModule(self.error)

    def draw(self, size, rng):
        return self.bags[torch.tensor(rng.integers(0, len(self.bags), size))]

    @staticmethod
    def half(batch, k):
        return batch[k::2]


def rows_cases(seed):
    """(name, problem, batch, eps): 6 spectra, pB .2 to 600."""
    for name in SPECTRA:
        for pB, batch in ((0.2, 64), (3, 64), (60, 256), (600, 1024)):
            problem = Gated(np.full(8, pB / batch), np.tile(spectrum(name, 32), (8, 1)), seed)
            for eps in (0.1, 0.02):
                yield f"rows {name}, pB {pB:g}, batch {batch}, eps {eps:g}", problem, batch, eps


def uneven_cases(seed):
    """Rows of unlike frequency and steepness: one ten times steeper, Zipf, with a rare steep row, with random ones."""
    zipf, rng = 0.3 / np.arange(1, 25), np.random.default_rng(seed)
    rare = np.ones((24, 16))
    rare[12] *= 8
    one = np.ones((16, 16))
    one[3] *= 10
    mixed = np.exp(rng.standard_normal((24, 1))) * spectrum("k^-1", 16)
    for batch in (16, 64, 512):
        for name, p, h in (("one steep", np.full(16, 3 / max(16, batch)), one), ("zipf", zipf, np.ones((24, 16))),
                           ("zipf, a rare steep row", zipf, rare), ("zipf, mixed", zipf, mixed)):
            for eps in (0.1, 0.02):
                yield f"uneven {name}, batch {batch}, eps {eps:g}", Gated(p, h, seed), batch, eps


def bag_cases(seed, corpus):
    for C in (1, 2, 8, 32):
        problem = Bag(C, corpus, seed)
        for batch in (16, 64, 512, 4096):
            for eps in (0.1, 0.02):
                yield f"bags of {C}, batch {batch}, eps {eps:g}", problem, batch, eps
