"""Which runs are made: networks with the rates that ruin them, and the stories told with them."""
import dataclasses
import json
import os
import random

from ruin_nets import KINDS, WARM, Run, ruined_at, train

STEPS, EVENT = 1000, 500
BATCHES, EPS = (16, 64), (0.1, 0.05)
# Sets of runs as (story, share, rate and what comes of it: ranges in units of the ruining rate)
SETS = {
    "rates": (("warm", 100, (0.1, 3), None),),
    "reasons": (("warm", 22, (0.1, 0.5), None), ("raised", 12, (0.1, 0.2), (0.3, 0.5)),
                ("poison", 8, (0.1, 0.3), (1, 3)), ("shift", 8, (0.1, 0.3), None),
                ("raised", 16, (0.1, 0.5), (1.2, 3)), ("short", 14, (1.1, 3), None),
                ("poison", 10, (0.4, 0.9), (10, 300)), ("shift", 10, (0.5, 0.9), None))}


def ruins(run, rate, seeds=3):
    """Does this rate ruin most seeds, after a warm-up?"""
    count = 0
    for seed in range(seeds):
        again = dataclasses.replace(run, seed=1000 + seed, ruining=rate, steps=600, story="warm-up", at=WARM)
        count += ruined_at(train(again), again.steps) is not None
        if count > seeds // 2 or count + seeds - 1 - seed <= seeds // 2:
            break
    return count > seeds // 2


def ruining_rate(run):
    """The lowest rate, in EMA form, found to ruin most seeds: up from 1 (or down) by 2, then four halvings."""
    rate = 4.0
    if ruins(run, rate):
        while ruins(run, rate / 2):
            rate /= 2
        low, high = rate / 2, rate
    else:
        while not ruins(run, 2 * rate):
            rate *= 2
        low, high = rate, 2 * rate
    for _ in range(3):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if ruins(run, middle) else (middle, high)
    return high


def models(corpus, seed, cache):
    """One base run for each network, batch and eps; the ruining rates are kept in the file `cache`."""
    known = json.load(open(cache)) if cache and os.path.exists(cache) else {}
    out, rng = [], random.Random(seed)
    for kind in KINDS:
        for batch, eps in zip(BATCHES, rng.sample(EPS, len(EPS))):
            words, width = rng.choice((64, 128, 200)), rng.choice((6, 8, 16))
            small = rng.choice((0.05, 1.0))
            run = Run(kind, corpus, words, width, batch, eps, 0, STEPS, 1.0, 1.0, small, "steady")
            key = f"{corpus} {kind} {words} {width} {batch} {eps} {small}"
            if key not in known:
                known[key] = ruining_rate(run)
                if cache:
                    json.dump(known, open(cache, "w"), indent=0)
            out.append(dataclasses.replace(run, ruining=known[key]))
    return out


def draw(what, corpus, seed, n, cache=None):
    """n runs of the set `what`, its stories in their shares."""
    rng, bases = random.Random(seed), models(corpus, seed, cache)
    stories = [s for s in SETS[what] for _ in range(s[1])]
    out = []

    def between(low, high):
        return low * (high / low) ** rng.random()

    for i in range(n):
        story, _, rate, much = stories[i * len(stories) // n]
        base = bases[rng.randrange(len(bases))]
        at = {"warm": WARM, "short": rng.choice((20, 50, 100)), "steady": 0}.get(story, EVENT)
        told = {"warm": "warm-up", "short": "warm-up"}.get(story, story)
        out.append(dataclasses.replace(base, seed=seed * 1000 + i, rate=between(*rate), story=told, at=at,
                                       much=between(*much) if much else 0.0))
    return out
