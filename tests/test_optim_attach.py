#!/usr/bin/env python3
"""attach on momentscope.optim.SGD: every test of test_python.py again, with ours in the place of torch.optim.SGD; the weights
with and without attach; and what is not the trainer's own read is not counted as one."""
import unittest
import unittest.mock
import warnings

import test_python
from test_python import setUpModule      # noqa: F401
import momentscope
import torch
from momentscope import optim
from momentscope.watched import WatchedParameter


class WithOurs(test_python.Case):
    def setUp(self):
        super().setUp()
        patch = unittest.mock.patch.object(torch.optim, "SGD", optim.SGD)
        patch.start()
        self.addCleanup(patch.stop)

    def run_ours(self, attach, steps=200):
        model = test_python.skip_gram(True, rows=500)
        optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9, weight_decay=1e-4)
        scope = momentscope.attach(model, optimizer, self.daemon.ingest, prefix="ours.", reference="initial") if attach else \
            unittest.mock.Mock()
        weight = model["words"].weight
        initial = weight.detach().clone()
        self.train(scope, model, optimizer, test_python.batches(steps, rows=500))
        self.assertIs(type(weight), WatchedParameter)
        if attach:
            self.compare(scope, optimizer, weight, initial, steps, "ours.words.weight")
            self.assertEqual(scope.stats()["steps_dropped"], 0)
            scope.close()
        return weight.detach().clone()

    def test_weights_are_those_without_attach(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertTrue(torch.equal(self.run_ours(True), self.run_ours(False)))

    def test_probe_measures_curvature_and_leaves_no_trace(self):
        """A probe reads the weights whole. So rows are caught up at other steps, and round otherwise."""
        with unittest.mock.patch.object(torch, "equal", lambda a, b: torch.allclose(a, b, rtol=1e-12, atol=1e-14)):
            super().test_probe_measures_curvature_and_leaves_no_trace()

    def test_attach_brings_no_rows_to_now(self):
        model = test_python.skip_gram(True, rows=500)
        optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        scope = momentscope.attach(model, optimizer, self.daemon.ingest, prefix="late.")
        self.assertTrue(scope.flush(10))     # all rows are there
        self.train(scope, model, optimizer, test_python.batches(20, rows=500))
        table = optimizer._tables[id(model["words"].weight)]
        rows = torch.arange(500, dtype=torch.int32)
        self.assertGreater(table.lib.mscope_table_late(table.t, rows.data_ptr(), 500), 100)
        scope.close()


if __name__ == "__main__":
    unittest.main()
