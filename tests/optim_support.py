"""Twins for tests of momentscope.optim: one model trained by torch.optim.SGD on dense gradients, one by ours."""
import copy
import io
import math

import client_support      # noqa: F401  (the path of the package, and its library)

import torch
from momentscope import optim

ROWS, DIM, BATCH = 96, 3, 24


def constant(k, steps):
    return 0.05, 0.9


def moving(k, steps):
    """At twice this lr the model is at its edge: torch's own float32 ends 17 % off its float64, and nothing can be told."""
    warm = min(1.0, (k + 1) / (0.1 * steps))
    return 0.05 * warm * 0.5 * (1 + math.cos(math.pi * k / steps)), 0.95 - 0.25 * (k // (steps // 4) % 2)


def momentum_off(k, steps):
    return 0.03, 0.0 if k < 40 or steps // 3 <= k < steps // 2 or k % 97 == 0 else 0.9


# name: (schedule, kind of gradient, options)
CASES = {
    "plain": (constant, "sparse", {}),
    "plain, dense gradients": (constant, "dense", {}),
    "plain, bag": (moving, "bag", {}),
    "schedule": (moving, "sparse", {}),
    "momentum off and on": (momentum_off, "sparse", {}),
    "momentum off and on, dampening": (momentum_off, "dense", {"dampening": 0.4}),
    "momentum off and on, decay": (momentum_off, "sparse", {"weight_decay": 0.01}),
    "nesterov": (moving, "sparse", {"nesterov": True}),
    "nesterov, dense gradients, decay": (moving, "dense", {"nesterov": True, "weight_decay": 0.01}),
    "dampening": (constant, "sparse", {"dampening": 0.4}),
    "dampening, decay": (moving, "sparse", {"dampening": 0.2, "weight_decay": 0.01}),
    "decay": (constant, "sparse", {"weight_decay": 0.01}),
    "decay, bag": (moving, "bag", {"weight_decay": 0.02}),
    "maximize, decay": (moving, "sparse", {"maximize": True, "weight_decay": 0.01}),
    "maximize, nesterov, dense gradients": (constant, "dense", {"maximize": True, "nesterov": True}),
}


class Model(torch.nn.Module if torch else object):
    def __init__(self, kind, dtype, seed=1):
        super().__init__()
        torch.manual_seed(seed)
        self.words = torch.nn.EmbeddingBag(ROWS, DIM, mode="mean", sparse=True) if kind == "bag" else \
            torch.nn.Embedding(ROWS, DIM, sparse=kind == "sparse", padding_idx=0)
        self.head = torch.nn.Linear(DIM, 1)
        self.to(dtype)

    def forward(self, index):
        return self.head(self.words(index)).reshape(index.shape[0], -1).mean(1)


def batches(steps, dtype, seed=2):
    """Zipf rows with duplicates, and targets."""
    random = torch.Generator().manual_seed(seed)
    weights = (1.0 + torch.arange(ROWS)) ** -1.2
    for _ in range(steps):
        index = torch.multinomial(weights, BATCH, replacement=True, generator=random).reshape(BATCH // 2, 2)
        yield index, torch.randn(BATCH // 2, generator=random).to(dtype)


class Twin:
    """One model and its optimizer."""

    def __init__(self, ours, kind, dtype, options):
        self.make = optim.SGD if ours else torch.optim.SGD
        self.options = dict({"lr": 0.1, "momentum": 0.9}, **options)
        self.sign = -1.0 if options.get("maximize") else 1.0
        self.model = Model(kind, dtype)
        if not ours:                         # the truth is dense
            self.model.words.sparse = False
        self.optimizer = self.make(self.model.parameters(), **self.options)

    def schedule(self, lr, momentum):
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = lr, momentum

    def step(self, index, target, zero=True):
        loss = self.sign * ((self.model(index) - target) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        if zero:
            self.optimizer.zero_grad()

    def resume(self, make=None):
        """Save model and optimizer to bytes, make both anew and load them; make: another kind of optimizer."""
        saved = io.BytesIO()
        torch.save((self.model.state_dict(), self.optimizer.state_dict()), saved)
        saved.seek(0)
        weights, state = torch.load(saved)
        self.model = copy.deepcopy(self.model)
        with torch.no_grad():
            for p in self.model.parameters():
                p.fill_(float("nan"))
        self.model.load_state_dict(weights)
        self.optimizer = (make or self.make)(self.model.parameters(), **self.options)
        self.optimizer.load_state_dict(state)

    def read(self):
        weight = self.model.words.weight
        buffer = self.optimizer.state[weight].get("momentum_buffer")
        return weight.detach().clone().double(), None if buffer is None else buffer.detach().clone().double()


def apart(ours, truth):
    return float((ours - truth).norm() / truth.norm())


def distance(case, steps, dtype):
    """How far theta and the buffer of ours end from those of torch, relative to their norm."""
    schedule, kind, options = CASES[case]
    ours, truth = Twin(True, kind, dtype, options), Twin(False, kind, dtype, options)
    for k, batch in enumerate(batches(steps, dtype)):
        if k == steps // 2:
            ours.resume()
        for twin in (ours, truth):
            twin.schedule(*schedule(k, steps))
            twin.step(*batch)
    assert ours.optimizer._tables, "the table never ran on the core"
    return [apart(a, b) for a, b in zip(ours.read(), truth.read())]


def rounding(case, steps):
    """How far theta ends from torch in float64: ours in float32, and torch's own in float32."""
    schedule, kind, options = CASES[case]
    ours, own, truth = (Twin(mine, kind, dtype, options)
                        for mine, dtype in ((True, torch.float32), (False, torch.float32), (False, torch.float64)))
    for twin in (ours, own):
        twin.model.load_state_dict({k: v.float() for k, v in truth.model.state_dict().items()})
    truth.model.load_state_dict({k: v.double() for k, v in ours.model.state_dict().items()})
    for k, (index, target) in enumerate(batches(steps, torch.float32)):
        for twin in (ours, own, truth):
            twin.schedule(*schedule(k, steps))
            twin.step(index, target.to(twin.model.head.weight.dtype))
    return [apart(x.read()[0], truth.read()[0]) for x in (ours, own)]
