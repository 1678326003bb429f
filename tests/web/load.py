#!/usr/bin/env python3
"""What serve costs: 1000 bands at 10 records a second each, with one listener.  usage: load.py [SECONDS [TABLES [BANDS]]]

Prints processor time of serve over the time that passed, and its memory at a third and at the end."""
import http.client, os, re, subprocess, sys, tempfile, threading, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BUILD = os.environ.get("BUILD", f"{ROOT}/build")


def used(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        part = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return (int(part[11]) + int(part[12])) / os.sysconf("SC_CLK_TCK"), rss


def listen(port, stop):
    c = http.client.HTTPConnection("127.0.0.1", port)
    c.request("GET", "/events")
    r = c.getresponse()
    try:
        while not stop.is_set() and r.read(4096):
            pass
    except (http.client.HTTPException, OSError):
        pass                     # serve was stopped


def main():
    seconds, tables, bands = (int(x) for x in (sys.argv[1:] + ["60", "32", "32"][len(sys.argv) - 1:]))
    with tempfile.TemporaryDirectory() as folder:
        publisher = subprocess.Popen([sys.executable, f"{ROOT}/tests/web/publisher.py", folder, str(tables), str(bands)],
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        serve = subprocess.Popen([f"{BUILD}/momentscope", "serve", "--port", "0", "--alerts", "", "--replay", "",
                                  "--telemetry", f"ipc://{folder}/telemetry.ipc"], stdout=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)/", serve.stdout.readline()).group(1))
        stop = threading.Event()
        threading.Thread(target=listen, args=(port, stop), daemon=True).start()
        publisher.stdin.write("every 0.1\n")
        publisher.stdin.flush()
        time.sleep(max(8, seconds / 6))
        cpu, rss = used(serve.pid)
        begin = time.monotonic()
        time.sleep(seconds)
        then, now = used(serve.pid)
        c = http.client.HTTPConnection("127.0.0.1", port)
        c.request("GET", "/metrics")
        got = dict(re.findall(r'^(momentscope_source_records\w*_total)\{source="daemon"\} (\d+)', c.getresponse().read().decode(), re.M))
        took = time.monotonic() - begin
        print(f"{tables * bands} bands, {took:.0f} s: {100 * (then - cpu) / took:.1f} % of a core, memory {rss} kB -> {now} kB, {got}")
        stop.set()
        for p in (serve, publisher):
            p.terminate()
            p.wait()


if __name__ == "__main__":
    main()
