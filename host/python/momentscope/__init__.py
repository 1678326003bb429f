"""momentscope - see what momentum does to frequent and to rare rows while a model trains.

    scope = momentscope.attach(model, optimizer)          # once
    ...
    loss.backward(); optimizer.step(); scope.step()       # every step, before the gradients are zeroed

The trainer is never hurt: step() does not wait, no error of the daemon or of momentscope reaches the training loop, and
the weights are bit for bit those of a run without it. Only attach and optim need torch; Client and Subscriber need
nothing but the library.

    optimizer = momentscope.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)     # torch's, O(rows touched)
    python -m momentscope                                 # versions, and where the daemon would be
"""
from typing import TYPE_CHECKING, Any

from . import columns
from ._client import Client, Error, default_endpoint
from ._lib import BF16, F16, F32, F64, Step
from .subscriber import Subscriber

if TYPE_CHECKING:
    import torch

    from . import optim as optim
    from .optimizers import Read as Read
    from .scope import Scope

__version__: str                             # of the library, which is loaded when it is asked for
__all__ = ["attach", "BF16", "Client", "Error", "F16", "F32", "F64", "Step", "Subscriber", "columns",
           "default_endpoint"]


def __getattr__(name: str) -> Any:
    if name == "optim":                      # imports torch, so only when it is asked for
        import importlib
        return importlib.import_module(".optim", __name__)
    if name == "callbacks":
        import importlib
        return importlib.import_module(".callbacks", __name__)
    if name == "Read":                       # likewise
        from .optimizers import Read
        return Read
    if name == "__version__":
        from . import _lib
        return _lib.lib().mscope_version().decode()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def attach(model: "torch.nn.Module", optimizer: "torch.optim.Optimizer", *args: Any, **options: Any) -> "Scope":
    """Watch the embeddings of a model trained by torch.optim.SGD or momentscope.optim.SGD, or read Adam and its like;
    see Scope for the options."""
    from .scope import Scope
    return Scope(model, optimizer, *args, **options)
