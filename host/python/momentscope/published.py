"""A Scope whose steps are pushed by the optimizer's own step, for momentscope.optim.SGD.telemetry."""
from .scope import Scope


class Published(Scope):
    def _after(self):
        super()._after()
        self._tell(None)                     # the gradients are those of this step, and the weights are its result
