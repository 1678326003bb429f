"""The callbacks of Lightning and transformers.Trainer, against small loops with the order of calls that they document.

Neither package is needed: the loops below call what Trainer.fit and Trainer.train call, in their order.
"""
import sys
import time
import types
import unittest
import unittest.mock

import attach_support
from attach_support import Net, setUpModule, tearDownModule      # noqa: F401
import torch
from momentscope import callbacks

STEPS = 80


class Wrapped:
    """LightningOptimizer and AcceleratedOptimizer: another optimizer around torch's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self, closure=None):
        return self.optimizer.step(closure)


class Loops(attach_support.Case):
    def begin(self):
        torch.manual_seed(1)
        attach_support.Case.names += 1
        self.prefix = f"b{attach_support.Case.names}."
        self.model = Net()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.options = dict(endpoint=self.daemon.ingest, prefix=self.prefix, reference="initial")
        self.initial = self.model.emb.weight.detach().clone()

    def fit(self, callback, accumulate=1, fail_at=None):
        """The automatic optimization of Lightning 2: a closure zeroes, computes and goes back; the step ends the batch."""
        logger = types.SimpleNamespace(seen=[], log_metrics=lambda numbers, step: logger.seen.append((step, numbers)))
        trainer = types.SimpleNamespace(optimizers=[Wrapped(self.optimizer)], logger=logger, global_step=0)
        callback.on_train_start(trainer, self.model)
        try:
            for i in range(STEPS):
                def closure():
                    if i % accumulate == 0:
                        callback.on_before_zero_grad(trainer, self.model, self.optimizer)
                        self.optimizer.zero_grad()
                    loss = self.loss(self.batch(i)) / accumulate
                    loss.backward()
                    return loss

                if fail_at == i:
                    raise KeyboardInterrupt
                if (i + 1) % accumulate == 0:
                    trainer.optimizers[0].step(closure)
                    trainer.global_step += 1
                else:
                    closure()
                callback.on_train_batch_end(trainer, self.model, None, None, i)
                time.sleep(0.01)             # training takes time, and a record comes after 0.05 s
            if callback.scope is not None:
                self.same_as_torch(callback.scope, STEPS // accumulate)
            callback.on_train_end(trainer, self.model)
        except KeyboardInterrupt as e:
            callback.on_exception(trainer, self.model, e)
        return logger.seen

    def train(self, callback, late):
        """transformers.Trainer; late: a version without on_optimizer_step, which zeroes first."""
        args, control = types.SimpleNamespace(), types.SimpleNamespace()
        state = types.SimpleNamespace(global_step=0, log_history=[])
        callback.on_train_begin(args, state, control, model=self.model, optimizer=Wrapped(self.optimizer),
                                lr_scheduler=None, train_dataloader=None)
        for i in range(STEPS):
            self.loss(self.batch(i)).backward()
            self.optimizer.step()
            if not late:
                callback.on_optimizer_step(args, state, control, model=self.model)
            self.model.zero_grad()
            state.global_step += 1
            callback.on_step_end(args, state, control, model=self.model)
            time.sleep(0.01)
        self.same_as_torch(callback.scope, STEPS)
        callback.on_train_end(args, state, control)
        return state.log_history

    def same_as_torch(self, scope, step, **others):
        self.assertEqual(scope.stats()["steps_dropped"], 0)
        return super().same_as_torch(scope, step, **others)

    def logged(self, entries, step):
        self.assertTrue(entries)
        key = f"momentscope/{self.prefix}emb.weight/step"
        for at, numbers in entries:
            self.assertEqual(at % step, 0)
            self.assertTrue(all(isinstance(v, (int, float)) for v in numbers.values()))
        self.assertIn(key, entries[-1][1])

    def test_lightning(self):
        for accumulate in (1, 4):
            self.begin()
            callback = callbacks.lightning(log_every=1, **self.options)
            self.logged([x for x in self.fit(callback, accumulate) if x[1]], 1)
            self.assertIsNone(callback.scope)
            self.assertNotIn("step", self.optimizer.__dict__)

    def test_lightning_that_is_interrupted(self):
        self.begin()
        callback = callbacks.lightning(log_every=0, **self.options)
        self.assertEqual(self.fit(callback, fail_at=5), [])
        self.assertIsNone(callback.scope)
        self.assertNotIn("step", self.optimizer.__dict__)

    def test_transformers(self):
        for late in (False, True):
            for log in (None, []):
                self.begin()
                more = {} if log is None else {"log": lambda numbers, step: log.append((step, numbers))}
                callback = callbacks.trainer(log_every=2, **more, **self.options)
                history = self.train(callback, late)
                entries = [(x.pop("step"), x) for x in history] if log is None else log
                self.assertEqual(bool(history), log is None)
                self.logged(entries, 2)
                self.assertNotIn("zero_grad", self.model.__dict__)
                self.assertNotIn("step", self.optimizer.__dict__)

    def test_they_are_callbacks_of_their_packages(self):
        class Callback:
            pass

        lightning = types.ModuleType("lightning.pytorch.callbacks")
        lightning.Callback = Callback
        transformers = types.ModuleType("transformers")
        transformers.TrainerCallback = Callback
        stand_ins = {name: types.ModuleType(name) for name in ("lightning", "lightning.pytorch")}
        stand_ins.update({"lightning.pytorch.callbacks": lightning, "transformers": transformers})
        with unittest.mock.patch.dict(sys.modules, stand_ins):
            self.assertIsInstance(callbacks.lightning(), Callback)
            self.assertIsInstance(callbacks.trainer(), Callback)
        with self.assertRaisesRegex(TypeError, "log_every"):
            callbacks.trainer(log_every="often")


if __name__ == "__main__":
    unittest.main()
