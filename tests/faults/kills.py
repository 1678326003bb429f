"""kills.py [--kills N] [--table ROWSxDIM ..] [--seed S]: kill -9 of the daemon under load, at random instants.

One trainer lives over the whole campaign and trains as fast as the daemon takes its steps. The daemon saves its state
every --state-every seconds and on SIGUSR1. It is killed while it applies steps, while a save is under way, while it
starts, while the trainer heals it and while it ends on SIGTERM. Every time:

  state         --verify reads the state file, and FILE.previous where there is one
  restart       from exec until a new listener has a record: at most 2 s, loading the state included, not counting the
                time in which other processes had the processors
  healed        the daemon calls its copies exact again
  exact         each record that is called exact has the trainer's own sums after that step
  account       applied + lost = steps, in every record; at the end sent + dropped = steps of the trainer
  telemetry     received + lost = published, over all daemons

Exit code 1 if anything does not hold. The last line has the figures.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from parts import START_S, Daemon, Listener, Times, Trainer, Truth, log_path, quantile

KINDS = {"load": 9, "save": 5, "early": 3, "start": 3, "end": 2}


class Campaign:
    def __init__(self, o):
        self.o, self.draw = o, random.Random(o.seed)
        self.folder = tempfile.mkdtemp(prefix="mscope-kills-", dir=o.dir)
        self.log = log_path()
        self.names = [f"faults{i}" for i in range(len(o.table))]
        self.wrong, self.kinds, self.heals, self.saving_s = [], {}, [], 0.02
        self.had_previous, self.killed = False, 0
        self.last_step = dict.fromkeys(self.names, 0)

    def begin(self):
        o = self.o
        self.daemon = Daemon(self.folder, "--interval", str(o.interval), "--state-every", str(o.state_every))
        self.daemon.start(blank=True)
        tables = [x for t in o.table for x in ("--table", t)]
        self.trainer = Trainer("--steps", 0, "--seed", o.seed, *tables, *["--reference"] * o.reference, "--endpoint",
                               self.daemon.at["ingest"], "--log", self.log)
        time.sleep(0.2)
        self.listener = Listener(self.daemon, Truth(self.log))
        self.listener.start()
        for name in self.names:
            self.listener.wait_for(name, lambda r: r["exact"] and r["step"] > 0, o.patience)
        begin = time.monotonic()
        self.daemon.process.send_signal(signal.SIGUSR1)
        while not os.path.exists(self.daemon.state):
            if time.monotonic() - begin > o.patience:
                raise AssertionError("the first save did not end")
            time.sleep(0.001)
        self.saving_s = time.monotonic() - begin

    def look_at_files(self, k):
        """The state file is whole, and not of the future; so is the one before it."""
        now = self.daemon.verify(self.daemon.state)
        if now is None or set(now) != set(self.names):
            self.wrong.append(f"kill {k}: the state file cannot be read")
            return
        if os.path.exists(self.daemon.state + ".previous"):
            self.had_previous = True
            before = self.daemon.verify(self.daemon.state + ".previous")
            if before is None or any(before[n][0] > now[n][0] for n in before):
                self.wrong.append(f"kill {k}: the state file before the last cannot be read, or is newer")
        elif self.had_previous:
            self.wrong.append(f"kill {k}: FILE.previous is gone")
        for name in self.names:
            if now[name][0] < self.last_step[name]:
                self.wrong.append(f"kill {k}: {name} in the state file went back to step {now[name][0]}")
            self.last_step[name] = now[name][0]

    def heal(self, k):
        begin = time.monotonic()
        for name in self.names:
            was, now = self.last_step[name], self.daemon.epoch
            r = self.listener.wait_for(name, lambda r: r["exact"] and r["step"] > was and r["epoch"] == now,
                                       self.o.patience)
            if not r.get("exact") or r["epoch"] != now:
                self.wrong.append(f"kill {k}: {name} was not healed within {self.o.patience} s")
        self.heals.append(time.monotonic() - begin)

    def kill(self, k):
        self.daemon.kill()
        self.killed += 1
        self.look_at_files(k)

    def one(self, k):
        kind = self.draw.choices(list(KINDS), list(KINDS.values()))[0]
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if kind == "load":
            time.sleep(self.draw.uniform(0, self.o.gap))
        elif kind == "save":
            self.daemon.process.send_signal(signal.SIGUSR1)
            time.sleep(self.draw.uniform(0, 1.5 * self.saving_s))
        elif kind == "end":              # it applies what waits and saves once more
            self.daemon.process.terminate()
            time.sleep(self.draw.uniform(0, 1.5 * self.saving_s))
        self.kill(k)
        if kind == "start":
            self.daemon.launch()
            time.sleep(self.draw.uniform(0, quantile(self.daemon.starts, 0.5)))
            self.kill(k)
        self.daemon.start()
        if kind == "early":              # the next kill meets a daemon that is being healed
            time.sleep(self.draw.uniform(0, 1.5))
        else:
            self.heal(k)

    def end(self):
        said = self.trainer.end(ask=True)
        for i, name in enumerate(self.names):
            own = said["tables"][i]
            r = self.listener.wait_for(name, lambda r: r["exact"] and r["step"] == own["step"], self.o.patience)
            if not (said["flushed"] and r.get("exact") and r["step"] == own["step"]):
                self.wrong.append(f"{name} did not end exact: step {r.get('step')} of {own['step']}")
        if said["sent"] + said["dropped"] != sum(t["step"] for t in said["tables"]):
            self.wrong.append(f"sent {said['sent']} + dropped {said['dropped']} are not the trainer's steps")
        self.said = said

    def close(self):
        self.trainer.close()
        self.daemon.stop()
        self.listener.close()
        if self.listener.wrong():
            self.wrong.append(self.listener.wrong())
        self.wrong += self.listener.faults
        self.wrong += [f"a start took {t:.2f} s of its own" for t in self.daemon.own if t > START_S]
        self.wrong += [f"{name} began at step {at}" for (name, _), at in self.listener.began.items() if at != 0]
        if os.path.exists(self.log):
            os.unlink(self.log)
        if not self.wrong:
            shutil.rmtree(self.folder, ignore_errors=True)

    def figures(self, seconds):
        at, heal, said, seen = self.daemon.starts, self.heals, self.said, self.listener
        lost = sum(seen.latest[f"table/{n}"]["lost_steps"] for n in self.names)
        late = sum(t > START_S for t in at)
        kinds = ", ".join(f"{n} {k}" for k, n in self.kinds.items())
        steps = sum(t["step"] for t in said["tables"])
        worked, own = self.daemon.worked, self.daemon.own
        return (f"{self.killed} kills ({kinds}) of {' '.join(self.o.table)} in {seconds:.0f} s; restart median "
                f"{quantile(at, .5):.2f} s, longest {max(at):.2f} s, {late} of {len(at)} above {START_S:g} s, "
                f"{sum(t > START_S for t in own)} without the time behind other processes (longest {max(own):.2f} s); "
                f"processor time of a restart median {quantile(worked, .5):.2f} s, most {max(worked):.2f} s; healed "
                f"after {quantile(heal, .5):.2f} s, at most {max(heal, default=0):.1f} s; {steps} steps, {lost} lost "
                f"to the daemon, {said['dropped']} of them dropped by the client; {seen.compared} records called "
                f"exact, off by {seen.worst:.1e} at most; {seen.balanced} accounts; load {os.getloadavg()[0]:.1f}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--table", action="append")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-reference", dest="reference", action="store_false")
    options.add_argument("--state-every", type=float, default=1.0)
    options.add_argument("--interval", type=float, default=0.05)
    options.add_argument("--gap", type=float, default=0.6)
    options.add_argument("--patience", type=float, default=60)
    options.add_argument("--dir")
    o = options.parse_args()
    o.table = o.table or ["512x4", "20000x16"]
    c, begin = Campaign(o), time.monotonic()
    try:
        c.begin()
        while c.killed < o.kills:
            k = c.killed
            c.one(k)
            while c.daemon.remarks:
                print(f"kill {k}: {c.daemon.remarks.pop()}", flush=True)
            if k // 50 != c.killed // 50:
                print(f"{c.killed} kills, {len(c.wrong) + len(c.listener.faults)} wrong, load {os.getloadavg()[0]:.1f}",
                      flush=True)
        c.end()
    finally:
        c.close()
    for w in c.wrong[:20]:
        print(w)
    print(Times("steps without their pushes", c.said["own"]), Times("pushes", c.said["push"]), sep="\n")
    print(c.figures(time.monotonic() - begin))
    print(f"{int(not c.wrong)} passed, {int(bool(c.wrong))} failed, 0 skipped")
    return 1 if c.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
