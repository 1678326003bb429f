"""What reading Adam costs the trainer's thread: its processor time inside momentscope's calls, for each step.

    python3 tests/speed/adaptive.py [--kind Adam] [--rows 3200] [--dim 128] [--vocabulary 8192] [--steps 60]

The bar is 1 % of the step of a small language model that touches 3,200 rows of 128 in 66 ms. Both times are processor time of one thread: it leaves out what others do on a busy machine, and
what they do to caches and memory hits both.
"""
import argparse
import os
import statistics
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "host", "python"), os.path.join(ROOT, "tests")]

import client_support
import torch
import momentscope


def timed(scope, name, into):
    inner = getattr(scope, name)

    def call(*args):
        begin = time.thread_time()
        try:
            return inner(*args)
        finally:
            into[-1] += time.thread_time() - begin
    setattr(scope, name, call)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--kind", default="Adam")
    ask.add_argument("--rows", type=int, default=3200)
    ask.add_argument("--dim", type=int, default=128)
    ask.add_argument("--vocabulary", type=int, default=8192)
    ask.add_argument("--steps", type=int, default=60)
    o = ask.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    sparse = o.kind == "SparseAdam"
    words = torch.nn.Embedding(o.vocabulary, o.dim, sparse=sparse)
    optimizer = getattr(torch.optim, o.kind)(words.parameters(), lr=1e-3)
    net = torch.nn.Sequential(torch.nn.Linear(o.dim, 512), torch.nn.Tanh(), torch.nn.Linear(512, o.dim))
    rest = torch.optim.Adam(net.parameters(), lr=1e-3)
    with client_support.Daemon() as daemon:
        scope = momentscope.attach(torch.nn.ModuleDict({"words": words}), optimizer, endpoint=daemon.ingest)
        spent, whole = [], []
        for name in ("_before", "_after", "step"):
            timed(scope, name, spent)
        for _ in range(o.steps):
            index = torch.randperm(o.vocabulary)[:o.rows]
            index = torch.cat([index, index[:o.rows // 4]])
            spent.append(0.0)
            begin = time.thread_time()
            for each in (optimizer, rest):
                each.zero_grad()
            (net(words(index)) - 1).square().mean().backward()
            for each in (optimizer, rest):
                each.step()
            scope.step()
            whole.append(time.thread_time() - begin)
        spent, whole, stats = spent[o.steps // 4:], whole[o.steps // 4:], scope.stats()
        share = statistics.median(a / (b - a) for a, b in zip(spent, whole))
        print(f"{o.kind}: {o.rows} of {o.vocabulary} rows x {o.dim}: {1e6 * statistics.median(spent):.0f} us (least "
              f"{1e6 * min(spent):.0f}) of a step of {1e3 * statistics.median(whole):.1f} ms (least "
              f"{1e3 * min(whole):.1f}): {100 * share:.2f} %; dropped {stats['steps_dropped']}, {stats['transport']}")
        scope.close()


if __name__ == "__main__":
    main()
