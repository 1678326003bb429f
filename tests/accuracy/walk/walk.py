#!/usr/bin/env python3
"""Does the first stage of the advice ever lose? Random vocabularies, from the state that the monitor saw, literally.

Each vocabulary is trained with a monitor and without a reference. Then the run goes on sample by sample, once as it is
and once as advised, with the same samples, to the end of the stage and to twice that.

slower = steps that the advised setting takes to where the present one is after the stage, over the length of the
stage. gain is its inverse. A stage that does not get there within twice the length counts as 2.
"""
import argparse
import sys

import numpy as np

import vocabularies

TUNING, HELD_OUT = 1, 201
SLOWER, FAR, MOST_SAMPLES = 1.05, 2, 2.5e7


def reach(steps, excess, level):
    """The first step at which the excess is down to this level; inf: never."""
    below = np.nonzero(excess <= level)[0]
    if len(below) == 0:
        return np.inf
    k = below[0]
    if k == 0:
        return 0.0
    share = np.log(excess[k - 1] / level) / np.log(excess[k - 1] / excess[k])
    return steps[k - 1] + share * (steps[k] - steps[k - 1])


def length(case, advice):
    """Of the stage, as far as time allows."""
    return max(20, min(int(advice["stage"]["look_again"]), int(MOST_SAMPLES / case.batch / FAR)))


def take_plan(advice):
    """In place of the stage: the plan that the model says is the fastest, with no bound on how far it goes."""
    plan = next(p for p in advice["plans"] if p["plan"] == advice["fastest"])
    advice.update(advised=plan["plan"] if plan["plan"] != "now" else "stay", why="", gain=None)
    advice["stage"]["bands"] = plan["bands"]


def judge(case, seeds, explain, all_the_way):
    """One line, and (slower, gain stated, gain found) where a setting was advised."""
    advice, e, m = vocabularies.monitored(case, explain)
    if all_the_way and advice["possible"]:
        take_plan(advice)
    if explain:
        print(advice["said"])
    if not advice["possible"]:
        return f"no advice: {advice['why']}", None
    if advice["advised"] == "stay":
        return f"stay: {advice['why']}", None
    n, eta, eps = length(case, advice), *vocabularies.settings(case, advice["stage"]["bands"])
    same = np.full(case.rows, case.eta), np.full(case.rows, case.eps)
    slower, left = [], []
    for seed in range(1, seeds + 1):
        t, now = vocabularies.literal(case, e, m, *same, FAR * n, seed, 600)
        _, then = vocabularies.literal(case, e, m, eta, eps, FAR * n, seed, 600)
        end = np.searchsorted(t, n)
        then = np.where(np.isfinite(then), then, np.inf)
        slower.append(min(reach(t, then, now[end]), FAR * n) / n)
        left.append((then[end] / now[end], then[-1] / now[-1]))
    slow, found = float(np.mean(slower)), float(1 / np.mean(slower))
    cut = n < int(advice["stage"]["look_again"])
    stated = np.nan if cut or advice["gain"] is None else advice["gain"]       # of the whole stage
    factors = [b["eta"] / case.eta for b in advice["stage"]["bands"]]
    end, after = (np.mean(x) for x in zip(*left))
    line = (f"{advice['advised']}: eta x {min(factors):.2f} to {max(factors):.2f}, eps x {eps[0] / case.eps:.2f}, "
            f"{n} steps{' (cut)' if cut else ''}; steps {slow:.3f}, gain stated {stated:.3f} found {found:.3f}; "
            f"excess {end:.3f} of the present one, after {FAR} stages {after:.3f}{'  SLOWER' if slow > SLOWER else ''}")
    return line, (slow, stated, found)


def main():
    a = argparse.ArgumentParser(description="the first stage of the advice against leaving things alone")
    a.add_argument("--held-out", action="store_true", help="the set for figures, never used for tuning")
    a.add_argument("--cases", type=int, default=30)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--seeds", type=int, default=2, help="literal runs of each setting")
    a.add_argument("--bursty", action="store_true", help="rows that come in bursts, and rows that are 64 : 1 uneven")
    a.add_argument("--explain", action="store_true", help="print what advise said")
    a.add_argument("--all-the-way", action="store_true",
                   help="follow the plan that --explain calls the fastest instead: what the stage protects from")
    o = a.parse_args()
    results = []
    for number in range(o.first, o.first + o.cases):
        case = vocabularies.Case(HELD_OUT if o.held_out else TUNING, number, o.bursty)
        line, result = judge(case, o.seeds, o.explain, o.all_the_way)
        print(f"{case}: {line}", flush=True)
        results.append(result)
    moved = [r for r in results if r is not None]
    print(f"\n{len(results)} vocabularies: {len(moved)} told to move, {len(results) - len(moved)} to stay or nothing")
    if not moved:
        return 1
    slow, stated, found = (np.array(x) for x in zip(*moved))
    off = stated / found
    print(f"steps of the advised setting over those of the present one: median {np.median(slow):.3f}, "
          f"worst {slow.max():.3f}; slower by more than 5 %: {(slow > SLOWER).sum()} of {len(results)}")
    full = off[np.isfinite(off)]
    if len(full) > 0:
        print(f"gain stated over gain found, {len(full)} stages of full length: median {np.median(full):.3f}, "
              f"{full.min():.3f} to {full.max():.3f}; median gain found {np.median(found):.3f}")
    return int((slow > SLOWER).any() or len(full) == 0 or not 0.8 <= np.median(full) <= 1.2)


if __name__ == "__main__":
    sys.exit(main())
