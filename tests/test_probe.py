"""The probe compares its closure with the step: each way of fooling it is refused with its reason, nothing honest is,
and weights and random states keep their bits. Cases are a table: a name, what the trainer does, the expected word."""
import random
import unittest
import warnings

import client_support
import numpy
import torch
import momentscope

ROWS, DIM, SIZE, STEPS, EVERY = 60, 5, 16, 41, 4
PROBES = (STEPS - 1) // EVERY
SAME, DRAWN, BATCH, WRONG, NOISE = "same", "not comparable", "another batch", "wrong scale", "not repeatable"


def setUpModule():
    torch.set_num_threads(1)


def batches(n, seed=2):
    generator = torch.Generator().manual_seed(seed)
    weights = 1.0 / torch.arange(1, ROWS + 1)
    return torch.multinomial(weights, 2 * SIZE * n, replacement=True, generator=generator).reshape(n, SIZE, 2)


class Net(torch.nn.Module):
    """Two embeddings; between them what the case asks for."""

    def __init__(self, sparse, dropout=0.0, norm=False):
        super().__init__()
        self.words = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.out = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.drop = torch.nn.Dropout(dropout)
        self.norm = torch.nn.BatchNorm1d(DIM) if norm else torch.nn.Identity()
        self.dense = torch.nn.Linear(DIM, DIM)

    def forward(self, a, b):
        return (self.dense(self.norm(self.drop(self.words(a)))) * self.out(b)).sum(1)


class Trainer:
    """A loop whose parts a case replaces: loss and closure of a batch, edits between backward and step."""
    net, sgd, tables, parts, private = {}, {}, ("words.weight", "out.weight"), 1, None

    def __init__(self, sparse, dtype):
        torch.manual_seed(1)
        random.seed(1)
        numpy.random.seed(1)
        self.private = torch.Generator().manual_seed(7)
        self.model = Net(sparse, **self.net).to(dtype)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.2, momentum=0.9, **self.sgd)
        self.calls, self.data = 0, batches(STEPS * self.parts)

    def score(self, batch, reduction="mean"):
        target = torch.ones(len(batch), dtype=self.model.dense.weight.dtype)
        return torch.nn.functional.binary_cross_entropy_with_logits(self.model(batch[:, 0], batch[:, 1]), target,
                                                                    reduction=reduction)

    def loss(self, batch):
        return self.score(batch)

    def probed(self, batch):
        return self.loss(batch)

    def edit(self):
        pass

    def backward(self, i):
        self.batch = self.data[i]
        self.loss(self.batch).backward()

    def closure(self):
        self.calls += 1
        return self.probed(self.batch)

    def halved(self, half=None):
        batch = self.batch
        try:
            self.batch = batch[:, half::2] if batch.dim() == 3 else batch[half::2]
            return self.closure()
        finally:
            self.batch = batch

    def gradients(self):
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def scale_gradients(self, factor):
        for p in self.model.parameters():
            p.grad = p.grad * factor

    def run(self, daemon, watched, prefix, halved=False):
        scope = momentscope.attach(self.model, self.optimizer, daemon.ingest, tables=list(self.tables), prefix=prefix,
                                   probe_every=EVERY,
                                   closure=self.halved if halved else self.closure) if watched else None
        for i in range(STEPS):
            self.optimizer.zero_grad()
            self.backward(i)
            self.edit()
            self.optimizer.step()
            if scope:
                scope.step()
        end = [p.detach().clone() for p in self.model.state_dict().values()]
        return end + [torch.rand(3), torch.tensor(random.random()), torch.tensor(numpy.random.rand())], scope


# -- honest ------------------------------------------------------------------------------------------

class Plain(Trainer):
    want = SAME


class Dropout(Trainer):
    net, want = {"dropout": 0.5}, DRAWN


class HeavyDropoutAndClipping(Trainer):
    net, want = {"dropout": 0.8}, DRAWN

    def edit(self):
        total = sum(float((g.coalesce() if g.is_sparse else g).norm() ** 2) for g in self.gradients()) ** 0.5
        self.scale_gradients(min(1.0, 0.02 / total))


class BatchNorm(Trainer):
    """The mean over a half is not that over the batch."""
    net, want, want_halved = {"norm": True}, SAME, DRAWN


class OddBatch(Trainer):
    want = SAME

    def backward(self, i):
        self.batch = self.data[i][:SIZE - 1 - i % 2]
        self.loss(self.batch).backward()


class NegativeSampling(Trainer):
    want, k = DRAWN, 3

    def draw(self, n):
        return torch.randint(ROWS, (n,))

    def loss(self, batch):
        a, b = batch[:, 0].repeat(1 + self.k), torch.cat([batch[:, 1], self.draw(self.k * len(batch))])
        target = torch.zeros(len(a), dtype=self.model.dense.weight.dtype)
        target[:len(batch)] = 1
        return torch.nn.functional.binary_cross_entropy_with_logits(self.model(a, b), target)


class NegativesOfNumpy(NegativeSampling):
    def draw(self, n):
        return torch.from_numpy(numpy.random.randint(ROWS, size=n))


class NegativesOfPython(NegativeSampling):
    def draw(self, n):
        return torch.tensor([random.randrange(ROWS) for _ in range(n)])


class NegativesOfOneTable(NegativeSampling):
    tables = ("out.weight",)


class Clipping(Trainer):
    want = SAME

    def edit(self):
        total = sum(float((g.coalesce() if g.is_sparse else g).norm() ** 2) for g in self.gradients()) ** 0.5
        self.scale_gradients(min(1.0, 0.02 / total))


class Decay(Trainer):
    """Decay by hand of the rows with a gradient, and a factor as of clipping."""
    want = SAME

    def edit(self):
        c = 0.5 + 0.4 * torch.rand(()).item()
        for p in self.model.parameters():
            theta = p.detach()
            if p.grad.is_sparse:
                g = p.grad.coalesce()
                rows = g._indices()
                p.grad = torch.sparse_coo_tensor(rows, c * (g._values() + 0.1 * theta[rows[0]]), g.shape)
            else:
                p.grad = c * (p.grad + 0.1 * theta)


class LossScale(Trainer):
    """What GradScaler does, without a GPU: backward of a scaled loss, unscale, step."""
    want = SAME

    def backward(self, i):
        self.batch = self.data[i]
        (65536 * self.loss(self.batch)).backward()

    def edit(self):
        self.scale_gradients(1 / 65536)


class LossScaleAndClipping(LossScale):
    def edit(self):
        super().edit()
        Clipping.edit(self)


class MicroBatches(Trainer):
    """The closure computes all of them."""
    parts, want = 4, SAME

    def backward(self, i):
        self.batch = self.data[self.parts * i:self.parts * (i + 1)]
        for part in self.batch:
            (self.score(part) / self.parts).backward()

    def closure(self):
        self.calls += 1
        for part in self.batch:
            (self.score(part) / self.parts).backward()


class EvalMode(Trainer):
    net, want = {"dropout": 0.5}, DRAWN

    def probed(self, batch):
        self.model.eval()
        loss = self.loss(batch)
        self.model.train()
        return loss


# -- fooled ------------------------------------------------------------------------------------------

class StaleBatch(Trainer):
    want = BATCH

    def probed(self, batch):
        return self.loss(self.data[0])


class DrawnBatch(Trainer):
    """Another batch, from the global generator: repeatable."""
    want = BATCH

    def probed(self, batch):
        return self.loss(self.data[torch.randint(STEPS, ())])


class StaleBatchAndDropout(StaleBatch):
    net = {"dropout": 0.5}


class NextBatch(Trainer):
    want = NOISE

    def probed(self, batch):
        return self.loss(self.data[self.calls % STEPS])


class PrivateNoise(Trainer):
    want, size = NOISE, 0.5

    def loss(self, batch):
        noise = torch.randn(len(batch), generator=self.private).to(self.model.dense.weight.dtype)
        return self.score(batch) + (self.size * noise * self.model.words(batch[:, 0]).sum(1)).mean()


class LittleNoise(PrivateNoise):
    size = 0.02


class Summed(Trainer):
    want = WRONG

    def probed(self, batch):
        return self.score(batch, "sum")


class SummedAndClipped(Summed):
    edit = Clipping.edit


class SummedAndDropout(Summed):
    net = {"dropout": 0.5}


class SumDividedLater(Trainer):
    want = WRONG

    def loss(self, batch):
        return self.score(batch, "sum")

    def edit(self):
        self.scale_gradients(1 / SIZE)


class ClosureKeepsLossScale(LossScale):
    want = WRONG

    def probed(self, batch):
        return 65536 * self.loss(batch)


class OneMicroBatch(MicroBatches):
    want = WRONG

    def closure(self):
        self.calls += 1
        return self.score(self.batch[-1])


class OneMicroBatchOfASum(OneMicroBatch):
    def backward(self, i):
        self.batch = self.data[self.parts * i:self.parts * (i + 1)]
        for part in self.batch:
            self.score(part).backward()


class DenseOnly(Trainer):
    """A table without look-ups: only the gradients can tell."""
    tables, want = ("dense.weight",), SAME


class DenseDropout(DenseOnly):
    net, want = {"dropout": 0.5}, DRAWN


class DenseStaleBatch(StaleBatch):
    tables = ("dense.weight",)


class PrivateOfNumpy(PrivateNoise):
    def __init__(self, *args):
        super().__init__(*args)
        self.numpy = numpy.random.default_rng(3)

    def loss(self, batch):
        keep = torch.from_numpy(self.numpy.random(len(batch)) < 0.5).to(self.model.dense.weight.dtype)
        return (keep * self.model(batch[:, 0], batch[:, 1])).cos().mean()


class NotFinite(Trainer):
    want = "not finite"

    def probed(self, batch):
        return self.loss(batch) * float("nan")


class NoneToZero(MicroBatches):
    """Gradients set to None, and a backward pass that the trainer throws away."""

    def backward(self, i):
        self.loss(self.data[0]).backward()
        self.optimizer.zero_grad(set_to_none=True)
        super().backward(i)


CASES = [Plain, OddBatch, Dropout, HeavyDropoutAndClipping, BatchNorm, NegativeSampling, NegativesOfNumpy, NegativesOfPython,
         NegativesOfOneTable, Clipping, Decay, LossScale, LossScaleAndClipping, MicroBatches, EvalMode,
         StaleBatch, DrawnBatch, StaleBatchAndDropout, NextBatch, PrivateNoise, LittleNoise, Summed, SummedAndClipped,
         SummedAndDropout, SumDividedLater, ClosureKeepsLossScale, OneMicroBatch, OneMicroBatchOfASum,
         DenseOnly, DenseDropout, DenseStaleBatch, PrivateOfNumpy, NoneToZero, NotFinite]
PRIVATE = (PrivateNoise, LittleNoise, PrivateOfNumpy)       # the probe cannot restore their generator


class Probe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def one(self, case, sparse, dtype, halved):
        prefix = f"{case.__name__}{int(sparse)}{int(halved)}{str(dtype)[-2:]}."
        want = getattr(case, "want_halved", case.want) if halved else case.want
        plain, _ = case(sparse, dtype).run(self.daemon, False, prefix)
        trainer = case(sparse, dtype)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            watched, scope = trainer.run(self.daemon, True, prefix, halved)
        told = [str(w.message) for w in told if "probe" in str(w.message)]
        with scope:
            stats = scope.stats()
            where = (case.__name__, sparse, dtype, halved, stats["probe_refused"], scope.probing.judge.seen)
            print("note", case.__name__, "sparse" if sparse else "dense", str(dtype)[6:], "halved" if halved else "whole",
                  " ".join(f"{n}: cos {c:.4f} a {a:.4g}" for n, c, a in scope.probing.judge.seen),
                  f"passes {trainer.calls}; probes {stats['probes']} refused {stats['probes_refused']}")
            if case not in PRIVATE:
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(plain, watched)), where)
            self.assertTrue(scope.flush(10), stats)
            if want in (SAME, DRAWN):
                self.assertEqual((stats["probes"], stats["probes_refused"]), (PROBES, 0), where)
                self.assertEqual(stats["probes_uncompared"], PROBES if want == DRAWN else 0, where)
                self.assertEqual((told, stats["probe_refused"]), ([], None))
                repeats = 1 if want == DRAWN else 0
                # at theta and along the momenta; halved also along a direction, but in the first, where they begin
                passes = 2 * (3 * PROBES - 1 + repeats) if halved else 2 * PROBES + repeats
                self.assertEqual(trainer.calls, passes, where)
                return
            self.assertEqual((stats["probes"], stats["probes_refused"]), (0, PROBES), where)
            self.assertEqual(len(told), 1, told)
            self.assertIn(f"the probe was refused, so curvature was not measured: {want}: ", told[0])
            self.assertTrue(stats["probe_refused"].startswith(want + ": "), where)

    def test_cases(self):
        for case in CASES:
            for sparse, dtype in ((False, torch.float64), (True, torch.float32)):
                for halved in (False, True):
                    with self.subTest(case.__name__, sparse=sparse, halved=halved):
                        self.one(case, sparse, dtype, halved)

    def quiet(self, case, prefix):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return case(True, torch.float64).run(self.daemon, True, prefix)[1]

    def test_a_constant_factor_is_seen_from_the_second_probe_on(self):
        class DividedByTwelve(SumDividedLater):
            def edit(self):
                self.scale_gradients(1 / 12)
        with self.quiet(DividedByTwelve, "twelve.") as scope:
            stats = scope.stats()
            self.assertEqual((stats["probes"], stats["probes_refused"]), (1, PROBES - 1))
            self.assertIn("multiplied by 0.08333 between backward and step every time", stats["probe_refused"])

    def test_no_gradient_is_counted(self):
        class Nothing(Trainer):
            def closure(self):
                return None
        with self.quiet(Nothing, "nothing.") as scope:
            stats = scope.stats()
            self.assertEqual((stats["probes"], stats["probes_refused"]), (0, 3))
            self.assertEqual(stats["probe_refused"], "no gradient: the closure left none in words.weight, out.weight")

    def test_the_probe_has_a_hook_only_in_its_step(self):
        trainer, seen = Trainer(True, torch.float32), []
        trainer.edit = lambda: seen.append(len(trainer.model.words.weight._backward_hooks))
        _, scope = trainer.run(self.daemon, True, "hooks.")
        scope.close()
        self.assertEqual(seen, [1 + (i > 0 and i % EVERY == 0) for i in range(STEPS)])
        self.assertFalse(trainer.model.words.weight._backward_hooks)

    def test_a_refused_probe_sends_no_curvature(self):
        for case, measured in ((Plain, True), (Dropout, True), (Summed, False), (NextBatch, False)):
            ear = client_support.Listener(self.daemon)
            prefix = f"sent.{case.__name__}."
            with self.quiet(case, prefix) as scope:
                self.assertTrue(scope.flush(10), scope.stats())
                ear.table(prefix + "words.weight", STEPS)
                bands = [r for t, r in ear.latest.items() if t.startswith(f"band/{prefix}words.weight/")]
                self.assertEqual(any(b["h_source"] == "probe" for b in bands), measured, case.__name__)
            ear.close()


if __name__ == "__main__":
    unittest.main()
