"""optimizer.step wrapped, and given back as it was found."""
import types

import torch


def compiling():
    """Is torch.compile tracing this call? Versions before 2.1 cannot be asked."""
    ask = getattr(getattr(torch, "compiler", None), "is_compiling", None)
    return ask is not None and ask()


class Wrapped:
    """before() is called when the gradients are there and the weights have not moved, after() when they have; compiled()
    in place of both where torch.compile traces the call."""

    def __init__(self, optimizer, before, after, compiled):
        inner = optimizer.step

        def step(_optimizer, closure=None):
            if compiling():
                compiled()
                return inner() if closure is None else inner(closure)

            def loss():                      # the gradients are there when it returns
                out = closure()
                before()
                return out

            if closure is None:
                before()
            out = inner(closure if closure is None else loss)
            after()
            return out

        if hasattr(inner, "_with_counter"):
            step._with_counter = inner._with_counter
        self.optimizer, self._own = optimizer, "step" in optimizer.__dict__
        # a bound method, as learning-rate schedulers expect to find one
        self._inner, self._wrapper = inner, types.MethodType(step, optimizer)
        optimizer.step = self._wrapper

    def restore(self):
        if self.optimizer.__dict__.get("step") is not self._wrapper:
            return                           # somebody wrapped it once more: ours calls through
        if self._own:
            self.optimizer.step = self._inner
        else:
            del self.optimizer.step
