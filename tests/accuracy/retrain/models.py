"""Six small models on real text, each with a training set and a validation set that it never sees.

bag         which of 16 groups of files a window of words is from: an EmbeddingBag and a linear layer
skipgram    a word and one near it against 5 negative samples: two tables
cbow        a word from the four around it: a table and a readout
bigram      the next word: a table and a readout
factors     log(1 + count) of pairs of words that are near each other, as a product of two tables
tied        the next word by one attention layer whose readout is the table itself

Sparse gradients in bag, skipgram, bigram and factors; dense ones in cbow and tied.
"""
import functools
import glob
import os
import pathlib
import re

import torch
from torch import nn
from torch.nn import functional as F

KINDS = ("bag", "skipgram", "cbow", "bigram", "factors", "tied")
KEPT = os.path.join(os.environ.get("BUILD", "build"), "accuracy")
FILES = {"perl": "/usr/share/perl/*/**/*.pod", "python": "/usr/lib/python3*/*.py",
         "modules": "/usr/share/perl/*/**/*.pm"}
WORDS = {"bag": 2000, "skipgram": 1000, "cbow": 400, "bigram": 400, "factors": 1000, "tied": 250}
WIDTH = {"bag": 32, "skipgram": 24, "cbow": 24, "bigram": 24, "factors": 16, "tied": 24}
BATCH = {"bag": 64, "skipgram": 128, "cbow": 64, "bigram": 64, "factors": 256, "tied": 8}
BLOCK, HELD = 64, 8                          # every eighth block of 64 places is for validation
BAG, CLASSES, NEGATIVES, CONTEXT, VALIDATION = 16, 16, 5, 16, 4096


@functools.lru_cache(None)
def files(corpus):
    """The words of each file; the largest file first. Kept in KEPT, because a package that is installed between two
    runs changes the system's files."""
    kept = pathlib.Path(KEPT, f"retrain-{corpus}.txt")
    if not kept.exists():
        found = {os.path.realpath(f) for f in glob.glob(FILES[corpus], recursive=True)}
        texts = [re.findall("[a-z]+", pathlib.Path(f).read_text(errors="ignore").lower()) for f in sorted(found)]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("\n".join(" ".join(t) for t in sorted(texts, key=len, reverse=True)))
    return [line.split() for line in kept.read_text().splitlines()]


@functools.lru_cache(None)
def ranked(corpus, words):
    """[text of a file as ranks of its words]; words that are not among the most frequent are dropped."""
    count = {}
    for text in files(corpus):
        for w in text:
            count[w] = count.get(w, 0) + 1
    rank = {w: i for i, w in enumerate(sorted(count, key=lambda w: (-count[w], w))[:words])}
    return [torch.tensor([rank[w] for w in text if w in rank]) for text in files(corpus)]


def split(places):
    """(for training, for validation)"""
    held = places // BLOCK % HELD == 0
    return places[~held], places[held]


class Attention(nn.Module):
    """One causal layer with two heads and a feed-forward part, each added to its input."""

    def __init__(self, width, heads=2):
        super().__init__()
        self.heads, self.mix, self.out = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.before, self.between, self.after = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.register_buffer("ahead", torch.ones(CONTEXT, CONTEXT).triu(1).bool())

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = self.mix(self.before(x)).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).masked_fill(self.ahead, -1e30).softmax(-1)
        x = x + self.out((a @ v).transpose(1, 2).reshape(n, t, width))
        return self.after(x + self.down(F.relu(self.up(self.between(x)))))


class Task(nn.Module):
    """loss(*batch()) is the mean loss of a batch; validate() the loss on the validation set."""

    def __init__(self, kind, corpus, seed):
        super().__init__()
        self.kind, self.words, width = kind, WORDS[kind], WIDTH[kind]
        self.random = torch.Generator().manual_seed(seed)
        self.size = BATCH[kind]
        getattr(self, "data_" + ("text" if kind in ("skipgram", "cbow", "bigram", "tied") else kind))(corpus)
        torch.manual_seed(seed + 1000)
        if kind == "bag":
            self.table = nn.EmbeddingBag(self.words, width, mode="mean", sparse=True)
        else:
            self.table = nn.Embedding(self.words, width, sparse=kind not in ("cbow", "tied"))
        if kind in ("skipgram", "factors"):
            self.other = nn.Embedding(self.words, width, sparse=True)
            for t in (self.table, self.other):
                t.weight.data.normal_(0, 0.1)
        elif kind == "tied":
            self.table.weight.data.normal_(0, 0.1)
            self.position = nn.Parameter(0.1 * torch.randn(CONTEXT, width))
            self.layer = Attention(width)
        else:
            self.table.weight.data.normal_(0, 0.3)
            self.readout = nn.Linear(width, CLASSES if kind == "bag" else self.words)

    # -- data ----------------------------------------------------------------------------------------

    def data_text(self, corpus):
        self.text = torch.cat(ranked(corpus, self.words))
        self.train_at, self.held_at = split(torch.arange(8, len(self.text) - CONTEXT - 8))
        often = torch.bincount(self.text, minlength=self.words).double() ** 0.75
        self.often = often / often.sum()

    def data_bag(self, corpus):
        texts, first, label = [t for t in ranked(corpus, self.words) if len(t) > BAG], [], []
        self.text, begin = torch.cat(texts), 0
        for k, text in enumerate(texts):
            at = torch.arange(begin, begin + len(text) - BAG, BAG)
            first, label, begin = first + [at], label + [torch.full_like(at, k % CLASSES)], begin + len(text)
        self.first, self.label = torch.cat(first), torch.cat(label)
        order = torch.randperm(len(self.first), generator=torch.Generator().manual_seed(0))
        self.held_at, self.train_at = order[:len(order) // HELD], order[len(order) // HELD:]

    def data_factors(self, corpus):
        text = torch.cat(ranked(corpus, self.words))
        pairs = torch.cat([text[:-k] * self.words + text[k:] for k in range(1, 5)])
        count = torch.bincount(pairs, minlength=self.words ** 2).float()
        value = count.log1p()
        places = torch.randperm(self.words ** 2, generator=torch.Generator().manual_seed(0))
        seen = count[places] > 0
        places = torch.cat([places[seen], places[~seen][:int(seen.sum())]])      # as many that never occur
        places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(1))]
        self.value = value - value[places].mean()
        self.held_at, self.train_at = places[:len(places) // HELD], places[len(places) // HELD:]

    def make(self, at, random):
        if self.kind in ("bag", "factors"):
            return (at,)
        if self.kind == "skipgram":
            off = torch.tensor([-2, -1, 1, 2])[torch.randint(4, (len(at),), generator=random)]
            far = torch.multinomial(self.often, len(at) * NEGATIVES, True, generator=random)
            return at, at + off, far.reshape(-1, NEGATIVES)
        return (at,)

    def batch(self):
        at = self.train_at[torch.randint(len(self.train_at), (self.size,), generator=self.random)]
        return self.make(at, self.random)

    # -- loss ----------------------------------------------------------------------------------------

    def loss(self, at, *more):
        return getattr(self, "loss_" + self.kind)(at, *more)

    def loss_bag(self, at):
        x = self.table(self.text[self.first[at][:, None] + torch.arange(BAG)])
        return F.cross_entropy(self.readout(x), self.label[at])

    def loss_skipgram(self, at, near, far):
        x = self.table(self.text[at])
        good, bad = (x * self.other(self.text[near])).sum(1), (x.unsqueeze(1) * self.other(far)).sum(2)
        return -(F.logsigmoid(good) + F.logsigmoid(-bad).sum(1)).mean()

    def loss_cbow(self, at):
        x = self.table(self.text[at[:, None] + torch.tensor([-2, -1, 1, 2])]).mean(1)
        return F.cross_entropy(self.readout(x), self.text[at])

    def loss_bigram(self, at):
        return F.cross_entropy(self.readout(self.table(self.text[at])), self.text[at + 1])

    def loss_factors(self, at):
        i, j = torch.div(at, self.words, rounding_mode="floor"), at % self.words
        return 0.5 * ((self.table(i) * self.other(j)).sum(1) - self.value[at]).square().mean()

    def loss_tied(self, at):
        words = self.text[at[:, None] + torch.arange(CONTEXT + 1)]
        x = self.layer(self.table(words[:, :-1]) + self.position)
        return F.cross_entropy((x @ self.table.weight.T).flatten(0, 1), words[:, 1:].flatten())

    @torch.no_grad()
    def validate(self):
        random = torch.Generator().manual_seed(0)
        n = VALIDATION // (4 if self.kind == "tied" else 1)
        at = self.held_at[torch.randperm(len(self.held_at), generator=random)[:n]]
        return float(self.loss(*self.make(at, random)))
