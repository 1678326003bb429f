#!/usr/bin/python3
"""trainer.py - what being watched costs a training loop, with a real daemon: JSON rows (see tests/speed/run)

A small language model in PyTorch: an embedding of 16384 x 128 looked up 1024 or 6144 times a step, two dense layers sized to
the same work, one thread. Sparse gradients go with momentum 0 (torch's own buffer of sparse gradients grows without end),
dense ones with momentum 0.9. Three copies of the model take every step in turn: two alone (the noise of the
method itself: A/A) and one attached.

    inside our calls    processor time of the trainer's thread within momentscope, a step (wall time beside it in the JSON)
    share               the same of that step's processor time
    wall, thread        the attached copy's step against a lone copy's; target: the upper quartile of A/A in the same turns
    probe               the calls of a step that probes against two passes forward and backward of the same batch
    demo trainer        the C trainer: processor time of its training with the client against what is left without the
                        client's own (in push, and of its threads), both as that run counts them; then that of training
                        attached against --alone, of which the same program twice differs by far more than the bar (A/A)

Checked: weights bit for bit those of the lone copy, nothing dropped, and R as the daemon publishes it against the weights.
"""
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import measure

try:
    import numpy as np
    import torch
    import client_support
except ImportError as e:
    measure.cannot(f"{e.name} is not installed (python3-torch, python3-zmq, python3-msgpack)")
import momentscope

VOCABULARY, WIDTH, WARM, STEPS = 16384, 128, 12, 40
# name, look-ups, hidden width and classes (what makes a step some 60 ms with the BLAS of the distribution), sparse gradients
CASES = [("1024 rows, sparse", 1024, 128, 512, True), ("6144 rows, sparse", 6144, 64, 80, True), ("6144 rows, dense", 6144, 64, 80, False)]


class Trainer:
    """One copy of the model."""

    def __init__(self, hidden, classes, sparse):
        torch.manual_seed(1)
        self.words = torch.nn.Embedding(VOCABULARY, WIDTH, sparse=sparse)
        self.body = torch.nn.Sequential(torch.nn.Linear(WIDTH, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
        self.model = torch.nn.ModuleDict({"words": self.words, "body": self.body})
        with torch.no_grad():
            self.words.weight.mul_(1e-3)         # so that a step moves rows by far more than rounding does
        self.optimizer = torch.optim.SGD([{"params": self.words.parameters(), "lr": 1.0}, {"params": self.body.parameters()}],
                                         lr=0.01, momentum=0.0 if sparse else 0.9)
        self.scope, self.inside, self.batch = None, [0, 0], None

    def loss(self):
        return torch.nn.functional.cross_entropy(self.body(self.words(self.batch[0])), self.batch[1])

    def attach(self, daemon, **options):
        self.scope = momentscope.attach(self.model, self.optimizer, endpoint=daemon.ingest, reference="initial", **options)
        self.scope.flush(20)                 # reference and first rows, 1 MiB a step otherwise, are not a step's cost
        guard = self.scope._guard            # everything momentscope does in a step goes through it, but the hook that
                                             # notes dense look-ups

        def timed(work, *args):
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            try:
                return guard(work, *args)
            finally:
                self.inside[0] += time.thread_time_ns() - cpu
                self.inside[1] += time.perf_counter_ns() - wall
        self.scope._guard = timed
        for t in self.scope.tables:
            t.lookups.forward = self._timed(t.lookups.forward)

    def _timed(self, hook):
        def timed(*args):
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            hook(*args)
            self.inside[0] += time.thread_time_ns() - cpu
            self.inside[1] += time.perf_counter_ns() - wall
        return timed

    def step(self, batch):
        """(wall, thread's processor time, of it inside our calls, wall inside them) in ms"""
        self.batch, self.inside = batch, [0, 0]
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        if self.scope:
            self.scope.step()
        return [1e-6 * x for x in (time.perf_counter_ns() - wall, time.thread_time_ns() - cpu, *self.inside)]


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters()))


def shadow_right(trainer, ear, initial, steps):
    """The daemon's R is |theta - initial|^2 of the weights. torch and the core each round a row by at most half an ulp in
    each step, and a row that is in a batch twice once more; that must leave two digits of R."""
    if not trainer.scope.flush(20):
        print(f"not flushed: {trainer.scope.stats()}", file=sys.stderr)
        return False
    record, theta = ear.table("words.weight", steps), trainer.words.weight.detach().double()
    truth, dropped = float(((theta - initial.double()) ** 2).sum()), trainer.scope.stats()["steps_dropped"]
    bound = 2 * 3 * steps * 2.0 ** -24 * float(theta.norm()) * truth ** 0.5
    if abs(record["R"] - truth) > bound or bound > 0.01 * truth or dropped:
        print(f"R {record['R']:.9g} instead of {truth:.9g}, bound {bound:.3g}; {dropped} steps dropped", file=sys.stderr)
        return False
    return True


def bench_case(name, n, hidden, classes, sparse):
    with client_support.Daemon() as daemon:
        lone, again, ours = (Trainer(hidden, classes, sparse) for _ in range(3))
        initial, ear = ours.words.weight.detach().clone(), client_support.Listener(daemon)
        ours.attach(daemon)
        generator = torch.Generator().manual_seed(2)
        seen = {lone: [], again: [], ours: []}
        for i in range(WARM + STEPS):
            batch = (torch.randint(VOCABULARY, (n,), generator=generator), torch.randint(classes, (n,), generator=generator))
            for k in range(3):
                who = (lone, again, ours)[(i + k) % 3]
                seen[who].append(who.step(batch))
        checked = same_weights(lone, ours) and shadow_right(ours, ear, initial, WARM + STEPS)
        ear.close()
        ours.scope.close()
    a, aa, b = (np.array(seen[who][WARM:]).T for who in (lone, again, ours))
    measure.value("trainer", f"{name}: inside our calls", "ms", b[2], 0.15, checked, wall=float(np.median(b[3])))
    measure.value("trainer", f"{name}: share of the step", "%", 100 * b[2] / b[1], 0.5, checked)
    for k, what in ((0, "wall time"), (1, "thread's processor time")):
        noise = float(np.percentile(aa[k] / a[k], 75))
        measure.versus("trainer", f"{name}: {what} of a step, A/A", "ms", aa[k], a[k], "alone", aa[k] / a[k], None, "lower", checked)
        measure.versus("trainer", f"{name}: {what} of a step, attached", "ms", b[k], a[k], "alone", b[k] / a[k], noise, "lower",
                       checked)


def bench_probe():
    name, n, hidden, classes, sparse = CASES[0]
    with client_support.Daemon() as daemon:
        lone, ours = Trainer(hidden, classes, sparse), Trainer(hidden, classes, sparse)
        initial, ear = ours.words.weight.detach().clone(), client_support.Listener(daemon)
        ours.attach(daemon, probe_every=2, closure=ours.loss)
        generator, probes, passes, ratio = torch.Generator().manual_seed(2), [], [], []
        for i in range(1, 41):
            batch = (torch.randint(VOCABULARY, (n,), generator=generator), torch.randint(classes, (n,), generator=generator))
            lone.step(batch)
            before = ours.scope.probing.probes
            inside = ours.step(batch)[2]
            if ours.scope.probing.probes == before:
                continue
            cpu = time.thread_time_ns()
            for _ in range(2):
                lone.optimizer.zero_grad()
                lone.loss().backward()
            passes.append(1e-6 * (time.thread_time_ns() - cpu))
            probes.append(inside)
            ratio.append(probes[-1] / passes[-1])
        checked = same_weights(lone, ours) and shadow_right(ours, ear, initial, 40)
        ear.close()
        ours.scope.close()
    measure.versus("trainer", f"{name}: a step's calls with a probe", "ms", probes, passes, "two passes", np.array(ratio), None,
                   "lower", checked)


def demo(daemon):
    """Processor seconds of its training, those of the client in them, and what it says about steps and momentum."""
    endpoint = ["--endpoint", daemon.ingest] if daemon else ["--alone"]
    r = subprocess.run([os.path.join(client_support.BUILD, "demo_trainer"), "--quiet", "--steps", "1500", "--probe-every", "0",
                        *endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    used = re.search(r"^(\S+) s of processor time(?:, of them the client's (\S+) in push and (\S+) in its threads)?$", r.stdout, re.M)
    said = re.search(r"(\d+) dropped.*trainer (\S+)$", r.stdout, re.M)
    if used is None or said is None:
        raise RuntimeError((r.stderr or r.stdout).strip())
    used = [float(x or 0) for x in used.groups()]
    return used[0], used[1] + used[2], said.groups()


def bench_demo():
    seen, right = {"alone": [], "again": [], "attached": []}, True
    with client_support.Daemon() as daemon:
        for i in range(6):
            said = set()
            for k in range(3):
                who = list(seen)[(i + k) % 3]
                try:
                    *used, text = demo(daemon if who == "attached" else None)
                except RuntimeError as e:
                    print(f"no demo trainer: {e}", file=sys.stderr)
                    return
                seen[who].append(used)
                said.add(text)
            right &= len(said) == 1 and said.pop()[0] == "0"
    alone, again, (ours, client) = np.array(seen["alone"]).T[0], np.array(seen["again"]).T[0], np.array(seen["attached"]).T
    name, noise = "C demo trainer, processor time of 1500 steps", float(np.percentile(again / alone, 75))
    measure.versus("trainer", f"{name}, by its own account", "s", ours, ours - client, "without the client's",
                   ours / (ours - client), 1.01, "lower", right)
    measure.versus("trainer", f"{name}, A/A", "s", again, alone, "--alone", again / alone, None, "lower", right)
    measure.versus("trainer", f"{name}, attached", "s", ours, alone, "--alone", ours / alone, noise, "lower", right)


def main():
    torch.set_num_threads(1)
    for case in CASES:
        bench_case(*case)
    bench_probe()
    bench_demo()


if __name__ == "__main__":
    main()
