"""procs.py: the processes of soak.py and crowd.py, what they print and what the kernel says of them."""
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.path.join(ROOT, os.environ.get("BUILD", "build")))


def program(name):
    return os.path.join(BUILD, name)


class Process:
    """A child; the JSON objects that it prints, a line each, are read as they come, and `said` is the latest."""

    def __init__(self, name, command, log, reads=True, number=signal.SIGTERM, **more):
        self.name, self.said, self.lines, self.number = name, {}, 0, number
        self.p = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE if reads else log, stderr=log, text=True, **more)
        self.reader = threading.Thread(target=self.read, daemon=True) if reads else None
        if self.reader:
            self.reader.start()

    def read(self):
        for line in self.p.stdout:
            if line.startswith("{"):
                self.said = json.loads(line)
                self.lines += 1

    def line(self, seconds, after=None):
        """The first line later than the line number `after` (default: than now)."""
        after, end = self.lines if after is None else after, time.monotonic() + seconds
        while self.lines <= after:
            if time.monotonic() > end or (self.p.poll() is not None and not self.reader.is_alive()):
                raise AssertionError(f"{self.name} printed nothing within {seconds} s (exit code {self.p.poll()})")
            time.sleep(0.02)
        return self.said

    def kernel(self):
        """kB resident, proportional and anonymous; descriptors; threads. Empty when the process has ended."""
        pid, out = self.p.pid, {}
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    word = line.split()
                    if word[0] in ("Rss:", "Pss:", "Anonymous:"):
                        out[{"Rss:": "rss", "Pss:": "pss", "Anonymous:": "anon"}[word[0]]] = int(word[1])
            out["fds"] = len(os.listdir(f"/proc/{pid}/fd"))
            out["threads"] = len(os.listdir(f"/proc/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            return {}
        return out

    def end(self, seconds=60):
        """Send it its signal (None: no signal), close its input, wait; returns its exit code."""
        if self.p.poll() is None:
            if self.number:
                self.p.send_signal(signal.SIGCONT)
                self.p.send_signal(self.number)
            self.p.stdin.close()
        code = self.p.wait(seconds)
        if self.reader:
            self.reader.join()
            self.p.stdout.close()
        return code


def differing(tables, records):
    """Sentences about tables whose record differs from what their trainer holds; both are lists by name."""
    out = []
    for name, (steps, V) in tables.items():
        step, its, exact = records.get(name, (None, math.nan, False))
        if step != steps or not exact or not abs(its - V) <= 1e-6 * V:
            out.append(f"table {name}: step {steps}, V {V:.9g} in the trainer; {step}, {its:.9g}, exact {exact} in its "
                       "record")
    return out


class Scene:
    """A daemon in a folder of its own, and the processes around it; all end with it."""

    def __init__(self, *flags, environment=None, at=None):
        self.folder = tempfile.mkdtemp(prefix="mscope-scene-")
        self.log, self.all = open(f"{self.folder}/log", "a", encoding="utf-8"), []
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=self.folder, **(environment or {}))
        self.at = at or {name: f"ipc://{self.folder}/{name}" for name in ("ingest", "telemetry", "replay")}
        self.daemon = self.start("daemon", [program("momentscoped"), *(f"--{k}={v}" for k, v in self.at.items()),
                                            *(f.format(folder=self.folder) for f in flags)], reads=False)
        self.wait_for("is ready")

    def wait_for(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in open(f"{self.folder}/log", encoding="utf-8", errors="replace").read():
            if time.monotonic() > end or self.daemon.p.poll() is not None:
                raise AssertionError(f"{self.folder}/log does not say '{words}'; exit code {self.daemon.p.poll()}")
            time.sleep(0.02)

    def wait_for_file(self, name, seconds=20):
        end = time.monotonic() + seconds
        while not os.path.exists(f"{self.folder}/{name}"):
            if time.monotonic() > end or self.daemon.p.poll() is not None:
                raise AssertionError(f"{self.folder}/{name} is not there; daemon's exit code {self.daemon.p.poll()}")
            time.sleep(0.02)

    def start(self, name, command, **more):
        p = Process(name, command, self.log, env=self.environment, **more)
        self.all.append(p)
        return p

    def pusher(self, name, at=None, **settings):
        return self.start(name, [program("faults/pusher"), at or self.at["ingest"], f"name={name}",
                                 *(f"{k}={v}" for k, v in settings.items())])

    def listener(self, name, **settings):
        return self.start(name, [program("faults/listener"), self.at["telemetry"], self.at["replay"],
                                 *(f"{k}={v}" for k, v in settings.items())], number=None)

    def close(self, keep=False):
        """End everything, the daemon last; the exit codes by name."""
        codes = {}
        for p in self.all[1:] + self.all[:1]:
            try:
                codes[p.name] = p.end()
            except subprocess.TimeoutExpired:
                p.p.kill()
                codes[p.name] = "killed: it did not end"
        self.log.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return codes
