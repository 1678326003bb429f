#!/usr/bin/env python3
"""Where do several stages of the advice end? Random vocabularies that are advised, moved and looked at again.

Each vocabulary is trained with a monitor. Then, as often as --stages says, advice is asked and put on the optimizer
with scope.apply, and the run goes on for the length of the stage; at "stay" it goes on as it is, and is asked again.
What it comes to is compared with the same vocabulary left alone for as many steps, sample by sample from the state in
which the first advice was given (literal.c, mean of two seeds).

left    excess loss after the walk over that of leaving things alone
slower  steps of the walk to where leaving alone is at the end, over all steps; 1.05 is the bar
"""
import argparse
import sys
import warnings

import numpy as np

import vocabularies
from walk import HELD_OUT, SLOWER, TUNING, reach

LOOKS = 40                     # of a stage


def walk(case, stages, longest):
    """(steps, excess) of the walk, what each stage was, e and m where it began."""
    t, excess, said = [0], [], []
    with warnings.catch_warnings(), vocabularies.Run(case) as run:
        warnings.simplefilter("ignore", RuntimeWarning)
        run.train(case.steps)
        start = run.state()
        excess.append(run.excess())
        for _ in range(stages):
            advice = run.advice()
            if not advice["possible"]:
                said.append("?")
                break
            n = max(20, min(int(advice["stage"]["look_again"]), longest))
            said.append("stay" if advice["advised"] == "stay" else "move")
            run.scope.apply(advice)
            for at in np.diff(np.linspace(0, n, LOOKS + 1).astype(int)):
                run.train(int(at))
                t.append(t[-1] + int(at))
                excess.append(run.excess())
    return np.array(t, float), np.array(excess), said, start


def judge(case, stages, longest):
    """One line, and (left, slower), or None when the walk did not move."""
    t, excess, said, (e, m) = walk(case, stages, longest)
    if "move" not in said:
        return " ".join(said), None
    same = np.full(case.rows, case.eta), np.full(case.rows, case.eps)
    alone = np.mean([vocabularies.literal(case, e, m, *same, int(t[-1]), seed)[1][-1] for seed in (1, 2)])
    left, slower = excess[-1] / alone, min(reach(t, excess, alone) / t[-1], 2)
    return (f"{' '.join(said)}: {int(t[-1])} steps; left {left:.3f}, steps {slower:.3f}"
            f"{'  SLOWER' if slower > SLOWER and left > SLOWER else ''}"), (left, slower)


def main():
    a = argparse.ArgumentParser(description="several stages of the advice on end against leaving things alone")
    a.add_argument("--held-out", action="store_true", help="the set for figures, never used for tuning")
    a.add_argument("--bursty", action="store_true", help="rows that come in bursts, and rows that are 64 : 1 uneven")
    a.add_argument("--cases", type=int, default=12)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--stages", type=int, default=3)
    a.add_argument("--longest", type=int, default=1500, help="steps of a stage at most: what time allows")
    o = a.parse_args()
    moved, lost = [], 0
    for number in range(o.first, o.first + o.cases):
        case = vocabularies.Case(HELD_OUT if o.held_out else TUNING, number, o.bursty)
        line, result = judge(case, o.stages, o.longest)
        print(f"{case}: {line}", flush=True)
        if result is not None:
            moved.append(result)
            lost += result[0] > SLOWER and result[1] > SLOWER
    if not moved:
        return 1
    left, slower = (np.array(x) for x in zip(*moved))
    print(f"\n{o.cases} vocabularies, {o.stages} stages each: {len(moved)} moved; excess left over that of leaving alone: "
          f"median {np.median(left):.3f}, {left.min():.3f} to {left.max():.3f}; steps: median {np.median(slower):.3f}; "
          f"behind by more than 5 %: {lost}")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
