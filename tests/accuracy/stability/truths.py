#!/usr/bin/env python3
"""The cases of a set with their true eta_max, kept in the build directory: networks take half an hour a set.

usage: truths.py [--held-out]      compute what is missing, one line a case

Tuning: seed 1 and licences. Held out: seed 201 and the sources of Python's library; no choice was ever made on it.
"""
import json
import os
import sys
import time

import torch

from exact import bag_limit, gated_limit
from networks import network_cases
from problems import bag_cases, rows_cases, uneven_cases
from tangent import tangent_limit

SETS = {"tuning": (1, "licences"), "held-out": (201, "python")}
KINDS = ("rows", "uneven", "bags", "networks")
HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "..", "..", os.environ.get("BUILD", "build"))


def cases(chosen, kind):
    seed, corpus = SETS[chosen]
    return {"rows": lambda: rows_cases(seed), "uneven": lambda: uneven_cases(seed),
            "bags": lambda: bag_cases(seed, corpus), "networks": lambda: network_cases(seed, corpus)}[kind]()


def limit(kind, problem, batch, eps, seed):
    if kind == "networks":
        return tangent_limit(problem, batch, eps, 100 * seed)
    return (bag_limit if kind == "bags" else gated_limit)(problem, batch, eps)


class Truths:
    """true(name, ..) computes a limit once and keeps it. Delete the file after a change of a problem."""

    def __init__(self, chosen):
        self.seed, self.path = SETS[chosen][0], os.path.join(BUILD, "accuracy", f"stability-{chosen}.json")
        self.known = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.known = json.load(f)

    def true(self, kind, name, problem, batch, eps):
        if name not in self.known:
            self.known[name] = limit(kind, problem, batch, eps, self.seed)
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path + ".new", "w") as f:
                json.dump(self.known, f, indent=0)
            os.replace(self.path + ".new", self.path)
        return self.known[name]


def main():
    torch.set_num_threads(1)
    chosen = "held-out" if "--held-out" in sys.argv[1:] else "tuning"
    truths = Truths(chosen)
    for kind in KINDS:
        for name, *case in cases(chosen, kind):
            begin = time.monotonic()
            eta = truths.true(kind, name, *case)
            print(f"{name:55s} {'no bracket' if eta is None else f'{eta:10.4g}'}  {time.monotonic() - begin:.1f} s",
                  flush=True)


if __name__ == "__main__":
    main()
