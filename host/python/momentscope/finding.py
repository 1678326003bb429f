"""What attach is given: is the optimizer one that the daemon can follow, and which parameters become tables?"""
import inspect

import torch

from . import _check, optim
from .adaptive import ReadTable
from .optimizers import NAMES, rule_of
from .labels import Labels
from .tables import Table, table_name


def check_optimizer(optimizer, read=None, frozen=False):
    """None for an optimizer that the daemon follows; the rule by which it is read for others."""
    rule = rule_of(optimizer, read, frozen)
    if rule is not None:
        for group in optimizer.param_groups:
            if group.get("maximize"):
                raise ValueError("momentscope: maximize=True is not supported; minimise the negative loss instead")
        return rule
    if not isinstance(optimizer, torch.optim.SGD):
        raise TypeError(f"momentscope: optimizer must be a torch.optim.SGD, or one of {NAMES} with torch's own step; for "
                        f"a {type(optimizer).__name__} give attach a function read(state, group) that returns a "
                        "momentscope.Read")
    known = {inspect.unwrap(kind.step) for kind in (torch.optim.SGD, optim.SGD)}
    if inspect.unwrap(type(optimizer).step) not in known:
        raise TypeError(f"momentscope: {type(optimizer).__name__} is a torch.optim.SGD with a step of its own, which "
                        "the daemon cannot follow; use torch.optim.SGD or momentscope.optim.SGD")
    for group in optimizer.param_groups:
        if group.get("maximize"):
            raise ValueError("momentscope: maximize=True is not supported; minimise the negative loss instead")
        _check.real("lr", group["lr"], 0, float("inf"))
        if _check.real("momentum", group["momentum"], 0, 1):
            _check.real("dampening", group["dampening"], 0, 1)
    return None


def _elsewhere(p):
    """Why the daemon cannot follow this parameter by this optimizer and this rank alone, or None."""
    if hasattr(p, "placements") and hasattr(p, "device_mesh"):
        return "is a DTensor (FSDP2, tensor parallel): this rank holds a part of its rows and gradients"
    if any(kind.__name__ == "FlatParameter" for kind in type(p).__mro__):
        return "is a flat parameter of FSDP: its rows are spread over ranks"
    if getattr(p, "_in_backward_optimizers", None):
        return "has an optimizer of its own inside backward (apply_optimizer_in_backward), where no step is seen"
    if getattr(p, "_post_accumulate_grad_hooks", None):
        return ("has a hook after its gradient is accumulated, which may run an optimizer inside backward; remove the "
                "hook, or step the optimizer after backward")
    return None


def check_compiled(optimizer):
    if getattr(optimizer.step, "_torchdynamo_orig_callable", None) is not None:
        raise ValueError("momentscope: optimizer.step is compiled (torch.compile), so nothing can be read before and "
                         "after it: compile the model alone, and leave optimizer.step as it is")


def embeddings_of(model):
    """{weight: the modules that look rows of it up}"""
    out = {}
    for module in model.modules():
        if isinstance(module, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
            out.setdefault(module.weight, []).append(module)
    return out


def find_tables(model, optimizer, wanted, prefix, capacity, rule=None):
    check_compiled(optimizer)
    groups = {p: g for g in optimizer.param_groups for p in g["params"]}
    named, embeddings = dict(model.named_parameters()), embeddings_of(model)
    if wanted is None:
        wanted = [n for n, p in named.items() if p in embeddings and p in groups]
    elif isinstance(wanted, str):
        wanted = [wanted]
    wanted, tables = list(wanted), []
    if not wanted and embeddings and not any(p in groups for p in embeddings):
        raise ValueError("momentscope: this optimizer steps none of the model's embeddings ("
                         + ", ".join(n for n, p in named.items() if p in embeddings)
                         + "): pass the optimizer that does")
    if not wanted:
        raise ValueError("momentscope: no embedding to watch; name some of these parameters in tables=[...]: "
                         + ", ".join(named))
    for name in wanted:
        if wanted.count(name) > 1:
            raise ValueError(f"momentscope: tables = {wanted!r} (each parameter once): {name!r} is given twice")
        if name not in named:
            raise ValueError(f"momentscope: no parameter {name!r}; the model has " + ", ".join(named))
        p = named[name]
        if p not in groups:
            raise ValueError(f"momentscope: parameter {name!r} is not in the optimizer")
        why = _elsewhere(p)
        if why:
            raise ValueError(f"momentscope: parameter {name!r} {why}")
        modules = embeddings.get(p, [])
        if any(m.max_norm is not None for m in modules):
            raise ValueError(f"momentscope: parameter {name!r} has max_norm, which moves rows outside the optimizer")
        what = (table_name(prefix, name), p, groups[p], modules, capacity)
        tables.append(Table(*what) if rule is None else ReadTable(*what, rule))
        tables[-1].source = name
    return tables


def labels_of(tables, labels):
    """For each table its Labels, or None."""
    named = isinstance(labels, dict) and labels and all(isinstance(key, str) for key in labels)
    for name in labels if named else ():
        if name not in [t.source for t in tables]:
            raise ValueError(f"momentscope: labels[{name!r}]: no such table; watched are "
                             + ", ".join(t.source for t in tables))
    sources = [labels.get(t.source) if named else labels for t in tables]
    return [None if source is None else Labels(source, t.rows) for t, source in zip(tables, sources)]


def references(tables, reference):
    """For each table (words for theta*, its values or None); refuses a reference for anything else."""
    sources = [t.source for t in tables]
    if isinstance(reference, dict):
        for name in reference:
            if name not in sources:
                raise ValueError(f"momentscope: reference[{name!r}]: no such table; watched are " + ", ".join(sources))
    elif reference is not None and reference != "initial":
        raise _check.refuse(ValueError if isinstance(reference, str) else TypeError, "reference", reference,
                            "None, 'initial' or {parameter name: tensor}")
    return [_reference_of(t, reference) for t in tables]


def _reference_of(t, reference):
    if reference == "initial":
        return "initial: theta at attach", t.parameter.detach()
    values = (reference or {}).get(t.source)
    if values is None:
        return "", None
    if not isinstance(values, torch.Tensor):
        raise _check.refuse(TypeError, f"reference[{t.source!r}]", type(values).__name__, "a tensor")
    if tuple(values.shape) != tuple(t.parameter.shape):
        raise _check.refuse(ValueError, f"the shape of reference[{t.source!r}]", tuple(values.shape),
                            str(tuple(t.parameter.shape)))
    return "given by the trainer", values
