"""What a logger reads beside training: scope.metrics(), scope.on_alert(), and the callbacks, against a real daemon."""
import os
import time
import unittest
import warnings

import client_support
import torch
import momentscope

ROWS, DIM, SIZE = 50, 8, 16


def setUpModule():
    torch.set_num_threads(1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.head = torch.nn.Embedding(ROWS, DIM), torch.nn.Linear(DIM, 1)

    def forward(self, index):
        return self.head(self.emb(index)).squeeze(-1)


class Case(unittest.TestCase):
    names = 0

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def attach(self, lr=0.1, **options):
        torch.manual_seed(1)
        Case.names += 1
        self.name = f"r{Case.names}.emb.weight"
        self.model = Net()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        scope = momentscope.attach(self.model, self.optimizer, self.daemon.ingest, prefix=f"r{Case.names}.", **options)
        self.addCleanup(scope.close)
        return scope

    def steps(self, scope, n, pause=0.0, scale=1.0):
        for _ in range(n):
            self.optimizer.zero_grad()
            index = torch.randint(ROWS, (SIZE,))
            (scale * (self.model(index) - index / ROWS).square().mean()).backward()
            self.optimizer.step()
            scope.step()
            time.sleep(pause)


    def until(self, scope, field, value, seconds=10):
        """metrics() once a field of the table has this value."""
        end = time.monotonic() + seconds
        while scope.metrics(wait=0.2).get(f"momentscope/{self.name}/{field}") != value:
            self.assertLess(time.monotonic(), end, scope.metrics())
        return scope.metrics()


class Metrics(Case):
    def test_the_last_judged_set(self):
        scope = self.attach()
        self.assertEqual(scope.metrics(), {})
        self.steps(scope, 60, 0.005)
        self.assertTrue(scope.flush(5))
        got = self.until(scope, "step", 60)
        ear = client_support.Listener(self.daemon)
        self.addCleanup(ear.close)
        record = ear.table(self.name, 60)
        for field in ("V", "eta", "batch", "lost_steps"):
            self.assertAlmostEqual(got[f"momentscope/{self.name}/{field}"], record[field], delta=1e-12 * abs(record[field]))
        self.assertIs(got[f"momentscope/{self.name}/exact"], True)
        regimes = {k: v for k, v in got.items() if k.endswith("/regime")}
        self.assertEqual(len(regimes), len(record["bands"]))
        self.assertEqual(set(regimes.values()), {"unknown"})             # no probe, and no word that is not true
        self.assertNotIn(f"momentscope/{self.name}/R", got)              # unknown without a reference
        self.assertTrue(all(k.startswith(f"momentscope/{self.name}/") for k in got))
        numbers = scope.metrics(prefix="x/", words=False)
        self.assertEqual({k[2:] for k in numbers}, {k[12:] for k, v in got.items() if not isinstance(v, str)})
        self.assertTrue(all(isinstance(v, (bool, int, float)) for v in numbers.values()))
        self.assertGreater(len(scope.metrics(full=True)), 2 * len(got))
        for key, value in scope.metrics(full=True).items():      # what MLflow and TensorBoard take as a name
            self.assertRegex(key, r"^[\w./ -]{1,250}$")
            self.assertFalse(isinstance(value, float) and value != value, key)
        begin = time.perf_counter()
        for _ in range(100):
            scope.metrics()
        print(f"note metrics: {1e4 * (time.perf_counter() - begin):.0f} us a call, {len(got)} values")

    def test_the_child_ends_with_the_scope(self):
        scope = self.attach()
        scope.metrics()
        child = scope._reader._reading.child
        self.assertIsNone(child.poll())
        scope.close()
        self.assertIsNotNone(child.poll())
        scope.metrics()                      # the last set, still

    def test_an_address_that_cannot_be_derived(self):
        scope = self.attach(telemetry=self.daemon.telemetry)
        self.steps(scope, 5)
        self.assertTrue(scope.flush(5))
        self.until(scope, "step", 5)
        scope._reader.endpoint, scope._reader.telemetry, scope._reader._reading = "tcp://127.0.0.1:1", None, None
        with self.assertRaisesRegex(ValueError, r"attach\(telemetry="):
            scope.metrics()


class Alerts(Case):
    def test_alerts_come_within_step(self):
        scope, heard = self.attach(), []
        scope.on_alert(heard.append)
        self.steps(scope, 20, 0.005)
        scope._client.skip(scope.tables[0].handle)           # a step that is lost
        end = time.monotonic() + 10
        while not {"inexact", "exact"} <= {a["code"] for a in heard} and time.monotonic() < end:
            self.steps(scope, 1, 0.01)
        self.assertLessEqual({"inexact", "exact"}, {a["code"] for a in heard})
        self.assertEqual({a["table"] for a in heard}, {self.name})
        self.assertEqual(set(heard[0]), {"table", "step", "code", "text"})

    def test_a_listener_that_fails_harms_nobody(self):
        scope = self.attach()

        def fails(_alert):
            raise KeyError("mine")

        with self.assertRaisesRegex(TypeError, "listener = 3"):
            scope.on_alert(3)
        scope.on_alert(fails)
        strict = os.environ.pop("MOMENTSCOPE_STRICT")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                end = time.monotonic() + 5
                while not told and time.monotonic() < end:
                    self.steps(scope, 1, 0.01)
        finally:
            os.environ["MOMENTSCOPE_STRICT"] = strict
        self.assertIn("KeyError: 'mine'", str(told[0].message))


if __name__ == "__main__":
    unittest.main()
