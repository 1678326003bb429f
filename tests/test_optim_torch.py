#!/usr/bin/env python3
"""momentscope.optim.SGD in the ways people use an optimizer: each script runs with torch.optim.SGD on dense gradients and
with ours on sparse and on dense ones, and must see the same numbers wherever it looks."""
import copy
import gc
import io
import itertools
import pickle
import unittest
import warnings

import optim_support
from optim_support import torch

import torch.nn.functional as F
from momentscope import optim
from momentscope.watched import WatchedParameter

ROWS, DIM = 300, 4
OPTIONS = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}
OTHERS = {"lr": 0.02, "momentum": 0.5}


class Run:
    """A model of one table and a head, float64; the script's own eyes are seen."""

    def __init__(self, make, sparse, dtype=None, **options):
        torch.manual_seed(3)
        self.make, self.sparse, self.seen, self.n = make, sparse, [], 0
        self.words = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.model = torch.nn.Sequential(self.words, torch.nn.Linear(DIM, 1)).to(dtype or torch.float64)
        self.options = dict(OPTIONS, **options)
        self.optimizer = make(self.model.parameters(), **self.options)

    @property
    def weight(self):
        return self.model[0].weight

    def batch(self, size=12):
        self.n += 1
        random = torch.Generator().manual_seed(self.n)
        return (torch.rand(size, generator=random) ** 3 * ROWS).long()

    def loss(self, index=None):
        out = self.model(self.batch() if index is None else index)
        return (out - torch.arange(out.shape[0])[:, None] % 3).square().mean()

    def backward(self, index=None):
        loss = self.loss(index)
        loss.backward()
        self.see(loss)

    def step(self, index=None, **zero):
        self.optimizer.zero_grad(**zero)
        self.backward(index)
        self.optimizer.step()

    def steps(self, n):
        for _ in range(n):
            self.step()

    def see(self, *tensors):
        self.seen += [torch.as_tensor(x).detach().clone().double() for x in tensors]

    def momentum(self):
        return self.optimizer.state[self.weight]["momentum_buffer"]


class Case(unittest.TestCase):
    def both(self, script, dtype=None, bound=1e-12, kinds=(True, False), core=True, **options):
        """Run script with torch's optimizer and with ours, and compare all that it saw and the final state."""
        def run(make, sparse):
            r = Run(make, sparse, dtype, **options)
            r.steps(5)
            script(r)
            r.see(r.weight, r.momentum(), *r.model.parameters())
            return r
        truth = run(torch.optim.SGD, False)
        for sparse in kinds:
            ours = run(optim.SGD, sparse)
            self.assertEqual(len(ours.seen), len(truth.seen))
            if core:
                self.assertIs(type(ours.weight), WatchedParameter, "the table does not run on the core")
            for i, (a, b) in enumerate(zip(ours.seen, truth.seen)):
                self.assertLessEqual(float((a - b).norm()), bound * float(b.norm()) + 1e-300, f"number {i}, sparse {sparse}")


class Reads(Case):
    """Whoever looks at a weight in the middle of a run sees the rows as of now."""

    def test_reads(self):
        def averaged(r):
            return torch.optim.swa_utils.AveragedModel(r.model).module[0].weight

        def saved(r):
            room = io.BytesIO()
            torch.save(r.model, room)
            room.seek(0)
            return torch.load(room)[0].weight

        def of_state(r):
            return r.optimizer.state_dict()["state"][0]["momentum_buffer"]
        some = torch.tensor([3, 200, 3, 299])
        ways = {
            "detach": lambda r: r.weight.detach(), "data": lambda r: r.weight.data, "clone": lambda r: r.weight.clone(),
            "norm": lambda r: r.weight.norm(), "function": lambda r: torch.sum(r.weight, 0),
            "numpy": lambda r: r.weight.detach().numpy().copy(), "list": lambda r: r.weight.tolist(),
            "item": lambda r: r.weight[250, 1].item(), "row": lambda r: r.weight[250],
            "rows": lambda r: r.weight[some], "index_select": lambda r: r.weight.index_select(0, some),
            "columns": lambda r: torch.index_select(r.weight, 1, torch.tensor([1])),
            "tied": lambda r: F.linear(torch.ones(1, DIM, dtype=torch.float64), r.weight),
            "functional": lambda r: F.embedding(some, r.weight), "keyword": lambda r: F.embedding(input=some, weight=r.weight),
            "int32": lambda r: F.embedding(some.int(), r.weight),
            "shaped": lambda r: r.words(some.reshape(2, 2)),
            "bag": lambda r: F.embedding_bag(some, r.weight, torch.tensor([0, 3])),
            "weighted bag": lambda r: F.embedding_bag(some[:3], r.weight, torch.tensor([0]), mode="sum",
                                                      per_sample_weights=r.weight[297:, 0]),
            "list of tensors": lambda r: torch._foreach_add(list(r.model.parameters()), 1.0)[0],
            "vector": lambda r: torch.nn.utils.parameters_to_vector(r.model.parameters()),
            "state_dict": lambda r: r.model.state_dict()["0.weight"], "deepcopy": lambda r: copy.deepcopy(r.model)[0].weight,
            "copy": lambda r: copy.copy(r.weight), "pickle": lambda r: pickle.loads(pickle.dumps(r.model))[0].weight,
            "save": saved, "averaged": averaged, "buffer": lambda r: r.momentum().norm(), "buffer of state": of_state,
            "buffer copied": lambda r: copy.deepcopy(r.momentum()), "no_grad": lambda r: r.model(some),
            "traced": lambda r: torch.jit.trace(r.model, some)(some),
            "optimizer copied": lambda r: copy.deepcopy(r.optimizer).param_groups[0]["params"][0],
            "iterated": lambda r: [float(row.sum()) for row in r.weight], "equal": lambda r: torch.equal(r.weight, r.weight),
        }
        for name, read in ways.items():
            def script(r, read=read):
                r.see(torch.as_tensor(read(r)))
                r.steps(2)
                with torch.no_grad():
                    r.see(torch.as_tensor(read(r)))
            with self.subTest(read=name), warnings.catch_warnings():
                warnings.simplefilter("error")
                self.both(script)

    def test_copies_are_of_the_plain_class(self):
        r = Run(optim.SGD, True)
        r.steps(3)
        self.assertIsInstance(r.weight, torch.nn.Parameter)
        loaded = pickle.loads(pickle.dumps((r.model, r.optimizer)))
        for model in (copy.deepcopy(r.model), loaded[0]):
            self.assertIs(type(model[0].weight), torch.nn.Parameter)
        self.assertIs(type(r.optimizer.state_dict()["state"][0]["momentum_buffer"]), torch.Tensor)
        self.assertIs(loaded[1].param_groups[0]["params"][0], loaded[0][0].weight)

    def test_a_table_read_whole_every_time_is_said_once(self):
        r = Run(optim.SGD, True)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(30):
                r.step()
                r.weight.norm()
        self.assertEqual([str(w.message).count("read whole between all steps") for w in said], [1])

    def test_tied_head(self):
        def tied(r, n):
            for _ in range(n):
                r.optimizer.zero_grad()
                out = F.linear(r.model[0](r.batch()), r.weight)
                out.square().mean().backward()
                r.see(out)
                r.optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.both(lambda r: (tied(r, 3), r.steps(20), tied(r, 20), r.steps(5)), kinds=(False,))

    def test_rows_that_a_scripted_module_reads_are_noticed(self):
        def script(r):
            scripted = torch.jit.script(r.model)
            for _ in range(12):
                index = torch.arange(r.n % 5, ROWS, 7)
                r.n += 1
                r.optimizer.zero_grad()
                loss = scripted(index).square().mean()
                loss.backward()
                if r.n > 12:
                    r.see(loss)
                r.optimizer.step()
        with self.assertWarnsRegex(RuntimeWarning, "no look-up of them was seen"):
            self.both(script, bound=1e-2)

    def test_a_process_forked_sees_now(self):
        r = Run(optim.SGD, True)
        r.steps(5)
        queue = torch.multiprocessing.get_context("fork").SimpleQueue()
        child = torch.multiprocessing.get_context("fork").Process(
            target=lambda: (r.steps(2), queue.put(float(r.weight.norm()))))
        child.start()
        there = queue.get()
        child.join()
        r.steps(2)
        self.assertEqual(there, float(r.weight.norm()))


class Writes(Case):
    """Weights, momenta and state that the script changes itself."""

    def test_weights_changed_by_hand(self):
        def halved(r):
            with torch.no_grad():
                r.weight.mul_(0.5)

        def some_rows(r):
            with torch.no_grad():
                r.weight[10:200:3] = 0.25

        def data(r):
            r.weight.data[::2] += 1.0

        def replaced(r):
            r.weight.data = torch.ones(ROWS, DIM, dtype=torch.float64)

        def moved(r):
            r.optimizer.zero_grad(set_to_none=True)      # torch cannot share a sparse gradient
            r.model.share_memory()

        def loaded(r):
            r.model.load_state_dict({k: v + 0.5 for k, v in r.model.state_dict().items()})

        def initialised(r):
            torch.nn.init.normal_(r.weight)

        for change in (halved, some_rows, data, replaced, moved, loaded, initialised):
            def script(r, change=change):
                torch.manual_seed(9)
                change(r)
                r.see(r.weight)
                r.steps(5)
            with self.subTest(change=change.__name__):
                self.both(script)

    def test_momentum_changed_by_hand(self):
        def zeroed(r):
            r.momentum().zero_()

        def rows_zeroed(r):
            r.momentum()[5:100] = 0.0

        def replaced(r):
            r.optimizer.state[r.weight]["momentum_buffer"] = torch.full((ROWS, DIM), 0.5, dtype=torch.float64)

        def cleared(r):
            r.optimizer.state.clear()

        for change in (zeroed, rows_zeroed, replaced, cleared):
            with self.subTest(change=change.__name__):
                self.both(lambda r, change=change: (change(r), r.steps(5)), dampening=0.3)

    def test_max_norm_and_frequency_scaling(self):
        def script(r):
            r.words.max_norm, r.words.scale_grad_by_freq = 1.0, not r.sparse and frequency
            r.steps(12)
        frequency = False
        self.both(script)
        frequency = True                     # torch refuses it with sparse gradients
        self.both(script, kinds=(False,))


class Uses(Case):
    def test_schedulers(self):
        def script(r):
            cycle = torch.optim.lr_scheduler.OneCycleLR(r.optimizer, 0.2, total_steps=40)
            for _ in range(40):
                r.step()
                cycle.step()
        self.both(script)
        self.both(script, nesterov=True)

    def test_closure(self):
        def script(r):
            for _ in range(8):
                index = r.batch()

                def closure():
                    r.optimizer.zero_grad()
                    loss = r.loss(index)
                    loss.backward()
                    return loss
                r.see(r.optimizer.step(closure))
        self.both(script)

    def test_zero_grad_both_ways(self):
        self.both(lambda r: [r.step(set_to_none=k % 3 == 0) for k in range(12)])

    def test_gradients_never_zeroed(self):
        def script(r):
            for _ in range(8):
                r.backward()
                r.optimizer.step()
        self.both(script)

    def test_accumulation(self):
        def script(r):
            for _ in range(6):
                r.optimizer.zero_grad()
                for _ in range(3):
                    r.backward()
                r.optimizer.step()
        self.both(script)

    def test_clipping(self):
        def script(r):
            for k in range(10):
                r.optimizer.zero_grad()
                r.backward()
                grad = r.weight.grad.coalesce() if r.sparse else r.weight.grad
                values = grad.values() if r.sparse else grad
                r.see(values.norm())
                (r.weight.grad._values() if r.sparse and k % 2 else values).mul_(0.1 / values.norm())
                if not k % 2:
                    r.weight.grad = grad
                r.optimizer.step()
        self.both(script)

    def test_clip_grad_norm(self):
        """Whatever torch's clipping makes of a sparse gradient (1.13 leaves it as it is), that is what moves the rows."""
        r, truth = Run(optim.SGD, True), Run(torch.optim.SGD, False)
        for k in range(10):
            for x in (r, truth):
                x.optimizer.zero_grad()
                x.backward()
            if k % 2:
                r.weight.grad = r.weight.grad.coalesce()
            torch.nn.utils.clip_grad_norm_(r.model.parameters(), 0.05)
            for p, q in zip(r.model.parameters(), truth.model.parameters()):
                q.grad = p.grad.to_dense() if p.grad.is_sparse else p.grad.clone()
            for x in (r, truth):
                x.optimizer.step()
        self.assertLess(float((r.weight - truth.weight).norm()), 1e-12 * float(truth.weight.norm()))

    def test_groups(self):
        def script(r):
            more = torch.nn.Embedding(ROWS, DIM, sparse=r.sparse).double()
            one = torch.nn.Embedding(ROWS, 1, sparse=r.sparse).double()
            for module in (more, one):
                with torch.no_grad():
                    module.weight.fill_(0.1)
            r.optimizer.add_param_group({"params": more.weight, "lr": 0.02, "momentum": 0.5, "weight_decay": 0.0})
            for k in range(12):
                if k == 4:
                    r.optimizer.add_param_group({"params": [one.weight], "nesterov": True})
                r.optimizer.zero_grad()
                index = r.batch()
                (r.model[1](r.words(index) + more(index.flip(0))) + one(index)).square().mean().backward()
                r.optimizer.step()
            r.see(more.weight, one.weight)
        self.both(script)

    def test_options_of_a_group_change(self):
        def script(r):
            group = r.optimizer.param_groups[0]
            for changes in ({"nesterov": True}, {"weight_decay": 0.0}, {"nesterov": False, "dampening": 0.5},
                            {"maximize": True}, {"momentum": 0.0}, {"momentum": 0.8, "maximize": False},
                            {"momentum": 1.02}, {"momentum": 0.9, "lr": 1e-12}, {"dampening": -0.5}):
                group.update(changes)
                r.steps(3)
        self.both(script)

    def test_without_momentum_at_first(self):
        def script(r):
            r.steps(4)
            r.optimizer.param_groups[0]["momentum"] = 0.9
            r.steps(10)
        for decay in (0.0, 1e-2):
            self.both(script, momentum=0.0, weight_decay=decay, dampening=0.25, kinds=(True, False))

    def test_parameters_without_a_gradient(self):
        def script(r):
            for k in range(12):
                r.words.weight.requires_grad_(k % 4 != 1)
                r.step(set_to_none=True)
                if k % 4 == 2:
                    r.optimizer.step()       # again, with the same gradient
        self.both(script)

    def test_batches_of_all_rows_of_none_and_of_many(self):
        def script(r):
            r.step(torch.arange(ROWS))
            r.steps(2)
            r.step(torch.arange(ROWS).repeat(9))
            r.steps(2)
            r.optimizer.zero_grad(set_to_none=False)
            r.optimizer.step()
            r.steps(2)
        self.both(script)

    def test_a_look_up_out_of_range_is_torchs_error(self):
        def script(r):
            for wrong in (ROWS, -1, 1 << 40):
                with self.assertRaises((IndexError, RuntimeError)):
                    r.words(torch.tensor([1, wrong]))
            r.steps(3)
        self.both(script)

    def test_a_gradient_that_is_not_finite(self):
        for bad in (float("nan"), float("inf")):
            results = []
            for make, sparse in ((torch.optim.SGD, False), (optim.SGD, True), (optim.SGD, False)):
                r = Run(make, sparse)
                r.steps(5)
                r.optimizer.zero_grad()
                (r.loss(torch.tensor([1, 2, 3])) * bad).backward()
                r.optimizer.step()
                results.append((r.weight.detach().clone(), r.momentum().clone()))
            for ours in results[1:]:
                for a, b in zip(ours, results[0]):
                    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14, equal_nan=True)
                    self.assertFalse(bool(torch.isfinite(a[1]).any()))

    def test_two_optimizers_of_one_parameter(self):
        def script(r):
            other = r.make([r.weight], **OTHERS)
            for k in range(12):
                r.step()
                if k % 3 == 0:
                    r.optimizer.zero_grad()
                    r.backward()
                    other.step()
            r.see(other.state[r.weight]["momentum_buffer"])
        self.both(script)

    def test_a_metric_pass_between_the_steps(self):
        def script(r):
            for _ in range(8):
                r.step()
                with torch.no_grad():
                    r.see(r.loss())
                r.see(r.loss())
        self.both(script)

    def test_float32(self):
        self.both(lambda r: r.steps(60), dtype=torch.float32, bound=3e-6)


class State(Case):
    def test_resume(self):
        def script(r):
            model, optimizer = copy.deepcopy((r.model.state_dict(), r.optimizer.state_dict()))
            r.steps(7)
            r.model.load_state_dict(model)               # the same optimizer goes back
            r.optimizer.load_state_dict(optimizer)
            r.steps(7)
        self.both(script)

    def test_state_goes_to_torch_and_back(self):
        def script(r):
            for make in itertools.chain([torch.optim.SGD, r.make] * 2):
                state = r.optimizer.state_dict()
                r.model = copy.deepcopy(r.model)         # a model that no optimizer of ours has seen
                r.words = r.model[0]
                r.words.sparse = r.sparse and make is not torch.optim.SGD
                r.optimizer = make(r.model.parameters(), **r.options)
                r.optimizer.load_state_dict(state)
                r.steps(6)
        self.both(script, dampening=0.2)

    def test_the_sparse_buffer_of_torch(self):
        """torch's own momentum with sparse gradients keeps a sparse buffer; ours goes on from it."""
        truth, r = Run(torch.optim.SGD, False, weight_decay=0.0), Run(torch.optim.SGD, True, weight_decay=0.0)
        truth.steps(6)
        r.steps(6)
        state = r.optimizer.state_dict()
        self.assertTrue(state["state"][0]["momentum_buffer"].is_sparse)
        r.optimizer = optim.SGD(r.model.parameters(), **r.options)
        r.optimizer.load_state_dict(state)
        truth.steps(6)
        r.steps(6)
        self.assertIs(type(r.weight), WatchedParameter)
        self.assertLess(float((r.weight - truth.weight).norm()), 1e-12 * float(truth.weight.norm()))

    def test_copies_go_on(self):
        for how in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
            def script(r, how=how):
                r.model, r.optimizer = how((r.model, r.optimizer))
                r.words = r.model[0]
                r.steps(8)
            self.both(script)

    def test_close_and_the_end_of_an_optimizer_leave_what_torch_would(self):
        truth = Run(torch.optim.SGD, False)
        truth.steps(5)
        for end in (lambda r: r.optimizer.close(), lambda r: delattr(r, "optimizer")):
            r = Run(optim.SGD, True)
            r.steps(5)
            aliases = r.weight.data, r.momentum()
            r.steps(0)
            end(r)
            gc.collect()
            self.assertIs(type(r.weight), torch.nn.Parameter)
            self.assertIs(type(aliases[1]), torch.Tensor)
            self.assertLess(float((aliases[0] - truth.weight).norm()), 1e-12 * float(truth.weight.norm()))
            if hasattr(r, "optimizer"):
                r.steps(3)                   # it may go on
                self.assertIs(type(r.weight), WatchedParameter)

    def test_a_parameter_taken_out(self):
        def script(r):
            group = r.optimizer.param_groups[0]
            group["params"] = group["params"][1:]
            r.steps(3)
            r.see(r.weight)
            group["params"] = [r.weight] + group["params"]
            r.steps(3)
        self.both(script)

    def test_no_leak(self):
        from momentscope import watched
        before = len(watched._tables)
        for _ in range(3):
            r = Run(optim.SGD, True)
            r.steps(3)
            r.optimizer.load_state_dict(r.optimizer.state_dict())
            r.steps(3)
        del r
        gc.collect()
        self.assertEqual(len(watched._tables), before)


class Kinds(Case):
    """Which parameters run on the core."""

    def kind(self, parameter, grad, **options):
        optimizer = optim.SGD([parameter], **dict(OPTIONS, **options))
        parameter.grad = grad
        optimizer.step()
        return bool(optimizer._tables)

    def test_kinds(self):
        def sparse(p):
            return torch.sparse_coo_tensor([[1, 2]], torch.ones((2,) + p.shape[1:], dtype=p.dtype), p.shape)

        def few(p):
            grad = torch.zeros_like(p)
            grad[5] = 1
            return grad
        for shape, grad, on_core in (((300, 4), sparse, True), ((300, 4), few, True), ((300, 4), torch.ones_like, False),
                                     ((300, 4), torch.zeros_like, False), ((300,), sparse, True), ((300,), few, False),
                                     ((300, 2, 3), sparse, True), ((300, 2, 3), few, True), ((20, 4), few, False),
                                     ((20, 4), sparse, True)):
            for dtype in (torch.float32, torch.float64):
                p = torch.nn.Parameter(torch.randn(shape, dtype=dtype))
                self.assertEqual(self.kind(p, grad(p)), on_core, f"{shape} {grad.__name__} {dtype}")
        bare = torch.randn(300, 4, requires_grad=True)
        self.assertTrue(self.kind(bare, sparse(bare)))
        transposed = torch.nn.Parameter(torch.randn(4, 300).t())
        self.assertFalse(self.kind(transposed, few(transposed)))
        p = torch.nn.Parameter(torch.randn(300, 4))
        self.assertFalse(self.kind(p, sparse(p), momentum=0.0, weight_decay=0.0), "torch's own is as good")

    def test_rows_of_several_dimensions(self):
        for kinds in ((), (2, 3)):
            p, q = (torch.nn.Parameter(torch.ones((300,) + kinds, dtype=torch.float64)) for _ in range(2))
            ours, truth = optim.SGD([p], **OPTIONS), torch.optim.SGD([q], **OPTIONS)
            for k in range(6):
                index, values = torch.tensor([k, 7, 7]), torch.randn((3,) + kinds, dtype=torch.float64)
                p.norm()                     # hand-made gradients: all rows are read
                p.grad = torch.sparse_coo_tensor(index[None], values, p.shape)
                q.grad = p.grad.to_dense()
                ours.step()
                truth.step()
            torch.testing.assert_close(p.detach(), q.detach(), rtol=1e-13, atol=0)

    def test_what_is_refused(self):
        p = [torch.nn.Parameter(torch.zeros(3, 3))]
        with self.assertRaisesRegex(ValueError, "differentiable"):
            optim.SGD(p, lr=0.1, differentiable=True)
        for wrong in ({"lr": -1.0}, {"lr": 0.1, "momentum": -1.0}, {"lr": 0.1, "nesterov": True}):
            with self.assertRaises(ValueError):
                optim.SGD(p, **wrong)


if __name__ == "__main__":
    unittest.main()
