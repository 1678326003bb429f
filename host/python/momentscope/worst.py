"""The rows of a table with the largest momentum, gradient or update, by what the trainer has of them now."""
import math

import torch

BY = ("m", "g", "u")


def band_of(seen):
    """The band of every row by the occurrences counted so far, int64; -1: never seen."""
    p = seen.count.to(torch.float64) / max(1, seen.samples)
    band = (-torch.log2(p.clamp(min=2.0 ** -40))).floor().clamp(0, 31).to(torch.int64)
    band[seen.count == 0] = -1
    return band


def _gradient(t):
    grad = t.parameter.grad
    if grad is None:
        return None
    return (grad.detach().coalesce() if grad.is_sparse else grad.detach())


def _norms(t, x):
    """|x_row| of every row, float64 on the CPU; x: dense or sparse, like the parameter, or None."""
    out = torch.zeros(t.rows, dtype=torch.float64)
    if x is None:
        return out
    if not x.is_sparse:
        return x.detach().reshape(t.rows, t.dim).norm(dim=1).to("cpu", torch.float64)
    x = x.coalesce()
    out[x.indices()[0].cpu()] = x.values().detach().reshape(-1, t.dim).norm(dim=1).to("cpu", torch.float64)
    return out


def _update(t, optimizer):
    """|theta moved| of every row, as the last step moved it by rule: weight decay is left out."""
    grad, group = _gradient(t), t.group
    if t.rule is None:
        buffer, beta = t.buffer(optimizer), float(group["momentum"])
        if not beta or buffer is None:
            return float(group["lr"]) * _norms(t, grad)
        if not group["nesterov"]:
            return float(group["lr"]) * _norms(t, buffer)
        dense = [x.to_dense() if x is not None and x.is_sparse else x for x in (buffer, grad)]
        return float(group["lr"]) * _norms(t, beta * dense[0] + (dense[1] if dense[1] is not None else 0))
    found = t.look(optimizer)
    m = found.momentum if found.momentum is not None else grad
    if m is None or found.second is None:
        return float(found.eta) * _norms(t, m)
    m = (m.to_dense() if m.is_sparse else m).detach().reshape(t.rows, t.dim)
    root = found.root(torch.arange(t.rows, device=m.device)) if found.root is not None else (
        float(found.scale) * found.second.detach().reshape(t.rows, t.dim)).sqrt()
    return float(found.eta) * _norms(t, m / (root + found.epsilon))


def sizes(t, optimizer, by):
    with torch.no_grad():
        if by == "g":
            return _norms(t, _gradient(t))
        if by == "u":
            return _update(t, optimizer)
        return _norms(t, t.buffer(optimizer) if t.rule is None else t.look(optimizer).momentum)


def worst(t, optimizer, band, by, k):
    """[{"table", "row", "label", "value", "p"}], largest first; p is None where nobody counts."""
    size = sizes(t, optimizer, by)
    if band is not None:
        size[band_of(t.seen) != band] = -math.inf
    value, row = size.topk(min(k, t.rows))
    p = t.seen.count.to(torch.float64) / max(1, t.seen.samples) if t.seen is not None else None
    return [{"table": t.name, "row": r, "label": t.labels(r) if t.labels is not None else "", "value": v,
             "p": float(p[r]) if p is not None else None}
            for r, v in zip(row.tolist(), value.tolist()) if v > 0]
