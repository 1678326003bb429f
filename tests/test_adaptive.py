"""Optimizers that are read: the numbers of the daemon against the optimizer's own state, and the trainer left alone."""
import itertools
import unittest
import warnings

try:
    import client_support
    import torch
    import momentscope
    missing = None
except ImportError as e:
    missing = str(e)

ROWS, DIM, BATCH, STEPS = 60, 6, 24, 120
#        name, sparse gradients, options
KINDS = (("Adam", False, {}), ("Adam", False, {"amsgrad": True}), ("AdamW", False, {"weight_decay": 0.1}),
         ("NAdam", False, {}), ("RAdam", False, {}), ("SparseAdam", True, {}), ("Adagrad", False, {}),
         ("Adagrad", True, {"lr_decay": 0.01}), ("RMSprop", False, {}), ("RMSprop", False, {"momentum": 0.8}),
         ("RMSprop", False, {"centered": True}))
MOMENTUM = {"Adagrad": None, "RMSprop": "momentum_buffer"}
SECOND = {"Adagrad": "sum", "RMSprop": "square_avg"}


def setUpModule():
    if missing:
        raise unittest.SkipTest(missing)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)


def tearDownModule():
    if not missing:
        torch.set_default_dtype(torch.float32)


class Net(torch.nn.Module if not missing else object):
    def __init__(self, sparse):
        super().__init__()
        self.emb = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.register_buffer("head", torch.randn(DIM))

    def forward(self, index):
        return self.emb(index) @ self.head


def train(net, optimizer, scope=None, steps=STEPS, seed=1, note=None):
    """Rows of unequal frequency, row 0 silent."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = 1 + (torch.rand(BATCH, generator=draw) ** 3 * (ROWS - 1)).long()
        target = torch.randn(BATCH, generator=draw)
        optimizer.zero_grad()
        ((net(index) - target) ** 2).mean().backward()
        if note is not None:
            note(index, net.emb.weight)
        optimizer.step()
        if scope is not None:
            scope.step()


class Adaptive(unittest.TestCase):
    names = itertools.count()

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.ear = client_support.Listener(self.daemon)
        self.addCleanup(self.ear.close)
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("error")

    def setting(self, kind, sparse, options, seed=0):
        torch.manual_seed(seed)
        net = Net(sparse)
        return net, getattr(torch.optim, kind)(net.parameters(), lr=0.02, **options)

    def attach(self, net, optimizer, **options):
        return momentscope.attach(net, optimizer, endpoint=self.daemon.ingest, prefix=f"a{next(self.names)}.", **options)

    def records(self, scope, step=STEPS):
        self.assertTrue(scope.flush(10), scope.stats())
        scope.close()
        name = scope.tables[0].name
        table = self.ear.table(name, step)
        return table, [self.ear.latest[f"band/{name}/{int(b)}"] for b in table["bands"]]

    def close(self, got, want, tolerance=1e-6):
        self.assertLess(abs(got - want), tolerance * max(abs(want), 1e-12), (got, want))

    def test_weights_are_bit_identical_and_totals_are_the_state(self):
        for kind, sparse, options in KINDS:
            with self.subTest(kind=kind, sparse=sparse, **options):
                alone, optimizer = self.setting(kind, sparse, options)
                train(alone, optimizer)
                net, optimizer = self.setting(kind, sparse, options)
                scope = self.attach(net, optimizer)
                train(net, optimizer, scope)
                self.assertTrue(torch.equal(net.emb.weight, alone.emb.weight))
                table, bands = self.records(scope)
                state = optimizer.state[net.emb.weight]
                m = state.get(MOMENTUM.get(kind, "exp_avg"))
                if m is not None:
                    self.close(table["V"], float((m ** 2).sum()))
                    self.close(sum(b["V"] for b in bands), float((m ** 2).sum()))
                else:                        # the gradient of the last step stands for it
                    self.close(table["V"], float((net.emb.weight.grad.to_dense() ** 2).sum()))
                v = state[SECOND.get(kind, "exp_avg_sq")]
                self.close(sum(b["v"] * b["rows"] for b in bands), float(v.mean(1).sum()))
                self.assertEqual((table["optimizer"], table["d"]), (kind, DIM))
                self.assertEqual(table["form"], "frozen" if kind == "SparseAdam" else "read")
                self.assertEqual((table["exact"], table["silent"], table["R"], table["refused_messages"]),
                                 (True, 1, None, 0))


if __name__ == "__main__":
    unittest.main()
