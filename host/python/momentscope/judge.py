"""The judge: does the probe's closure compute the loss of the present step?

The closure's gradient x at theta is compared with the step's own: y as backward left it (copied by hooks, only in steps
with a probe), and z = .grad as the optimizer gets it. The words:

same             y = a x up to rounding, and a is right: 1, or a loss scale that was taken out again before the step
not comparable   y is no multiple of x, but the closure is repeatable and computes this batch: dropout, negatives. The
                 step has another draw. x and the perturbed pass share one, so the probe has no bias
another batch    repeatable, y is no multiple of x, and no table has this step's rows in their places
wrong scale      a sum for a mean, one of several micro-batches, a loss scale left in the closure, or clipping in it
not repeatable   two passes at one theta and random state differ: a new batch, or private noise, at each call
not finite       y or x has NaN or infinity, and nothing can be compared: the loss itself is gone

The step moves by f x, f = c a, and not by x: `shrunk` keeps f of each table, below 1 where the trainer clips. Curvature
is multiplied by it, because that is the curvature of the step really made.

Where z = x there is nothing more to ask (also where gradients are averaged over processes after backward). Else
z = c (y + w theta) is allowed: clipping (c < 1) and decay (w) by the trainer. c is a loss scale left in the closure
where it is an exact power of two or below 1e-3, and a mean taken after backward where two probes in a row have one c.

A pass for repeatability is made only where y is no multiple of x, and once in RECHECK such probes. Apart from that the
cost is that of the rows touched. *Rejected:* a bound on the cosine. Two draws of dropout 1/2 have cosine .6 in the
median and -.7 to 1 in single probes; other batches of frequent words reach .8 (models of tests/test_probe.py).
"""
import math
import random
import sys

import torch

EXACT = {torch.float32: 1e-3, torch.float64: 1e-6}       # |y - a x|/|y| of one batch: rounding, fused kernels, autocast
REPEAT = {torch.float32: 1e-4, torch.float64: 1e-9}      # |x' - x|/|x| of two passes: order of sums on a GPU
SCALE = 0.05                 # |a - 1| of one batch
DRAWN = 6.0                  # most |y|/|x| of two draws, or of a draw and eval mode: sqrt(1/q) for each layer keeping q
CHANCE = 1e-4                # rows stand in the step's places by more than chance
FITS = 1e-4                  # |z - p a - q b|^2/|z|^2 of two halves of this batch
SHRUNK = 1e-3                # a smaller reduction than by this is rounding
LOSS_SCALE = 1024            # a power of two from here on is GradScaler's
RECHECK = 16

SAME, UNCOMPARED = "same", "not comparable"
BATCH, WRONG, NOISE, NONE = "another batch", "wrong scale", "not repeatable", "no gradient"
GONE = "not finite"


def entries(table, grad, lookups):
    """(rows int64[n], values[n, dim]) of a gradient; rows may repeat."""
    if grad.is_sparse:
        return grad._indices()[0], grad._values().detach().reshape(-1, table.dim)
    values = grad.detach().reshape(table.rows, table.dim)
    if lookups is None:
        return torch.arange(table.rows, device=grad.device), values
    rows = torch.unique(lookups.to(grad.device, torch.int64))
    return rows, values.index_select(0, rows)


def rows_and_sum(parts, rows, dim):
    """The sum of (rows, values) parts at sorted rows, in float64."""
    out = torch.zeros((rows.numel(), dim), dtype=torch.float64, device=rows.device)
    for at, values in parts:
        out.index_add_(0, torch.searchsorted(rows, at.contiguous()), values.to(torch.float64))
    return out


def share_of(tables, steps, grads_a, grads_b):
    """The share of the batch that half a is: p/(p + q) of the step's gradient (steps: of each table) = p a + q b, by
    least squares.

    Halves of an odd batch differ in size. One half where no such sum fits: the step has another draw."""
    aa = ab = bb = az = bz = zz = 0.0
    for t, z, a, b in zip(tables, steps, grads_a, grads_b):
        if z is None or a is None or b is None or not (z.is_sparse == a.is_sparse == b.is_sparse):
            continue
        parts = [entries(t, g, None) for g in (a, b, z)]
        rows = torch.unique(torch.cat([part[0] for part in parts]))
        x, y, g = (rows_and_sum([part], rows, t.dim).reshape(-1) for part in parts)
        aa, ab, bb = aa + float(x @ x), ab + float(x @ y), bb + float(y @ y)
        az, bz, zz = az + float(x @ g), bz + float(y @ g), zz + float(g @ g)
    det = aa * bb - ab * ab
    if not det > 1e-12 * aa * bb:
        return 0.5
    p, q = (az * bb - bz * ab) / det, (bz * aa - az * ab) / det
    left = zz - p * az - q * bz
    share = p / (p + q) if p + q else 0.5
    return share if left <= FITS * zz and 1 / 3 <= share <= 2 / 3 else 0.5


def in_order(a, b, step):
    """The look-ups of two halves in the step's order: one after the other, or every second sample. Samples of L
    look-ups are tried for every L up to 64 that divides both."""
    one = torch.cat([a, b])
    if step is None or one.numel() != step.numel():
        return one
    best = one, int((one == step.to(one.device)).sum())
    for L in range(1, 65):
        if a.numel() % L or b.numel() % L or not 0 <= a.numel() - b.numel() <= L:
            continue
        mixed = torch.empty_like(one).reshape(-1, L)
        mixed[0::2], mixed[1::2] = a.reshape(-1, L), b.reshape(-1, L)
        mixed = mixed.reshape(-1)
        hits = int((mixed == step.to(one.device)).sum())
        if hits > best[1]:
            best = mixed, hits
    return best[0]


class Backward:
    """Copies of what backward passes leave in one table, from the last zeroing of the gradient on."""

    def __init__(self, table):
        self.table, self.parts, self.passes = table, [], 0
        self.handle = table.parameter.register_hook(self._saw)

    def _saw(self, grad):
        with torch.no_grad():
            had = self.table.parameter.grad
            if had is None or not bool((had._values() if had.is_sparse else had).any()):
                self.parts, self.passes = [], 0          # zeroed: what came before is no part of this step
            rows, values = entries(self.table, grad, self.table.lookups.joined())
            self.parts.append((rows.clone(), values.clone()))
            self.passes += 1

    def stop(self):
        self.handle.remove()


def identical(table, here, seen):
    """Is x = z bit for bit, occurrence by occurrence? The usual case, and a quick answer."""
    x = entries(table, here, seen)
    z = entries(table, table.parameter.grad, table.lookups.joined())
    return here.is_sparse == table.parameter.grad.is_sparse and all(torch.equal(a, b) for a, b in zip(x, z))


class Compared:
    """One table: x, y, z on the rows that any of them touches, in float64."""

    def __init__(self, table, back, here, seen, halves=None):
        self.table, self.name, self.passes = table, table.source, back.passes if back else 1
        step_lookups = table.lookups.joined()
        x, z = entries(table, here, seen), entries(table, table.parameter.grad, step_lookups)
        parts = back.parts if back and back.parts else [z]
        self.rows = torch.unique(torch.cat([x[0], z[0]] + [rows for rows, _ in parts]))
        self.x, self.z, self.y = self.sum([x]), self.sum([z]), self.sum(parts)
        if here.is_sparse:
            step = torch.cat([rows for rows, _ in parts])
            self.order = step, self._placed(x[0], halves, step)
        else:
            known = step_lookups is not None and seen is not None
            self.order = (step_lookups, self._placed(seen, halves, step_lookups)) if known else None
        if float((self.z - self.x).norm()) <= EXACT[table.parameter.dtype] * float(self.z.norm()):
            self.y = self.z
        nx, ny = float(self.x.norm()), float(self.y.norm())
        self.finite = math.isfinite(nx) and math.isfinite(ny)
        self.empty = nx == 0 and ny == 0
        dot = float((self.x * self.y).sum())
        self.cosine = dot / (nx * ny) if nx and ny else 0.0
        self.a = dot / nx ** 2 if nx else 0.0
        self.ratio = ny / nx if nx else math.inf
        self.z_ratio = float(self.z.norm()) / nx if nx else math.inf
        self.match = nx > 0 and float((self.y - self.a * self.x).norm()) <= EXACT[table.parameter.dtype] * ny

    def sum(self, parts):
        return rows_and_sum(parts, self.rows, self.table.dim)

    def _placed(self, probe, halves, step):
        """The closure's look-ups in the step's order. halves: number of look-ups of the first half, or None."""
        return probe if halves is None else in_order(probe[:halves], probe[halves:], step)

    def sum_known(self, part):
        """The sum of another pass on these rows; None: it has other rows."""
        at = torch.searchsorted(self.rows, part[0].contiguous()).clamp(max=self.rows.numel() - 1)
        return self.sum([part]) if bool((self.rows[at] == part[0]).all()) else None

    def edit(self):
        """c of z = c (y + w theta), by least squares where z is no multiple of y."""
        y, z = self.y.reshape(-1), self.z.reshape(-1)
        yy, yz = float(y @ y), float(y @ z)
        c = yz / yy if yy else 0.0
        if float((z - c * y).norm()) <= 1e-3 * float(z.norm()):
            return c
        theta = self.table.parameter.detach().reshape(self.table.rows, -1).index_select(0, self.rows)
        theta = theta.to(torch.float64).reshape(-1)
        tt, ty, tz = float(theta @ theta), float(theta @ y), float(theta @ z)
        det = yy * tt - ty * ty
        return (yz * tt - tz * ty) / det if det > 1e-9 * yy * tt else c

    def shrunk(self):
        """f: the step's gradient over the closure's, 1 where it is not clear, or not below 1. A loss scale was taken out."""
        f = self.edit()
        if self.match:
            f *= self.a
        elif f < 1 / LOSS_SCALE:             # another draw of the same batch, with a loss scale: no way to tell clipping
            return 1.0
        return f if 0 < f < 1 - SHRUNK else 1.0

    def in_place(self):
        """How well the closure's rows stand in the places of this step's: (k, p). The step has k times as many places;
        k = 0: no whole number. p is the probability of so many hits by another batch of the same frequencies, and 0
        where all places agree. None: places are not known."""
        if self.order is None:
            return None
        step, probe = (order.to("cpu").reshape(-1) for order in self.order)
        n, k = probe.numel(), step.numel() // max(1, probe.numel())
        if n < 2 or step.numel() != n * k:
            return 0, 1.0
        counts = torch.unique(step, return_counts=True)[1].to(torch.float64)
        pairs = step.numel() * (step.numel() - 1)
        chance = (float((counts * (counts - 1)).sum()) + 2) / (pairs + 2)
        hits = max(int((part == probe).sum()) for part in step.reshape(k, n))
        return k, 0.0 if hits == n else k * tail(hits, n, chance)


def tail(hits, n, chance):
    """A bound on P(at least hits of n) for independent hits of this chance (Chernoff)."""
    f = hits / n
    if f <= chance:
        return 1.0
    return math.exp(-n * (f * math.log(f / chance) + (1 - f) * math.log((1 - f) / (1 - chance))))


def parallel(z, x, otherwise):
    """f <= 1 of z = f x, or `otherwise` where z is no multiple of x."""
    if z is None or x is None or z.is_sparse or x.is_sparse:
        return 1.0
    xx, xz, zz = float((x * x).sum()), float((x * z).sum()), float((z * z).sum())
    if not (xx > 0 and zz > 0 and math.isfinite(xx + zz)) or xz * xz < (1 - 1e-3) * xx * zz:
        return otherwise
    f = xz / xx
    return f if 0 < f < 1 - SHRUNK else 1.0


def power_of_two(a, error):
    return a > 0 and abs(math.log2(a) - round(math.log2(a))) < error


def drew(frozen):
    """Has a pass that began in frozen's random state moved a global generator?"""
    numpy = sys.modules["numpy"].random.get_state() if frozen.numpy is not None else None
    return (not torch.equal(torch.get_rng_state(), frozen.cpu) or random.getstate() != frozen.python
            or (numpy is not None and (numpy[2] != frozen.numpy[2] or (numpy[1] != frozen.numpy[1]).any()))
            or (frozen.cuda is not None
                and any(not torch.equal(a, b) for a, b in zip(torch.cuda.get_rng_state_all(), frozen.cuda))))


class Judge:
    """Remembers from probe to probe that the closure was repeatable, the factors of the trainer's own edits, and the
    mean size of gradients that are no multiples of the step's."""

    def __init__(self):
        self.trusted, self.factors = 0, {}
        self.shrunk = {}                     # table -> f of the last probe
        self.draws, self.log_size = 0, [0.0, 0.0]
        self.seen = []                       # (table, cosine of y and x, a) of the last probe

    def __call__(self, compared, drawn, repeat):
        """(one of the words above, the reason). drawn: the closure moved a global generator. repeat(): x once more, as
        Compared.sum of each table gives it."""
        compared = [c for c in compared if not c.empty]
        gone = [c.name for c in compared if not c.finite]
        if gone:
            self.shrunk, self.seen = {}, []
            return GONE, f"gradients of {', '.join(gone)} are NaN or infinite, in the step or in the closure"
        self.shrunk = {c.table: c.shrunk() for c in compared}
        self.seen = [(c.name, c.cosine, c.a) for c in compared]
        if not all(c.match for c in compared):
            if self.trusted <= 0:
                why = self._repeatable(compared, repeat)
                if why:
                    return NOISE, why
                self.trusted = RECHECK
            self.trusted -= 1
            places = [c.in_place() for c in compared]
            part = any(place and place[0] > 1 and place[1] < CHANCE for place in places)
            if part or min(c.cosine for c in compared) < 0.99:
                return self._batch(compared, places, drawn)
        for c in compared:
            why = self._scale(c)
            if why:
                return WRONG, why
        return SAME, ""

    def agree(self, tables):
        """The word and reason where x = z in all tables."""
        self.seen, self.factors, self.shrunk = [(t.source, 1.0, 1.0) for t in tables], {}, {}
        return SAME, ""

    def _repeatable(self, compared, repeat):
        for c, again in zip(compared, repeat(compared)):
            size = float(c.x.norm())
            if again is None or float((again - c.x).norm()) > REPEAT[c.table.parameter.dtype] * size:
                cosine = float((again * c.x).sum()) / (float(again.norm()) * size or 1.0) if again is not None else 0.0
                return (f"two passes of the closure at the same weights and random state give gradients of {c.name} "
                        f"with cosine {cosine:.3g}: it takes another batch, or noise from a generator of its own, at "
                        "every call. Keep the step's batch and use it again")

    def _batch(self, compared, places, drawn):
        worst = min(compared, key=lambda c: c.cosine)
        about = f"the closure's gradient of {worst.name} has cosine {worst.cosine:.3g} with the step's"
        known = [p for p in places if p is not None]
        parts, passes = max([k for k, p in known if p < CHANCE] or [1]), max(c.passes for c in compared)
        here = [k == 1 and p < CHANCE for k, p in known]
        if parts > 1 or (passes > 1 and not any(here)):
            return WRONG, (f"{about} and {1 / max(worst.ratio, 1e-30):.3g} times its size: the step adds up "
                           f"{max(passes, parts)} micro-batches and the closure computes one. It must compute them all")
        if (known and not any(here)) or not (drawn or (known and all(p == 0 for _, p in known))):
            return BATCH, about + ": it is that of another batch. The closure must compute the present one"
        sizes = self._sizes(compared)
        if not any(1 / DRAWN <= size <= DRAWN for size in sizes):
            return WRONG, (f"{about}, and the step's gradients are {sizes[0]:.3g} times as large (a sum in place of a "
                           "mean, or a loss scale)")
        return UNCOMPARED, about + (": it draws random numbers anew (dropout, negative samples)" if drawn else
                                    ": same rows, another loss (the model in eval mode?)")

    def _sizes(self, compared):
        """|y|/|x| and |z|/|x|, geometric means over the tables and the probes so far: single draws differ widely."""
        self.draws = min(self.draws + 1, RECHECK)
        for i, ratios in enumerate(([c.ratio for c in compared], [c.z_ratio for c in compared])):
            now = sum(math.log(min(max(r, 1e-30), 1e30)) for r in ratios) / len(ratios)
            self.log_size[i] += (now - self.log_size[i]) / self.draws
        return [math.exp(size) for size in self.log_size]

    def _scale(self, c):
        """Why the scale is wrong, or None."""
        edit, was = c.edit(), self.factors.get(c.name)
        self.factors[c.name] = edit
        if abs(c.a - 1) <= SCALE:
            if edit > 1 + SCALE:
                return f"the gradient of {c.name} was multiplied by {edit:.4g} between backward and step"
            if edit < 1 - SCALE and (power_of_two(edit, 1e-6) or edit < 1e-3):
                return (f"the gradient of {c.name} was multiplied by {edit:.3g} between backward and step: the closure "
                        "must compute the loss without the loss scale")
            if edit < 1 - SCALE and was is not None and abs(edit - was) < 1e-6 * edit:
                return (f"the gradient of {c.name} is multiplied by {edit:.4g} between backward and step every time: "
                        "the closure must compute the loss with this factor")
            return None
        if abs(c.a * edit - 1) <= SCALE:
            return None                      # a loss scale, taken out before the step, and decay
        if c.a >= LOSS_SCALE and power_of_two(c.a, 1e-3) and c.a * edit < 1:
            return None                      # and clipped
        return (f"the step's gradient of {c.name} is {c.a:.4g} times the closure's, in the same direction: a sum in "
                "place of a mean, accumulation, a loss scale, or clipping in the closure")
