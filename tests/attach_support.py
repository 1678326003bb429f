"""For tests of attach: a small model, a daemon for a class, and torch's own numbers to compare the daemon's with.

In double precision, in one thread, where a test imports setUpModule and tearDownModule."""
import contextlib
import unittest
import warnings

import client_support
import torch
import momentscope

ROWS, DIM, SIZE = 50, 8, 16


def setUpModule():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)


def tearDownModule():
    torch.set_default_dtype(torch.float32)


class Net(torch.nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.emb = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.head = torch.nn.Linear(DIM, 1)

    def forward(self, index):
        return self.head(self.emb(index)).squeeze(-1)


class Case(unittest.TestCase):
    names = 0

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.ear = client_support.Listener(self.daemon)
        self.addCleanup(self.ear.close)

    @contextlib.contextmanager
    def run_of(self, sparse=False, model=None, lr=0.1, momentum=0.9, **options):
        """A model, its optimizer and a scope; warnings are collected in self.said, and are no errors here."""
        torch.manual_seed(1)
        Case.names += 1
        self.prefix = f"c{Case.names}."
        self.model = model or Net(sparse)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=momentum)
        self.initial = self.model.emb.weight.detach().clone() if hasattr(self.model, "emb") else None
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with momentscope.attach(self.model, self.optimizer, self.daemon.ingest, prefix=self.prefix,
                                    **{"reference": "initial", **options}) as scope:
                self.assertTrue(scope.flush(10), scope.stats())
                yield scope
            self.said = " | ".join(str(w.message) for w in told)

    def batch(self, i, low=0, high=ROWS):
        return torch.randint(low, high, (SIZE,), generator=torch.Generator().manual_seed(i))

    def loss(self, index):
        return (self.model(index) - index / ROWS).square().mean()

    def steps(self, scope, n, first=0, **rows):
        for i in range(first, first + n):
            self.optimizer.zero_grad()
            self.loss(self.batch(i, **rows)).backward()
            self.optimizer.step()
            scope.step()

    def same_as_torch(self, scope, step, weight=None, name="emb.weight"):
        weight = self.model.emb.weight if weight is None else weight
        self.assertTrue(scope.flush(10), scope.stats())
        record = self.ear.table(self.prefix + name, step)
        buffer = self.optimizer.state[weight]["momentum_buffer"]
        buffer = buffer.to_dense() if buffer.is_sparse else buffer
        group = next(g for g in self.optimizer.param_groups if any(p is weight for p in g["params"]))
        V = float(((1 - group["momentum"]) * buffer).square().sum())
        R = float((weight.detach() - self.initial).square().sum())
        self.assertLess(abs(record["V"] / V - 1), 1e-9)
        self.assertLess(abs(record["R"] / R - 1), 1e-9)
        return record

    def bands(self):
        self.ear.pump(0.2)
        here = [r for t, r in self.ear.latest.items() if t.startswith(f"band/{self.prefix}emb.weight/") and r["rows"]]
        last = max(r["step"] for r in here)
        return [r for r in here if r["step"] == last]
