"""Attach never hurts and never lies: what training scripts do to models, optimizers and batches, each as a kind.

Every case runs with sparse and with dense gradients where it applies, and compares the daemon's V and R with torch's.
Where each kind of report is tested (here, where no file is named):

 1 silent rows go on moving            test_attach_kinds.py: a_silent_row_goes_on_moving
 2 copies, pickles, SWA, jit           a_model_copies_pickles_and_scripts_as_before, close_leaves_everything_as_it_was
 3 optimizer.load_state_dict           a_loaded_checkpoint_and_the_schedule_after_it
 4 a parameter replaced, resized       a_parameter_that_left_the_optimizer_ends_its_table
 5 skipped steps                       a_batch_whose_step_was_skipped_counts_for_nothing
 6 metric passes with autograd on      a_forward_without_this_step_counts_for_nothing
 7 rows masked by a hook               rows_masked_by_a_hook_are_inactive
 8 weights edited, .data, numpy        weights_and_momenta_changed_by_hand
 9 a tie made later                    a_tie_made_later_is_noticed_within_steps
10 padding alone, on one of two ranks  test_attach_kinds.py: batches_of_padding_alone; test_attach_ranks.py
11 micro-batches, duplicates           micro_batches_are_one_batch
12 max_norm later, functional          max_norm_set_later_..; test_attach_kinds.py: max_norm_in_the_functional_form
13 frequency scaling, bags, weights    test_attach_kinds.py: bags_and_their_weights, gradients_scaled_by_frequency_..
14 float16 sums that overflow          test_attach_lost.py: two_finite_gradients_whose_sum_is_none
15 decay of a row silent for long      test_attach_kinds.py: decay_of_a_row_that_is_silent_for_100000_steps
16 rows drawn anew by hand             weights_and_momenta_changed_by_hand (rows_again)
17 resume                              a_loaded_checkpoint_..; test_python.py: attach_to_a_run_under_way
18 momentum grows before the loss      test_growth.c, test_climb.c; tests/accuracy has how often, with what lead
19 DTensor, FSDP, compiled, backward   test_attach_ranks.py: Marks
20 fork, workers, DDP                  test_attach_kinds.py: forked_children_..; test_attach_ranks.py: Ranks
21 clipping                            test_attach_clip.py
22 momentum 0 with a probe             test_attach_kinds.py: momentum_zero_has_a_verdict
23 nll with dense tables and bags      nll_with_dense_gradients_and_with_bags
24 two look-ups of other shapes        one_table_looked_up_twice_in_other_shapes
25 DDP, attach on one or both ranks    test_attach_ranks.py: two_ranks_with_gloo
26 a closure on another batch          test_probe.py: cases
27 passes of another optimizer         a_forward_without_this_step_..; test_attach_kinds.py: two_optimizers_on_one_model
28 attach again in one process         attached_again_in_one_process
29 a 2 M x 64 table                    test_attach_lost.py: a_large_table_with_defaults_loses_no_step
30 steps lost on the way               test_attach_lost.py: lost_steps_are_no_silence; test_activity.c
31 a subclass with another update      an_optimizer_with_a_step_of_its_own_is_refused
32 experts in a stacked parameter      experts_are_active_where_they_had_a_gradient; test_scripts.py
33 step(closure), spawned workers      step_with_a_closure_is_probed; test_attach_kinds.py: pickled_to_spawned_workers
"""
import copy
import io
import os
import pickle
import re
import tempfile
import unittest
import unittest.mock

import attach_support
from attach_support import DIM, ROWS, SIZE, Net, setUpModule, tearDownModule      # noqa: F401
import client_support
import torch
import momentscope


class Attach(attach_support.Case):
    # -- never hurts ----------------------------------------------------------------------------------

    def test_a_model_copies_pickles_and_scripts_as_before(self):
        for sparse in (False, True):
            with self.run_of(sparse) as scope:
                self.steps(scope, 3)
                twin = copy.deepcopy(self.model)
                self.assertTrue(torch.equal(twin.emb.weight, self.model.emb.weight))
                self.assertFalse(twin.emb.weight._backward_hooks or twin.emb._forward_hooks)
                file = io.BytesIO()
                torch.save(self.model, file)
                again = pickle.loads(pickle.dumps(self.model))
                averaged = torch.optim.swa_utils.AveragedModel(self.model)
                averaged.update_parameters(self.model)
                scripted, index = torch.jit.script(self.model), self.batch(99)
                traced = torch.jit.trace(self.model, index)
                with torch.no_grad():
                    for other in (twin, again, scripted, traced):
                        self.assertTrue(torch.equal(other(index), self.model(index)))
                optimizer = copy.deepcopy(self.optimizer)
                self.assertNotIn("step", optimizer.__dict__)
                pickle.dumps(self.optimizer)
                twin(index).sum().backward()     # of no interest to the scope
                self.steps(scope, 3, 3)
                record = self.same_as_torch(scope, 6)
                self.assertEqual(record["batch"], SIZE)
            self.assertEqual(self.said, "")

    def test_what_is_no_model_and_a_closure_that_is_never_called_are_told(self):
        with self.run_of(closure=lambda: None) as scope:
            for copied in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaisesRegex(TypeError, "neither copied nor pickled"):
                    copied(scope)
            with self.assertRaisesRegex(TypeError, "model = None .a torch.nn.Module"):
                momentscope.attach(None, self.optimizer, self.daemon.ingest)
        self.assertIn("closure is not called, because probe_every is 0", self.said)
        with self.run_of(closure=lambda: None, probe_every=5):
            pass
        self.assertNotIn("closure is not called", self.said)

    def test_a_bad_environment_ends_no_training(self):
        model, index = Net(), torch.arange(SIZE)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with tempfile.TemporaryDirectory() as empty:
            for name, value in (("MOMENTSCOPE_INGEST", "foo"), ("MOMENTSCOPE_KEYS", empty + "/none"),
                                ("MOMENTSCOPE_TRANSPORT", "smoke"), ("XDG_RUNTIME_DIR", "/dev/null")):
                with unittest.mock.patch.dict(os.environ, {name: value, "MOMENTSCOPE_STRICT": ""}):
                    if name in ("MOMENTSCOPE_KEYS", "XDG_RUNTIME_DIR"):
                        os.environ.pop("MOMENTSCOPE_INGEST", None)
                    with self.assertWarnsRegex(RuntimeWarning, "nothing is attached: .*" + re.escape(value)):
                        scope = momentscope.attach(model, optimizer)
                    for _ in range(2):
                        optimizer.zero_grad()
                        self.model = model
                        self.loss(index).backward()
                        optimizer.step()
                        self.assertEqual(scope.step(), 0)
                    self.assertEqual((scope.metrics(), scope.flush(1), scope.stats()["connected"]), ({}, True, False))
                    self.assertFalse(model.emb._forward_hooks)
                    scope.close()
                with unittest.mock.patch.dict(os.environ, {name: value}), self.assertRaises(momentscope.Error):
                    momentscope.attach(model, optimizer)         # strict, as all tests are
            with self.assertRaisesRegex(ValueError, "endpoint = foo"):
                momentscope.attach(model, optimizer, "foo")

    def test_a_scope_that_a_later_one_replaced_says_so(self):
        with self.run_of() as scope:
            twin = momentscope.attach(self.model, self.optimizer, self.daemon.ingest, prefix=self.prefix)
            self.assertEqual(scope.step(), 0)
            twin.close()
        self.assertIn("this scope has ended, because a later attach watches tables of the same names", self.said)

    def test_close_leaves_everything_as_it_was(self):
        hooks = torch.nn.modules.module._global_forward_hooks
        with self.run_of() as scope:
            self.assertEqual(len(hooks), 1)
            self.steps(scope, 1)
        self.assertEqual(len(hooks), 0)
        self.assertFalse(self.model.emb._forward_hooks or self.model.emb.weight._backward_hooks)
        self.assertNotIn("step", self.optimizer.__dict__)

    # -- never lies: the optimizer ----------------------------------------------------------------------

    def test_a_loaded_checkpoint_and_the_schedule_after_it(self):
        for sparse in (False, True):
            with self.run_of(sparse) as scope:
                self.steps(scope, 20)
                saved = copy.deepcopy(self.optimizer.state_dict()), copy.deepcopy(self.model.state_dict())
                self.steps(scope, 20, 20)
                self.optimizer.load_state_dict(saved[0])
                self.model.load_state_dict(saved[1])
                self.optimizer.param_groups[0].update(lr=0.05, momentum=0.5)
                self.steps(scope, 40, 40)
                record = self.same_as_torch(scope, 80)
                self.assertAlmostEqual(record["eta"], 0.1)
                self.assertAlmostEqual(record["eps"], 0.5)
            self.assertIn("changed otherwise than by optimizer.step()", self.said)

    def test_weights_and_momenta_changed_by_hand(self):
        def scaled():
            with torch.no_grad():
                self.model.emb.weight.mul_(0.5)

        def rows_again():                        # dead rows are drawn anew
            with torch.no_grad():
                self.model.emb.weight[3:6] = 1.0
                buffer = self.optimizer.state[self.model.emb.weight]["momentum_buffer"]
                if not buffer.is_sparse:
                    buffer[3:6] = 0

        def cleared():
            self.optimizer.state.clear()

        def moved():
            self.model.emb.weight.data = self.model.emb.weight.data.clone() + 1

        def scaled_by_data():                    # counts no version of the tensor
            self.model.emb.weight.data.mul_(0.5)

        def clipped_by_data():
            self.model.emb.weight.data.clamp_(-0.05, 0.05)

        def set_by_numpy():
            self.model.emb.weight.detach().numpy()[...] = 0.25

        for edit in (scaled, rows_again, cleared, moved, scaled_by_data, clipped_by_data, set_by_numpy):
            for sparse in (False, True):
                with self.subTest(edit.__name__, sparse=sparse), self.run_of(sparse) as scope:
                    self.steps(scope, 10)
                    self.same_as_torch(scope, 10)
                    edit()
                    self.steps(scope, 1, 10)
                    self.assertFalse(scope.stats()["exact"])
                    self.steps(scope, 9, 11)
                    self.same_as_torch(scope, 20)
                self.assertIn("changed otherwise than by optimizer.step()", self.said)

    def test_max_norm_set_later_is_never_called_exact(self):
        with self.run_of() as scope:
            self.steps(scope, 5)
            self.model.emb.max_norm = 0.5
            self.steps(scope, 5, 5)
            self.assertFalse(scope.stats()["exact"])
            self.model.emb.max_norm = None
            self.steps(scope, 5, 10)
            self.same_as_torch(scope, 15)
        self.assertIn("max_norm", self.said)

    def test_a_parameter_that_left_the_optimizer_ends_its_table(self):
        with self.run_of() as scope:
            self.steps(scope, 5)
            self.model.emb = torch.nn.Embedding(ROWS + 10, DIM)
            self.optimizer.param_groups[0]["params"][0] = self.model.emb.weight
            self.steps(scope, 10, 5, high=ROWS + 10)
            self.assertFalse(scope.stats()["exact"])
            self.ear.pump(0.3)
            self.assertEqual(self.ear.latest[f"table/{self.prefix}emb.weight"]["step"], 5)
        self.assertIn("emb.weight is followed no longer: its parameter is no longer in the optimizer", self.said)

    def test_an_optimizer_with_a_step_of_its_own_is_refused(self):
        class Signed(torch.optim.SGD):
            @torch.no_grad()
            def step(self, closure=None):
                for p in self.param_groups[0]["params"]:
                    p.sub_(p.grad.sign())

        class Named(torch.optim.SGD):
            pass

        model = Net()
        with self.assertRaisesRegex(TypeError, "Signed is a torch.optim.SGD with a step of its own"):
            momentscope.attach(model, Signed(model.parameters(), lr=0.1), self.daemon.ingest)
        momentscope.attach(model, Named(model.parameters(), lr=0.1), self.daemon.ingest, prefix="named.").close()

    def test_step_with_a_closure_is_probed(self):
        with self.run_of(probe_every=5, closure=lambda half=None: self.half(half)) as scope:
            for i in range(21):
                self.index = self.batch(i)

                def closure():
                    self.optimizer.zero_grad()
                    loss = self.loss(self.index)
                    loss.backward()
                    return loss

                self.assertIsNotNone(self.optimizer.step(closure))
                scope.step()
            self.same_as_torch(scope, 21)
            self.assertEqual((scope.stats()["probes"], scope.stats()["probe_refused"]), (4, None))
        self.assertEqual(self.said, "")

    def half(self, half):
        return self.loss(self.index if half is None else self.index[half::2])

    def test_attached_again_in_one_process(self):
        model = Net()
        for round_ in range(3):                  # a notebook's cell, run again without closing
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            scope = momentscope.attach(model, optimizer, self.daemon.ingest, prefix="again.", steps=5 * round_)
            for i in range(5):
                optimizer.zero_grad()
                model(self.batch(i)).square().mean().backward()
                optimizer.step()
                scope.step()
            self.assertTrue(scope.flush(5), scope.stats())
            self.assertEqual(self.ear.table("again.emb.weight", 5 * round_ + 5)["refused_messages"], 0)
        self.assertEqual(len(torch.nn.modules.module._global_forward_hooks), 1)
        scope.close()

    # -- never lies: activity ---------------------------------------------------------------------------

    def rates(self):
        bands = self.bands()
        rows = sum(r["rows"] for r in bands)
        return sum(r["updates"] for r in bands), sum(r["p"] * r["rows"] for r in bands), rows

    def test_a_batch_whose_step_was_skipped_counts_for_nothing(self):
        for sparse in (False, True):
            for to_none in (False, True):
                with self.subTest(sparse=sparse, to_none=to_none), self.run_of(sparse) as scope:
                    for i in range(60):
                        self.optimizer.zero_grad(set_to_none=to_none)
                        self.loss(self.batch(i, *((30, ROWS) if i % 2 else (0, 30)))).backward()
                        if i % 2 == 0:
                            self.optimizer.step()
                            scope.step()
                    record = self.same_as_torch(scope, 30)
                    self.assertEqual((record["batch"], record["silent"]), (SIZE, ROWS - 30))

    def test_a_forward_without_this_step_counts_for_nothing(self):
        for sparse in (False, True):
            with self.subTest(sparse=sparse), self.run_of(sparse) as scope:
                for i in range(40):
                    self.optimizer.zero_grad()
                    self.model(self.batch(i, 30, ROWS))          # a metric, autograd on
                    self.loss(self.batch(i, 0, 30)).backward()
                    self.optimizer.step()
                    scope.step()
                record = self.same_as_torch(scope, 40)
                self.assertEqual((record["batch"], record["silent"]), (SIZE, ROWS - 30))
                for _ in range(50):
                    self.model(self.batch(1))
                self.assertLessEqual(len(scope.tables[0].lookups.credited), 1)

    def test_micro_batches_are_one_batch(self):
        for sparse in (False, True):
            for to_none in (False, True):
                with self.subTest(sparse=sparse, to_none=to_none), self.run_of(sparse) as scope:
                    for i in range(20):
                        self.optimizer.zero_grad(set_to_none=to_none)
                        for k in range(3):
                            index = self.batch(3 * i + k)
                            (self.loss(torch.cat([index, index[:4]])) / 3).backward()
                        self.optimizer.step()
                        scope.step()
                    record = self.same_as_torch(scope, 20)
                    self.assertEqual(record["batch"], 3 * (SIZE + 4))
                    self.assertAlmostEqual(self.rates()[1], 1, delta=0.15)        # occurrences per occurrence

    def test_rows_masked_by_a_hook_are_inactive(self):
        def mask(grad):
            if grad.is_sparse:
                rows = grad._indices()[0]
                return torch.sparse_coo_tensor(grad._indices(), grad._values() * (rows >= 40).unsqueeze(1), grad.shape)
            grad = grad.clone()
            grad[:40] = 0
            return grad

        for sparse in (False, True):
            with self.subTest(sparse=sparse), self.run_of(sparse) as scope:
                self.model.emb.weight.register_hook(mask)
                self.steps(scope, 60)
                record = self.same_as_torch(scope, 60)
                self.assertEqual(record["silent"], 40)

    def test_experts_are_active_where_they_had_a_gradient(self):
        class Experts(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.stack = torch.nn.Parameter(torch.randn(6, 4, 3))

            def forward(self, k):
                return self.stack[k].square().sum()

        torch.manual_seed(1)
        model = Experts()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        with momentscope.attach(model, optimizer, self.daemon.ingest, tables=["stack"], prefix="moe.") as scope:
            for i in range(60):
                optimizer.zero_grad()
                model(i % 3).backward()
                optimizer.step()
                scope.step()
            self.assertTrue(scope.flush(5))
            self.assertEqual(self.ear.table("moe.stack", 60)["silent"], 3)
            self.ear.pump(0.2)
            P = [r["P"] for t, r in self.ear.latest.items() if t.startswith("band/moe.stack/") and r["rows"]]
            self.assertTrue(P and all(abs(x - 1 / 3) < 0.02 for x in P), P)

    def test_a_tie_made_later_is_noticed_within_steps(self):
        torch.manual_seed(1)
        model = torch.nn.ModuleDict({"emb": torch.nn.Embedding(ROWS, DIM), "out": torch.nn.Linear(DIM, ROWS, bias=False)})
        with self.run_of(model=model) as scope:
            def step(i):
                self.optimizer.zero_grad()
                index = self.batch(i)
                torch.nn.functional.cross_entropy(model["out"](model["emb"](index)), index).backward()
                self.optimizer.step()
                scope.step()
            self.initial = model["emb"].weight.detach().clone()
            for i in range(10):
                step(i)
            model["out"].weight = model["emb"].weight
            for i in range(10, 20):
                step(i)
            self.model.emb = model["emb"]
            self.assertEqual(self.same_as_torch(scope, 20)["silent"], 0)

    def test_one_table_looked_up_twice_in_other_shapes(self):
        with self.run_of(probe_every=4, closure=lambda half=None: self.twice(half)) as scope:
            for i in range(20):
                self.index = self.batch(i)
                self.optimizer.zero_grad()
                self.twice(None).backward()
                self.optimizer.step()
                scope.step()
            record = self.same_as_torch(scope, 20)
            self.assertEqual(record["batch"], SIZE + 2 * SIZE)
            self.assertEqual((scope.stats()["probes"], scope.stats()["probe_refused"]), (4, None))
        self.assertEqual(self.said, "")

    def fisher(self, model, sparse, steps=300):
        """H1 by band with nll=True, weighed by updates, and the batch: of one window, which is the whole run."""
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        with client_support.Daemon("--interval", "3600") as daemon:
            ear = client_support.Listener(daemon)
            with momentscope.attach(model, optimizer, daemon.ingest, nll=True) as scope:
                for i in range(steps):
                    optimizer.zero_grad()
                    model.nll(self.batch(i)).backward()
                    optimizer.step()
                    scope.step()
                self.assertTrue(scope.flush(10))
            record = ear.table("emb.weight", steps)
            self.assertTrue(ear.until(lambda r: r["table/emb.weight"]["attached"] is False))
            bands = [r for t, r in ear.latest.items() if t.startswith("band/emb.weight") and r["H1"] and r["rows"]]
            ear.close()
        self.assertTrue(bands and all(b["h_source"] == "fisher" for b in bands), bands)
        return sum(b["H1"] * b["updates"] for b in bands) / sum(b["updates"] for b in bands), record["batch"]

    def test_nll_with_dense_gradients_and_with_bags(self):
        class Words(torch.nn.Module):
            def __init__(self, kind, sparse):
                super().__init__()
                torch.manual_seed(2)
                self.emb = kind(ROWS, DIM, sparse=sparse)
                self.out = torch.nn.Linear(DIM, 3)

            def nll(self, index):
                if isinstance(self.emb, torch.nn.EmbeddingBag):
                    index = index.reshape(-1, 4)
                x = self.emb(index)
                return torch.nn.functional.cross_entropy(self.out(x), (index.reshape(len(index), -1)[:, 0] * 7) % 3)

        for kind, batch in ((torch.nn.Embedding, SIZE), (torch.nn.EmbeddingBag, SIZE // 4)):
            got = {sparse: self.fisher(Words(kind, sparse), sparse) for sparse in (True, False)}
            print("note nll", kind.__name__, {k: f"{v[0]:.4g}" for k, v in got.items()})
            self.assertEqual([b for _, b in got.values()], [batch, batch])
            self.assertAlmostEqual(got[False][0] / got[True][0], 1, delta=0.1)

    def twice(self, half):
        index = self.index if half is None else self.index[half::2]
        pairs = torch.stack([index, (index + 1) % ROWS], 1)
        return (self.model(index) + self.model.emb(pairs).cos().mean((1, 2))).square().mean()


if __name__ == "__main__":
    unittest.main()
