"""What the user feels: is there an alert before a run is ruined, and quiet while it is not?

Small networks are trained on real text at .1 to 3 times the rate that ruins them, through the client and a daemon; a
subscriber collects alerts. Read tests/accuracy/README.md for what the words mean.

    tests/accuracy/ruin.py                       # 100 runs of either set, tuning seed
    tests/accuracy/ruin.py --corpus python --seed 101    # seed and text that no rule was tuned on
"""
import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import client_support
import msgpack
import torch
import zmq

import momentscope
from ruin_nets import FILES, ruined_at, spiked_at, train
from ruin_runs import SETS, draw

CODES = ("climbing", "growing")
LAST = 0.05                                  # share of the records that a lasting flag is up in
PROBES = 5                                   # steps from one probe to the next, with --probe


class Standings:
    """What `momentscope watch --json` says of the stability records: {table: [(step, standing)]}, and who has left."""

    def __init__(self, daemon):
        command = [os.path.join(client_support.BUILD, "momentscope"), "watch", "--json", "--telemetry", daemon.telemetry,
                   "--replay", daemon.replay]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.of, self.left = {}, set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith('{"topic":"stability/'):
                r = json.loads(line)
                self.of.setdefault(r["table"], []).append((r["step"], r["standing"]))
            elif line.startswith('{"topic":"table/') and '"attached":false' in line:
                self.left.add(json.loads(line)["table"])

    def wait(self, prefix, seconds=20):
        end = time.monotonic() + seconds
        while not any(t.startswith(prefix) for t in list(self.left)) and time.monotonic() < end:
            time.sleep(0.02)
        return next((of for t, of in list(self.of.items()) if t.startswith(prefix)), [])

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Watched:
    """A run with its alerts and how often each flag was up, by the records of a subscriber."""

    def __init__(self, daemon, socket, run, probe, standings):
        self.daemon, self.probe, self.prefix, self.scope = daemon, probe, f"r{run.seed}-{os.getpid()}-", None
        self.socket = socket
        self.alerts, self.up, self.records, self.open = [], {}, 0, set()
        self.standing = {"near": [], "unstable": []}             # steps at which the run was said to be so
        self.losses = train(run, self.attach)
        self.scope.close(10)
        self.finish(10)
        for step, standing in standings.wait(self.prefix) if standings else ():
            self.count("near", standing in ("near-instability", "unstable"))
            self.count("unstable", standing == "unstable")
            if standing in ("near-instability", "unstable"):
                self.standing["near"].append(step)
            if standing == "unstable":
                self.standing["unstable"].append(step)

    def attach(self, model, optimizer, closure):
        more = {"probe_every": PROBES, "closure": closure} if self.probe else {}
        self.scope = momentscope.attach(model, optimizer, self.daemon.ingest, prefix=self.prefix, buffer_bytes=1 << 26,
                                        block_ms=1000, **more)
        return self.step

    def step(self):
        self.scope.step()
        if self.scope.steps % 50 == 0:
            self.read(0)

    def finish(self, seconds):
        """Read until every table has said that its trainer left."""
        end = time.monotonic() + seconds
        while self.open and time.monotonic() < end:
            self.read(20)

    def read(self, wait):
        """Take what has come; wait: milliseconds of silence that end it."""
        while self.socket.poll(wait):
            topic, *_, body = self.socket.recv_multipart()
            if self.prefix.encode() not in topic + body:
                continue
            self.take(topic.decode(), msgpack.unpackb(body))

    def take(self, topic, record):
        if topic.startswith("alert") and record["code"] in CODES:
            self.alerts.append((record["step"], record["code"], record["text"]))
        elif topic.startswith("table/"):
            self.records += 1
            (self.open.add if record["attached"] else self.open.discard)(topic)
            self.count("climbing", record["climbing"])
        elif topic.startswith("band/"):
            self.count("growing", record["growing"])

    def count(self, flag, on):
        self.up[flag] = self.up.get(flag, 0) + bool(on)

    def first(self, since, codes):
        steps = [s for s, code, _ in self.alerts if code in codes and s >= since]
        told = [s for word, at in self.standing.items() if word in codes for s in at if s >= since]
        return min(steps + told, default=None)

    def lasts(self, codes):
        return any(self.up.get(c, 0) > LAST * self.records for c in codes)


# -- figures -----------------------------------------------------------------------------------------

def interval(hits, n):
    """Wilson's 95 % interval of a share."""
    if n == 0:
        return "none"
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + k * half) / (1 + z * z / n) for k in (-1, 1))
    return f"{hits} of {n}, {100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def quartiles(x):
    if not x:
        return "none"
    x = torch.tensor(sorted(x), dtype=torch.float64)
    return "/".join(f"{float(v):.0f}" for v in x.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)))


def ends(run, losses):
    whole = len(losses) == run.steps and all(math.isfinite(x) for x in losses)
    return sum(losses[-100:]) / 100 if whole else math.inf


def problem(run):
    return run.kind, run.words, run.width, run.batch, run.eps, run.small, run.story == "shift"


def judge(runs, watched):
    """One dict a run: what happened to its loss, what was told and when."""
    best, out = {}, []
    for run, w in zip(runs, watched):
        best[problem(run)] = min(best.get(problem(run), math.inf), ends(run, w.losses))
    for run, w in zip(runs, watched):
        event = run.at if run.story in ("raised", "poison", "shift") else 0
        ruin = ruined_at(w.losses, run.steps)
        out.append({"run": run, "watched": w, "event": event, "ruin": ruin, "spike": spiked_at(w.losses, event),
                    "good": ruin is None and ends(run, w.losses) <= 1.05 * best[problem(run)]})
    return out


def told(cases, of, codes):
    """Leads in steps before `of` (ruin or spike), of the cases where it came first."""
    out = []
    for c in cases:
        first = c["watched"].first(0 if of == "ruin" else c["event"], codes)
        if first is not None and first < c[of]:
            out.append(c[of] - first)
    return out


def report(name, cases, codes):
    ruined = [c for c in cases if c["ruin"] is not None]
    good = [c for c in cases if c["good"]]
    spiking = [c for c in cases if c["ruin"] is not None and c["spike"] is not None]
    late = [c for c in ruined if c["ruin"] >= 4 / c["run"].eps]
    quiet = [c for c in good if c["event"] == 0 or c["spike"] is None]
    steps = sum(c["run"].steps for c in quiet)
    false = sum(len([1 for s, code, _ in c["watched"].alerts if code in codes]) for c in quiet)
    false += sum(any(c["watched"].standing[word] for word in c["watched"].standing if word in codes) for c in quiet)
    leads, ahead = told(ruined, "ruin", codes), told(spiking, "spike", codes)
    alarmed = sum(c["watched"].first(0, codes) is not None for c in good)
    print(f"\n{name}, told by {' or '.join(codes)}")
    print(f"  ruined, told before              {interval(len(leads), len(ruined))}; lead {quartiles(leads)}")
    print(f"  .. ruined after step 4/eps       {interval(len(told(late, 'ruin', codes)), len(late))}")
    print(f"  lead of 10 steps before the loss {interval(sum(x >= 10 for x in ahead), len(spiking))}")
    print(f"  good, an alert                   {interval(alarmed, len(good))}")
    print(f"  good, one that lasts             {interval(sum(c['watched'].lasts(codes) for c in good), len(good))}")
    print(f"  false alarms, quiet runs         {1e4 * false / max(steps, 1):.2f} per 10,000 steps, {false} in {steps}")


def line(c):
    run, w = c["run"], c["watched"]
    word = "ruined" if c["ruin"] is not None else "good" if c["good"] else "between"
    print(f"{word:8} {run.kind:8} {run.batch:3} eps {run.eps} small {run.small} {run.story:8} {run.rate:5.2f} "
          f"{run.much:7.2f} ruin {c['ruin']} spike {c['spike']} "
          + " ".join(f"{code}@{step}" for step, code, _ in w.alerts[:6])
          + " ".join(f" {word}@{at[0] if at else None}" for word, at in w.standing.items()) + f" up {w.up}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--set", choices=[*SETS, "both"], default="both", help="which runs (both)")
    p.add_argument("--corpus", choices=FILES, default="licences", help="text (licences)")
    p.add_argument("--seed", type=int, default=1, help="1 to 100 were used to tune the rules (1)")
    p.add_argument("--runs", type=int, default=100, help="of each set (100)")
    p.add_argument("--probe", action="store_true", help=f"probe every {PROBES} steps: H too")
    p.add_argument("--list", action="store_true", help="one line a run")
    p.add_argument("--rates", metavar="FILE", help="keep the ruining rates found, and read them from there")
    o = p.parse_args()
    torch.set_num_threads(1)
    daemon, context = client_support.Daemon("--interval-steps", "5", "--interval", "0").start(), zmq.Context()
    socket = context.socket(zmq.SUB)         # one for all runs, so that none misses its first records
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.connect(daemon.telemetry)
    standings = Standings(daemon) if o.probe else None
    try:
        for name in SETS if o.set == "both" else (o.set,):
            runs, start = draw(name, o.corpus, o.seed, o.runs, o.rates), time.monotonic()
            cases = judge(runs, [Watched(daemon, socket, run, o.probe, standings) for run in runs])
            if o.list:
                for c in cases:
                    line(c)
            print(f"\n{name}: {len(runs)} runs, {sum(c['good'] for c in cases)} good, text {o.corpus}, seed {o.seed}, "
                  f"{time.monotonic() - start:.0f} s")
            more = (("unstable",), ("near",), (*CODES, "near")) if o.probe else ()
            for codes in (("climbing",), ("growing",), CODES, *more):
                report(name, cases, codes)
    finally:
        if standings:
            standings.stop()
        daemon.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
