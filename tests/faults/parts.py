"""What the fault campaigns share: a daemon that is started, killed and timed, a trainer and its own numbers, a listener
that holds every record against them."""
import json
import mmap
import os
import re
import socket
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

START_S = 2.0                            # from exec to the first answer
RELATIVE = 1e-6                          # of V, and of R; C as its bound by both. float32 rows round
ROWS_A_STEP, LOGGED = 10, 1 << 22        # of table.h, trainer.c


class Daemon:
    """momentscoped in a folder. Every start is timed until a new listener has its first record, in `starts`; in `own`
    without the time in which it stood behind other processes."""

    def __init__(self, folder, *flags, state=None, environment=None):
        self.folder, self.flags, self.process, self.starts, self.remarks = folder, flags, None, [], []
        self.worked, self.own, self.epoch, self.lineage = [], [], None, 0
        self.at = {name: f"ipc://{folder}/{name}" for name in ("ingest", "telemetry", "replay")}
        self.state = state or f"{folder}/state"
        self.environment = {**os.environ, **(environment or {}), "NOTIFY_SOCKET": f"{folder}/notify"}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{folder}/notify")

    def launch(self, *before):
        while self.heard(0):
            pass                         # what a daemon said that was killed since
        command = [*before, os.path.join(BUILD, "momentscoped"), *(f"--{k}={v}" for k, v in self.at.items()),
                   "--state", self.state, *self.flags]
        with open(f"{self.folder}/log", "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def heard(self, seconds):
        self.notify.settimeout(seconds or 1e-6)
        try:
            return self.notify.recv(4096)
        except (BlockingIOError, TimeoutError):
            return b""

    def start(self, *before, blank=False):
        """blank: it will find no table in its state file, so what its records add up to begins anew."""
        self.lineage += blank
        begin = time.monotonic()
        self.launch(*before)
        while b"READY=1" not in self.heard(0.25):
            if self.process.poll() is not None or time.monotonic() - begin > 60:
                raise AssertionError(f"the daemon did not start: code {self.process.poll()}")
        with momentscope.Subscriber(self.at["telemetry"], "", "daemon") as first:
            while (got := first.next(1)) is None:
                if time.monotonic() - begin > 60:
                    raise AssertionError("the daemon started and sends nothing")
        took, self.epoch = time.monotonic() - begin, got[1]["epoch"]
        self.starts.append(took)
        worked, behind = self.processor_s()
        self.worked.append(worked)
        self.own.append(took - behind)
        if took > START_S:
            self.remarks.append(f"a start took {took:.2f} s: {worked:.2f} s on a processor, {behind:.2f} s behind "
                                f"other processes, at load {os.getloadavg()[0]:.1f}")

    def processor_s(self):
        """Seconds on a processor, and ready to run while others had it; of the thread that loads the state."""
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return [1e-9 * int(x) for x in f.read().split()[:2]]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def verify(self, path):
        """{table: (step, lost steps)} of a state file, or None: it cannot be read."""
        p = subprocess.run([os.path.join(BUILD, "momentscoped"), "--verify", path], capture_output=True, text=True)
        if p.returncode != 0:
            return None
        return {m[1]: (int(m[2]), int(m[3])) for m in re.finditer(
            r"^(\S+): \d+ rows x \d+, step (\d+), (?:not )?exact, (\d+) lost steps$", p.stdout, re.M)}

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.notify.close()


class Trainer:
    """tests/faults/trainer.c; `end` reads what it prints when it is through."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([os.path.join(BUILD, "faults", "trainer"), *map(str, arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self, ask=False):
        if ask:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


class Truth:
    """The sums of the trainer's tables after each of its last steps, as it writes them itself (--log)."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)

    def at(self, table, step):
        """(R, V, C), or None: no longer there."""
        step_, *sums = struct.unpack_from("<Qddd", self.map, 32 * (LOGGED * table + step % LOGGED))
        return tuple(sums) if step_ == step else None


class Listener(threading.Thread):
    """A subscriber that lives all the time.

    It counts what each topic of each daemon published, by sequence numbers. With `truth`, every record of a table that
    is called exact is compared with the trainer's sums after that step. Whether exact or not, the steps that the row
    updates of its bands tell to have been applied, and the lost ones, must be the table's steps since it began in a
    daemon without a state file.
    """

    def __init__(self, daemon, truth=None):
        super().__init__(daemon=True)
        self.subscriber = momentscope.Subscriber(daemon.at["telemetry"], daemon.at["replay"])
        self.daemon_, self.epochs, self.began = daemon, {}, {}
        self.truth, self.latest, self.numbers, self.ended, self.faults = truth, {}, {}, False, []
        self.bands, self.alerts, self.compared, self.balanced, self.worst, self.twice = {}, {}, 0, 0, 0.0, 0

    def run(self):
        while not self.ended:
            got = self.subscriber.next(0.1)
            if got is not None:
                self.number(got[0], got[1]["epoch"],
                            struct.unpack_from("<Q", self.subscriber._room.raw, 80)[0])     # mscope_telemetry.seq
                self.latest[got[0]] = got[1]
                if got[0] == "alert":
                    self.alerts[got[1]["code"]] = self.alerts.get(got[1]["code"], 0) + 1
                if self.truth is not None:
                    self.judge(*got)

    def number(self, topic, epoch, seq):
        seen = self.numbers.setdefault((topic, epoch), [seq, seq - 1, 0])
        self.twice += seq <= seen[1]
        seen[1] = max(seq, seen[1])
        seen[2] += 1

    def judge(self, topic, record):
        kind, _, rest = topic.partition("/")
        if kind == "band":
            name, _, band = rest.partition("/")
            self.bands[name, int(band)] = (record["epoch"], record["step"], record["updates"])
        elif kind == "table":
            if record["exact"]:
                self.compare(rest, record)
            self.balance(rest, record)

    def compare(self, name, record):
        truth = self.truth.at(int(name.removeprefix("faults")), record["step"])
        if truth is None or record["step"] == 0:
            return
        r, v, c = truth
        off = abs(record["V"] - v) / (v or 1)
        if record["R"] is not None:
            off = max(off, abs(record["R"] - r) / r, abs(record["C"] - c) / ((r * v) ** 0.5 or 1))
        self.compared += 1
        self.worst = max(self.worst, off)
        if off > RELATIVE:
            self.faults.append(f"{name} is called exact at step {record['step']} and off by {off:.1e}")

    def balance(self, name, record):
        now = (record["epoch"], record["step"])
        of = [self.bands.get((name, b), ((), (), 0)) for b in record["bands"]]
        if any(b[:2] != now for b in of):
            return                       # a band's record was lost, or is of another publication
        if now[0] == self.daemon_.epoch:
            self.epochs.setdefault(now[0], self.daemon_.lineage)
        if now[0] not in self.epochs:
            return                       # the start that it is of has not ended, or was ended by a kill
        self.balanced += 1
        updates, lost = sum(b[2] for b in of), record["lost_steps"]
        began = record["step"] - lost - updates / ROWS_A_STEP
        if began < 0 or began != self.began.setdefault((name, self.epochs[now[0]]), began):
            self.faults.append(f"{name} at step {now[1]}: {updates} row updates and {lost} lost steps do not add up")

    def wait_for(self, table, right, seconds=8):
        """The table's record once it is right, or the last one: a subscriber needs a second to come back too."""
        end = time.monotonic() + seconds
        while True:
            record = self.latest.get(f"table/{table}") or {}
            if (record and right(record)) or time.monotonic() > end:
                return record
            time.sleep(0.02)

    def wrong(self):
        """Received and lost must be what was published, and no record comes twice. A sentence, or None."""
        stats, got = self.subscriber.stats(), sum(n[2] for n in self.numbers.values())
        published = sum(n[1] - n[0] + 1 for n in self.numbers.values())
        if self.twice:
            return f"{self.twice} records came twice"
        if got + stats["lost"] != published:
            return f"received {got} + lost {stats['lost']} of {published} records"
        return None

    def close(self):
        self.ended = True
        self.join()
        self.subscriber.close()


class Times:
    """Steps or pushes, of any number of trainers."""

    def __init__(self, what, *said):
        self.what, self.n, self.above, self.waited, self.worked, self.most, self.total, self.bucket = (
            what, 0, 0, 0, 0, 0.0, 0.0, {})
        for s in said:
            self.add(s)

    def add(self, said):
        self.n += said["n"]
        self.above += said["above"]
        self.waited += said["waited"]
        self.worked += said["worked"]
        self.most = max(self.most, said["most"])
        self.total += said["total"]
        for b, n in said["buckets"].items():
            self.bucket[int(b)] = self.bucket.get(int(b), 0) + n

    def long(self):
        """Those above 1 ms that did not just stand behind another process."""
        return self.waited + self.worked

    def quantile(self, q):
        below = 0
        for b in sorted(self.bucket):
            below += self.bucket[b]
            if below >= q * self.n:
                return 2 ** ((b + 1) / 16 - 10)
        return 0.0

    def __str__(self):
        at = ", ".join(f"{self.quantile(q):.3g}" for q in (.5, .99, .999, .9999))
        return (f"{self.what}: {self.above} of {self.n} in {self.total:.1f} s above 1 ms ({self.waited} waited, {self.worked} worked, the "
                f"others stood behind another process); longest {1e3 * self.most:.2f} ms; half, 99, 99.9, 99.99 % "
                f"within {at} us")


def log_path():
    """Where a trainer's log may lie; in memory, if there is a place."""
    return tempfile.mktemp(prefix="mscope-faults-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else 0.0
