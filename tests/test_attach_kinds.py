"""More of what training scripts do around attach: padding, bags, scaled gradients, other processes, decay for long."""
import os
import subprocess
import sys
import unittest

import numpy as np

import attach_support
from attach_support import DIM, ROWS, SIZE, Net, setUpModule, tearDownModule      # noqa: F401
import client_support
import torch
import torch.nn.functional as F
import momentscope
from momentscope import _lib


class Kinds(attach_support.Case):
    def one_row(self, gradients, **sgd):
        """V and the row after these gradients (None: absent) of one of two rows, with attach; theta begins at 0."""
        for sparse in (False, True):
            emb = torch.nn.Embedding(2, 1, sparse=sparse, _weight=torch.zeros(2, 1))
            optimizer = torch.optim.SGD(emb.parameters(), **sgd)
            attach_support.Case.names += 1
            name = f"k{attach_support.Case.names}."
            with momentscope.attach(emb, optimizer, self.daemon.ingest, prefix=name, reference="initial") as scope:
                self.assertTrue(scope.flush(5))
                for g in gradients:
                    optimizer.zero_grad()
                    (emb(torch.tensor([0 if g is not None else 1])) * (g if g is not None else 0.0)).sum().backward()
                    optimizer.step()
                    scope.step()
                self.assertTrue(scope.flush(5))
                record = self.ear.table(name + "weight", len(gradients))
            yield float(emb.weight[0].detach()), record["R"]

    def test_a_silent_row_goes_on_moving(self):
        for theta, R in self.one_row([1.0, None, 1.0], lr=1.0, momentum=0.5):
            self.assertEqual((theta, R), (-2.75, 2.75 ** 2))     # -2.5 with momentum that stands still

    def test_a_probe_changes_no_count(self):
        """Occurrences per sample, over all rows, are those of the run without a probe: its passes are no look-ups."""
        for sparse in (False, True):
            seen = {}
            for kind in ("none", "whole", "halves"):
                at = []

                def whole():
                    return self.loss(at[0])

                def halves(half=None):
                    return self.loss(at[0] if half is None else at[0][half::2])

                options = {} if kind == "none" else {"probe_every": 5, "closure": whole if kind == "whole" else halves}
                with self.run_of(sparse, lr=0.01, **options) as scope:
                    for i in range(100):
                        at[:] = [self.batch(i, 0, 2 + i % (ROWS - 1))]
                        self.optimizer.zero_grad()
                        self.loss(at[0]).backward()
                        self.optimizer.step()
                        scope.step()
                    self.assertTrue(scope.flush(10), scope.stats())
                    name = f"{self.prefix}emb.weight"
                    self.assertEqual(self.ear.table(name, 100)["batch"], SIZE)
                    self.assertEqual(scope.stats()["probes"], 0 if kind == "none" else 19)
                    bands = [r for t, r in self.ear.latest.items() if t.startswith(f"band/{name}/") and r["step"] == 100]
                    seen[kind] = [sum(r["rows"] * r[k] for r in bands) for k in ("p", "P")]
            self.assertGreater(seen["none"][0], 0.9)     # one in a sample, but for rows that were not there at first
            for kind in ("whole", "halves"):             # a band is left when a row is visited, so not to the last bit
                for a, b in zip(seen[kind], seen["none"]):
                    self.assertLess(abs(a / b - 1), 0.05, (sparse, kind, seen))

    def test_a_pass_that_ends_before_the_parameter_counts_nothing(self):
        """torch.autograd.grad of the weights of a bag reaches the look-up, and not the parameter."""
        class Bags(torch.nn.Module):
            def __init__(self, sparse):
                super().__init__()
                self.emb = torch.nn.EmbeddingBag(ROWS, DIM, mode="sum", sparse=sparse)

            def forward(self, index, shares=None):
                return self.emb(index, per_sample_weights=torch.ones(index.shape) if shares is None else shares).sum(1)

        def beside(index):
            shares = torch.ones(index.shape, requires_grad=True)
            torch.autograd.grad(self.model(index, shares).sum(), shares)

        for sparse in (False, True):
            for last in (False, True):       # the pass that is none, before or after those of the step
                with self.run_of(sparse, model=Bags(sparse)) as scope:
                    index = torch.arange(SIZE).reshape(8, 2)
                    for _ in range(30):
                        self.optimizer.zero_grad()
                        if not last:
                            beside(index)
                        for _ in range(2):
                            self.model(index).square().sum().mul(0.01).backward()
                        if last:
                            beside(index)
                        self.optimizer.step()
                        scope.step()
                    record = self.same_as_torch(scope, 30)
                    self.assertEqual(record["batch"], 16, (sparse, last))
                    for band in self.bands():        # two occurrences of each of these rows in 16 samples
                        self.assertAlmostEqual(band["p"], 2 / 16, 6, (sparse, last))

    # -- padding, bags, scaled gradients -----------------------------------------------------------------

    def test_batches_of_padding_alone(self):
        for sparse in (False, True):
            model = Net(sparse)
            model.emb.padding_idx = 0
            with self.run_of(sparse, model=model) as scope:
                for i in range(30):
                    self.steps(scope, 1, i, **({"low": 0, "high": 1} if i % 3 == 1 else {"low": 1}))
                record = self.same_as_torch(scope, 30)
                self.assertEqual((record["lost_steps"], record["silent"]), (0, 1))
                self.assertEqual(scope.stats()["errors"], 0)
            self.assertEqual(self.said, "")

    def test_bags_and_their_weights(self):
        class Bags(torch.nn.Module):
            def __init__(self, mode, sparse):
                super().__init__()
                self.emb = torch.nn.EmbeddingBag(ROWS, DIM, mode=mode, sparse=sparse)
                self.mode = mode

            def forward(self, index):
                weights = torch.linspace(0.5, 2, index.numel()).reshape(index.shape) if self.mode == "sum" else None
                return self.emb(index, per_sample_weights=weights).sum(1)

        for mode, sparse in (("mean", False), ("mean", True), ("max", False), ("sum", False), ("sum", True)):
            with self.subTest(mode, sparse=sparse), self.run_of(sparse, model=Bags(mode, sparse)) as scope:
                for i in range(60):
                    index = self.batch(i).reshape(4, 4)
                    self.optimizer.zero_grad()
                    (self.model(index) - index.to(torch.float64).mean(1) / ROWS).square().mean().backward()
                    self.optimizer.step()
                    scope.step()
                record = self.same_as_torch(scope, 60)
                self.assertEqual(record["batch"], 4)             # samples are bags
                p = sum(r["p"] * r["rows"] for r in self.bands())
                self.assertAlmostEqual(p / 4, 1, delta=0.15)     # look-ups in a bag
            self.assertEqual(self.said, "")

    def test_gradients_scaled_by_frequency_are_said(self):
        model = Net()
        model.emb.scale_grad_by_freq = True
        with self.run_of(model=model, nll=True) as scope:
            self.steps(scope, 60)
            self.same_as_torch(scope, 60)
            self.assertTrue(all(r["H1"] is None for r in self.bands()))
        self.assertIn("emb.weight has scale_grad_by_freq", self.said)

    def test_max_norm_in_the_functional_form(self):
        model = Net()
        with self.run_of(model=model) as scope:
            self.steps(scope, 5)
            for i in range(5):
                self.optimizer.zero_grad()
                F.embedding(self.batch(i), model.emb.weight, max_norm=0.5).square().sum().backward()
                self.optimizer.step()
                scope.step()
                self.assertFalse(scope.stats()["exact"])
            self.steps(scope, 5, 10)
            self.same_as_torch(scope, 15)
        self.assertIn("max_norm", self.said)

    # -- momentum 0, two optimizers ------------------------------------------------------------------------

    def test_momentum_zero_has_a_verdict(self):
        with self.run_of(momentum=0.0, probe_every=5, closure=lambda half=None: self.half(half)) as scope:
            for i in range(200):
                self.index = self.batch(i)
                self.optimizer.zero_grad()
                self.loss(self.index).backward()
                self.optimizer.step()
                scope.step()
            self.assertTrue(scope.flush(5))
            self.ear.table(self.prefix + "emb.weight", 200)
            r = subprocess.run([os.path.join(client_support.BUILD, "momentscope"), "check", "--telemetry",
                                self.daemon.telemetry, "--replay", "", "--table", self.prefix + "emb.weight"],
                               stdout=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(self.said, "")
        self.assertIn("plain SGD at rate 0.1: momentum is 0", r.stdout)
        self.assertRegex(r.stdout, "stability: (stable|near|unstable)")      # known, along the directions
        self.assertNotIn("no probe was sent", r.stdout)

    def half(self, half):
        return self.loss(self.index if half is None else self.index[half::2])

    def test_two_optimizers_on_one_model(self):
        for sparse in (False, True):
            model = Net(sparse)
            other = torch.optim.SGD(model.head.parameters(), lr=0.01)
            with self.run_of(sparse, model=model) as scope:
                self.optimizer.param_groups[0]["params"] = [model.emb.weight]
                for i in range(40):
                    self.steps(scope, 1, i, high=30)
                    other.zero_grad()
                    self.loss(self.batch(i, 30)).backward()      # reaches the embedding; its gradient is zeroed unused
                    other.step()
                record = self.same_as_torch(scope, 40)
                self.assertEqual((record["batch"], record["silent"]), (SIZE, ROWS - 30))
            self.assertEqual(self.said, "")

    # -- other processes ------------------------------------------------------------------------------------

    def test_forked_children_and_data_loader_workers(self):
        with self.run_of() as scope:
            self.steps(scope, 10)
            for leave in (sys.exit, os._exit):
                child = os.fork()
                if child == 0:
                    try:
                        self.steps(scope, 5, 100)                # trains on, and tells nobody
                        leave(0)
                    finally:
                        os._exit(0)
                self.assertEqual(os.waitpid(child, 0)[1], 0)
            data = torch.utils.data.TensorDataset(torch.arange(ROWS))
            for i, (index,) in enumerate(torch.utils.data.DataLoader(data, batch_size=10, num_workers=2)):
                self.optimizer.zero_grad()
                self.loss(index).backward()
                self.optimizer.step()
                scope.step()
            self.same_as_torch(scope, 10 + i + 1)
            self.assertEqual(scope.stats()["reconnects"], 0)

    def test_pickled_to_spawned_workers(self):
        import pickle
        with self.run_of() as scope:
            self.steps(scope, 3)
            code = ("import pickle, sys; sys.path.insert(0, %r); import attach_support; "
                    "m, o = pickle.load(sys.stdin.buffer); assert 'step' not in o.__dict__; "
                    "m(__import__('torch').arange(4)).sum().backward(); o.step(); print('well')"
                    % os.path.join(client_support.ROOT, "tests"))
            r = subprocess.run([sys.executable, "-c", code], input=pickle.dumps((self.model, self.optimizer)),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(r.stdout.strip(), b"well", r.stderr.decode())
            self.steps(scope, 3, 3)
            self.same_as_torch(scope, 6)
        self.assertEqual(self.said, "")

    # -- weight decay over a long silence, through the client ---------------------------------------------

    def test_decay_of_a_row_that_is_silent_for_100000_steps(self):
        steps, warm = 100_000, 10_000
        for coupled in (True, False):
            attach_support.Case.names += 1
            name = f"d{attach_support.Case.names}"
            theta, m, g = np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.ones((1, 1))
            rows, optimum = np.array([0], np.int64), np.zeros((2, 1))
            client = momentscope.Client(self.daemon.ingest, quiet=True, block_ms=5000)
            table = client.attach(name, 2, 1, 2, state=_lib.STATE_F64, reference="zero", theta=theta.ctypes.data,
                                  m=m.ctypes.data)
            client.reference(table, 0, 2, optimum.ctypes.data, _lib.F64)
            self.assertTrue(client.flush(10))
            step = _lib.Step(eta=1e-3, eps=0.1, batch=1)
            for k in range(steps):
                decay = 0.01 * min(1.0, (k + 1) / warm)
                g[0, 0] = np.sin(0.01 * k)
                if coupled:
                    step.weight_decay = decay
                    full = decay * theta
                else:
                    step.decoupled_decay = decay
                    theta *= 1 - 1e-3 * decay
                    full = np.zeros((2, 1))
                full[0] += g[0]
                m[:] = 0.9 * m + full if k else full             # torch's buffer is undamped when it is made
                theta -= 1e-3 * m
                self.assertEqual(client.push(table, step, rows.ctypes.data, g.ctypes.data, _lib.F64, 1), 0)
            self.assertTrue(client.flush(30), client.stats())
            record = self.ear.table(name, steps, 20)
            client.close()
            self.assertEqual(record["syncs"], 1)                 # no later one has healed what steps got wrong
            self.assertAlmostEqual(record["R"] / float((theta ** 2).sum()), 1, delta=1e-9)
            self.assertLess(abs(theta[1, 0]), 1.0)               # decay has halved the silent row at least


if __name__ == "__main__":
    unittest.main()
