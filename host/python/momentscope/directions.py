"""Two directions over everything that the optimizer moves, multiplied by the curvature of two halves of a batch.

For v, |v| = 1, one probe gives h_a = H_a v and h_b = H_b v, the curvature of the halves, by differences of gradients at
theta + delta v and at theta. With h = (h_a + h_b)/2 and g = (h_a - h_b)/2 the daemon needs three numbers of it:

    curvature <v, h>     product <h_a, h_b> = |H v|^2 + noise of mean 0     noise |g|^2, of mean E |(H_b - H) v|^2

`power` is turned towards the sharpest direction: v <- (1 - a) v + a h/|h|. `tangent` is turned like an error at its
limit: a tangent of plain SGD whose rate gamma makes it critical, with its noise amplified as much as momentum amplifies
it. The largest stable eta under momentum belongs to the covariance of such a tangent (firmware/daemon/stability.h).
Both get a little of the present difference of the halves' gradients, so that no row is lost for good. They start there
as well. *Rejected:* starting at the momentum, which is 0 where an error begins to grow.

Where the optimizer has a preconditioner P (Adam), theta is scaled by the root of P, coordinate by coordinate: H becomes
P^1/2 H P^1/2, and the limit is that of the preconditioned step with P held as it is now.

Parameters with a rate of their own are scaled by sqrt(eta/eta of the first), eta = lr/(1 - momentum), which makes the
problem symmetric again. Where momenta differ, a parameter's part of the product counts w = e (2 - eps)/(eps (2 - e)) with
e = 1 - its momentum, and `power` turns by w h: without noise the limit is 2/(largest eigenvalue of diag(e/(2 - e)) H).
A direction keeps the rows that ever had a gradient in a probed batch, at most LIMIT values; beyond it the rows of the
smallest |v_row| are let go.
"""
import math
import random

import torch

from .optimizers import decay_of, eps_of, metric_of

REACH = {torch.float32: 3e-3, torch.float64: 1e-5}       # longest row of delta v over the root mean square row of theta
LIMIT = 4_000_000                # values of a direction
FRESH_POWER, FRESH_TANGENT = 0.03, 0.2   # share of the halves' difference that is mixed in
SLOWEST = 0.7                    # gamma, of the rate at which curvature alone would be critical
MEMORY = 0.1                     # weight of a new product in the tangent's own means

ALONG = {"power": 0, "tangent": 1}
SPANS = {"tables": 0, "all": 1}


class Block:
    """One parameter as a matrix of rows. table: the watched table that it is, or None.

    rule: optimizers.Rule of an optimizer that is read, which comes with it; else None."""

    def __init__(self, parameter, group, table, rule=None, optimizer=None):
        self.parameter, self.group, self.table = parameter, group, table
        self.rule, self.optimizer = rule, optimizer
        rows = parameter.shape[0] if parameter.dim() > 1 or table is not None else 1
        self.shape = (rows, parameter.numel() // max(1, rows))

    def theta(self):
        return self.parameter.data.view(self.shape)

    def look(self):
        return self.rule.look(self.optimizer.state.get(self.parameter, {}), self.group)

    def eps(self):
        if self.rule is not None:
            return eps_of(self.look())
        return 1.0 - float(self.group.get("momentum", 0.0))

    def stretch(self, rows):
        """Root of the preconditioner 1/(root + epsilon) at rows, by coordinates; 1.0 where there is none."""
        if self.rule is None:
            return 1.0
        metric = metric_of(self.look(), self.shape, rows)
        return 1.0 if metric is None else metric.sqrt()

    def decay(self):
        """Weight decay that enters the gradient."""
        return decay_of(self.optimizer, self.group)

    def rate(self):
        """eta of the EMA form."""
        if self.rule is not None:
            return float(self.look().eta)
        eps, damped = self.eps(), 1.0 - float(self.group.get("dampening", 0.0))
        return float(self.group["lr"]) * (damped / eps if 0 < eps < 1 else 1.0)

    def rows_in(self, grads):
        """The rows in which any of these gradients is not 0, sorted."""
        rows = []
        for g in grads:
            if g is None:
                continue
            rows.append(torch.unique(g._indices()[0]) if g.is_sparse
                        else g.detach().reshape(self.shape).ne(0).any(1).nonzero().reshape(-1))
        return torch.unique(torch.cat(rows)) if rows else torch.zeros(0, dtype=torch.int64)

    def at(self, grad, rows):
        """The gradient at rows, which hold all of it where it is sparse."""
        if grad is None:
            return torch.zeros((rows.numel(), self.shape[1]), dtype=self.parameter.dtype, device=rows.device)
        if not grad.is_sparse:
            return grad.detach().reshape(self.shape).index_select(0, rows)
        out = torch.zeros((rows.numel(), self.shape[1]), dtype=self.parameter.dtype, device=rows.device)
        values = grad._values().detach().reshape(-1, self.shape[1])
        return out.index_add_(0, torch.searchsorted(rows, grad._indices()[0].contiguous()), values)


class Part:
    """Rows of one block with values, rows sorted; the rest is 0."""

    def __init__(self, rows, values):
        self.rows, self.values = rows, values

    def at(self, rows):
        """The values at these rows."""
        out = torch.zeros((rows.numel(), self.values.shape[1]), dtype=self.values.dtype, device=self.values.device)
        if self.rows.numel() and rows.numel():
            place = torch.searchsorted(self.rows, rows).clamp(max=self.rows.numel() - 1)
            known = (self.rows[place] == rows).nonzero().reshape(-1)
            out[known] = self.values[place[known]]
        return out

    def plus(self, factor, other):
        """self + factor other"""
        if torch.equal(self.rows, other.rows):
            return Part(self.rows, self.values + factor * other.values)
        rows = torch.unique(torch.cat([self.rows, other.rows]))
        values = self.values.new_zeros((rows.numel(), self.values.shape[1]))
        values[torch.searchsorted(rows, self.rows)] = self.values
        values.index_add_(0, torch.searchsorted(rows, other.rows), factor * other.values)
        return Part(rows, values)

    def square(self):
        return float((self.values.double() ** 2).sum())


def plus(x, factor, y):
    return [a.plus(factor, b) for a, b in zip(x, y)]


def norm(x):
    return math.sqrt(sum(part.square() for part in x))


def scaled(x, factor):
    return [Part(part.rows, factor * part.values) for part in x]


def unit(x):
    size = norm(x)
    return scaled(x, 1 / size) if 0 < size < math.inf else x


class Direction:
    def __init__(self, name):
        self.name, self.v, self.turns, self.sign = name, None, 0, 1.0
        self.means = (0.0, 0.0, 0.0)         # of curvature, product and noise, for the tangent's rate

    def turn(self, product, fresh, eps, draw):
        """One product further. fresh: the unit difference of the halves' gradients, or None; draw(): 1 or -1."""
        self.v = self._power(product.weighted) if self.name == "power" else self._tangent(product, eps, draw)
        self.turns += 1
        if fresh is not None and self.name == "power":
            self.v = unit(plus(self.v, FRESH_POWER * draw(), fresh))
        elif fresh is not None:
            self.v = unit(plus(scaled(self.v, math.sqrt(1 - FRESH_TANGENT)), math.sqrt(FRESH_TANGENT) * draw(), fresh))

    def _power(self, h):
        a, size = max(0.1, 0.5 / (1 + 0.25 * self.turns)), norm(h)
        return unit(plus(scaled(self.v, 1 - a), a / size, h)) if size > 0 else self.v

    def _tangent(self, product, eps, draw):
        w = max(MEMORY, 1 / (1 + self.turns))
        now = (product.curvature, max(product.product, 0.0), product.noise)
        self.means = L, C, N = tuple(m + w * (x - m) for m, x in zip(self.means, now))
        if not (L > 0 and C > 0):
            return self.v
        K = kappa2 = (2 - eps) / eps         # (1 + beta)/(1 - beta)
        gamma = 2 * L / (C + K * N)
        if gamma < SLOWEST * L / C and N > 0:        # noise decides: the time scale is free, so go fast and amplify less
            gamma = SLOWEST * L / C
            kappa2 = max((2 * L / gamma - C) / N, 0.0)
        step = plus(product.h, draw() * math.sqrt(kappa2), product.g)
        return unit(plus(self.v, -gamma, step))


class Product:
    """What one probe found along v: h = H_b v of the whole batch, g its noise, and their sums by row."""

    def __init__(self, v, ha, hb, share, whole, weights):
        self.h = plus(scaled(ha, share), 1 - share, hb)
        self.g = scaled(plus(ha, -1.0, hb), 0.5 * math.sqrt(whole))
        self.rows = [(dots(part.at(h.rows), h.values), dots(g.values, g.values))
                     for part, h, g in zip(v, self.h, self.g)]
        self.curvature, self.noise = (sum(float(rows[i].sum()) for rows in self.rows) for i in (0, 1))
        self.product = sum(w * float(dots(a.values, b.values).sum()) for w, a, b in zip(weights, ha, hb))
        self.weighted = [Part(h.rows, w * h.values) for w, h in zip(weights, self.h)]

    def finite(self):
        return all(math.isfinite(x) for x in (self.curvature, self.product, self.noise))

    def empty(self):
        """No row of v is in the batch."""
        return self.curvature == self.product == self.noise == 0


def dots(a, b):
    """<a_row, b_row> of each row."""
    return (a.double() * b.double()).sum(1)


def moved(moves, work):
    """work() with each theta[rows] of (theta, rows, shift) moved by shift, and the old bits afterwards whatever
    happens."""
    saved = []
    try:
        for theta, rows, shift in moves:
            saved.append((theta, rows, theta.index_select(0, rows)))
            theta.index_copy_(0, rows, saved[-1][2] + shift)
        return work()
    finally:
        for theta, rows, values in saved:
            theta.index_copy_(0, rows, values)


class Directions:
    """Both directions over the blocks of one optimizer; every probe multiplies one of them, in turn."""

    def __init__(self, blocks, spans):
        self.blocks, self.spans = blocks, spans
        self.both = [Direction("power"), Direction("tangent")]
        self.count, self.random = 0, random.Random(0)
        self.shrunk = [1.0] * len(blocks)    # the step's gradient over that of the batch, of each block
        self.let_go = 0.0                    # share of |v|^2 that LIMIT cost at the last turn

    def _draw(self):
        return 1.0 if self.random.random() < 0.5 else -1.0

    def scales(self):
        """sqrt(eta/eta of the first) of each block. A gradient that the trainer shrinks counts as a rate that is so much
        smaller."""
        first = self.blocks[0].rate()
        return [math.sqrt(f * b.rate() / first) if first > 0 else 1.0 for f, b in zip(self.shrunk, self.blocks)]

    def weights(self):
        """w of each block's part of the product."""
        eps = self.blocks[0].eps()
        return [b.eps() * (2 - eps) / (eps * (2 - b.eps())) if eps > 0 else 1.0 for b in self.blocks]

    def halves(self, grads_a, grads_b, rows=None):
        """The gradients of the halves as parts, in scaled coordinates. rows: those of the parts, None: found here."""
        out = ([], [])
        for k, (block, scale) in enumerate(zip(self.blocks, self.scales())):
            at = rows[k] if rows is not None else block.rows_in((grads_a[k], grads_b[k]))
            for part, grads in zip(out, (grads_a, grads_b)):
                part.append(Part(at, scale * block.stretch(at) * block.at(grads[k], at)))
        return out

    def delta(self, v):
        """Signed length of the difference quotient: it changes its sign at each use of a direction, so that the third
        derivative cancels in the means."""
        length, rows, longest, dtype = 0.0, 0, 0.0, torch.float32
        for block, part, scale in zip(self.blocks, v, self.scales()):
            if part.rows.numel():
                length += float((block.theta().index_select(0, part.rows).double() ** 2).sum())
                rows += part.rows.numel()
                longest = max(longest, scale * float((block.stretch(part.rows) * part.values).norm(dim=1).max()))
                dtype = part.values.dtype
        mean = math.sqrt(length / max(1, rows)) or 1.0
        return REACH[dtype] * mean / longest if longest > 0 else 0.0

    def probe(self, here, work, eps, share, whole):
        """Multiply the direction whose turn it is, and turn it.

        here: (gradients of half a, of half b), one a block; work(): the same at the moved theta
        share: of the batch that half a is; whole: noise of one batch over |h_a - h_b|^2/4, 1 for equal halves
        Returns the fields of mscope_direction and [(block, rows, curvature, noise)] of watched tables, or None.
        """
        direction = self.both[self.count % 2]
        at_a, at_b = self.halves(*here)
        fresh = plus(at_a, -1.0, at_b)
        size = norm(fresh)
        fresh = scaled(fresh, 1 / size) if 0 < size < math.inf else None
        if direction.v is None:
            for each in self.both:
                each.v = fresh if each.v is None else each.v
            return None
        self.count += 1
        v, delta = direction.v, direction.sign * self.delta(direction.v)
        direction.sign = -direction.sign
        if delta == 0:
            return None
        there = moved([(block.theta(), part.rows, delta * scale * block.stretch(part.rows) * part.values)
                       for block, part, scale in zip(self.blocks, v, self.scales()) if part.rows.numel()], work)
        product = self._product(v, here, there, delta, share, whole)
        if product is None:
            return None
        found = None if product.empty() else self._message(direction, v, product)
        direction.turn(product, fresh, eps, self._draw)
        self._keep_within(direction)
        return found

    def _product(self, v, here, there, delta, share, whole):
        rows = [block.rows_in(grads) for block, grads in zip(self.blocks, zip(*here, *there))]
        for k, (block, part) in enumerate(zip(self.blocks, v)):
            if block.decay():
                rows[k] = torch.unique(torch.cat([rows[k], part.rows]))
        before, after = self.halves(*here, rows), self.halves(*there, rows)
        h = [scaled(plus(b, -1.0, a), 1 / delta) for a, b in zip(before, after)]
        for k, (block, scale) in enumerate(zip(self.blocks, self.scales())):
            decay = block.decay() / self.shrunk[k]
            if decay:                        # the curvature of decay/2 |theta|^2, in both halves
                bent = decay * (scale * block.stretch(v[k].rows)) ** 2 * v[k].values
                for half in h:
                    half[k] = half[k].plus(1.0, Part(v[k].rows, bent))
        product = Product(v, h[0], h[1], share, whole, self.weights())
        return product if product.finite() else None

    def _message(self, direction, v, product):
        entries, outside, top = [], [0.0, 0.0], (0.0, None, 0)
        for block, part, h, (curvature, noise) in zip(self.blocks, v, product.h, product.rows):
            if block.table is None:
                outside = [outside[0] + float(curvature.sum()), outside[1] + float(noise.sum())]
                continue
            entries.append((block.table, h.rows, curvature, noise))
            if part.rows.numel():
                squares = dots(part.values, part.values)
                k = int(squares.argmax())
                top = max(top, (float(squares[k]), block.table.handle, int(part.rows[k])), key=lambda x: x[0])
        values = {"along": ALONG[direction.name], "spans": SPANS[self.spans],
                  "values": max(1, sum(part.values.numel() for part in v)), "curvature": product.curvature,
                  "product": product.product, "noise": product.noise,
                  "outside_curvature": outside[0], "outside_noise": outside[1], "top_table": top[1] or 0,
                  "top_row": top[2], "top_share": min(top[0], 1.0) if top[1] is not None else 0.0}
        return values, entries

    def _keep_within(self, direction):
        over = sum(part.values.numel() for part in direction.v) - LIMIT
        self.let_go = 0.0
        for k, (block, part) in enumerate(zip(self.blocks, direction.v)):
            if over <= 0 or block.table is None or not part.rows.numel():
                continue
            go = min(part.rows.numel(), -(-over // part.values.shape[1]))
            squares = dots(part.values, part.values)
            keep = squares.argsort(descending=True)[:part.rows.numel() - go].sort()[0]
            self.let_go += float(squares.sum() - squares[keep].sum())
            direction.v[k] = Part(part.rows[keep], part.values[keep])
            over -= go * part.values.shape[1]


def spanned(optimizer, tables, spans):
    """The blocks of a scope: the watched tables, and with spans "all" every other parameter of the optimizer.

    spans None: "all" where the other parameters have fewer than LIMIT values, else "tables".
    Returns (blocks, "all" or "tables").
    """
    usable = lambda p: p.dtype in REACH and p.is_contiguous() and p.requires_grad and p.numel()
    watched = {t.parameter: t for t in tables}
    rule = tables[0].rule
    blocks = [Block(t.parameter, t.group, t, rule, optimizer) for t in tables if usable(t.parameter)]
    others = [Block(p, group, None, rule, optimizer) for group in optimizer.param_groups for p in group["params"]
              if p not in watched and usable(p)]
    if spans is None:
        spans = "all" if sum(b.parameter.numel() for b in others) < LIMIT else "tables"
    return blocks + (others if spans == "all" else []), spans
