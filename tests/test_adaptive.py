"""Optimizers that are read: the numbers of the daemon against the optimizer's own state, and the trainer left alone."""
import itertools
import os
import sys
import unittest
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "accuracy"))
import client_support
from attach_support import setUpModule, tearDownModule      # noqa: F401
import torch
import momentscope
import adaptive as accuracy

ROWS, DIM, BATCH, STEPS = 60, 6, 24, 120
#        name, sparse gradients, options
KINDS = (("Adam", False, {}), ("Adam", False, {"amsgrad": True}), ("AdamW", False, {"weight_decay": 0.1}),
         ("NAdam", False, {}), ("RAdam", False, {}), ("SparseAdam", True, {}), ("Adagrad", False, {}),
         ("Adagrad", True, {"lr_decay": 0.01}), ("RMSprop", False, {}), ("RMSprop", False, {"momentum": 0.8}),
         ("RMSprop", False, {"centered": True}))
MOMENTUM = {"Adagrad": None, "RMSprop": "momentum_buffer"}
SECOND = {"Adagrad": "sum", "RMSprop": "square_avg"}


class Net(torch.nn.Module):
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
        options.update(endpoint=self.daemon.ingest, prefix=f"a{next(self.names)}.")
        return momentscope.attach(net, optimizer, **options)

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

    def test_a_large_step_measures_one_update_in_eight_and_loses_no_total(self):
        torch.manual_seed(0)
        for kind, sparse in (("Adam", False), ("SparseAdam", True), ("Adagrad", True)):
            with self.subTest(kind=kind):
                words = torch.nn.Embedding(3000, DIM, sparse=sparse)
                optimizer = getattr(torch.optim, kind)(words.parameters(), lr=0.02)
                scope = self.attach(torch.nn.ModuleDict({"words": words}), optimizer)
                for _ in range(30):
                    index = (torch.rand(2500) ** 2 * 3000).long()
                    optimizer.zero_grad()
                    (words(index) - 1).square().sum(1).mean().backward()
                    optimizer.step()
                    scope.step()
                _, bands = self.records(scope, 30)
                state = optimizer.state[words.weight]
                if "exp_avg" in state:
                    self.close(sum(b["V"] for b in bands), float((state["exp_avg"] ** 2).sum()))
                v = state.get("exp_avg_sq", state.get("sum"))
                self.close(sum(b["v"] * b["rows"] for b in bands), float(v.mean(1).sum()))
                self.assertTrue(all(b["u"] > 0 for b in bands if b["u_updates"] > 0))
                self.assertTrue(any(b["u_updates"] > 0 for b in bands))

    def test_retention_and_staleness_are_those_of_the_gaps(self):
        for kind, sparse in (("Adam", False), ("SparseAdam", True)):
            with self.subTest(kind=kind):
                active = []
                net, optimizer = self.setting(kind, sparse, {"betas": (0.8, 0.95)})
                scope = self.attach(net, optimizer)
                train(net, optimizer, scope, note=lambda index, _: active.append(set(index.tolist())))
                self.records(scope)
                mine = f"band/{scope.tables[0].name}/"           # also bands that all rows have left
                bands = [b for topic, b in self.ear.latest.items() if topic.startswith(mine)]
                last, gaps = {}, []
                for step, rows in enumerate(active):
                    gaps += [step - last[row] for row in rows if row in last]
                    last.update(dict.fromkeys(rows, step))
                left = {False: lambda beta, gap: 1 - beta ** gap, True: lambda beta, gap: 1 - beta}[sparse]
                self.assertEqual(sum(b["gaps"] for b in bands), len(gaps))
                for field, beta in (("fade", 0.8), ("v_fade", 0.95)):
                    total = sum(b[field] * b["gaps"] for b in bands if b["gaps"])
                    self.close(total, sum(left(beta, gap) for gap in gaps))
                for b in bands:
                    if b["gaps"] and b["rows"]:
                        self.close(b["retention"], 1 / b["fade"])
                        self.close(b["v_retention"], 1 / b["v_fade"])
                        self.close(b["v_age"], 1 / (b["v_fade"] * b["P"]))
                        if sparse:           # by updates and not by steps: the same in every band
                            self.close(b["retention"], 5)
                            self.close(b["v_retention"], 20)

    def test_alignment_and_size_of_updates(self):
        own = client_support.Daemon("--interval", "0", "--interval-steps", "40").start()     # a window, then a step
        self.addCleanup(own.stop)
        self.daemon, self.ear = own, client_support.Listener(own)
        self.addCleanup(self.ear.close)
        for kind, sparse, options in KINDS:
            if kind == "Adagrad":
                continue
            with self.subTest(kind=kind, **options):
                net, optimizer = self.setting(kind, sparse, options)
                scope = self.attach(net, optimizer)
                train(net, optimizer, scope, steps=40)
                self.assertTrue(scope.flush(10))
                name = scope.tables[0].name
                self.ear.table(name, 40)
                seen = []

                def note(index, weight):
                    state = optimizer.state[weight]
                    m, grad = state.get(MOMENTUM.get(kind, "exp_avg")), weight.grad.to_dense()
                    rows, counts = index.unique(return_counts=True)
                    before = torch.zeros_like(grad) if m is None else m
                    seen.append((((grad * before).sum(1)[rows] / counts), weight.detach().clone(), rows))

                train(net, optimizer, scope, steps=1, seed=2, note=note)
                _, bands = self.records(scope, 41)
                products, was, rows = seen[0]
                moved = (net.emb.weight.detach() - was)[rows].square().sum()
                window = [b for b in bands if b["window_updates"]]
                self.assertEqual(sum(b["window_updates"] for b in window), rows.numel())
                self.close(sum(b["gm"] * b["window_updates"] for b in window), float(products.sum()), 1e-3)
                self.close(sum(b["u"] ** 2 * b["u_updates"] for b in window), float(moved))

    # -- ways in which trainers differ --------------------------------------------------------------

    def expect(self, scope, optimizer, net, step, exact=True):
        name = scope.tables[0].name
        self.assertEqual(scope.flush(10), True, scope.stats())
        scope.close()
        topic = f"table/{name}"
        self.assertTrue(self.ear.until(lambda r: r.get(topic, {}).get("step") == step and not r[topic]["attached"]))
        table = self.ear.latest[topic]
        self.assertEqual(table["exact"], exact)
        self.close(table["V"], float((optimizer.state[net.emb.weight]["exp_avg"] ** 2).sum()))

    def test_a_run_that_began_before_is_read_whole(self):
        for kind, sparse in (("Adam", False), ("SparseAdam", True)):
            with self.subTest(kind=kind):
                net, optimizer = self.setting(kind, sparse, {})
                train(net, optimizer, steps=20)
                scope = self.attach(net, optimizer)
                train(net, optimizer, scope, steps=20, seed=2)
                self.expect(scope, optimizer, net, 40)

    def test_state_that_was_loaded_is_noticed(self):
        net, optimizer = self.setting("Adam", False, {})
        scope = self.attach(net, optimizer)
        train(net, optimizer, scope, steps=20)
        kept = optimizer.state_dict()
        other, fresh = self.setting("Adam", False, {}, seed=3)
        train(other, fresh, steps=7)
        optimizer.load_state_dict(fresh.state_dict())
        with self.assertWarnsRegex(RuntimeWarning, "momentum of emb.weight"):
            train(net, optimizer, scope, steps=5, seed=4)
        self.assertTrue(kept)
        self.expect(scope, optimizer, net, 25)

    def test_gradients_may_be_zeroed_before_the_scope_steps(self):
        net, optimizer = self.setting("Adam", False, {})
        scope = self.attach(net, optimizer)
        for _ in range(10):
            net(torch.randint(0, ROWS, (BATCH,))).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            scope.step()
        self.expect(scope, optimizer, net, 10)

    def test_a_daemon_that_comes_back_is_healed(self):
        daemon = client_support.Daemon().start()
        self.addCleanup(daemon.stop)
        net, optimizer = self.setting("Adam", False, {})
        scope = momentscope.attach(net, optimizer, endpoint=daemon.ingest)
        train(net, optimizer, scope, steps=20)
        daemon.kill()
        train(net, optimizer, scope, steps=20, seed=2)
        daemon.start()
        ear = client_support.Listener(daemon)
        self.addCleanup(ear.close)
        train(net, optimizer, scope, steps=20, seed=3)
        self.assertTrue(scope.flush(20), scope.stats())
        scope.close()
        self.close(ear.table("emb.weight", 60)["V"], float((optimizer.state[net.emb.weight]["exp_avg"] ** 2).sum()))

    def test_rows_sent_anew_without_momentum_have_the_last_gradient(self):
        for kind, sparse in (("Adagrad", False), ("Adagrad", True), ("RMSprop", False)):
            with self.subTest(kind=kind, sparse=sparse):
                daemon = client_support.Daemon().start()
                self.addCleanup(daemon.stop)
                net, optimizer = self.setting(kind, sparse, {})
                scope = momentscope.attach(net, optimizer, endpoint=daemon.ingest)
                train(net, optimizer, scope, steps=20)
                self.assertTrue(scope.flush(20), scope.stats())
                daemon.kill()
                train(net, optimizer, scope, steps=20, seed=2)
                daemon.start()
                ear = client_support.Listener(daemon)
                self.addCleanup(ear.close)
                self.assertTrue(scope.flush(20), scope.stats())      # all steps were made when it came
                scope.close()
                self.assertGreater(scope.stats()["syncs"], 0)
                want = float((net.emb.weight.grad.to_dense().double() ** 2).sum())
                self.assertGreater(want, 0)
                self.close(ear.table("emb.weight", 40)["V"], want)

    def test_what_c_cannot_read_goes_through_torch(self):
        """Masked sparse gradients, micro-batches of sparse gradients, tensors of another layout."""
        def masked(net, optimizer):
            net.emb.weight.register_hook(lambda g: g * 1.0)

        def strided(net, optimizer):
            state = optimizer.state[net.emb.weight]
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = state[key].t().contiguous().t()

        for kind, sparse, change, passes in (("SparseAdam", True, masked, 1), ("SparseAdam", True, None, 2),
                                             ("Adam", False, strided, 1), ("Adam", False, None, 2)):
            with self.subTest(kind=kind, change=change, passes=passes):
                net, optimizer = self.setting(kind, sparse, {})
                train(net, optimizer, steps=1)
                if change:
                    change(net, optimizer)
                scope = self.attach(net, optimizer)
                for _ in range(20):
                    optimizer.zero_grad()
                    for _ in range(passes):
                        net(torch.randint(0, ROWS, (BATCH,))).square().mean().backward()
                    optimizer.step()
                    scope.step()
                self.expect(scope, optimizer, net, 21)

    def test_samples_and_p_are_those_of_c_whoever_reads(self):
        """A dense table without look-ups has one sample a step; padding and masked rows are occurrences in a sample."""
        own = client_support.Daemon("--interval", "3600").start()        # a publication moves rows that are silent then
        self.addCleanup(own.stop)
        self.daemon, self.ear = own, client_support.Listener(own)
        self.addCleanup(self.ear.close)

        class Whole(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.emb = torch.nn.Linear(DIM, ROWS, bias=False)

            def forward(self, index):
                return self.emb.weight[index].sum(1)

        def dead(index):                     # the gradient of row 0 is 0: it is looked up and does not move
            return torch.where(index % 3 == 0, torch.zeros_like(index), index)

        for make in (Whole, lambda: Net(False)):
            seen = []
            for strided in (False, True):
                torch.manual_seed(0)
                net = make()
                optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
                train(net, optimizer, steps=1)
                if strided:
                    state = optimizer.state[net.emb.weight]
                    for key in ("exp_avg", "exp_avg_sq"):
                        state[key] = state[key].t().contiguous().t()
                scope = self.attach(net, optimizer, tables=["emb.weight"])
                for i in range(20):
                    optimizer.zero_grad()
                    index = dead(torch.randint(0, ROWS, (BATCH,), generator=torch.Generator().manual_seed(i)))
                    (net(index) * (index > 0)).square().mean().backward()
                    optimizer.step()
                    scope.step()
                table, bands = self.records(scope, 21)
                seen.append([table["batch"]] + [(r["band"], r["rows"], round(r["p"], 6)) for r in bands])
            self.assertEqual(seen[0], seen[1])
            self.assertEqual(seen[0][0], 1 if make is Whole else BATCH)

    def test_coupled_decay_is_told_and_never_exact(self):
        net, optimizer = self.setting("Adam", False, {"weight_decay": 0.1})
        with self.assertWarnsRegex(RuntimeWarning, "weight decay of Adam enters"):
            scope = self.attach(net, optimizer)
        train(net, optimizer, scope, steps=5)
        scope.flush(5)
        self.assertFalse(scope.stats()["exact"])
        scope.close()
        topic = f"table/{scope.tables[0].name}"
        self.assertTrue(self.ear.until(lambda r: topic in r and r[topic]["step"] == 5))
        self.assertFalse(self.ear.latest[topic]["exact"])

    def test_an_optimizer_of_ones_own(self):
        class Lion(torch.optim.Optimizer):
            def __init__(self, parameters):
                super().__init__(parameters, {"lr": 0.01})

            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        m = self.state[p].setdefault("m", torch.zeros_like(p))
                        m.mul_(0.7).add_(p.grad, alpha=0.3)
                        p.sub_(group["lr"] * m.sign())

        def read(state, group):
            return momentscope.Read(state.get("m"), None, group["lr"], beta1=0.7)

        torch.manual_seed(0)
        net = Net(False)
        optimizer = Lion(net.parameters())
        with self.assertRaisesRegex(TypeError, "for a Lion give attach a function read"):
            self.attach(net, optimizer)
        with self.assertRaisesRegex(TypeError, "read = 3"):
            self.attach(net, optimizer, read=3)
        with self.assertRaisesRegex(TypeError, "momentscope.Read"):
            self.attach(net, optimizer, read=lambda state, group: {})
        with self.assertRaisesRegex(ValueError, "beta1 = 2"):
            self.attach(net, optimizer, read=lambda state, group: momentscope.Read(None, None, 0.1, beta1=2.0))
        scope = self.attach(net, optimizer, read=read)
        train(net, optimizer, scope)
        table, bands = self.records(scope)
        self.close(table["V"], float((optimizer.state[net.emb.weight]["m"] ** 2).sum()))
        self.assertEqual((table["optimizer"], {b["v"] for b in bands}), ("Lion", {None}))

    def test_what_cannot_be_read_is_refused_in_words(self):
        net, optimizer = self.setting("Adam", False, {})
        with self.assertRaisesRegex(ValueError, "reference = .*no theta in the daemon"):
            self.attach(net, optimizer, reference="initial")
        with self.assertRaisesRegex(ValueError, "frozen"):
            self.attach(net, optimizer, frozen=True)
        with self.assertRaisesRegex(ValueError, "maximize"):
            self.attach(net, torch.optim.Adam(net.parameters(), maximize=True))

        class Own(torch.optim.Adam):
            def step(self, closure=None):
                return None

        with self.assertRaisesRegex(TypeError, "Own"):
            self.attach(net, Own(net.parameters()))

    # -- the probe -------------------------------------------------------------------------------------

    def test_curvature_is_that_of_the_preconditioned_step(self):
        """P_j h_j = c for every coordinate: under P the curvature is c, whatever the directions are."""
        c = 0.375
        h = torch.tensor([0.1, 0.5, 1.0, 2.0, 7.0, 30.0])
        root = h / c                         # P = c/h

        class Scaled(torch.optim.Optimizer):
            def __init__(self, parameters):
                super().__init__(parameters, {"lr": 0.01})

            @torch.no_grad()
            def step(self, closure=None):
                for p in self.param_groups[0]["params"]:
                    s = self.state[p]
                    s.setdefault("second", (root ** 2).repeat(ROWS, 1))
                    m = s.setdefault("m", torch.zeros_like(p))
                    m.mul_(0.9).add_(p.grad, alpha=0.1)
                    p.sub_(self.param_groups[0]["lr"] * m / root)

        def read(state, group):
            return momentscope.Read(state.get("m"), state.get("second"), group["lr"], beta1=0.9)

        torch.manual_seed(0)
        net = Net(False)
        optimizer = Scaled(net.parameters())
        index = torch.randint(0, ROWS, (BATCH,))

        def loss(half=None):
            rows = net.emb(index if half is None else index[half::2])
            return (rows ** 2 * h).sum(1).mean() / 2

        scope = self.attach(net, optimizer, read=read, probe_every=2, closure=loss)
        for _ in range(60):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
            scope.step()
        table, bands = self.records(scope, 60)
        probed = [b for b in bands if b["h_samples"] > 0]
        self.assertGreater(len(probed), 0)
        counts = index.bincount(minlength=ROWS).double()
        rows = counts[counts > 0] / BATCH * c                    # H of each row, under P
        for b in probed:
            self.assertGreater(b["H1"], float(rows.min()) * (1 - 1e-6))
            self.assertLess(b["H1"], float(rows.max()) * (1 + 1e-6))
            mine = rows[(rows / c > 2.0 ** -(b["band"] + 1)) & (rows / c <= 2.0 ** -b["band"])]
            if len(mine) == b["rows"]:
                self.close(b["H1"], float(mine.mean()), 1e-4)
                self.close(b["H2"], float((mine ** 2).mean()), 1e-4)
        self.assertEqual(scope.stats()["probes_refused"], 0)
        stability = self.ear.latest[f"stability/{scope.tables[0].name}"]
        self.assertLess(stability["curvature"], float(rows.max()) * (1 + 1e-6))
        self.assertGreater(stability["curvature"], float(rows.min()) * (1 - 1e-6))

    def test_h_is_near_the_direct_map_of_second_moments(self):
        """Two of the cases of tests/accuracy/adaptive.py, with fewer probes."""
        for frozen in (False, True):
            with self.subTest(frozen=frozen):
                ratio, _ = accuracy.fixed(self.daemon, 7, 0.2, 64, frozen, probes=80)
                self.assertGreater(ratio, 0.75)
                self.assertLess(ratio, 1.75)
        self.assertLess(abs(accuracy.moving(self.daemon, 7) - 1), 0.4)


if __name__ == "__main__":
    unittest.main()
