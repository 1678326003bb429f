"""soak.py [--seconds S] [--warm-up S] [--every S] [--out FILE]: hours at full speed; does anything grow?

A daemon that saves its state every 10 s; a trainer at full speed (4096 x 32, 256 rows a step); one that attaches and
leaves every few seconds, under a hundred names; one that comes and goes through `momentscope record --forward`, whose
file is full after a while; a subscriber that counts everything, one that stands still and never reads, one that joins
and leaves; `momentscope serve`, whose metrics are fetched. Every 10 s one JSON object in FILE: memory, descriptors and
threads of each process, latency of pushes and of telemetry, accounts, load of the machine.

A series is flat when its robust slope (Theil-Sen over the medians of 20 blocks after the warm-up) is below 1 % of its
median an hour, 10 % for latencies, or its 95 % interval (Sen) reaches down to 0. Only growth is judged. Also judged:
for the counting subscriber received + lost = published and nothing lost; the trainer ends exact, with the daemon's
|m|^2; no step was refused; every process ends by itself with code 0.
"""
import argparse
import json
import math
import os
import statistics
import sys
import time
import urllib.request

from procs import Scene, differing, program

BLOCKS = 20
CUT = ("mute", "serve", "record")           # stopped for good; serve and record are ended by the signal
KERNEL = ("rss", "anon", "fds", "threads")
LATENCY = [(p, f"{what} {q}") for p, what in (("main", "push"), ("good", "late")) for q in ("p50", "p99")]


def slope(hours, values):
    """Theil-Sen slope an hour over the medians of blocks, and Sen's 95 % interval of it."""
    n = min(BLOCKS, len(values) // 2)
    if n < 4:
        return 0.0, -math.inf, math.inf
    cut = [len(values) * i // n for i in range(n + 1)]
    t = [statistics.median(hours[a:b]) for a, b in zip(cut, cut[1:])]
    y = [statistics.median(values[a:b]) for a, b in zip(cut, cut[1:])]
    all_slopes = sorted((y[j] - y[i]) / (t[j] - t[i]) for i in range(n) for j in range(i + 1, n))
    spread = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, int((len(all_slopes) - spread) / 2))
    return statistics.median(all_slopes), all_slopes[low], all_slopes[-1 - low]


def judge(lines, warm_up):
    """[(series, median, slope an hour, low, high, flat)] of all lines after the warm-up."""
    late = [line for line in lines if line["t"] >= warm_up]
    series = [(p, key, 0.01) for p in late[-1]["of"] for key in KERNEL] + [(p, key, 0.10) for p, key in LATENCY]
    out = []
    for process, key, most in series:
        got = [(line["t"] / 3600, line["of"][process][key]) for line in late if key in line["of"].get(process, {})]
        if not got:
            out.append((f"{process} {key}", 0, 0, 0, 0, False))
            continue
        middle = statistics.median(v for _, v in got)
        s, low, high = slope([h for h, _ in got], [v for _, v in got])
        out.append((f"{process} {key}", middle, s, low, high, s <= most * middle or low <= 0))
    return out


def fetch(port):
    """Milliseconds until serve has answered with its metrics; None: it did not."""
    begin = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            answer.read()
        return round(1e3 * (time.monotonic() - begin), 1)
    except OSError:
        return None


def cast(scene, every):
    """Everybody but the daemon, by name."""
    front = f"ipc://{scene.folder}/front"
    scene.start("record", [program("momentscope"), "record", f"{scene.folder}/run.tape", "--ingest", front, "--forward",
                           scene.at["ingest"], "--max-bytes", "64M", "--stay", "--quiet"], reads=False)
    scene.wait_for_file("front")
    port = 20000 + os.getpid() % 20000
    scene.start("serve", [program("momentscope"), "serve", "--port", port, "--telemetry", scene.at["telemetry"],
                          "--replay", scene.at["replay"], "--alerts", f"{scene.folder}/alerts.db"], reads=False)
    scene.listener("good", every=every)
    scene.listener("joiner", every=every, life=4)
    scene.mute = scene.listener("mute", every=every)
    time.sleep(1)
    scene.mute.p.send_signal(19)             # SIGSTOP: connected, and never reads again
    scene.pusher("main", rows=4096, dim=32, active=256, every=every)
    scene.pusher("guest", rate=200, life=3, pause=1, names=100, every=every)
    scene.pusher("taped", at=front, rate=100, life=7, pause=2, names=20, every=every)
    return port


def plain(said):
    """What a process printed, without its tables, and of times two quantiles and the longest."""
    out = {k: v for k, v in said.items() if k not in ("tables", "push", "late")}
    for what in ("push", "late"):
        if what in said:
            q = said[what]["quantiles"]
            out.update({f"{what} p50": q[0], f"{what} p99": q[1], f"{what} max": said[what]["most"]})
    return out


def look(scene, began, port):
    """One line of the log."""
    of = {p.name: {**p.kernel(), **plain(p.said)} for p in scene.all}
    files = {name: os.path.getsize(f"{scene.folder}/{name}") for name in ("log", "state", "run.tape", "alerts.db")
             if os.path.exists(f"{scene.folder}/{name}")}
    return {"t": round(time.monotonic() - began, 1), "load": os.getloadavg(), "of": of, "files": files,
            "serve_ms": fetch(port)}


def wrong_at_the_end(scene):
    """Sentences about accounts that do not hold; everything is still there."""
    by, wrong = {p.name: p for p in scene.all}, []
    lines = by["main"].lines
    by["main"].p.terminate()
    main = by["main"].line(60, lines)
    while "tables" not in main:
        main = by["main"].line(60)
    if main["exact"] != 1:
        wrong.append("the trainer did not end exact")
    by["good"].line(60)
    good = by["good"].line(60)               # the second line from now has records of after the end
    wrong += differing(main["tables"], good["tables"])
    if good["received"] + good["lost"] != good["published"] or good["lost"] or good["malformed"]:
        wrong.append(f"received {good['received']} + lost {good['lost']} of {good['published']} records")
    if good["daemon"]["refused_messages"] or good["daemon"]["records_dropped"]:
        wrong.append(f"{good['daemon']}")
    return wrong


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=7200)
    options.add_argument("--warm-up", type=float, default=600)
    options.add_argument("--every", type=float, default=10)
    options.add_argument("--out", default="soak.jsonl")
    o = options.parse_args()
    with open(o.out, "w", encoding="utf-8") as out:
        scene = Scene("--interval=0.2", "--state-every=10", "--state={folder}/state", "--max-tables=256")
        lines, wrong = [], []
        try:
            port, began = cast(scene, o.every), time.monotonic()
            while time.monotonic() < began + o.seconds:
                time.sleep(max(0.0, began + o.every * (len(lines) + 1) - time.monotonic()))
                lines.append(look(scene, began, port))
                out.write(json.dumps(lines[-1]) + "\n")
                out.flush()
                dead = [p.name for p in scene.all if p.p.poll() is not None]
                if dead:
                    raise AssertionError(f"ended by itself: {dead}")
            wrong += wrong_at_the_end(scene)
        except AssertionError as e:
            wrong.append(str(e))
        finally:
            scene.mute.p.kill()
            codes = scene.close(keep=bool(wrong))
        wrong += [f"{name} ended with {code}" for name, code in codes.items() if code and name not in CUT]
        return tell(lines, wrong, o, scene.folder)


def tell(lines, wrong, o, folder):
    """Print the verdicts; the exit code."""
    for name, middle, s, low, high, flat in judge(lines, min(o.warm_up, o.seconds / 4)):
        told = "FAIL" if not flat else "ok  " if math.isfinite(low) else "too short"
        print(f"{told} {name:18} median {middle:10.6g}, an hour {s:+10.4g} ({low:+.4g} to {high:+.4g})")
        wrong += [] if flat else [f"{name} grows"]
    load = [line["load"][0] for line in lines]
    print(f"{len(lines)} lines over {lines[-1]['t']:.0f} s, load {min(load):.1f} to {max(load):.1f}, mean "
          f"{statistics.mean(load):.1f}; {lines[-1]['of']['main'].get('steps')} steps of main")
    for sentence in wrong:
        print(f"FAIL {sentence}; see {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
