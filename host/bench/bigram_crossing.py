#!/usr/bin/env python3
"""bigram_crossing.py REFERENCE RUNS - from which batch on momentum pays, as the authors of 2605.28961 analyse it

For each target, batch and seed: S_0, the fewest steps without momentum, S*, the fewest with any beta, interpolated
between looks, and S_0/S*. The crossing lies between the largest batch at which S_0/S* is below 1.25 in all seeds, and
with it all smaller batches, and the next. Predicted: B_x = (d_eff + 2)/p_max, d_eff + 2 = 2 B/eta at the largest eta
that SGD bears at the smallest batch: between the last eta that held and the first that did not.
"""
import collections
import json
import math
import sys

CLOSED, PAYS = (0.7, 0.85, 0.92, 0.96), 1.25


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def steps_to(run, target):
    """The first step at which the loss is down to target, straight between two points of the curve."""
    before = None
    for t, loss in zip(run["t"], run["total"]["risk"]):
        if loss is None or not math.isfinite(loss):
            return math.inf
        if loss <= target:
            return t if before is None else before[0] + (t - before[0]) * (before[1] - target) / (before[1] - loss)
        before = t, loss
    return math.inf


def by_batch(runs, target):
    """{batch: {seed: {eps: (steps, eta)}}}"""
    best = collections.defaultdict(lambda: collections.defaultdict(dict))
    for run in runs:
        batch, eps, eta = int(run["params"]["batch"]), run["rates"]["eps"], run["rates"]["eta"]
        found = best[batch][int(run["seed"])]
        found[eps] = min(found.get(eps, (math.inf, 0)), (steps_to(run, target), eta))
    return best


def told(values):
    return "-" if not values else " ".join("never" if math.isinf(v) else f"{v:.4g}" for v in values)


def table(runs, target):
    """Prints it; returns [(batch, [S_0/S* of each seed])] where both are known."""
    print(f"{'batch':>7} {'S_0':>18} {'S*':>18} {'1 - beta*':>14} {'eta*':>14} {'S_0/S*':>14}")
    out = []
    for batch, seeds in sorted(by_batch(runs, target).items()):
        plain = [s[1.0][0] if 1.0 in s else math.inf for s in seeds.values()]
        best = [min((v[0], eps, v[1]) for eps, v in s.items()) for s in seeds.values()]
        ratio = [p / b[0] for p, b in zip(plain, best) if math.isfinite(p) and math.isfinite(b[0])]
        print(f"{batch:7d} {told(plain):>18} {told([b[0] for b in best]):>18} {told([b[1] for b in best]):>14} "
              f"{told([b[2] for b in best]):>14} {told(ratio):>14}")
        if len(ratio) == len(plain):
            out.append((batch, ratio))
    return out


def crossing(ratios):
    below = [b for i, (b, _) in enumerate(ratios) if all(max(r) < PAYS for _, r in ratios[:i + 1])]
    above = [b for b, r in ratios if not below or b > below[-1]]
    return (below[-1] if below else None), (above[0] if above else None)


def predicted(runs):
    """(low, high) of B_x by the ceiling of SGD at the smallest batch, or None."""
    sgd = [r for r in runs if r["rates"]["eps"] == 1]
    if not sgd:
        return None
    batch = min(r["params"]["batch"] for r in sgd)
    here = [r for r in sgd if r["params"]["batch"] == batch]
    bad = [r["rates"]["eta"] for r in here if r["diverged"] or r["total"]["end"] > r["total"]["start"]]
    good = [r["rates"]["eta"] for r in here if not bad or r["rates"]["eta"] < min(bad)]
    p_max = here[0]["bands"][0]["p"]
    if not bad or not good:
        return None
    return 2 * batch / min(bad) / p_max, 2 * batch / max(good) / p_max, p_max


def main():
    reference, runs = read(sys.argv[1]), read(sys.argv[2])
    least = min(r["total"]["end"] for r in reference if r["total"]["end"] is not None)
    uniform = math.log(runs[0]["params"]["words"])
    print(f"\nreference {least:.4f} nats by Adam, ln V {uniform:.4f}, {len(runs)} runs")
    for closed in CLOSED:
        target = uniform - closed * (uniform - least)
        print(f"\n{100 * closed:.0f} % of the gap closed: {target:.4f} nats")
        low, high = crossing(table(runs, target))
        print(f"S_0/S* passes {PAYS}: " + (f"between batch {low} and {high}" if low and high else
                                         f"above batch {low}" if low else "not bracketed by these batches"))
    x = predicted(runs)
    print("\npredicted B_x = (d_eff + 2)/p_max: " + ("no eta of SGD was too large at the smallest batch" if x is None else
          f"{x[0]:.3g} to {x[1]:.3g} (d_eff + 2 {x[0] * x[2]:.2g} to {x[1] * x[2]:.2g}, p_max {x[2]:.3g})"))


if __name__ == "__main__":
    main()
