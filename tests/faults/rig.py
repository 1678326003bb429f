"""rig.py [--schedules N] [--seed S] [--only K]: random faults around a real trainer and a real daemon.

A schedule is drawn from its seed: SIGSTOP, kill -9 and restart of the daemon at random moments, its sockets removed
from the file system, a limit on its files in place of a full disk, subscribers that die or never read, forks in the
trainer. After the last fault a daemon runs; then, for every schedule:

  weights       the trainer's digest equals that of a run without a daemon
  healed        the daemon calls its copy exact, at the trainer's step, with the trainer's |m|^2 to 1e-6
  account       steps that the client sent or dropped are all steps
  telemetry     for a subscriber that lives all the time: received + lost = published, by sequence numbers
  state         a daemon that was killed starts again from its state file within 2 s

and the time that a push took is told beside that of a run without faults. Exit code 1 if anything does not hold.
`--only K` plays schedule K again.
"""
import argparse
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.path.join(ROOT, os.environ.get("BUILD", "build")))
os.environ.setdefault("MOMENTSCOPE_LIB", os.path.join(BUILD, "libmomentscope.so"))
sys.path.insert(0, os.path.join(ROOT, "host", "python"))
import momentscope  # noqa: E402

STEPS = 12000
START_S = 2.0


class Daemon:
    def __init__(self, folder):
        self.folder, self.process, self.starts, self.slowest = folder, None, 0, 0.0
        self.at = {name: f"ipc://{folder}/{name}" for name in ("ingest", "telemetry", "replay")}

    def start(self, small_files=False):
        command = [os.path.join(BUILD, "momentscoped"), *(f"--{k}={v}" for k, v in self.at.items()), "--interval",
                   "0.05", "--state", f"{self.folder}/state"]
        if small_files:
            command = ["prlimit", "--fsize=8192", "--", *command]
        begin = time.monotonic()
        with open(f"{self.folder}/log", "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while subprocess.run([os.path.join(BUILD, "momentscope"), "watch", "--once", "--wait", "0", "--telemetry",
                              self.at["telemetry"], "--replay", ""], capture_output=True).returncode == 2 \
                or not os.path.exists(f"{self.folder}/replay"):
            if self.process.poll() is not None or time.monotonic() - begin > 10:
                raise AssertionError(f"the daemon did not start: code {self.process.poll()}")
            time.sleep(0.01)
        self.slowest = max(self.slowest, time.monotonic() - begin)
        self.starts += 1

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(20)


class Listener(threading.Thread):
    """A subscriber that counts what each topic of each daemon published, by sequence numbers."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.subscriber = momentscope.Subscriber(daemon.at["telemetry"], daemon.at["replay"])
        self.latest, self.numbers, self.ended = {}, {}, False

    def run(self):
        while not self.ended:
            got = self.subscriber.next(0.1)
            if got is not None:
                self.latest[got[0]] = got[1]
                seq = struct.unpack_from("<Q", self.subscriber._room.raw, 80)[0]     # mscope_telemetry.seq
                self.numbers.setdefault((got[0], got[1]["epoch"]), []).append(seq)

    def wait_for(self, right, seconds=8):
        """The table's record once it is right, or the last one: a subscriber needs a second to come back too."""
        end = time.monotonic() + seconds
        while True:
            record = self.latest.get("table/faults") or {}
            if (record and right(record)) or time.monotonic() > end:
                return record
            time.sleep(0.02)

    def wrong(self):
        """Received and lost must be what was published, and no record comes twice. A sentence, or None."""
        stats, got = self.subscriber.stats(), sum(map(len, self.numbers.values()))
        published = sum(max(n) - min(n) + 1 for n in self.numbers.values())
        if got != sum(len(set(n)) for n in self.numbers.values()):
            return "a record came twice"
        if got + stats["lost"] != published:
            return f"received {got} + lost {stats['lost']} of {published} records"
        return None


def fault(draw, daemon, others):
    """One fault, and what it was in words."""
    kind = draw.choice(["stop", "kill", "kill", "unlink", "disk", "dead subscriber", "mute subscriber", "save"])
    if kind == "stop":
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(draw.uniform(0.05, 0.8))
        daemon.process.send_signal(signal.SIGCONT)
    elif kind in ("kill", "disk"):
        daemon.kill()
        time.sleep(draw.uniform(0, 0.5))
        daemon.start(small_files=kind == "disk")
    elif kind == "unlink":
        for name in ("ingest", "telemetry", "replay"):
            if os.path.exists(f"{daemon.folder}/{name}"):
                os.unlink(f"{daemon.folder}/{name}")
        time.sleep(draw.uniform(0, 0.3))
        daemon.kill()
        daemon.start()
    elif kind == "save":
        daemon.process.send_signal(signal.SIGUSR1)
        time.sleep(draw.uniform(0, 0.02))
        daemon.kill()
        daemon.start()
    else:
        p = subprocess.Popen([os.path.join(BUILD, "momentscope"), "watch", "--json", "--telemetry",
                              daemon.at["telemetry"], "--replay", daemon.at["replay"]],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        others.append(p)                     # its output is never read: the pipe fills, then it does not read either
        if kind == "dead subscriber":
            time.sleep(draw.uniform(0, 0.2))
            p.kill()
    return kind


def trainer(*arguments):
    return subprocess.Popen([os.path.join(BUILD, "faults", "trainer"), *map(str, arguments)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def play(seed, alone):
    """(what did not hold, the trainer's words, faults)."""
    draw, folder = random.Random(seed), tempfile.mkdtemp(prefix="mscope-faults-")
    daemon, others, faults, wrong = Daemon(folder), [], [], []
    daemon.start()
    listener = Listener(daemon)
    listener.start()
    fork_at = draw.choice([0, draw.randrange(1, STEPS)])
    run = trainer(STEPS, 7, daemon.at["ingest"], fork_at)
    try:
        for _ in range(draw.randrange(1, 7)):
            time.sleep(draw.uniform(0.02, 0.5))
            faults.append(fault(draw, daemon, others))
        said = json.loads(run.stdout.readline())
        record = listener.wait_for(lambda r: r["step"] == STEPS and r["exact"])
        if said["digest"] != alone["digest"]:
            wrong.append("weights differ")
        if not said["flushed"] or not record.get("exact"):
            wrong.append(f"not healed: client {said['exact']}, daemon {record.get('exact')}")
        elif record["step"] != STEPS or abs(record["V"] - said["V"]) > 1e-6 * said["V"]:
            wrong.append(f"step {record['step']}, V {record['V']} for {said['V']}")
        if said["sent"] + said["dropped"] != STEPS:
            wrong.append(f"sent {said['sent']} + dropped {said['dropped']} of {STEPS}")
        if listener.wrong():
            wrong.append(listener.wrong())
        if daemon.slowest > START_S:
            wrong.append(f"a start took {daemon.slowest:.2f} s")
    except (AssertionError, ValueError) as e:
        wrong.append(f"{e}")
        said = {}
    finally:
        run.stdin.close()
        run.wait(20)
        run.stdout.close()
        listener.ended = True
        listener.join()
        listener.subscriber.close()
        for p in others:
            p.kill()
            p.wait()
            p.stdout.close()
        daemon.stop()
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return wrong, said, faults, folder


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--schedules", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int)
    o = options.parse_args()
    run = trainer(STEPS, 7)
    alone = json.loads(run.communicate()[0])
    failed, worst, above = 0, 0.0, 0
    schedules = [o.only] if o.only is not None else range(o.schedules)
    for k in schedules:
        wrong, said, faults, folder = play(o.seed * 100000 + k, alone)
        failed += bool(wrong)
        worst, above = max(worst, said.get("push_most", 0)), above + said.get("push_above_1ms", 0)
        print(f"{'FAIL' if wrong else 'ok  '} schedule {k}: {', '.join(faults)}; sent {said.get('sent')}, dropped "
              f"{said.get('dropped')}, longest push {1e3 * said.get('push_most', 0):.2f} ms"
              + (f"; {'; '.join(wrong)}; see {folder}" if wrong else ""), flush=True)
    calm, said, *_ = play_calm()
    print(f"longest push {1e3 * worst:.2f} ms, {above} of {STEPS * len(schedules)} above 1 ms; without faults "
          f"{1e3 * said['push_most']:.2f} ms, {said['push_above_1ms']} of {STEPS}")
    print(f"{len(schedules) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


def play_calm():
    """A run without a fault, for the times of its pushes."""
    folder = tempfile.mkdtemp(prefix="mscope-faults-")
    daemon = Daemon(folder)
    daemon.start()
    run = trainer(STEPS, 7, daemon.at["ingest"])
    said = json.loads(run.stdout.readline())
    run.communicate()
    daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)
    return [], said


if __name__ == "__main__":
    sys.exit(main())
