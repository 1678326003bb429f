"""Gradients that are clipped before the step: curvature and H are those of the step really made."""
import unittest
import warnings

import attach_support
from attach_support import setUpModule, tearDownModule      # noqa: F401
import torch
import momentscope

ROWS, DIM, SIZE, STEPS = 24, 4, 32, 420


class Clip(attach_support.Case):
    """A quadratic loss, so that its curvature is the same wherever clipping takes the weights."""

    def run_once(self, sparse, clip, scale=1.0, drift=1.0):
        """(record of stability, H1 by updates, factors of the probed steps, stats). clip(norm): the factor."""
        torch.manual_seed(1)
        emb = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        head = torch.nn.Parameter(torch.zeros(3))
        model = torch.nn.Module()
        model.emb, model.head = emb, head
        features, targets = torch.randn(64, DIM), torch.randn(64)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.0 if sparse else 0.9)
        generator, factors = torch.Generator().manual_seed(2), []
        batch = None

        def loss(half=None):
            rows, k = batch if half is None else (batch[0][half::2], batch[1][half::2])
            seen = (emb(rows) * features[k]).sum(1) + features[k][:, :3] @ head
            return 0.5 * (seen - drift * targets[k]).square().mean()

        Clip.names += 1
        name = f"clip{Clip.names}."
        with warnings.catch_warnings():
            warnings.simplefilter("error")   # nothing is wrong here, and no warning says so
            with momentscope.attach(model, optimizer, self.daemon.ingest, prefix=name, probe_every=5,
                                    closure=loss) as scope:
                for i in range(STEPS):
                    batch = (torch.randint(ROWS, (SIZE,), generator=generator),
                             torch.randint(64, (SIZE,), generator=generator))
                    optimizer.zero_grad()
                    (scale * loss()).backward()
                    values = [g._values() if g.is_sparse else g for g in (p.grad for p in model.parameters())]
                    for v in values:
                        v.div_(scale)
                    norm = torch.stack([(p.grad.coalesce().values() if p.grad.is_sparse else p.grad).square().sum()
                                        for p in model.parameters()]).sum().sqrt()
                    factor = min(1.0, clip(float(norm)))
                    if factor < 1:
                        for v in values:
                            v.mul_(factor)
                    if i and i % 5 == 0:
                        factors.append(factor)
                    optimizer.step()
                    scope.step()
                self.assertTrue(scope.flush(10), scope.stats())
                self.ear.table(name + "emb.weight", STEPS)
                stats = scope.stats()
        self.assertEqual((stats["probe_refused"], stats["probes"]), (None, STEPS // 5 - 1))
        self.ear.until(lambda r: r[f"table/{name}emb.weight"]["attached"] is False)
        bands = [r for t, r in self.ear.latest.items() if t.startswith(f"band/{name}") and r["H1"] and r["rows"]]
        weight = sum(b["updates"] for b in bands)
        H1 = sum(b["H1"] * b["updates"] for b in bands) / weight if weight else None     # None: there is no momentum
        return self.ear.latest[f"stability/{name}emb.weight"], H1, factors, stats

    def test_H_is_that_of_the_clipped_step(self):
        for sparse in (False, True):
            whole, H1, _, stats = self.run_once(sparse, lambda norm: 1.0)
            self.assertEqual(stats["clip"], 1.0)
            for scale in (1.0, 65536.0):     # GradScaler's, taken out again before clipping
                with self.subTest(sparse=sparse, scale=scale):
                    got, h1, factors, stats = self.run_once(sparse, lambda norm: 0.25 / norm, scale)
                    factor, lately = (sum(f) / len(f) for f in (factors, factors[-40:]))     # H remembers 32 probes
                    print(f"note clipped to {lately:.3f}: H {got['H'] / whole['H']:.3f} of that without clipping; to "
                          f"{factor:.3f}: H1", f"{h1 / H1:.3f}" if H1 else "unknown, momentum is 0")
                    self.assertTrue(0.1 < factor < 0.8, factor)
                    self.assertAlmostEqual(got["H"] / whole["H"] / lately, 1, delta=0.15)
                    if H1:                   # of rows that change their band, and that remember probes of other times
                        self.assertAlmostEqual(h1 / H1 / factor, 1, delta=0.25)
                    self.assertTrue(0.1 < stats["clip"] < 0.9, stats["clip"])

    def test_torchs_own_clipping(self):
        """clip_grad_norm_ of torch 1.13 leaves sparse gradients as they are: then nothing was shrunk."""
        emb = torch.nn.Embedding(4, 2, sparse=True)
        emb(torch.tensor([0, 1])).sum().backward()
        torch.nn.utils.clip_grad_norm_(emb.parameters(), 0.1)
        left = float(emb.weight.grad._values()[0, 0])
        self.assertIn(round(left, 6), (1.0, 0.05))           # 1.13, and versions that clip it


if __name__ == "__main__":
    unittest.main()
