#!/usr/bin/env python3
"""Telemetry as a daemon would publish it, with values to order: for tests of what listens.

usage: publisher.py DIR [TABLES [BANDS]]    binds DIR/telemetry.ipc, then reads commands, one a line, from standard input:
  burst N       publish N steps at once         every S   publish a step every S seconds from now on (0: no more)
  H X           eta over its limit from now on   name X    what the first table is called (of another wire, maybe)
  alert CODE TEXT                                restart   another daemon: a new epoch, numbers from 0
  mute, speak   publish nothing, not even the daemon's record; speak again
Each command is answered by a line "done".
"""
import math, os, re, select, struct, sys, time

import msgpack
import zmq

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
EMPTY = {"f64": None, "u64": 0, "bool": False, "name": "", "text": "", "list": []}


def fields():
    """{record: {field: empty value}} by metrics.def"""
    with open(f"{ROOT}/include/mscope/metrics.def", encoding="utf-8") as f:
        text = f.read()
    return {kind.lower(): {name: EMPTY[t] for t, name in re.findall(r"^MSCOPE_METRIC\((\w+), (\w+),", part, re.M)}
            for kind, part in re.findall(r"#ifdef MSCOPE_(\w+)_METRICS\n(.*?)#endif", text, re.S)}


class Publisher:
    def __init__(self, folder, tables, bands):
        self.socket = zmq.Context.instance().socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.sndhwm = 0
        self.socket.bind(f"ipc://{folder}/telemetry.ipc")
        self.empty, self.bands = fields(), bands
        self.names = ["words"] + [f"table{i}" for i in range(1, tables)]
        self.H, self.latest, self.muted = 0.4, {}, False
        self.restart()

    def restart(self):
        self.epoch, self.seq, self.step, self.start, self.latest = time.time_ns(), {}, 0, time.monotonic(), {}

    def put(self, topic, kind, **values):
        seq = self.seq.get(topic, 0)
        self.seq[topic] = seq + 1
        body = msgpack.packb({**self.empty[kind], "epoch": self.epoch, **values})
        self.latest[topic] = [topic.encode(), struct.pack(">Q", seq), body]
        if not self.muted:
            self.socket.send_multipart(self.latest[topic])

    def subscribed(self):
        """Who comes late is given the latest record of every topic, as the daemon does."""
        while self.socket.poll(0):
            if self.socket.recv()[:1] == b"\x01" and not self.muted:
                for record in list(self.latest.values()):
                    self.socket.send_multipart(record)

    def daemon(self):
        self.put("daemon", "daemon", version="0.1.0", uptime=time.monotonic() - self.start, tables=len(self.names),
                 steps_applied=self.step, interval=0.2, late_max=1e-4, late_worst=2e-3, pause_max=1e-4, pause_worst=1e-3,
                 message_max=1e-5, message_worst=1e-4, slice_max=1e-5, slice_worst=1e-4, publish_time=1e-4, realtime="off")

    def band(self, name, b):
        p = 2.0 ** -(b + 0.5)
        P = 1 - (1 - p) ** 64
        H1, eps, eta = 0.05 * (1 + 0.1 * math.sin(self.step / 50 + b)), 0.1, 1.0
        fade = eps / (P + (1 - P) * eps)
        self.put(f"band/{name}/{b}", "band", table=name, band=b, step=self.step, rows=4 + b * b, updates=self.step * (b + 1),
                 p=p, P=P, d=32, batch=64.0, eta=eta, eps=eps, V=1e-4 * (1 + 0.5 * math.sin(self.step / 30 + b)) / (1 + b),
                 r_source="none: no reference was set", H1=H1, H1_se=H1 / 50, H2=1.5 * H1 * H1, H2_se=H1 * H1 / 40,
                 h_source="probe", h_samples=300.0, h_weight=300.0, h_memory=1024.0, retention=1 / fade, fade=fade,
                 fade2=min(fade, 1.1 * fade * fade), gaps=5000.0, burst=1.0, learning=1 / (eta * H1), delta=eta * H1 / fade,
                 growth=1e-3 if self.H > 1 else -1e-4, growing=self.H > 1, curvature_share=1 / self.bands,
                 noise_share=1 / self.bands, top=1e-3, top_row=b, U_run=1e-4, U_run_se=1e-5, g2_run=1e-2, form="ema", exact=True)

    def next(self):
        self.step += 10
        for name in self.names:
            for b in range(self.bands):
                self.band(name, b)
            self.put(f"stability/{name}", "stability", table=name, step=self.step, spans="tables", values=4096, batch=64.0,
                     eta=1.0, eps=0.1, H=self.H, H_se=0.02, h_source="probe", along="tangent", curvature=0.1, curvature_se=0.01,
                     sharpness=0.4, noise=0.3, noise_part=0.5, H_power=self.H, H_power_se=0.02, H_tangent=self.H,
                     H_tangent_se=0.02, probes=200, samples=100.0, outside_curvature=0.0, outside_noise=0.0)
            self.put(f"table/{name}", "table", table=name, step=self.step, rows=1000, d=32, form="ema", state="f32",
                     kernel="v256", transport="shm", batch=64.0, eta=1.0, eps=0.1, weight_decay=0.0, decoupled_decay=0.0, V=1e-3,
                     r_source="none: no reference was set", climb=0.0, stability=name, bands=list(range(self.bands)),
                     attached=True, exact=True)

    def command(self, line):
        word, _, rest = line.strip().partition(" ")
        if word == "burst":
            for _ in range(int(rest)):
                self.next()
            self.daemon()
        elif word == "every":
            self.every = float(rest)
        elif word == "H":
            self.H = float(rest)
        elif word == "name":
            self.names[0] = rest
        elif word == "alert":
            code, _, text = rest.partition(" ")
            self.put("alert", "alert", table=self.names[0], step=self.step, code=code, text=text)
        elif word == "restart":
            self.restart()
        elif word in ("mute", "speak"):
            self.muted = word == "mute"
        print("done", flush=True)

    def run(self):
        self.every, due, beat = 0.0, 0.0, 0.0
        while True:
            now = time.monotonic()
            if now >= beat:
                self.subscribed()
                self.daemon()
                beat = now + 0.2
            if self.every and now >= due:
                self.next()
                due = max(due + self.every, now - self.every)
            wait = max(0.0, min(beat, due if self.every else beat) - time.monotonic())
            if select.select([sys.stdin], [], [], min(wait, 0.05))[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                self.command(line)
            self.subscribed()


if __name__ == "__main__":
    Publisher(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1, int(sys.argv[3]) if len(sys.argv) > 3 else 16).run()
