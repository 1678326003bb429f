"""Six training loops in the shapes of public scripts: attached in two lines, nothing changes and nothing is untrue.

Each runs without and with attach: weights bit-identical, no warning, V of every table equal to torch's, and rows in the
bands in which a count of the script's own batches puts them. They are our own writing; only their shapes are public:
a recommender with bags (DLRM), a recurrent word model, word2vec with negative samples, matrix factorisation, a
transformer with tied weights, a mixture of experts.
"""
import unittest
import warnings

import attach_support
from attach_support import setUpModule, tearDownModule      # noqa: F401
import torch
import torch.nn.functional as F
from torch import nn
import momentscope


def zipf(n, size, generator, power=1.0):
    return torch.multinomial(torch.arange(1, n + 1, dtype=torch.float64) ** -power, size, replacement=True,
                             generator=generator)


class Script:
    """samples[name]: occurrences of every row of a table so far; batch: samples in all steps so far."""
    steps, lr, clip, tables = 300, 0.05, None, ()

    def __init__(self):
        torch.manual_seed(1)
        self.random = torch.Generator().manual_seed(2)
        self.model = self.build()
        self.optimizer = self.make_optimizer()
        self.seen = {name: torch.zeros(p.shape[0]) for name, p in self.model.named_parameters() if name in self.tables}
        self.samples = {name: 0 for name in self.tables}

    def make_optimizer(self):
        return torch.optim.SGD(self.model.parameters(), lr=self.lr, momentum=0.9)

    def note(self, name, rows, samples=None):
        rows = rows.reshape(-1)
        self.seen[name] += torch.bincount(rows, minlength=self.seen[name].numel())
        self.samples[name] += rows.numel() if samples is None else samples

    def step(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()


class Recommender(Script):
    """Bags of categories through EmbeddingBag, dense features through an MLP, pairwise dots."""
    tables, lr = ("emb.0.weight", "emb.1.weight", "emb.2.weight"), 0.1
    sizes = (20, 200, 1000)

    def build(self):
        model = nn.Module()
        model.emb = nn.ModuleList(nn.EmbeddingBag(n, 8, mode="sum", sparse=True) for n in self.sizes)
        model.bottom, model.top = nn.Sequential(nn.Linear(5, 8), nn.ReLU()), nn.Sequential(nn.Linear(14, 8), nn.ReLU(),
                                                                                           nn.Linear(8, 1))
        return model

    def make_optimizer(self):                # momentum for the dense part, as sparse tables have none in such scripts
        return torch.optim.SGD([{"params": self.model.emb.parameters(), "momentum": 0.0},
                                {"params": [*self.model.bottom.parameters(), *self.model.top.parameters()]}],
                               lr=self.lr, momentum=0.9)

    def loss(self):
        size, x = 32, torch.randn(32, 5, generator=self.random)
        parts = [self.model.bottom(x)]
        for i, n in enumerate(self.sizes):
            lengths = torch.randint(1, 4, (size,), generator=self.random)
            offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)[:-1]])
            rows = zipf(n, int(lengths.sum()), self.random)
            self.note(f"emb.{i}.weight", rows, size)
            parts.append(self.model.emb[i](rows, offsets))
        t = torch.stack(parts, 1)
        dots = torch.stack([(t[:, i] * t[:, j]).sum(1) for i in range(4) for j in range(i)], 1)
        return F.binary_cross_entropy_with_logits(self.model.top(torch.cat([parts[0], dots], 1)).squeeze(1),
                                                  (x[:, 0] > 0).to(torch.float64))


class WordModel(Script):
    """An LSTM over a text in columns, its state detached from batch to batch, gradients clipped, lr divided once."""
    tables, clip, lr = ("encoder.weight",), 0.25, 1.0
    words, columns, length = 60, 8, 10

    def build(self):
        model = nn.Module()
        model.encoder, model.rnn = nn.Embedding(self.words, 12), nn.LSTM(12, 12, 1)
        model.decoder, model.drop = nn.Linear(12, self.words), nn.Dropout(0.2)
        self.text = zipf(self.words, 8 * 3001, torch.Generator().manual_seed(5)).reshape(8, 3001).t()
        self.hidden, self.at = None, 0
        return model

    def loss(self):
        if self.at + self.length + 1 > self.text.shape[0]:
            self.at = 0
        x, y = self.text[self.at:self.at + self.length], self.text[self.at + 1:self.at + self.length + 1]
        self.at += self.length
        self.note("encoder.weight", x)
        out, hidden = self.model.rnn(self.model.drop(self.model.encoder(x)), self.hidden)
        self.hidden = tuple(h.detach() for h in hidden)
        return F.cross_entropy(self.model.decoder(self.model.drop(out)).reshape(-1, self.words), y.reshape(-1))

    def step(self):
        super().step()
        if self.samples["encoder.weight"] // (self.columns * self.length) == self.steps // 2:
            for group in self.optimizer.param_groups:
                group["lr"] /= 4


class Word2vec(Script):
    """Skip-gram with negative samples: two tables, the second looked up twice with different shapes."""
    tables, lr = ("u.weight", "v.weight"), 0.5
    words = 400

    def build(self):
        model = nn.Module()
        model.u, model.v = nn.Embedding(self.words, 10), nn.Embedding(self.words, 10)
        nn.init.zeros_(model.v.weight)
        return model

    def loss(self):
        centre, context = zipf(self.words, 32, self.random), zipf(self.words, 32, self.random)
        negative = zipf(self.words, 32 * 5, self.random, 0.75).reshape(32, 5)
        self.note("u.weight", centre)
        self.note("v.weight", torch.cat([context, negative.reshape(-1)]))
        u = self.model.u(centre)
        good = F.logsigmoid((u * self.model.v(context)).sum(1))
        bad = F.logsigmoid(-torch.bmm(self.model.v(negative), u.unsqueeze(2)).squeeze(2)).sum(1)
        return -(good + bad).mean()


class Factors(Script):
    """Ratings of users and items with biases, weight decay, an average over four small batches in each step."""
    tables, lr = ("users.weight", "items.weight", "bias.weight"), 0.05

    def build(self):
        model = nn.Module()
        model.users, model.items, model.bias = nn.Embedding(300, 6), nn.Embedding(80, 6), nn.Embedding(80, 1)
        return model

    def make_optimizer(self):
        return torch.optim.SGD(self.model.parameters(), lr=self.lr, momentum=0.9, weight_decay=1e-4, nesterov=True)

    def step(self):
        self.optimizer.zero_grad()
        for _ in range(4):
            user, item = torch.randint(300, (8,), generator=self.random), zipf(80, 8, self.random)
            self.note("users.weight", user)
            self.note("items.weight", item)
            self.note("bias.weight", item)
            out = (self.model.users(user) * self.model.items(item)).sum(1) + self.model.bias(item).squeeze(1)
            (F.mse_loss(out, (user % 5).to(torch.float64)) / 4).backward()
        self.optimizer.step()
        if self.samples["users.weight"] % 320 == 0:              # an evaluation that forgot no_grad
            self.model.users(torch.arange(300)).square().sum()


class Tied(Script):
    """Embedding and output layer are one matrix: every row has a gradient at every step. Groups with and without decay."""
    tables, lr = ("wte.weight", "wpe.weight"), 0.1
    words, length = 50, 12

    def build(self):
        model = nn.Module()
        model.wte, model.wpe = nn.Embedding(self.words, 16), nn.Embedding(self.length, 16)
        model.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        model.head = nn.Linear(16, self.words, bias=False)
        model.head.weight = model.wte.weight
        return model

    def make_optimizer(self):
        decay = [p for p in self.model.parameters() if p.dim() > 1]
        rest = [p for p in self.model.parameters() if p.dim() <= 1]
        return torch.optim.SGD([{"params": decay, "weight_decay": 1e-3}, {"params": rest, "weight_decay": 0.0}],
                               lr=self.lr, momentum=0.9)

    def loss(self):
        x = zipf(self.words, 8 * (self.length + 1), self.random).reshape(8, -1)
        self.seen["wte.weight"] += 1         # the head's gradient reaches every row: an occurrence each step
        self.samples["wte.weight"] += 1
        self.note("wpe.weight", torch.arange(self.length), self.length)
        h = self.model.wte(x[:, :-1]) + self.model.wpe(torch.arange(self.length))
        mask = torch.full((self.length, self.length), float("-inf")).triu(1)
        return F.cross_entropy(self.model.head(self.model.block(h, mask)).reshape(-1, self.words), x[:, 1:].reshape(-1))


class Experts(Script):
    """Top-1 routing to experts in one stacked parameter that is indexed, and words before them."""
    tables, lr = ("experts", "words.weight"), 0.05
    options = {"tables": ["experts", "words.weight"]}

    def build(self):
        model = nn.Module()
        model.words, model.gate = nn.Embedding(100, 8), nn.Linear(8, 6)
        model.experts = nn.Parameter(0.3 * torch.randn(6, 8, 8))
        return model

    def loss(self):
        rows = zipf(100, 12, self.random)
        self.note("words.weight", rows)
        x = self.model.words(rows)
        gate = self.model.gate(x.detach()).softmax(1)
        chosen = gate.argmax(1)
        used = chosen.unique()
        self.seen["experts"][used] += 1
        self.samples["experts"] += 1
        y = torch.zeros_like(x)
        for e in used.tolist():
            here = (chosen == e).nonzero().reshape(-1)
            y = y.index_add(0, here, torch.tanh(x[here] @ self.model.experts[e]) * gate[here, e:e + 1])
        return (y - x.roll(1, 1)).square().mean()


SCRIPTS = (Recommender, WordModel, Word2vec, Factors, Tied, Experts)


class Scripts(attach_support.Case):
    def run_script(self, kind):
        alone = kind()
        for _ in range(kind.steps):
            alone.step()
        script = kind()
        prefix = f"{kind.__name__.lower()}."
        with warnings.catch_warnings():
            warnings.simplefilter("error")   # whatever is said of these runs would be untrue
            scope = momentscope.attach(script.model, script.optimizer, self.daemon.ingest, prefix=prefix,
                                       **getattr(kind, "options", {}))
            for _ in range(kind.steps):
                script.step()
                scope.step()
            self.assertTrue(scope.flush(20), scope.stats())
        for (name, a), b in zip(alone.model.named_parameters(), script.model.parameters()):
            self.assertTrue(torch.equal(a, b), name)
        stats = scope.stats()
        self.assertEqual((stats["steps_dropped"], stats["errors"]), (0, 0), stats)
        self.assertLessEqual(stats["syncs"], len(kind.tables))   # rows were sent once, and steps did the rest
        self.assertEqual(set(stats["tables"]), {prefix + name for name in kind.tables})
        for name in kind.tables:
            with self.subTest(name):
                self.check_table(script, prefix, name)
        scope.close()

    def check_table(self, script, prefix, name):
        p = dict(script.model.named_parameters())[name]
        record = self.ear.table(prefix + name, script.steps)
        group = next(g for g in script.optimizer.param_groups if any(q is p for q in g["params"]))
        buffer = script.optimizer.state[p].get("momentum_buffer")
        V = float(((1 - group["momentum"]) * buffer).square().sum()) if buffer is not None else 0.0
        self.assertLess(abs(record["V"] - V), 1e-9 * V + 1e-300)
        self.assertEqual((record["exact"], record["lost_steps"]), (True, 0))
        self.assertEqual(record["silent"], int((script.seen[name] == 0).sum()))
        self.ear.pump(0.2)
        bands = {r["band"]: r for t, r in self.ear.latest.items()
                 if t.startswith(f"band/{prefix}{name}/") and r["rows"] and r["step"] == record["step"]}
        rate = script.seen[name] / script.samples[name]
        seen = rate > 0
        total = sum(r["p"] * r["rows"] for r in bands.values())
        self.assertAlmostEqual(total / float(rate.sum()), 1, delta=0.1)
        self.assertEqual(sum(r["rows"] for r in bands.values()), int(seen.sum()))
        # frequent rows are where counting puts them; rare ones are counted less well, and bands have some hysteresis
        often = script.seen[name] >= 30
        want = torch.bincount((-torch.log2(rate[often])).floor().clamp(0, 31).to(torch.int64), minlength=32)
        got = torch.tensor([float(bands[b]["rows"]) if b in bands else 0.0 for b in range(32)])
        edge = int(want.nonzero().max()) if int(often.sum()) else -1
        moved = float((got[:edge].cumsum(0) - want[:edge].cumsum(0).to(torch.float64)).abs().max()) if edge > 0 else 0.0
        self.assertLessEqual(moved, max(1.0, 0.25 * int(often.sum())), (got.tolist(), want.tolist()))
        print(f"note {prefix}{name}: {len(bands)} bands, sum of p {total / float(rate.sum()):.3f} of the count, "
              f"{moved:.0f} of {int(often.sum())} frequent rows across a border")


def _test(kind):
    return lambda self: self.run_script(kind)


for kind in SCRIPTS:
    setattr(Scripts, f"test_{kind.__name__.lower()}", _test(kind))


if __name__ == "__main__":
    unittest.main()
