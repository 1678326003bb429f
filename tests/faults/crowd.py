"""crowd.py [--trainers N] [--tables N] [--subscribers N] [--seconds S] [--only PHASE,..]: many at one daemon, some of
them ill-mannered; whom does that cost?

N trainers (64) hold N tables (1,000) together and push a step of each every second or two; one subscriber counts every
record. Around them, each for S seconds and then all at once:

  calm          nobody else
  subscribers   1,000 more, each on the daemon's records and one table's
  mute          16 that subscribe to everything and never read
  flood         4 connections that subscribe to 8,000 prefixes over and over, and one more that exceeds its limit
  storm         100 connections a second that say HELLO, subscribe or ask for replay, and are gone
  garbage       100 connections a second that do not speak ZMTP, or only begin to; 400 of them stay

on a daemon with sockets of files; then garbage, storm, flood, mute and 100 subscribers on one that listens to TCP, and
garbage on one with keys (CURVE). In each phase must hold

  telemetry     for the subscriber that counts: received + lost = published, nothing lost; no daemon record and no
                table's record later than GAPS intervals after the one before; no record dropped by the daemon
  trainers      no step dropped, all connected, every table exact; at the end each with its trainer's step and |m|^2
  memory        of the daemon at most `bound` below: what firmware/README.md, section 12, says; descriptors likewise
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from procs import ROOT, Scene, differing, program

INTERVAL, GAPS = 1.0, 5
ALL = ("subscribers", "mute", "flood", "storm", "garbage")


REPLAY_MB = 256
MIB = 1 << 20


def bound_mib(tables, connections, behind):
    """What firmware/README.md, section 12, says of the daemon's memory, for tables of 256 x 4 and the options below."""
    def power(n):
        return 1 << (n - 1).bit_length()
    ring = min(power(tables * 65 + 64), 65536) * 1216
    topics = power(2 * (tables * 65 + 2)) * 2188
    return 64 + REPLAY_MB + (tables * (1971328 + 24328) + ring + topics) / MIB + connections / 4 + behind * 9.4


class Crowd:
    def __init__(self, o, where, environment=None, flags=()):
        self.o, self.wrong, self.tables = o, [], o.tables + 24
        self.scene = Scene(f"--interval={INTERVAL}", f"--max-tables={self.tables}",
                           f"--replay-bytes={REPLAY_MB}M", *flags, environment=environment,
                           at=where)
        clients = o.trainers // 4
        self.each = -(-o.tables // o.trainers)
        self.pushers = [self.scene.pusher(f"p{i}-", clients=clients, tables=self.each, rate=o.rate, every=2, rows=256)
                        for i in range(4)]
        self.good = self.scene.listener("good", every=2)
        self.names = [f"p{i}-{c}.0.{t}" for i in range(4) for c in range(clients) for t in range(self.each)]

    def settle(self):
        """Until every table is exact and heard of."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            after = [p.line(60) for p in self.pushers]
            told = self.good.line(60)
            if all(a["exact"] == a["clients"] for a in after) and len(told["tables"]) >= len(self.names):
                return
        self.wrong.append(f"not settled: {after}, {len(told['tables'])} tables heard of")

    def phase(self, name, roles):
        """Play one phase; a line of figures, and what did not hold."""
        counts = {"subscribers": self.o.subscribers, "mute": 16, "flood": 4, "storm": 100, "garbage": 100}
        addresses = [f"{k}={v}" for k, v in self.scene.at.items()] + ["tables=" + ",".join(self.names)]
        before = [p.line(60) for p in self.pushers]
        start = self.good.line(60)
        throng = [self.scene.start(role, [sys.executable, f"{ROOT}/tests/faults/throng.py", role, counts[role],
                                          *addresses], number=None) for role in roles]
        lines, after, most, begin = [], self.good.lines, {"rss": 0, "anon": 0, "fds": 0}, time.monotonic()
        while time.monotonic() < begin + self.o.seconds:
            lines.append(self.good.line(90, after))
            after = self.good.lines
            now = self.scene.daemon.kernel()
            most = {k: max(v, now[k]) for k, v in most.items()}
        said = {p.name: p.said for p in throng}
        for p in throng:
            p.end()
            self.scene.all.remove(p)
        now = [p.line(60) for p in self.pushers]
        self.judge(name, start, lines, before, now, most, said)

    def judge(self, name, start, lines, before, now, most, said):
        last, wrong = lines[-1], []
        gap = {k: max(line[k] for line in lines) for k in ("gap_daemon", "gap_table")}
        late = max(line["late"]["most"] for line in lines)
        own = {k: max(line["daemon"][k] for line in lines) for k in ("late_max", "pause_max")}
        push = max(p["push"]["most"] for p in now)
        got = {k: last[k] - start[k] for k in ("received", "lost", "published", "replayed")}
        dropped = last["daemon"]["records_dropped"] - start["daemon"]["records_dropped"]
        steps = sum(b["sent"] - a["sent"] for a, b in zip(before, now))
        lost = sum(b["dropped"] - a["dropped"] for a, b in zip(before, now))
        if last["received"] + last["lost"] != last["published"] or got["lost"] or last["malformed"]:
            wrong.append(f"received {last['received']} + lost {last['lost']} of {last['published']} records")
        for key, due in (("gap_daemon", INTERVAL), ("gap_table", max(INTERVAL, 1 / self.o.rate))):
            if gap[key] > GAPS * due:
                wrong.append(f"{key} {gap[key]:.2f} s")
        if dropped:
            wrong.append(f"the daemon dropped {dropped} records")
        if lost:
            wrong.append(f"{lost} steps dropped")
        if any(p["connected"] != p["clients"] for p in now):
            wrong.append(f"connected {[p['connected'] for p in now]} of {[p['clients'] for p in now]}")
        if any(p["exact"] != p["clients"] for p in now):
            wrong.append(f"exact {[p['exact'] for p in now]} of {[p['clients'] for p in now]}")
        d = last["daemon"]
        most_connections = max(line["daemon"]["connections"] for line in lines)
        bound = bound_mib(self.tables, most_connections, 17)
        if most["rss"] / 1024 > bound:
            wrong.append(f"{most['rss'] / 1024:.0f} MiB")
        if most["fds"] > most_connections + 200:
            wrong.append(f"{most['fds']} descriptors for {most_connections} connections")
        print("; ".join([
            f"{'FAIL' if wrong else 'ok  '} {name}: {got['received']} records, {got['replayed']} by replay",
            f"{got['lost']} lost",
            f"gaps {gap['gap_daemon']:.2f} and {gap['gap_table']:.2f} s, late {late:.3f} s, the daemon's own lateness "
            f"{own['late_max']:.3f} and pause {own['pause_max']:.3f} s",
            f"{steps} steps, longest push {1e3 * push:.1f} ms",
            f"daemon {most['rss'] / 1024:.0f} of {bound:.0f} MiB, {most['anon'] / 1024:.0f} anonymous, "
            f"{most['fds']} descriptors, "
            f"{d['connections']} connections, {d['sessions']} sessions, "
            f"{d['turned_away'] - start['daemon']['turned_away']} turned away",
            json.dumps(said), f"load {os.getloadavg()[0]:.1f}", *wrong]), flush=True)
        self.wrong += [f"{name}: {w}" for w in wrong]

    def end(self):
        """The tables as their trainers and their records have them."""
        tables = {}
        for p in self.pushers:
            p.p.terminate()
        for p in self.pushers:
            while "tables" not in p.said:
                p.line(90)
            tables.update(p.said["tables"])
        out = [None]
        for _ in range(15):                      # lines: the last records may be a replay away
            if out:
                out = differing(tables, self.good.line(60)["tables"])
        self.wrong += out[:5] + ([f"{len(out)} tables differ"] if out else [])
        print(f"end: {len(tables)} tables, {len(out)} differ; daemon {self.scene.daemon.kernel()}", flush=True)

    def close(self):
        codes = self.scene.close(keep=bool(self.wrong))
        self.wrong += [f"{name} ended with {code}" for name, code in codes.items() if code]
        return self.wrong


def play(o, phases, *where, **how):
    """One daemon, its phases, and what did not hold."""
    c = Crowd(o, *where, **how)
    try:
        c.settle()
        for name in phases:
            roles = [r for r in ALL if r in phases] if name == "all" else [] if name == "calm" else [name]
            c.phase(name, roles or ([] if name == "calm" else ALL))
        c.end()
    except AssertionError as e:
        c.wrong.append(str(e))
    return c.close()


def on_tcp(o, with_keys):
    """Fewer trainers and tables; the door is what is asked here."""
    o = argparse.Namespace(**{**vars(o), "trainers": max(8, o.trainers // 4), "tables": max(16, o.tables // 8),
                              "subscribers": o.subscribers // 10})
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(("ingest", "telemetry", "replay"), ports)}
    if not with_keys:
        return play(o, ["calm", "mute", "flood", "storm", "garbage", "all"], where)
    with tempfile.TemporaryDirectory() as folder:
        def keys(*words):
            return subprocess.run([program("momentscope"), "keys", *words], check=True, capture_output=True,
                                  text=True).stdout.strip()
        ours, theirs = f"{folder}/daemon", f"{folder}/trainer"
        of_daemon, of_trainer = keys("new", ours), keys("new", theirs)
        keys("allow", ours, of_trainer, "trainer")
        keys("allow", theirs, of_daemon, "daemon")
        return play(o, ["calm", "garbage"], where, environment={"MOMENTSCOPE_KEYS": theirs},
                    flags=[f"--keys={ours}", "--allow-remote"])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--trainers", type=int, default=64)
    options.add_argument("--tables", type=int, default=1000)
    options.add_argument("--subscribers", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--rate", type=float, default=0.5)
    options.add_argument("--only", default="calm,subscribers,mute,flood,storm,garbage,all")
    options.add_argument("--doors", default="ipc,tcp,curve")
    o = options.parse_args()
    wrong = []
    for door in o.doors.split(","):
        print(f"-- {door}", flush=True)
        wrong += [f"{door}: {w}" for w in (play(o, o.only.split(","), None) if door == "ipc" else
                                           on_tcp(o, door == "curve"))]
    for sentence in wrong:
        print(f"FAIL {sentence}")
    print(f"{'FAIL' if wrong else 'ok'}: {len(wrong)} things do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
