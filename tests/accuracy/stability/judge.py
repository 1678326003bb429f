#!/usr/bin/env python3
"""Is the published H true? 1/H over the true eta_max, through the Python client, a daemon and its record.

usage: judge.py [--held-out] [--probes N] [--kinds rows,uneven,bags,networks] [--list] [--no-errors]

--probes N     products before the record is read (160)      --list        a line each case
--kinds ..     only these                                    --no-errors   leave out the coverage of standard errors

Each problem stands at its theta while it is probed at eta = its true limit, where a right H is 1. The truths come from
truths.py. Exit code 1: a bar was missed; the last line says which.
"""
import argparse
import math
import sys

import numpy as np
import torch

from problems import Bag, Gated, spectrum
from product import Product
from truths import KINDS, SETS, Truths, cases

LOW, HIGH = 0.7, 1.15
BARS = {"rows": 0.9, "bags": 0.9, "networks": 0.8, "standard errors": 0.9}
PARTS = ((0, 0.3), (0.3, 0.7), (0.7, 1.01))          # of H that noise makes
RUNS, RUN_PROBES = 25, 100


def interval(hits, n):
    """Wilson's 95 % interval of a share."""
    p, z = hits / n, 1.96
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def share(name, hits, bars_missed):
    n = len(hits)
    low, high = interval(sum(hits), n)
    bar = BARS.get(name)
    if bar is not None and np.mean(hits) < bar:
        bars_missed.append(f"{name} {np.mean(hits):.2f} < {bar}")
    return f"{name:16s} {n:5d}   {np.mean(hits):.2f} ({low:.2f} .. {high:.2f})  {'' if bar is None else bar:4}"


def observe(kind, truths, chosen, probes, each):
    """[(ratio 1/H over eta_max, record)]; cases without a truth or an H are named and counted apart."""
    out, without, unknown = [], [], []
    for name, problem, batch, eps in cases(chosen, kind):
        eta = truths.true(kind, name, problem, batch, eps)
        if eta is None:
            without.append(name)
            continue
        record = Product().observe(problem, eta, eps, batch, probes, truths.seed)
        if record["H"] is None:
            unknown.append(name)
            continue
        ratio, se = 1 / record["H"], record["H_se"] / record["H"]
        out.append((ratio, record))
        if each:
            print(f"{name:58s} {ratio:5.2f}  se/H {se:.2f}  noise {record['noise_part']:.2f}  {record['along']}",
                  flush=True)
    return out, without, unknown


def error_cases(seed, corpus):
    for C, batch, eps in ((1, 64, 0.1), (8, 16, 0.1), (8, 512, 0.02), (32, 256, 0.02)):
        yield f"bags of {C}, batch {batch}", Bag(C, corpus, seed, vocabulary=128), batch, eps
    for name, pB, batch, eps in (("k^-1", 60, 256, 0.02), ("equal", 3, 64, 0.1), ("one large", 3, 64, 0.1),
                                 ("k^-.5", 0.2, 64, 0.1)):
        h = np.tile(spectrum(name, 24), (8, 1))
        yield f"rows {name}, pB {pB:g}", Gated(np.full(8, pB / batch), h, seed), batch, eps


def errors(chosen, each):
    """Hits of the 95 % intervals: does a run's lie around the mean of all runs of its case? Both directions."""
    hits, seed = [], SETS[chosen][0]
    for name, problem, batch, eps in error_cases(*SETS[chosen]):
        runs = [Product().observe(problem, 1.0, eps, batch, RUN_PROBES, 1000 * seed + k) for k in range(RUNS)]
        for along in ("power", "tangent"):
            of = [(r[f"H_{along}"], r[f"H_{along}_se"]) for r in runs if r[f"H_{along}"] is not None]
            middle = np.mean([h for h, _ in of])
            inside = [abs(h - middle) < 1.96 * se for h, se in of]
            hits += inside
            if each:
                print(f"{name:30s} {along:8s} {np.mean(inside):.2f} of {len(of)}; scatter/H "
                      f"{np.std([h for h, _ in of]) / middle:.3f}, se/H {np.median([se / h for h, se in of]):.3f}",
                      flush=True)
    return hits


def arguments():
    p = argparse.ArgumentParser(usage=__doc__.split("\n\n", 2)[1].removeprefix("usage: "))
    p.add_argument("--held-out", action="store_true")
    p.add_argument("--probes", type=int, default=160)
    p.add_argument("--kinds", default=",".join(KINDS), type=lambda s: s.split(","))
    p.add_argument("--list", action="store_true")
    p.add_argument("--no-errors", action="store_true")
    return p.parse_args()


def table(kinds, truths, chosen, probes, each, missed):
    lines, every = [], []
    for kind in KINDS:
        if kind not in kinds:
            continue
        found, without, unknown = observe(kind, truths, chosen, probes, each)
        r = [x for x, _ in found] + [math.inf] * len(unknown)        # an H that is not known is not right
        every += found
        lines.append(share(kind, [LOW <= x <= HIGH for x in r], missed) +
                     "   {:.2f} {:.2f} {:.2f}".format(*np.percentile([x for x, _ in found], [0, 50, 100])) +
                     f"   {np.mean(np.array(r) < LOW):.2f} {np.mean(np.array(r) > HIGH):.2f}" +
                     f"   {np.median([x['H_se'] / x['H'] for _, x in found]):.2f}" +
                     (f"   H unknown: {len(unknown)}" if unknown else "") +
                     (f"   no true limit: {len(without)}" if without else ""))
    print(f"\n1/H over the true eta_max, {chosen} set, {probes} probes. Cases share problems: intervals are a guide.\n")
    print(f"kind             cases  in {LOW} .. {HIGH} (95 %)    bar    min  median max    below above   se/H")
    print("\n".join(lines))
    return every


def main():
    torch.set_num_threads(1)
    options, missed = arguments(), []
    chosen = "held-out" if options.held_out else "tuning"
    every = table(options.kinds, Truths(chosen), chosen, options.probes, options.list, missed)
    print("\nln(true H/H) by the share of H that noise makes: cases, mean, standard deviation, 5 %, 95 %")
    for low, high in PARTS:
        y = np.log([x for x, r in every if low <= r["noise_part"] < high])
        if len(y):
            print(f"    {low:.1f} .. {min(high, 1):.1f}  {len(y):4d}  {y.mean():+.2f}  {y.std():.2f}  "
                  "{:+.2f}  {:+.2f}".format(*np.percentile(y, [5, 95])))
    if not options.no_errors:
        hits = errors(chosen, options.list)
        print("\nstandard errors: 95 % intervals around the mean of the runs of a case\n\n" +
              share("standard errors", hits, missed))
    print("\nmissed: " + "; ".join(missed) if missed else "\nevery bar is met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
