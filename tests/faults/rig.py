"""rig.py [--schedules N] [--seed S] [--only K]: random faults around a real trainer and a real daemon.

A schedule is drawn from its seed. Its faults: the daemon stopped for a while (SIGSTOP), killed (also during a save) and
started again; its sockets removed from the file system; its clock of the day put forward or back; its disk full, as a
small tmpfs where this is root, else by a limit on the size of files; the trainer stopped, or forking; subscribers that
die, never read, or are stopped. After the last fault a daemon runs; then, for every schedule:

  weights       the trainer's digest equals that of a twin that ran beside it without a client
  healed        the daemon calls its copy exact, at the trainer's step
  exact         every record that is called exact has the trainer's own sums after that step
  account       applied + lost = steps, in every record; steps that the client sent or dropped are all steps
  telemetry     for a subscriber that lives all the time: received + lost = published, by sequence numbers
  state         a daemon that was killed starts again from its state file within 2 s
  disk          a save on a full disk fails, the state file before it is whole, and a save succeeds once there is room

The times of steps and pushes are told beside those of the twins, which had the same processors at the same time. One
push in 100,000 may be longer than 1 ms by its own doing: it waits for a lock that libzmq's thread holds, and another
process may have taken that thread's processor. Exit code 1 if anything does not hold. `--only K`
plays schedule K again.
"""
import argparse
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from parts import BUILD, START_S, Daemon, Listener, Times, Trainer, Truth, log_path

STEPS = 12000
JUMPS = [-1, 0.5, 3600, -3600, 86400 * 365 * 30, -86400 * 365 * 40]      # s


class Disk:
    """Where the state file lies: a file system of its own that can be filled, if we may mount one."""

    def __init__(self, folder):
        self.folder, self.full = f"{folder}/disk", f"{folder}/disk/filler"
        os.mkdir(self.folder)
        self.own = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", self.folder],
                                  capture_output=True).returncode == 0

    def fill(self):
        with open(self.full, "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def close(self):
        if self.own:
            subprocess.run(["umount", "-l", self.folder])


class Schedule:
    def __init__(self, seed):
        self.draw, self.folder = random.Random(seed), tempfile.mkdtemp(prefix="mscope-faults-")
        self.faults, self.wrong = [], []
        self.disk, self.clock, self.others = Disk(self.folder), f"{self.folder}/clock", []
        self.said, self.alone = {}, {}
        self.jump(0)
        clock = {"LD_PRELOAD": os.path.join(BUILD, "faults", "clock.so"), "FAULTS_CLOCK": self.clock}
        self.daemon = Daemon(self.folder, "--interval", "0.05", state=f"{self.disk.folder}/state", environment=clock)

    def start(self, *before):
        self.daemon.start(*before, blank="faults0" not in (self.daemon.verify(self.daemon.state) or ()))

    def jump(self, seconds):
        with open(self.clock, "wb") as f:
            f.write(struct.pack("d", seconds))

    def play(self):
        draw, log, twin_log = self.draw, log_path(), log_path()
        shape = draw.choice([["512x4", "--dense"], ["4000x8", "--reference"]])
        what = ["--steps", STEPS, "--seed", 7, "--table", *shape]
        fork = ["--fork-at", draw.randrange(1, STEPS)] if draw.random() < 0.5 else []
        self.start()
        self.run = Trainer(*what, *fork, "--endpoint", self.daemon.at["ingest"], "--log", log)
        twin = Trainer(*what, "--log", twin_log)
        while not os.path.exists(log) or os.path.getsize(log) == 0:
            time.sleep(0.001)
        self.listener = Listener(self.daemon, Truth(log))
        self.listener.start()
        try:
            for _ in range(draw.randrange(1, 7)):
                time.sleep(draw.uniform(0.02, 0.5))
                self.faults.append(draw.choice(list(FAULTS)))
                FAULTS[self.faults[-1]](self)
            self.said, self.alone = self.run.end(), twin.end()
            self.judge()
        except (AssertionError, ValueError) as e:
            self.wrong.append(f"{e}")
        finally:
            for t in (self.run, twin):
                t.close()
            self.close()
            os.unlink(log)
            os.unlink(twin_log)

    def judge(self):
        said, wrong = self.said, self.wrong
        r = self.listener.wait_for("faults0", lambda r: r["step"] == STEPS and r["exact"])
        if said["digest"] != self.alone["digest"]:
            wrong.append("weights differ")
        if not said["flushed"] or not r.get("exact") or r["step"] != STEPS:
            wrong.append(f"not healed: client {said['exact']}, daemon {r.get('exact')} at step {r.get('step')}")
        if said["sent"] + said["dropped"] != STEPS:
            wrong.append(f"sent {said['sent']} + dropped {said['dropped']} of {STEPS}")
        if max(self.daemon.own) > START_S:
            wrong.append(f"{'; '.join(self.daemon.remarks)}")

    def close(self):
        for p in self.others:
            p.kill()
            p.wait()
            p.stdout.close()
        self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.stop()
        self.listener.close()
        self.wrong += self.listener.faults[:3] + [w for w in [self.listener.wrong()] if w]
        self.disk.close()
        if not self.wrong:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- faults ------------------------------------------------------------------------------------

    def stop(self, process=None, longest=0.8):
        process = process or self.daemon.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.draw.uniform(0.05, longest))
        process.send_signal(signal.SIGCONT)

    def stop_trainer(self):
        self.stop(self.run.process)

    def kill(self):
        self.daemon.kill()
        time.sleep(self.draw.uniform(0, 0.5))
        self.start()

    def unlink(self):
        for name in ("ingest", "telemetry", "replay"):
            if os.path.exists(f"{self.folder}/{name}"):
                os.unlink(f"{self.folder}/{name}")
        time.sleep(self.draw.uniform(0, 1.5))        # within about a second the daemon makes them again
        if self.draw.random() < 0.5:
            self.daemon.kill()
            self.start()

    def save(self):
        self.daemon.process.send_signal(signal.SIGUSR1)
        time.sleep(self.draw.uniform(0, 0.02))
        self.daemon.kill()
        self.start()

    def clock_jumps(self):
        self.jump(self.draw.choice(JUMPS))
        time.sleep(self.draw.uniform(0, 0.2))
        if self.draw.random() < 0.5:
            self.daemon.kill()
            self.start()

    def saved(self, code):
        """Ask for a save, and wait for the alert that says what became of it."""
        end = time.monotonic() + 8
        while self.listener.latest.get("daemon", {}).get("epoch") != self.daemon.epoch and time.monotonic() < end:
            time.sleep(0.01)
        before = self.listener.alerts.get(code, 0)
        self.daemon.process.send_signal(signal.SIGUSR1)
        while self.listener.alerts.get(code, 0) == before:
            if time.monotonic() > end:
                raise AssertionError(f"no alert {code} after SIGUSR1")
            time.sleep(0.01)

    def disk_fills(self):
        if not self.disk.own:
            self.daemon.kill()
            self.start("prlimit", "--fsize=8192", "--")
            return
        self.saved("saved")
        self.disk.fill()
        self.saved("save-failed")
        if self.daemon.verify(self.daemon.state) is None:
            raise AssertionError("no state file after a save on a full disk")
        if self.draw.random() < 0.5:
            self.kill()
        os.unlink(self.disk.full)
        self.saved("saved")

    def subscriber(self):
        p = subprocess.Popen([os.path.join(BUILD, "momentscope"), "watch", "--json", "--telemetry",
                              self.daemon.at["telemetry"], "--replay", self.daemon.at["replay"]],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.others.append(p)                # its output is never read: the pipe fills, then it does not read either
        time.sleep(self.draw.uniform(0, 0.2))
        return p

    def dead_subscriber(self):
        self.subscriber().kill()

    def mute_subscriber(self):
        self.subscriber()

    def stopped_subscriber(self):
        self.stop(self.subscriber(), 1.5)


FAULTS = {"stop": Schedule.stop, "kill": Schedule.kill, "unlink": Schedule.unlink, "save": Schedule.save,
          "clock": Schedule.clock_jumps, "disk": Schedule.disk_fills, "stop trainer": Schedule.stop_trainer,
          "dead subscriber": Schedule.dead_subscriber, "mute subscriber": Schedule.mute_subscriber,
          "stopped subscriber": Schedule.stopped_subscriber}


def most_long(pushes, own, twins):
    """How many long pushes are noise. What the trainer computes by itself, here and in its twin, takes long at a rate of
    the machine; a Poisson count of that rate exceeds its mean by 3 standard deviations once in a thousand runs."""
    rate = (own.long() + twins.long()) / max(own.total + twins.total, 1e-9)
    mean = 1e-5 * pushes.n + rate * pushes.total
    return int(1 + mean + 3 * mean ** 0.5)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--schedules", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int)
    o = options.parse_args()
    schedules, failed, begin = [o.only] if o.only is not None else range(o.schedules), 0, time.monotonic()
    steps, pushes, own, twins = (Times(what) for what in ("steps", "pushes", "steps without their pushes",
                                                          "steps of the twins"))
    for k in schedules:
        s = Schedule(o.seed * 100000 + k)
        s.play()
        failed += bool(s.wrong)
        said = s.said
        if said:
            steps.add(said["step"])
            pushes.add(said["push"])
            own.add(said["own"])
            twins.add(s.alone["step"])
        print(f"{'FAIL' if s.wrong else 'ok  '} schedule {k}: {', '.join(s.faults)}; sent {said.get('sent')}, dropped "
              f"{said.get('dropped')}; longest start {max(s.daemon.starts):.2f} s"
              + (f"; {'; '.join(s.wrong)}; see {s.folder}" if s.wrong else ""), flush=True)
    print(f"{len(schedules)} schedules in {time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f}")
    print(steps, twins, own, pushes, sep="\n")
    if pushes.long() > (most := most_long(pushes, own, twins)):
        failed += 1
        print(f"FAIL {pushes.long()} pushes were longer than 1 ms by the client's own doing, at most {most} are noise")
    print(f"{len(schedules) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
