"""A scope in training loops that others write: callbacks for Lightning and for transformers.Trainer.

Neither package is needed to import this. Both callbacks attach when training starts and the optimizer exists, tell each
optimizer step once it is done and before the gradients are zeroed, log the metrics with those of the loop, and close.
"""
import weakref

from . import _check


class _Loop:
    """options: of momentscope.attach; log_every: steps between two logs of the metrics, 0: never; words: log words too;
    log: a function of (metrics, step) in place of the loop's own logger."""

    def __init__(self, log_every=50, words=False, log=None, **options):
        self.log_every = _check.integer("log_every", log_every, 0, _check.STEPS, "steps from one log to the next")
        self.words, self.log, self.options = bool(_check.flag("words", words)), log, options
        self.scope, self._told, self._model = None, 0, None

    def _begin(self, model, optimizer, steps):
        from . import attach
        self._end()
        optimizer = getattr(optimizer, "optimizer", optimizer)           # of Lightning or accelerate, around torch's
        self.scope = attach(model, optimizer, **{"steps": steps or None, **self.options})
        self._told = self.scope.steps
        if self.log_every:
            self.scope.metrics()             # begins to listen

    def _step(self):
        """True: an optimizer step was done since the last call."""
        if self.scope is None or self.scope.steps == self._told:
            return False
        self._told = self.scope.steps
        self.scope.step()
        return True

    def _numbers(self):
        if self.scope is None or not self.log_every or self._told % self.log_every:
            return {}
        return self.scope.metrics(words=self.words)

    def _end(self):
        if self.scope is not None:
            self.scope.close()
        self.scope = None


def _base(package, path, name):
    """The callback class of a package, or object where it is not installed."""
    import importlib
    for module in package:
        try:
            return getattr(importlib.import_module(module + path), name)
        except (ImportError, AttributeError):
            continue
    return object


def lightning(**options):
    """A lightning.pytorch.Callback: Trainer(callbacks=[momentscope.callbacks.lightning(probe_every=50, ..)]).

    One optimizer is watched: the first, or options["optimizer"] = its number. Gradients are still there in
    on_train_batch_end and on_before_zero_grad, whichever Lightning calls first after the step."""
    number = options.pop("optimizer", 0)

    class Lightning(_Loop, _base(("lightning.pytorch", "pytorch_lightning"), ".callbacks", "Callback")):
        def on_train_start(self, trainer, pl_module):
            self._begin(pl_module, trainer.optimizers[number], getattr(trainer, "global_step", 0))

        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            self._step()

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self._step()
            numbers = self._numbers()
            if numbers and self.log is not None:
                self.log(numbers, self.scope.steps)
            elif numbers and trainer.logger is not None:
                trainer.logger.log_metrics(numbers, step=self.scope.steps)

        def on_train_end(self, trainer, pl_module):
            self._step()
            self._end()

        def on_exception(self, trainer, pl_module, exception):
            self._end()

    return Lightning(**options)


def trainer(**options):
    """A transformers.TrainerCallback: Trainer(.., callbacks=[momentscope.callbacks.trainer(labels=tokenizer, ..)]).

    The step is told in on_optimizer_step. Versions before it zero the gradients first, by model.zero_grad(), which is
    watched for that reason. Metrics join state.log_history, or go to log(metrics, step)."""
    class Trainer(_Loop, _base(("transformers",), "", "TrainerCallback")):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **others):
            self._begin(model, optimizer, state.global_step)
            self._watch_zero_grad(model)

        def on_optimizer_step(self, args, state, control, **others):
            self._step()

        def on_step_end(self, args, state, control, **others):
            self._step()
            numbers = self._numbers()
            if numbers and self.log is None:
                state.log_history.append({**numbers, "step": state.global_step})
            elif numbers:
                self.log(numbers, state.global_step)

        def on_train_end(self, args, state, control, **others):
            self._step()
            self._end()

        def _watch_zero_grad(self, model):
            inner, ref = model.zero_grad, weakref.ref(self)

            def zero_grad(*args, **more):
                loop = ref()
                if loop is not None:
                    loop._step()
                return inner(*args, **more)
            model.zero_grad, self._model = zero_grad, model

        def _end(self):
            super()._end()
            if self._model is not None:
                self._model.__dict__.pop("zero_grad", None)
            self._model = None

    return Trainer(**options)
