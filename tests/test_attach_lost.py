"""What goes wrong on the way, and in the numbers themselves: lost steps, sums that overflow, tables that are large."""
import unittest
import warnings

import attach_support
from attach_support import ROWS, setUpModule, tearDownModule      # noqa: F401
import client_support
import torch
import momentscope


class Lost(attach_support.Case):
    def rates(self, sparse, lose):
        """Steps lost, and [p, P, fade] summed over rows, of 1500 steps."""
        weights = 1 / torch.arange(1.0, ROWS + 1)
        drawn, losing = torch.Generator().manual_seed(2), torch.Generator().manual_seed(3)
        with self.run_of(sparse) as scope:
            for _ in range(1500):
                self.optimizer.zero_grad()
                self.loss(torch.multinomial(weights, 16, replacement=True, generator=drawn)).backward()
                self.optimizer.step()
                if lose(losing):
                    scope.tables[0].pending = None
                    scope._client.skip(scope.tables[0].handle)
                else:
                    scope.step()
            record = self.same_as_torch(scope, 1500)             # healed, and exact again
            bands = self.bands()
        lost = record["lost_steps"]
        return lost, [sum(b["rows"] * x for b in bands for x in [f(b)])
                      for f in (lambda b: b["p"], lambda b: b["P"], lambda b: b["fade"])]

    def test_lost_steps_are_no_silence(self):
        def one_in(k):
            return lambda g: float(torch.rand((), generator=g)) < 1 / k

        def runs(g, state={"left": 0}):                          # 30 in a row, now and then
            if state["left"] == 0 and float(torch.rand((), generator=g)) < 1 / 60:
                state["left"] = 30
            state["left"] = max(0, state["left"] - 1)
            return state["left"] > 0

        for sparse in (False, True):
            none, whole = self.rates(sparse, lambda g: False)
            self.assertEqual(none, 0)
            for lose in (one_in(10), one_in(2), runs):
                lost, got = self.rates(sparse, lose)
                print(f"note lost {lost} of 1500: p, P, fade against none lost:",
                      " ".join(f"{a / b:.3f}" for a, b in zip(got, whole)))
                self.assertGreater(lost, 100)
                for a, b in zip(got, whole):
                    self.assertAlmostEqual(a / b, 1, delta=0.04)


class Overflow(attach_support.Case):
    def overflows(self):
        """Texts of the alerts overflow of the present table."""
        return [a["text"] for a in self.ear.alerts if a["code"] == "overflow" and a["table"] == self.name + "weight"]

    def overflow(self, row):
        said = self.overflows()
        self.assertTrue(said, self.ear.alerts)
        self.assertTrue(all(f"row {row}" in text for text in said), said)

    def drive(self, dtype, sparse, big, row, steps=8):
        torch.manual_seed(1)
        emb = torch.nn.Embedding(ROWS, 4, sparse=sparse).to(dtype)
        optimizer = torch.optim.SGD(emb.parameters(), lr=0.1, momentum=0.9 if not sparse else 0.0)
        attach_support.Case.names += 1
        self.name = f"o{attach_support.Case.names}."
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scope = momentscope.attach(emb, optimizer, self.daemon.ingest, prefix=self.name)
        self.assertTrue(scope.flush(5) or dtype is torch.float16)
        self.ear.pump(0.1)
        for i in range(steps):
            emb.weight.grad = None
            size = big if i == 4 else 1.0
            index = torch.tensor([row, row, 3])
            if sparse:
                values = torch.full((3, 4), size, dtype=dtype)
                emb.weight.grad = torch.sparse_coo_tensor(index[None], values, emb.weight.shape)
            else:
                emb(index).backward(torch.full((3, 4), size, dtype=dtype))
            optimizer.step()
            scope.step()
        scope.flush(1)
        self.ear.until(lambda r: self.overflows(), 10)
        scope.close(0)
        return emb.weight.detach()

    def test_two_finite_gradients_whose_sum_is_none(self):
        for row in (7, 41):
            for dtype, sparse, big in ((torch.float16, False, 6e4), (torch.float32, False, 3e38),
                                       (torch.float32, True, 3e38)):
                with self.subTest(row=row, dtype=dtype, sparse=sparse):
                    weight = self.drive(dtype, sparse, big, row)
                    if not sparse:                               # torch adds up as well
                        self.assertEqual(torch.isfinite(weight).all(1).logical_not().nonzero().tolist(), [[row]])
                    self.overflow(row)


class Large(attach_support.Case):
    def test_a_large_table_with_defaults_loses_no_step(self):
        """2 M x 64: its rows, 1 GB with their momentum, travel beside the steps."""
        rows, steps = 2_000_000, 300
        emb = torch.nn.Embedding(rows, 64, sparse=True, _weight=torch.zeros(rows, 64, dtype=torch.float32))
        emb.weight.data[0] = 1.0             # not fresh: all rows are sent
        optimizer = torch.optim.SGD(emb.parameters(), lr=0.1)
        with momentscope.attach(emb, optimizer, self.daemon.ingest, prefix="large.") as scope:
            self.assertLess(scope.tables[0].capacity, rows)
            for i in range(steps):
                optimizer.zero_grad()
                emb(torch.randint(rows, (512,))).square().sum().backward()
                optimizer.step()
                scope.step()
            stats = scope.stats()
            self.assertEqual((stats["steps_dropped"], stats["errors"]), (0, 0), stats)
            self.assertTrue(scope.flush(120), scope.stats())
            record = self.ear.table("large.weight", steps, 20)
            self.assertEqual((record["lost_steps"], record["refused_messages"]), (0, 0))

    def test_a_step_above_the_capacity_is_said(self):
        for sparse in (False, True):
            with self.run_of(sparse, capacity=8) as scope:
                self.steps(scope, 5, high=6)
                self.same_as_torch(scope, 5)
                self.steps(scope, 1, 5)      # some 14 rows
                self.assertEqual(scope.stats()["steps_dropped"], 1)
                self.steps(scope, 2, 6, high=8)
                self.assertEqual(self.same_as_torch(scope, 8)["lost_steps"], 1)
            self.assertRegex(self.said, r"a step of emb.weight has more rows \(1\d\) than attach's capacity = 8")


if __name__ == "__main__":
    unittest.main()
