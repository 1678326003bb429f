"""Optimizers that are read and not followed: where each keeps its momentum and second moment, and what step it makes.

Every one makes theta <- theta - eta m/(root + epsilon), with bias corrections in eta and root; what differs (NAdam's
look-ahead, decay) is in the updates that are measured, not in these numbers.
"""
import inspect
import math
from typing import Any, Callable, NamedTuple, Optional

import torch

from . import _check


class Read(NamedTuple):
    """What an optimizer keeps of one parameter after a step, and the preconditioned step that it made of it.

    momentum    tensor like the parameter; None: none, the gradient stands for it
    second      tensor like the parameter: the second moment; None: none, the step is not preconditioned
    eta         learning rate of theta <- theta - eta momentum/(root + epsilon)
    beta1       of the momentum, 0 to 1; beta2: of the second moment, 1: it forgets nothing
    scale       root = sqrt(scale second), which is where a bias correction belongs
    root        a function of row numbers that returns root at these rows; None: by second and scale
    """
    momentum: Optional[torch.Tensor]
    second: Optional[torch.Tensor]
    eta: float
    beta1: float = 0.0
    beta2: float = 1.0
    epsilon: float = 0.0
    scale: float = 1.0
    root: Optional[Callable[[torch.Tensor], torch.Tensor]] = None


class Rule(NamedTuple):
    """How one kind of optimizer is read. frozen: a row without a gradient keeps its momentum and second moment.
    averages: the momentum is beta1 m + (1 - beta1) g, so three norms tell how gradient and momentum lie.
    follows: the second moment is beta2 v + (1 - beta2) g^2, or v + g^2, so |g| tells its mean."""
    name: str
    frozen: bool
    look: Callable[[dict, dict], Read]
    averages: bool = False
    follows: bool = False


def _steps(state):
    return float(state.get("step", 0))


def _correction(beta, t):
    """1 - beta^t, 1 before the first step."""
    return -math.expm1(t * math.log(beta)) if t > 0 and 0 < beta < 1 else 1.0


def _adam(state, group):
    t, (b1, b2) = _steps(state), group["betas"]
    second = state.get("exp_avg_sq")
    if group.get("amsgrad") and "max_exp_avg_sq" in state:
        largest, scale = state["max_exp_avg_sq"], 1 / _correction(b2, t)

        def root(rows):
            return (largest.detach().reshape(largest.shape[0], -1).index_select(0, rows) * scale).sqrt()
    else:
        root = None
    return Read(state.get("exp_avg"), second, float(group["lr"]) / _correction(b1, t), b1, b2, float(group["eps"]),
                1 / _correction(b2, t), root)


def _sparse_adam(state, group):
    t, (b1, b2) = _steps(state), group["betas"]
    eta = float(group["lr"]) * math.sqrt(_correction(b2, t)) / _correction(b1, t)
    return Read(state.get("exp_avg"), state.get("exp_avg_sq"), eta, b1, b2, float(group["eps"]))


def _nadam(state, group):
    b1, b2 = group["betas"]
    product = float(state.get("mu_product", 0.0))
    return Read(state.get("exp_avg"), state.get("exp_avg_sq"), float(group["lr"]) / (1 - product), b1, b2,
                float(group["eps"]), 1 / _correction(b2, _steps(state)))


def _radam(state, group):
    t, (b1, b2) = _steps(state), group["betas"]
    eta, most = float(group["lr"]) / _correction(b1, t), 2 / (1 - b2) - 1
    length = most - 2 * t * b2 ** t / _correction(b2, t) if t else 0.0
    if length <= 5:                          # torch leaves the preconditioner out
        return Read(state.get("exp_avg"), state.get("exp_avg_sq"), eta, b1, b2, 1.0, 0.0)
    rect = math.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
    return Read(state.get("exp_avg"), state.get("exp_avg_sq"), eta * rect, b1, b2, float(group["eps"]),
                1 / _correction(b2, t))


def _adagrad(state, group):
    eta = float(group["lr"]) / (1 + max(_steps(state) - 1, 0) * float(group["lr_decay"]))
    return Read(None, state.get("sum"), eta, epsilon=float(group["eps"]))


def _rmsprop(state, group):
    beta, second, mean = float(group["momentum"]), state.get("square_avg"), state.get("grad_avg")

    def root(rows):
        mu = mean.detach().reshape(mean.shape[0], -1).index_select(0, rows)
        return (second.detach().reshape(second.shape[0], -1).index_select(0, rows) - mu * mu).clamp(min=0).sqrt()

    eta = float(group["lr"]) / (1 - beta) if beta < 1 else float("inf")
    return Read(state.get("momentum_buffer") if beta > 0 else None, second, eta, beta, float(group["alpha"]),
                float(group["eps"]), root=root if mean is not None else None)


_KINDS = {"Adam": _adam, "AdamW": _adam, "NAdam": _nadam, "RAdam": _radam, "SparseAdam": _sparse_adam,
          "Adagrad": _adagrad, "RMSprop": _rmsprop}
NAMES = ", ".join(_KINDS)


def _given(name, frozen, read):
    def look(state, group):
        out = read(state, group)
        if not isinstance(out, Read):
            raise _check.refuse(TypeError, "what read() returned", out, "a momentscope.Read")
        _check.real("eta", out.eta, 0, float("inf"), "returned by read()")
        _check.real("beta1", out.beta1, 0, 1, "returned by read()")
        _check.real("beta2", out.beta2, 0, 1, "returned by read()")
        _check.real("epsilon", out.epsilon, 0, float("inf"), "returned by read()")
        for field in ("momentum", "second"):
            if getattr(out, field) is not None and not isinstance(getattr(out, field), torch.Tensor):
                raise _check.refuse(TypeError, field, getattr(out, field), "a tensor or None", "returned by read()")
        return out
    return Rule(name, frozen, look)


def rule_of(optimizer, read=None, frozen=False) -> Optional[Rule]:
    """The rule by which this optimizer is read; None: nobody knows one. read(state, group) returns a Read."""
    name = type(optimizer).__name__
    if read is not None:
        if not callable(read):
            raise _check.refuse(TypeError, "read", read, "a function of (state, group), or None")
        return _given(name, bool(_check.flag("frozen", frozen)), read)
    if frozen:
        raise _check.refuse(ValueError, "frozen", frozen, "False without read", "torch's optimizers are known")
    for known, look in _KINDS.items():
        kind = getattr(torch.optim, known, None)
        if kind is not None and isinstance(optimizer, kind) and (
                inspect.unwrap(type(optimizer).step) is inspect.unwrap(kind.step)):
            return Rule(known, known == "SparseAdam", look, known != "RMSprop", True)
    return None


def decay_of(optimizer, group) -> float:
    """Weight decay that enters the gradient, and with it momentum and second moment; 0 where it is decoupled."""
    if isinstance(optimizer, torch.optim.AdamW) or group.get("decoupled_weight_decay", False):
        return 0.0
    return float(group.get("weight_decay", 0.0) or 0.0)


def eps_of(found: Read) -> float:
    """1 - beta1; 1 without momentum"""
    return 1.0 - float(found.beta1) if found.momentum is not None else 1.0


def metric_of(found: Read, shape, rows) -> Optional[torch.Tensor]:
    """The preconditioner 1/(root + epsilon) at rows of a parameter seen as a matrix of this shape, or None."""
    if found.root is not None:
        root = found.root(rows).reshape(rows.numel(), shape[1])
    elif found.second is not None:
        root = (found.second.detach().reshape(shape).index_select(0, rows) * found.scale).clamp(min=0).sqrt()
    else:
        return None
    # a coordinate that never had a gradient has no step either
    return 1.0 / (root + found.epsilon).clamp(min=torch.finfo(root.dtype).tiny)
