"""Gradient passes through the trainer's closure: in two halves where it can be halved, always from one random state.

    closure()          the loss of the present batch
    closure(half)      half 0, 1: the loss of that half of the present batch; half None: of all of it
    second()           the loss of another batch of the same size, for a closure that cannot be halved

The second half goes on in the random states that the first has left, so that dropout differs between the halves. The
pair as a whole begins at one random state each time.
"""
import inspect
import random
import sys

import torch


class Frozen:
    """Everything that further forward and backward passes may change, to be restored."""

    def __init__(self, model):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.grads = [p.grad for p in self.parameters]
        self.buffers = [(b, b.clone()) for b in model.buffers()]
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self.python = random.getstate()
        self.numpy = sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None

    def start(self):
        """Buffers and random states as they were: every pass begins at the same point."""
        with torch.no_grad():
            for buffer, was in self.buffers:
                buffer.copy_(was)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)

    def grad_of(self, parameter):
        """The step's own gradient."""
        return next((g for p, g in zip(self.parameters, self.grads) if p is parameter), None)

    def restore(self):
        for p, grad in zip(self.parameters, self.grads):
            p.grad = grad
        self.start()


def takes_half(closure):
    """Has the closure a parameter named half?"""
    try:
        return "half" in inspect.signature(closure).parameters
    except (TypeError, ValueError):
        return False


class Passes:
    """kind: "halves", "second" (two batches), or "whole" (one gradient, nothing about noise)."""

    def __init__(self, closure, second=None):
        self.closure, self.second = closure, second
        self.loss = None                     # of the first pass of a probe, where the closure returns it
        self.kind = "halves" if takes_half(closure) else "second" if second is not None else "whole"

    def one(self, frozen, work, parameters):
        for p in frozen.parameters:
            p.grad = None
        with torch.enable_grad():
            loss = work()
            if isinstance(loss, torch.Tensor) and loss.requires_grad and all(p.grad is None for p in frozen.parameters):
                loss.backward()
        if self.loss is None and loss is not None:
            self.loss = float(loss)
        return [p.grad for p in parameters]

    def __call__(self, frozen, parameters, between=lambda: None):
        """(gradients a, gradients b) in new tensors; b None where the kind is whole. between() is called after a."""
        frozen.start()
        if self.kind == "halves":
            a = self.one(frozen, lambda: self.closure(half=0), parameters)
            between()
            return a, self.one(frozen, lambda: self.closure(half=1), parameters)
        a = self.one(frozen, self.closure, parameters)
        between()
        return a, self.one(frozen, self.second, parameters) if self.kind == "second" else None

    def whole(self, frozen, parameters, share):
        """The gradient of the present batch alone, from the same random state as the pair."""
        a, b = self(frozen, parameters) if self.kind == "halves" else (self.first(frozen, parameters), None)
        return [mixed(x, y, share) for x, y in zip(a, b)] if b is not None else a

    def first(self, frozen, parameters):
        frozen.start()
        return self.one(frozen, self.closure, parameters)


def mixed(a, b, share):
    """share a + (1 - share) b, of two gradients of one parameter; a missing one is 0."""
    if a is None or b is None:
        return a * share if b is None and a is not None else b * (1 - share) if b is not None else None
    if a.is_sparse != b.is_sparse:
        a, b = a.to_dense(), b.to_dense()
    if not a.is_sparse:
        return share * a + (1 - share) * b
    return torch.sparse_coo_tensor(torch.cat([a._indices(), b._indices()], 1),
                                   torch.cat([share * a._values(), (1 - share) * b._values()]), a.shape)
