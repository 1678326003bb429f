"""Seven small networks on real text, and ways to train them into ruin.

A Run says which network, batch and rate, and what is done to it; train() trains it. The networks: softmax bigram with a
frozen and with a trained readout, CBOW, tied weights, a two-layer linear net, an MLP on three embeddings, skip-gram
with negative sampling."""
import dataclasses
import glob
import pathlib
import re

import torch
from torch import nn

KINDS = ("frozen", "bigram", "cbow", "tied", "linear", "mlp", "skipgram")
FILES = {"licences": "/usr/share/common-licenses/*", "python": "/usr/lib/python3*/*.py"}
POSITIONS = 4000                             # of the text that a network sees
WARM = 200                                   # steps of a warm-up that is long enough
LOOK = 10                                    # steps behind a loss that counts: one batch's alone is noise
NEGATIVES = 5


def tokens(corpus, words):
    """Text as ranks 0 .. words-1 of its most frequent words; the others are dropped."""
    text = " ".join(pathlib.Path(f).read_text(errors="ignore").lower() for f in sorted(glob.glob(FILES[corpus]))[:80])
    found = re.findall("[a-z]+", text)
    count = {}
    for w in found:
        count[w] = count.get(w, 0) + 1
    rank = {w: i for i, w in enumerate(sorted(count, key=lambda w: (-count[w], w))[:words])}
    return torch.tensor([rank[w] for w in found if w in rank])


class Net(nn.Module):
    """loss(at, y): of the samples at these places of the text; y: what comes next in truth, or something else."""

    def __init__(self, kind, corpus, words, width, seed, small):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.kind, self.words, text = kind, words, tokens(corpus, words)
        first = int(torch.randint(max(1, len(text) - POSITIONS - 8), (1,), generator=g))
        self.text = text[first:first + POSITIONS + 8]
        self.places = len(self.text) - 8
        count = torch.bincount(text, minlength=words).double() ** 0.75
        self.often = count / count.sum()

        def normal(scale, *shape):
            return scale * torch.randn(*shape, generator=g)

        self.table = nn.Embedding(words, width)
        self.table.weight.data = normal(0.4 * small, words, width)
        if kind == "skipgram":
            self.out = nn.Embedding(words, width)
            self.out.weight.data = normal(0.1, words, width)
        elif kind == "frozen":
            self.readout = normal(1.0, width, words)
        elif kind != "tied":
            self.readout = nn.Parameter(normal(0.5, 12 if kind == "mlp" else width, words))
        if kind == "mlp":
            self.hidden = nn.Parameter(normal((3 * width) ** -0.5, 3 * width, 12))

    def target(self, at):
        return self.text[at + {"cbow": 2, "mlp": 3}.get(self.kind, 1)]

    def loss(self, at, y, negatives):
        t = self.text
        if self.kind == "cbow":
            x = self.table(torch.stack([t[at], t[at + 1], t[at + 3], t[at + 4]], 1)).mean(1)
        elif self.kind == "mlp":
            x = torch.tanh(self.table(torch.stack([t[at], t[at + 1], t[at + 2]], 1)).flatten(1) @ self.hidden)
        else:
            x = self.table(t[at])
        if self.kind == "skipgram":
            near, far = (x * self.out(y)).sum(1), (x.unsqueeze(1) * self.out(negatives)).sum(2)
            return -(nn.functional.logsigmoid(near) + nn.functional.logsigmoid(-far).sum(1)).mean()
        z = x @ (self.table.weight.T if self.kind == "tied" else self.readout)
        if self.kind == "linear":
            return 0.5 * (z.square().sum(1) - 2 * z.gather(1, y[:, None])[:, 0] + 1).mean()
        return nn.functional.cross_entropy(z, y)


@dataclasses.dataclass
class Run:
    """One training run. rate: in units of the rate that ruins this network at this batch and eps."""
    kind: str
    corpus: str
    words: int
    width: int
    batch: int
    eps: float
    seed: int
    steps: int
    ruining: float
    rate: float
    small: float                             # factor of the first rows of the table
    story: str                               # steady | raised | warm-up | poison | shift
    at: int = 0                              # step of the event; steps of the warm-up
    much: float = 0.0                        # raised: rate from there on; poison: factor of that batch's loss

    def rate_at(self, k):
        if self.story == "raised" and k >= self.at:
            return self.much
        warm = self.at if self.story == "warm-up" else 0 if self.story == "steady" else WARM
        return self.rate * min(1.0, (k + 1) / max(1, warm))


def train(run, watch=None):
    """Losses of the steps, each before its update; ends where the loss is not finite or 1e6 times its start.
    watch(model, optimizer, closure): called once; what it returns is called after each step."""
    torch.manual_seed(run.seed)
    model = Net(run.kind, run.corpus, run.words, run.width, run.seed, run.small)
    g = torch.Generator().manual_seed(run.seed + 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=1 - run.eps)
    batch = {}

    def closure(half=None):
        part = slice(None) if half is None else slice(half, None, 2)
        return batch["factor"] * model.loss(*(x[part] for x in batch["of"]))

    after = watch(model, optimizer, closure) if watch else None
    losses = []
    shuffled = torch.randperm(run.words, generator=g)
    for k in range(run.steps):
        at = torch.randint(model.places, (run.batch,), generator=g)
        y, factor = model.target(at), 1.0
        negatives = torch.multinomial(model.often, run.batch * NEGATIVES, True, generator=g).reshape(-1, NEGATIVES)
        if run.story == "poison" and k == run.at:
            y, factor = y[torch.randperm(run.batch, generator=g)], run.much
        if run.story == "shift" and k >= run.at:
            y = shuffled[y]
        optimizer.param_groups[0]["lr"] = run.ruining * run.rate_at(k) * run.eps      # run.ruining is in EMA form
        optimizer.zero_grad()
        batch.update(of=(at, y, negatives), factor=factor)
        loss = model.loss(at, y, negatives)
        (factor * loss).backward()
        losses.append(float(loss))
        if not abs(losses[-1]) < 1e6 * max(1.0, abs(losses[0])):
            break
        optimizer.step()
        if after:
            after()
    return losses


def smooth(losses):
    """Means over LOOK steps; not finite counts as 1e30."""
    x = torch.tensor(losses, dtype=torch.float64).nan_to_num(1e30, 1e30, 1e30).clamp(-1e30, 1e30)
    total = torch.cat([torch.zeros(1, dtype=torch.float64), x.cumsum(0)])
    return (total[LOOK:] - total[:-LOOK]) / LOOK


def ruined_at(losses, steps):
    """Step from which on the loss is above its start for good; None: it is not ruined."""
    if len(losses) < steps:                  # left early: not finite, or far away
        start = losses[0]
        below = [k for k in range(len(losses)) if losses[k] <= start]
        return below[-1] + 1 if below else 0
    s = smooth(losses)
    below = (s <= losses[0]).nonzero()
    last = int(below[-1]) + LOOK if len(below) else 0
    return last if last < steps - max(LOOK, steps // 10) else None


def spiked_at(losses, since=0):
    """First step at which the loss has lost half of all that it had gained; None: never. Before a tenth of the start
    was gained nothing can be lost."""
    s = smooth(losses) if len(losses) > LOOK else torch.tensor(losses, dtype=torch.float64)
    best = s.cummin(0).values
    start = max(losses[:1])
    lost = (s > best + 0.5 * (start - best)) & (start - best > 0.1 * abs(start))
    at = [int(k) + LOOK - 1 for k in lost.nonzero() if int(k) + LOOK - 1 >= since]
    return at[0] if at else None
