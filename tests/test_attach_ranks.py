"""Several processes, and parameters or optimizers that one process cannot follow: harmless, and said in a sentence.

torch 1.13 has neither DTensor nor torch.compile; small stand-ins have the marks that later versions document.
"""
import json
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock
import warnings

import attach_support
import client_support
from attach_support import ROWS, SIZE, Net
import torch
import momentscope

RANK = r"""
import hashlib, json, sys, time, warnings
sys.path.insert(0, {tests!r})
import client_support, torch, momentscope
from attach_support import Net, ROWS, SIZE
rank, how, meet, ingest, sparse = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5] == "sparse"
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.distributed.init_process_group("gloo", init_method="file://" + meet, rank=rank, world_size=2)
torch.manual_seed(1)
net = Net(sparse)
net.emb.padding_idx = 0
model = torch.nn.parallel.DistributedDataParallel(net)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
index = None
def loss(half=None):
    i = index if half is None else index[half::2]
    return (model(i) - i / ROWS).square().mean()
scope, told = None, []
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    if how == "both" or (how == "first" and rank == 0):
        scope = momentscope.attach(model, optimizer, ingest, probe_every=5, closure=loss, nll=True, prefix="ddp.")
    generator = torch.Generator().manual_seed(rank)
    for i in range(40):
        index = torch.randint(1, ROWS, (SIZE,), generator=generator)
        if i == 7 and rank == 1 and not sparse:
            index = torch.zeros_like(index)  # padding alone; gloo of torch 1.13 fails on an empty sparse gradient
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        if scope:
            scope.step()
    flushed, stats = (scope.flush(10), scope.stats()) if scope else (None, None)
    buffer = optimizer.state[net.emb.weight]["momentum_buffer"]
    V = float((0.1 * (buffer.to_dense() if buffer.is_sparse else buffer)).square().sum())
    if rank == 1:
        time.sleep(1.5)                      # rank 0 has left: nobody may take its table
    if scope:
        scope.flush(0.5)
        scope.close()
bits = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()
print(json.dumps(dict(bits=bits, V=V, flushed=flushed, said=[str(w.message) for w in told],
                      probes=stats and stats.get("probes"), dropped=stats and stats.get("steps_dropped"))))
"""


def setUpModule():
    if not torch.distributed.is_available():
        raise unittest.SkipTest("torch without torch.distributed")


class Ranks(unittest.TestCase):
    def pair(self, how, sparse, daemon):
        with tempfile.NamedTemporaryFile(prefix="momentscope-meet-") as meet:
            name = meet.name
        code = RANK.format(tests=client_support.ROOT + "/tests")
        both = [subprocess.Popen([sys.executable, "-c", code, str(rank), how, name, daemon.ingest, sparse],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
        out = [p.communicate(timeout=120) for p in both]
        self.assertEqual([p.returncode for p in both], [0, 0], out)
        return [json.loads(o[0].splitlines()[-1]) for o in out]

    def test_two_ranks_with_gloo(self):
        for sparse in ("dense", "sparse"):
            with client_support.Daemon() as daemon:
                ear = client_support.Listener(daemon)
                none = self.pair("none", sparse, daemon)
                self.assertEqual(none[0]["bits"], none[1]["bits"])
                for how in ("first", "both"):
                    with self.subTest(how, sparse=sparse):
                        ear.latest.clear()
                        first, second = self.pair(how, sparse, daemon)
                        self.assertEqual([first["bits"], second["bits"]], [none[0]["bits"]] * 2)
                        self.assertTrue(first["flushed"])
                        self.assertEqual((first["probes"], first["dropped"]), (0, 0))
                        self.assertEqual(len(first["said"]), 1, first["said"])
                        self.assertIn("averaged over 2 ranks", first["said"][0])
                        self.assertIn("the probe and nll would need the batches of all ranks", first["said"][0])
                        self.assertEqual(len(second["said"]), int(how == "both"))
                        if how == "both":
                            self.assertIn("this is rank 1 of 2: nothing is attached here", second["said"][0])
                        ear.pump(0.5)
                        record = ear.latest["table/ddp.module.emb.weight"]
                        self.assertEqual((record["step"], record["attached"], record["lost_steps"]), (40, False, 0))
                        self.assertAlmostEqual(record["V"] / first["V"], 1, delta=1e-9)
                        self.assertEqual(record["batch"], 2 * SIZE)
                        sessions = {a["text"].split(":")[0] for a in ear.alerts if a["code"] == "attached"}
                        self.assertEqual(len(sessions), 1 if how == "first" else 2, ear.alerts)
                ear.close()

    def test_every_rank_where_it_is_asked_for(self):
        with unittest.mock.patch.multiple(torch.distributed, is_initialized=lambda: True, get_rank=lambda: 1,
                                          get_world_size=lambda: 2):
            model = Net()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                absent = momentscope.attach(model, optimizer, "ipc:///nowhere")
                self.assertEqual((absent.step(), absent.flush(), absent.metrics(), absent.stats()["tables"]),
                                 (0, True, {}, []))
                absent.on_alert(print)
                absent.close()
                self.assertEqual(len(told), 1)
                scope = momentscope.attach(model, optimizer, "ipc:///nowhere", every_rank=True)
                self.assertEqual((len(told), scope.stats()["tables"]), (1, ["emb.weight"]))
                scope.close(0)


class Marks(unittest.TestCase):
    def refused(self, why, mark, model=None):
        model = model or Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        mark(model, optimizer)
        with self.assertRaisesRegex(ValueError, why):
            momentscope.attach(model, optimizer, "ipc:///nowhere")
        self.assertFalse(torch.nn.modules.module._global_forward_hooks)

    def test_parameters_in_parts(self):
        def dtensor(model, _):               # an attribute of DTensor each
            model.emb.weight.placements, model.emb.weight.device_mesh = ("Shard(dim=0)",), object()

        class FlatParameter(torch.nn.Parameter):
            pass

        model = Net()
        model.emb.weight = FlatParameter(model.emb.weight.detach())
        self.refused("'emb.weight' is a DTensor", dtensor)
        self.refused("'emb.weight' is a flat parameter of FSDP", lambda *_: None, model)

    def test_an_optimizer_inside_backward(self):
        def applied(model, optimizer):       # what apply_optimizer_in_backward leaves
            model.emb.weight._in_backward_optimizers = [optimizer]

        def hooked(model, _):                # register_post_accumulate_grad_hook
            model.emb.weight._post_accumulate_grad_hooks = {0: lambda p: None}

        self.refused("optimizer of its own inside backward", applied)
        self.refused("may run an optimizer inside backward", hooked)

    def test_a_compiled_optimizer(self):
        def compiled(_, optimizer):          # torch.compile(optimizer.step) leaves the original on the wrapper
            inner = optimizer.step
            optimizer.step = lambda closure=None: inner(closure)
            optimizer.step._torchdynamo_orig_callable = inner

        self.refused("optimizer.step is compiled", compiled)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scope = momentscope.attach(model, optimizer, "ipc:///nowhere")
        weight = model.emb.weight.detach().clone()
        traced = types.SimpleNamespace(is_compiling=lambda: True)
        with unittest.mock.patch.object(torch, "compiler", traced, create=True), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model(torch.arange(4)).sum().backward()
            optimizer.step()
            self.assertEqual(scope.step(), 0)
        self.assertFalse(torch.equal(weight, model.emb.weight))
        self.assertIn("optimizer.step is traced by torch.compile", str(told[0].message))
        self.assertEqual((len(told), scope.steps), (1, 0))
        scope.close(0)


if __name__ == "__main__":
    unittest.main()
