"""For tests of trainers: a real daemon on sockets of its own, and its telemetry read with pyzmq and msgpack alone."""
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import msgpack
import zmq

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
BUILD = os.path.abspath(os.path.join(ROOT, os.environ.get("BUILD", "build")))
os.environ.setdefault("MOMENTSCOPE_LIB", os.path.join(BUILD, "libmomentscope.so"))
os.environ["MOMENTSCOPE_STRICT"] = "1"
sys.path.insert(0, os.path.join(ROOT, "host", "python"))


class Daemon:
    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="momentscope-test-")
        self.ingest, self.telemetry, self.replay = (f"ipc://{self.dir}/{n}" for n in ("ingest", "telemetry", "replay"))
        self.options, self.process = list(options), None
        self.log = os.path.join(self.dir, "log")

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "momentscoped"), "--ingest", self.ingest, "--telemetry", self.telemetry,
                 "--replay", self.replay, "--interval", "0.05", *self.options], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while not os.path.exists(f"{self.dir}/replay"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("momentscoped did not start:\n" + open(self.log).read())
            time.sleep(0.01)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        for name in ("ingest", "telemetry", "replay"):
            if os.path.exists(f"{self.dir}/{name}"):
                os.unlink(f"{self.dir}/{name}")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Listener:
    """The latest record of each topic; received, lost and repeated ones are counted by sequence number."""

    def __init__(self, daemon, prefix=""):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt_string(zmq.SUBSCRIBE, prefix)
        self.socket.connect(daemon.telemetry)
        self.latest, self.next, self.first = {}, {}, {}
        self.received = self.lost = self.repeats = 0
        self.alerts = []

    def pump(self, seconds=0.0):
        end = time.monotonic() + seconds
        while self.socket.poll(max(0, int(1000 * (end - time.monotonic())))):
            topic, seq, body = self.socket.recv_multipart()
            topic, seq = topic.decode(), struct.unpack(">Q", seq)[0]
            record = msgpack.unpackb(body)
            key = (topic, record["epoch"])
            if seq < self.next.get(key, 0):
                self.repeats += 1
                continue
            self.lost += seq - self.next.setdefault(key, seq)
            self.first.setdefault(key, seq)
            self.next[key] = seq + 1
            self.received += 1
            self.latest[topic] = record
            if topic == "alert":
                self.alerts.append(record)

    def until(self, test, seconds=10.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump(0.02)
            if test(self.latest):
                return True
        return False

    def table(self, name, step, seconds=10.0):
        """The table's exact record of that step."""
        topic = "table/" + name
        if not self.until(lambda r: topic in r and r[topic]["step"] == step and r[topic]["exact"], seconds):
            raise AssertionError(f"no exact record of {name} at step {step}; last: {self.latest.get(topic)}")
        return self.latest[topic]

    def close(self):
        self.socket.close(0)
        self.context.term()
