"""momentscope - see what momentum does to frequent and to rare rows while a model trains.

    scope = momentscope.attach(model, optimizer)          # once
    ...
    loss.backward(); optimizer.step(); scope.step()       # every step, before the gradients are zeroed

The trainer is never hurt: step() does not wait, no error of the daemon or of momentscope reaches the training loop, and
the weights are bit for bit those of a run without it. Only attach and optim need torch; Client works without it.

    optimizer = momentscope.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)     # torch's, O(rows touched)
"""
from ._client import Client, Error, default_endpoint

__all__ = ["attach", "Client", "Error", "default_endpoint"]


def __getattr__(name):
    if name != "optim":                      # imports torch, so only when it is asked for
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    return importlib.import_module(".optim", __name__)


def attach(model, optimizer, *args, **options):
    """Watch the embeddings of a model trained by torch.optim.SGD or momentscope.optim.SGD; see Scope for the options."""
    from .scope import Scope
    return Scope(model, optimizer, *args, **options)
