"""The Python package against a real daemon, whose copy must have torch's own numbers.

All models are float64, so V = |m|^2 and R = |theta - theta*|^2 of the shadow agree with torch's buffers to 1e-9
relative: the sums themselves are good to about 1e-15 n, the shadow's rows to 1e-11 (issue of the core).
"""
import json
import os
import subprocess
import textwrap
import unittest
import unittest.mock
import warnings

import client_support
import torch
import momentscope

TOLERANCE = 1e-9


def setUpModule():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)


def skip_gram(sparse, seed=1, rows=60, dim=5, **options):
    torch.manual_seed(seed)
    model = torch.nn.ModuleDict({"words": torch.nn.Embedding(rows, dim, sparse=sparse, **options),
                                 "out": torch.nn.Linear(dim, rows, bias=False)})
    return model


def loss_of(model, batch):
    return torch.nn.functional.cross_entropy(model["out"](model["words"](batch[:, 0])), batch[:, 1])


def batches(n, rows=60, size=16, seed=2):
    generator = torch.Generator().manual_seed(seed)
    weights = 1.0 / torch.arange(1, rows + 1)
    return [torch.multinomial(weights, 2 * size, replacement=True, generator=generator).reshape(size, 2)
            for _ in range(n)]


def ema(group, buffer):
    """Telemetry uses EMA form: m = (eps/c) buf."""
    eps, c = 1 - group["momentum"], 1 - group["dampening"]
    return buffer * (eps / (c if group["momentum"] else 1.0))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.ear = client_support.Listener(self.daemon)

    def tearDown(self):
        self.ear.close()

    def close_to(self, a, b, what):
        worst = abs(a - b) / max(abs(b), 1e-300)
        self.assertLess(worst, TOLERANCE, f"{what}: {a!r} against {b!r}")
        Case.worst = max(getattr(Case, "worst", 0.0), worst)

    def train(self, scope, model, optimizer, data, each=None):
        for i, batch in enumerate(data):
            if each:
                each(i)
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            optimizer.step()
            scope.step()

    def compare(self, scope, optimizer, parameter, initial, step, name="words.weight"):
        """The daemon's copy against torch: R about the initial theta, V and C."""
        self.assertTrue(scope.flush(10), scope.stats())
        record = self.ear.table(name, step)
        buffer = optimizer.state[parameter].get("momentum_buffer")
        buffer = torch.zeros_like(parameter) if buffer is None else buffer
        buffer = buffer.to_dense() if buffer.is_sparse else buffer
        m, e = ema(optimizer.param_groups[0], buffer), (parameter - initial).detach()
        self.close_to(record["V"], float((m * m).sum()), "V")
        self.close_to(record["R"], float((e * e).sum()), "R")
        scale = (record["R"] * record["V"]) ** 0.5 or 1.0
        self.assertLess(abs(record["C"] - float((e * m).sum())) / scale, TOLERANCE)
        return record

    def run_case(self, sparse, schedule=None, steps=120, prefix="", **sgd):
        model = skip_gram(sparse)
        weight = model["words"].weight
        initial = weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), **sgd)
        with momentscope.attach(model, optimizer, endpoint=self.daemon.ingest, tables=["words.weight"], prefix=prefix,
                                reference="initial") as scope:
            self.assertTrue(scope.flush(10), scope.stats())      # the rows as they are before the first step
            each = (lambda i: schedule(i, optimizer.param_groups[0])) if schedule else None
            self.train(scope, model, optimizer, batches(steps), each)
            record = self.compare(scope, optimizer, weight, initial, steps, prefix + "words.weight")
            stats = scope.stats()
        self.assertEqual(stats["steps_dropped"], 0)
        self.assertEqual(stats["syncs"], 1)     # the one before the first step: steps do the rest
        self.assertEqual(stats["errors"], 0, stats["last_error"])
        return record, stats

    # -- the bars ------------------------------------------------------------------------------------

    def test_two_lines_on_a_sparse_model(self):
        model = skip_gram(True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        scope = momentscope.attach(model, optimizer, self.daemon.ingest, prefix="two.")
        self.train(scope, model, optimizer, batches(30))
        self.assertTrue(scope.flush(10))
        record = self.ear.table("two.words.weight", 30)
        self.assertEqual(record["form"], "torch")
        self.assertEqual(record["batch"], 16)
        self.assertAlmostEqual(record["eps"], 0.1, 12)
        self.assertAlmostEqual(record["eta"], 3.0, 9)
        self.assertIsNone(record["R"])                          # no reference was given: null, not a guess
        bands = [r for t, r in self.ear.latest.items() if t.startswith("band/two.words.weight/")]
        self.assertTrue(bands and all(b["U"] is not None or b["P"] < 1 for b in bands))
        scope.close()
        self.assertNotIn("step", optimizer.__dict__)

    def test_sparse_momentum(self):
        self.run_case(True, prefix="a.", lr=0.3, momentum=0.9)

    def test_dense_momentum(self):
        record, _ = self.run_case(False, prefix="b.", lr=0.3, momentum=0.9)
        self.assertEqual(record["batch"], 16)

    def test_nesterov(self):
        self.run_case(False, prefix="c.", lr=0.2, momentum=0.95, nesterov=True)

    def test_dampening(self):
        self.run_case(True, prefix="d.", lr=0.3, momentum=0.9, dampening=0.5)

    def test_coupled_weight_decay(self):
        self.run_case(False, prefix="e.", lr=0.3, momentum=0.9, weight_decay=0.02)

    def test_no_momentum(self):
        self.run_case(True, prefix="f.", lr=0.3)

    def test_schedule_of_everything(self):
        def schedule(i, group):
            group["lr"] = 0.4 * min(1.0, (i + 1) / 20) * (1 + i % 3)
            group["momentum"] = 0.95 if i > 60 else 0.8
            group["weight_decay"] = 0.01 if 30 < i < 90 else 0.0
        self.run_case(False, schedule, prefix="g.", lr=0.1, momentum=0.9)

    def test_momentum_switched_off_and_on(self):
        def schedule(i, group):
            group["momentum"] = 0.0 if i < 10 or 50 <= i < 70 else 0.9
        self.run_case(True, schedule, prefix="h.", lr=0.2, momentum=0.0)

    def test_learning_rate_scheduler_before_and_after_scope_step(self):
        for at, order in enumerate(("before", "after")):
            model = skip_gram(True)
            initial = model["words"].weight.detach().clone()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
            with momentscope.attach(model, optimizer, endpoint=self.daemon.ingest, prefix=f"i{at}.",
                                    reference="initial") as scope:
                cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
                for batch in batches(60):
                    optimizer.zero_grad()
                    loss_of(model, batch).backward()
                    optimizer.step()
                    if order == "before":
                        cosine.step()
                    scope.step()
                    if order == "after":
                        cosine.step()
                self.compare(scope, optimizer, model["words"].weight, initial, 60, f"i{at}.words.weight")

    def test_padding_tied_and_dense_tables(self):
        model = skip_gram(False, padding_idx=0)
        model["out"].weight = model["words"].weight              # rows that were not looked up move as well
        initial = model["words"].weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        with momentscope.attach(model, optimizer, self.daemon.ingest, prefix="j.", reference="initial") as scope:
            self.train(scope, model, optimizer, batches(40))
            record = self.compare(scope, optimizer, model["words"].weight, initial, 40, "j.words.weight")
        self.assertEqual(record["silent"], 0)
        model = skip_gram(False, padding_idx=0)
        initial = model["out"].weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        with momentscope.attach(model, optimizer, endpoint=self.daemon.ingest, prefix="k.", reference="initial",
                                tables=["words.weight", "out.weight"]) as scope:
            self.train(scope, model, optimizer, batches(40))
            self.compare(scope, optimizer, model["out"].weight, initial, 40, "k.out.weight")
            record = self.ear.table("k.words.weight", 40)
        self.assertGreater(record["silent"], 0)                  # row 0 is padding and never active

    def test_lookups_of_any_shape_in_any_number_of_passes(self):
        model = skip_gram(False)
        words, initial = model["words"], model["words"].weight.detach().clone()
        optimizer = torch.optim.SGD(words.parameters(), lr=0.2, momentum=0.9)
        buffer = torch.empty(4, 4, dtype=torch.int64)
        with momentscope.attach(model, optimizer, self.daemon.ingest, prefix="v.", reference="initial") as scope:
            self.assertTrue(scope.flush(10), scope.stats())      # the rows as they are before the first step
            for i, batch in enumerate(batches(42)):
                optimizer.zero_grad()
                buffer.copy_(batch[:, 0].reshape(4, 4))
                loss = words(buffer.t()).cos().mean()             # not contiguous
                if i % 2:
                    loss = loss + words(batch[:5, 1].to(torch.int32)).sin().mean()
                if i % 3:
                    loss.backward()
                else:
                    words.weight.sum().mul(0).backward()         # a gradient, all zero
                optimizer.step()
                buffer.zero_()                                   # changed by the trainer before scope.step()
                scope.step()
            record = self.compare(scope, optimizer, words.weight, initial, 42, "v.words.weight")
            self.assertEqual(record["batch"], 16 + 5)
            self.assertEqual(scope.stats()["syncs"], 1)
            self.assertEqual(scope.stats()["steps_dropped"], 0)

    def test_weights_changed_by_hand_and_a_tie_noticed_late(self):
        model = skip_gram(False)
        weight = model["words"].weight
        initial = weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        with momentscope.attach(model, optimizer, self.daemon.ingest, prefix="o.", reference="initial") as scope:
            self.train(scope, model, optimizer, batches(20))
            self.compare(scope, optimizer, weight, initial, 20, "o.words.weight")
            with torch.no_grad():
                weight.mul_(0.5)
            scope.resync()
            self.train(scope, model, optimizer, batches(20))
            self.compare(scope, optimizer, weight, initial, 40, "o.words.weight")
            for batch in batches(230):                           # the check runs every 256 steps
                optimizer.zero_grad()
                (loss_of(model, batch) + (weight * weight).mean()).backward()
                optimizer.step()
                scope.step()
            self.compare(scope, optimizer, weight, initial, 270, "o.words.weight")

    def test_attach_to_a_run_under_way(self):
        model = skip_gram(True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        data = batches(80)
        for batch in data[:40]:
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            optimizer.step()
        initial = model["words"].weight.detach().clone()
        with momentscope.attach(model, optimizer, endpoint=self.daemon.ingest, prefix="l.", steps=40,
                                reference="initial") as scope:
            self.train(scope, model, optimizer, data[40:])
            self.compare(scope, optimizer, model["words"].weight, initial, 80, "l.words.weight")

    def test_probe_measures_curvature_and_leaves_no_trace(self):
        """A quadratic loss |W x|^2/2 summed over looked-up rows has curvature known in closed form."""
        def train(attach, sparse=True):
            model = skip_gram(sparse)
            del model["out"]
            scale = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5])
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            current = [None]

            def closure():
                noise = torch.rand(())                           # the random state must be restored
                row = model["words"](current[0][:, 0])
                (0.5 * scale * row * row).sum(1).mean().add(0 * noise).backward()
            scope = momentscope.attach(model, optimizer, endpoint=self.daemon.ingest, prefix=f"m{int(sparse)}.",
                                       probe_every=4, closure=closure) if attach else None
            for current[0] in batches(60):
                optimizer.zero_grad()
                closure()
                optimizer.step()
                if scope:
                    scope.step()
            final = model["words"].weight.detach().clone(), torch.rand(3)
            return final, scope

        for sparse in (True, False):
            plain, _ = train(False, sparse)
            watched, scope = train(True, sparse)
            self.assertTrue(torch.equal(plain[0], watched[0]), "weights differ with the probe")
            self.assertTrue(torch.equal(plain[1], watched[1]), "random state differs with the probe")
            self.assertEqual(scope.stats()["probes"], 14)
            self.assertTrue(scope.flush(10), scope.stats())
            name = f"m{int(sparse)}.words.weight"
            self.ear.table(name, 60)
            bands = [r for t, r in self.ear.latest.items() if t.startswith(f"band/{name}/")]
            probed = [b for b in bands if b["h_source"] == "probe"]
            self.assertTrue(probed)
            # an active row with N of 16 lookups has H_b = 0.5 N/16: H1 between N = 1 and the most frequent row's N
            for b in probed:
                self.assertTrue(0.5 / 16 * (1 - 1e-6) <= b["H1"] <= 0.5, b["H1"])
                self.assertGreaterEqual(b["H2"], b["H1"] ** 2 * (1 - 1e-9))
            rare = [b for b in probed if b["p"] < 0.01]
            for b in rare:
                self.assertLess(abs(b["H1"] / (0.5 / 16) - 1), 0.6)
            scope.close()

    def test_skipped_and_double_steps_are_healed(self):
        model = skip_gram(True)
        initial = model["words"].weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        with momentscope.attach(model, optimizer, self.daemon.ingest, prefix="n.", reference="initial") as scope:
            self.assertTrue(scope.flush(10))
            with self.assertWarnsRegex(RuntimeWarning, "twice without scope.step"):
                for i, batch in enumerate(batches(30)):
                    optimizer.zero_grad()
                    loss_of(model, batch).backward()
                    optimizer.step()
                    if i != 20:
                        scope.step()
                        scope.step()                             # no optimizer step was done: not a step
            record = self.compare(scope, optimizer, model["words"].weight, initial, 30, "n.words.weight")
            self.assertEqual(record["lost_steps"], 1)
            self.assertEqual(scope.stats()["steps_dropped"], 1)
            with self.assertWarnsRegex(RuntimeWarning, "before the gradients are zeroed"):
                optimizer.zero_grad(set_to_none=False)
                loss_of(model, batches(1)[0]).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                scope.step()
            self.compare(scope, optimizer, model["words"].weight, initial, 31, "n.words.weight")

    def test_what_it_cannot_follow_is_refused_clearly(self):
        model = skip_gram(True)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        with self.assertRaisesRegex(TypeError, "for a Rprop give attach a function read"):
            momentscope.attach(model, torch.optim.Rprop(model.parameters()))
        with self.assertRaisesRegex(ValueError, "maximize"):
            momentscope.attach(model, torch.optim.SGD(model.parameters(), lr=0.1, maximize=True))
        with self.assertRaisesRegex(ValueError, "no parameter 'nothing'"):
            momentscope.attach(model, sgd, tables=["nothing"])
        with self.assertRaisesRegex(ValueError, "this optimizer steps none of the model's embeddings .words.weight"):
            momentscope.attach(model, torch.optim.SGD(model["out"].parameters(), lr=0.1))
        with self.assertRaisesRegex(ValueError, "no embedding to watch; name some"):
            momentscope.attach(model, sgd, tables=[])
        with self.assertRaisesRegex(ValueError, "closure"):
            momentscope.attach(model, sgd, probe_every=3)
        with self.assertRaisesRegex(ValueError, "max_norm"):
            clipped = skip_gram(True, max_norm=1.0)
            momentscope.attach(clipped, torch.optim.SGD(clipped.parameters(), lr=0.1))
        with self.assertRaisesRegex(ValueError, "not in the optimizer"):
            momentscope.attach(model, torch.optim.SGD(model["out"].parameters(), lr=0.1), tables=["words.weight"])

    def test_every_refusal_names_field_value_and_range(self):
        model = skip_gram(True)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        tensor = torch.zeros(60, 5)
        for options, words in (
                ({"endpoint": "foo"}, ("endpoint = foo", "ipc:///PATH")),
                ({"endpoint": 7}, ("endpoint = 7", "ipc:///PATH")),
                ({"block_ms": -5}, ("block_ms = -5", "from 0 to")),
                ({"buffer_bytes": -1}, ("buffer_bytes = -1", "from 0 to")),
                ({"buffer_bytes": 1}, ("buffer_bytes = 1", "4096")),
                ({"buffer_bytes": 1e30}, ("buffer_bytes = 1e+30", "from 0 to")),
                ({"sync_bytes": "1"}, ("sync_bytes = '1'", "from 0 to")),
                ({"acf_rows": 1000}, ("acf_rows = 1000", "0 to 64")),
                ({"capacity": -1}, ("capacity = -1", "from 0 to")),
                ({"batch": -3}, ("batch = -3", "from 1 to 4294967295")),
                ({"batch": "x"}, ("batch = 'x'", "from 1 to")),
                ({"batch": True}, ("batch = True", "from 1 to")),
                ({"probe_every": -1, "closure": print}, ("probe_every = -1", "from 0 to")),
                ({"probe_every": 2.5, "closure": print}, ("probe_every = 2.5", "an integer")),
                ({"probe_every": 2, "closure": 5}, ("closure = 5", "a function")),
                ({"steps": -5}, ("steps = -5", "from 0 to 9007199254740991")),
                ({"steps": 0.5}, ("steps = 0.5", "an integer")),
                ({"steps": 2**53}, ("steps = 9007199254740992", "from 0 to 9007199254740991")),
                ({"prefix": None}, ("prefix = None", "at most 40 letters")),
                ({"prefix": "a b/\u00fc%"}, ("prefix = 'a b/\u00fc%'", "at most 40 letters")),
                ({"prefix": 41 * "x"}, ("prefix = 'xxx", "at most 40 letters")),
                ({"nll": "yes"}, ("nll = 'yes'", "True or False")),
                ({"name": 3}, ("name = 3", "text")),
                ({"reference": {"wrods.weight": tensor}}, ("reference", "'wrods.weight'", "watched are words.weight")),
                ({"reference": {"words.weight": 3}}, ("reference['words.weight']", "int", "a tensor")),
                ({"reference": {"words.weight": tensor[1:]}}, ("reference['words.weight']", "(59, 5)", "(60, 5)")),
                ({"reference": "final"}, ("reference = 'final'", "'initial'")),
                ({"reference": tensor}, ("reference", "'initial'")),
                ({"tables": ["words.weight", "words.weight"]}, ("tables", "each parameter once", "twice"))):
            with self.subTest(options), self.assertRaises((ValueError, TypeError)) as e:
                momentscope.attach(model, sgd, **dict({"endpoint": self.daemon.ingest}, **options))
            for word in words:
                self.assertIn(word, str(e.exception))
        self.assertEqual(len(model["words"]._forward_hooks), 0)  # a refused attach leaves nothing behind
        self.assertNotIn("step", sgd.__dict__)
        sgd.param_groups[0]["momentum"] = 1.5
        with self.assertRaisesRegex(ValueError, r"momentum = 1\.5 \(0 to 1\)"):
            momentscope.attach(model, sgd, self.daemon.ingest)
        sgd.param_groups[0].update(momentum=0.5, dampening=-1)
        with self.assertRaisesRegex(ValueError, r"dampening = -1 \(0 to 1\)"):
            momentscope.attach(model, sgd, self.daemon.ingest)
        with unittest.mock.patch.dict(os.environ, MOMENTSCOPE_INGEST="foo"):
            with self.assertRaisesRegex(ValueError, "MOMENTSCOPE_INGEST = foo .ipc:///PATH"):
                momentscope.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))

    def test_a_schedule_out_of_range_is_named(self):
        model = skip_gram(True)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with momentscope.attach(model, sgd, self.daemon.ingest, prefix="r.") as scope:
            for change, words in (({"momentum": 1.5}, r"momentum .*= 1\.5 \(0 to 1\)"),
                                  ({"momentum": 0.9, "dampening": -1}, r"dampening = -1 \(0 to 1\)")):
                sgd.param_groups[0].update(change)
                with self.assertRaisesRegex(ValueError, words):
                    self.train(scope, model, sgd, batches(1))
            sgd.param_groups[0].update(dampening=0)
            with self.assertRaisesRegex(ValueError, "batch = -3"):
                scope.step(batch=-3)
            self.train(scope, model, sgd, batches(2))
            self.assertTrue(scope.flush(10))
            self.assertEqual(scope.stats()["steps_dropped"], 2)

    def test_a_closure_that_raises_is_told(self):
        def closure():
            raise ValueError("boom")
        model = skip_gram(False)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with momentscope.attach(model, sgd, self.daemon.ingest, prefix="b.", probe_every=2, closure=closure) as scope:
            words = "the probe failed, so curvature was not measured: ValueError: boom"
            with self.assertRaisesRegex(RuntimeError, words):
                self.train(scope, model, sgd, batches(5))        # without MOMENTSCOPE_STRICT a warning

    def test_a_closure_without_gradients_is_told(self):
        for closure in (lambda: None, lambda: 3.0, lambda: torch.zeros(())):
            model = skip_gram(False)
            sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            with momentscope.attach(model, sgd, self.daemon.ingest, prefix="p.", probe_every=2,
                                    closure=closure) as scope:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    self.train(scope, model, sgd, batches(30))
                self.assertEqual(len(told), 1)
                for word in ("closure", "words.weight", "backward()", "return the loss"):
                    self.assertIn(word, str(told[0].message))
                self.assertEqual((scope.probing.every, scope.stats()["probes"]), (0, 0))

    def test_odd_names_are_told_and_stay_apart(self):
        given = ("a b", "a_b", "a/b", 70 * "x", 71 * "x")
        odd = torch.nn.ModuleDict({name: torch.nn.Embedding(4, 2) for name in given})
        sgd = torch.optim.SGD(odd.parameters(), lr=0.1)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with momentscope.attach(odd, sgd, self.daemon.ingest, prefix="q.") as scope:
                names = scope.stats()["tables"]
        self.assertEqual(len(set(names)), 5)
        self.assertIn("q.a_b.weight", names)
        self.assertTrue(all(n.startswith("q.") and len(n) <= 63 for n in names), names)
        self.assertEqual(len(told), 4)                           # one for each changed name
        self.assertIn("'q.a b.weight' is published as 'q.a_b.weight-", str(told[0].message))

    def test_narrow_parameters_are_told_and_never_exact(self):
        for dtype in (torch.bfloat16, torch.float16):
            torch.manual_seed(0)
            model = torch.nn.Embedding(20, 4).to(dtype)
            sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            name = f"narrow{dtype}".replace("torch.", "")
            with self.assertWarnsRegex(RuntimeWarning, r"weight \(b?float16\).*exact stays False.*resync"):
                scope = momentscope.attach(model, sgd, self.daemon.ingest, prefix=name + ".", reference="initial")
            with scope:
                for i in range(20):
                    sgd.zero_grad()
                    (model(torch.arange(i % 20 + 1)) ** 2).sum().backward()
                    sgd.step()
                    scope.step()
                self.assertTrue(scope.flush(10), scope.stats())
                self.assertFalse(scope.stats()["exact"])
                topic = f"table/{name}.weight"
                self.assertTrue(self.ear.until(lambda r: topic in r and r[topic]["step"] == 20))
                self.assertIs(self.ear.latest[topic]["exact"], False)

    def readme(self, after, page="README.md"):
        """The page's first indented block after these words."""
        with open(os.path.join(client_support.ROOT, page)) as f:
            lines = f.read().split(after, 1)[1].splitlines()[1:]
        first = next(i for i, line in enumerate(lines) if line.startswith("    "))
        end = next(i for i, line in enumerate(lines) if i > first and line and not line.startswith("    "))
        return textwrap.dedent("\n".join(lines[first:end]))

    def test_the_readme_does_what_it_says(self):
        model = skip_gram(True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        given = {"momentscope": momentscope, "model": model, "optimizer": optimizer,
                 "loss_of": lambda model, words, near: loss_of(model, torch.stack([words, near], 1)),
                 "batches": [(batch[:, 0], batch[:, 1]) for batch in batches(1200)]}
        watch = [os.path.join(client_support.BUILD, "momentscope"), "watch", "--once", "--json",
                 "--table", "words.weight", "--telemetry", self.daemon.telemetry, "--replay", self.daemon.replay]
        with unittest.mock.patch.dict(os.environ, MOMENTSCOPE_INGEST=self.daemon.ingest):
            exec(self.readme("PyTorch, two lines"), given)
            self.assertTrue(given["scope"].flush(10))
            self.assertEqual(given["scope"].stats()["probes"], 11)
            said = subprocess.run(watch, capture_output=True, text=True).stdout
            records = [json.loads(line) for line in said.splitlines()]
            given["scope"].close()
            regimes = {r["band"]: r["regime"] for r in records if r["topic"].startswith("band/")}
            self.assertTrue(any(r != "unknown" for r in regimes.values()), regimes)
            lines = self.readme("Without the probe", "host/README.md").splitlines()
            self.assertEqual(len(lines), 3)
            for line in lines:
                model = skip_gram(True)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
                scope = eval(line.split("#")[0],
                             dict(given, model=model, optimizer=optimizer, optimum=torch.zeros(60, 5)))
                with scope:
                    self.train(scope, model, optimizer, batches(300))
                    self.assertTrue(scope.flush(10), scope.stats())
                    record = self.ear.table("words.weight", 300)
                    self.assertEqual(record["R"] is None, "reference" not in line)
                    sources = {r["h_source"] for t, r in self.ear.latest.items()
                               if t.startswith("band/words.weight/") and r["step"] == 300}
                    self.assertEqual(any("isher" in h for h in sources), "nll" in line, (line, sources))

    @classmethod
    def report(cls):
        print(f"note worst relative difference of V and R from torch: {getattr(cls, 'worst', float('nan')):.2g}")


def tearDownModule():
    Case.report()


if __name__ == "__main__":
    unittest.main()
