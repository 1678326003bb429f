"""momentscope record and play: every message once and byte for byte, the same telemetry again, cut and damaged files,
and a trainer that never notices."""
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
from raw import BYE, ERROR, LAST, PROBE, REFERENCE, SAVE, STEP, SYNC, WELCOME

SCOPE = os.path.join(raw.BUILD, "momentscope")
TRAINER = os.path.join(raw.BUILD, "demo_trainer")
ROWS, DIM = 40, 3


def read(path):
    with open(path, "rb") as f:
        return f.read()


def tape(path):
    """The file by protocol/README.md alone: [(kind, body as parts or numbers)], and how it ended."""
    data = read(path)
    assert data[:8] == b"MSCPTAPE" and struct.unpack_from("<HHI", data, 8) == (1, 1, 0)
    assert zlib.crc32(data[:60]) == struct.unpack_from("<I", data, 60)[0]
    at, number, before, out = 64, 0, 0, []
    while at + 32 <= len(data):
        length, kind, parts, zero, n, when, body_crc, crc = struct.unpack_from("<IBBHQQII", data, at)
        body = data[at + 32:at + 32 + length]
        if len(body) < length:
            break
        assert zlib.crc32(data[at:at + 28]) == crc and zero == 0 and n == number + 1 and when >= before
        assert zlib.crc32(body) == body_crc
        at, number, before = at + 32 + length, n, when
        if kind == 1:
            lens, parts, here = struct.unpack_from(f"<{parts}I", body), [], 4 * parts
            for k in lens:
                parts.append(body[here:here + k])
                here += k
            assert here == length
            out.append((1, parts))
        else:
            out.append((kind, struct.unpack(f"<{length // 8}Q", body)))
    return out, data[at:]


class Recorder:
    """momentscope record in a directory of its own; looks like a daemon to raw.Trainer."""

    def __init__(self, *options, dir=None, name="run.tape", room=None):
        self.dir = dir or tempfile.mkdtemp(prefix="mscope-rec-")
        self.file = os.path.join(self.dir, name)
        limit = None if room is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        self.process = subprocess.Popen([SCOPE, "record", self.file, "--ingest", self.endpoint("ingest"), *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=limit)
        end = time.monotonic() + 10
        while not os.path.exists(f"{self.dir}/front.ipc") and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)

    def endpoint(self, _):
        return f"ipc://{self.dir}/front.ipc"

    def ended(self):
        out = self.process.communicate(timeout=20)[0]
        return self.process.returncode, out

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def scope(*args):
    return subprocess.run([SCOPE, *args], capture_output=True, text=True, timeout=60)


def words_in(dir):
    """A text of our own for the demo's trainer: 6,000 words, Zipf."""
    words, path = random.Random(5), os.path.join(dir, "text")
    names = ["".join(words.choice("abcdefgh") for _ in range(7)) for _ in range(6000)]
    with open(path, "w") as f:
        f.write(" ".join(names + [names[min(5999, int(words.paretovariate(0.5)) - 1)] for _ in range(50000)]))
    return path


class Case(unittest.TestCase):
    def daemon(self, *flags):
        d = raw.Daemon("--interval", "0", "--interval-steps", "20", *flags)
        self.addCleanup(d.close)
        end = time.monotonic() + 10
        while not os.path.exists(f"{d.dir}/replay.ipc") and time.monotonic() < end:
            time.sleep(0.005)
        return d

    def recorder(self, *options, **more):
        r = Recorder(*options, **more)
        self.addCleanup(r.close)
        return r

    def trainer(self, where, session):
        t = raw.Trainer(where, session)
        self.addCleanup(t.close)
        return t

    def subscriber(self, daemon):
        s = raw.Subscriber(daemon)
        self.addCleanup(s.close)
        s.until(lambda topic, r: topic == "daemon", "the first daemon record")
        return s

    def drive(self, t, steps=120, first=1, seed=3):
        """Torch form, float64, moving schedule, counts and not, a probe now and then. Answers are read at the end."""
        rng = np.random.default_rng(seed)
        for k in range(first, first + steps):
            rows = np.minimum(rng.pareto(0.7, rng.integers(0, 20)).astype(int), ROWS - 1)
            if k % 15 == 0 and len(rows):
                t.send(PROBE, rows.astype("<u4").tobytes(), raw.encode(rng.standard_normal((len(rows), DIM)), "f8"), step=k,
                       a=1e-3, count=len(rows), index_type=4, value_type=4)
            t.step(k, rows, rng.standard_normal((len(rows), DIM)), 0.1 / (1 + 0.01 * k), 0.05, 16, "f4" if k % 3 else "f8",
                   schedule=(0.01, 0.0, 0.1) if k % 2 else (0.01, 0.001, 0.1),
                   counts=rng.integers(1, 4, len(rows)) if k % 4 == 0 and len(rows) else None)
        t.acked()

    def begin(self, t, **over):
        kind, welcome = t.hello("t", ROWS, DIM, form="torch", reference="drawn", acf_rows=4, fresh=False, **over)
        self.assertEqual(kind, WELCOME)
        self.assertFalse(welcome["exact"])
        rng = np.random.default_rng(9)
        t.rows(SYNC, 0, 0, rng.standard_normal((ROWS, DIM)), rng.standard_normal((ROWS, DIM)), last=True)
        t.rows(REFERENCE, 0, 0, rng.standard_normal((ROWS, DIM)), last=True)
        t.acked()

    def leave(self, t):
        t.send(BYE)
        t.ack()


class Record(Case):
    def run_behind(self, *options):
        d = self.daemon()
        sub = self.subscriber(d)
        r = self.recorder("--forward", d.endpoint("ingest"), *options)
        t = self.trainer(r, 5)
        self.begin(t)
        self.drive(t)
        self.leave(t)
        sub.table("t", 120)
        return d, sub, r, t

    @staticmethod
    def published(sub):
        """Every record that says something of the table, but for the daemon's epoch."""
        return [(t, seq, {k: v for k, v in r.items() if k != "epoch"}) for t, seq, r, _ in sub.records
                if t.split("/")[0] in ("band", "table", "acf") and r.get("attached", True)]

    def test_playing_publishes_what_the_run_did(self):
        d, sub, r, _ = self.run_behind()
        code, said = r.ended()
        self.assertEqual(code, 0, said)
        self.assertIn(f"132 messages, 0 lost, {os.path.getsize(r.file)} bytes", said)
        self.assertIn("120 steps (1 to 120), 0 lost", said)
        self.assertIn("every trainer has left", said)
        first = self.published(sub)
        self.assertGreater(len(first), 40)
        again = self.daemon()
        sub2 = self.subscriber(again)
        got = scope("play", r.file, "--ingest", again.endpoint("ingest"))
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("120 steps played", got.stdout)
        self.assertIn("0 messages refused", got.stdout)
        sub2.table("t", 120)
        self.assertEqual(self.published(sub2), first)
        got = scope("play", r.file, "--ingest", f"{again.endpoint('ingest')}-nobody")
        self.assertEqual(got.returncode, 1, got.stdout)
        self.assertRegex(got.stderr, r"\Amomentscope play: no daemon has answered at ipc://\S+-nobody for 10 s: start "
                                     r"momentscoped there, or name another address with --ingest\n\Z")

    def test_the_tape_holds_every_message_once_as_it_was(self):
        """Sent to a recorder with a daemon behind it and to one alone: the same messages, each as its sender made it."""
        r = self.run_behind()[2]
        r.ended()
        alone = self.recorder()
        t = self.trainer(alone, 5)
        kept = []
        send = t.raw
        t.raw = lambda *parts: (kept.append(list(parts)), send(*parts))
        self.begin(t)
        self.drive(t)
        t.raw(*kept[5]), t.raw(*kept[60])                     # resent: acknowledged again, not recorded again
        t.acked()
        kept = kept[:-2]
        t.send(SAVE)
        t.ack()
        kept.pop()
        self.leave(t)
        code, said = alone.ended()
        self.assertEqual(code, 0, said)
        self.assertIn("nothing is monitored", said)
        entries, rest = tape(alone.file)
        self.assertEqual(rest, b"")
        self.assertEqual([e[1] for e in entries if e[0] == 1], kept)
        self.assertEqual(entries[-1], (3, (len(kept), 0)))
        behind = [e[1] for e in tape(r.file)[0] if e[0] == 1]
        self.assertEqual(behind[:-1], kept[:-1])              # BYE counts SAVE, which only one of them had
        self.assertIn("132 messages", scope("play", alone.file, "--list").stdout)

    def test_refusals_and_gaps_alone(self):
        r = self.recorder()
        t = self.trainer(r, 8)
        t.step(1, [1], np.ones((1, DIM)))
        self.assertEqual(t.error(done=False)["field"], "session")
        t.seq = 0
        t.hello("t", ROWS, DIM)
        t.step(1, [1], np.ones((1, DIM)))
        t.ack()
        t.step(3, [1], np.ones((1, DIM)), seq=9)
        self.assertEqual(t.error(done=False)["range"], "2")
        t.step(4, [1], np.ones((1, DIM)))                     # steps 2 and 3 were lost by the trainer: rows are asked for
        self.assertEqual(t.ack()["flags"], raw.INEXACT)
        t.raw(b"garbage of no length")
        head, _ = t.answer()
        self.assertEqual((head["kind"], head["session"]), (ERROR, 0))
        self.leave(t)
        code, said = r.ended()
        self.assertEqual(code, 3, said)
        self.assertIn("2 steps (1 to 4), 2 lost", said)
        self.assertIn("INCOMPLETE", said)

    def test_what_a_daemon_would_refuse_is_not_recorded(self):
        """Refused in words, acknowledged, named as lost in the file; the bench and play meet none of it."""
        one = np.ones((1, DIM))
        bad = [("counts", lambda t: t.step(3, [1], one, counts=[0])),
               ("counts", lambda t: t.step(3, [1], one, counts=[2**32 - 1])),
               ("indices", lambda t: t.step(3, [ROWS], one)),
               ("values", lambda t: t.step(3, [1], one * np.nan)),
               ("dampening", lambda t: t.step(3, [1], one, schedule=(0, 0, 0.5))),
               ("eta * decoupled_decay", lambda t: t.step(3, [1], one, schedule=(0, 20, 0))),
               ("count", lambda t: t.step(3, [1] * 65, np.ones((65, DIM))))]
        r = self.recorder()
        t = self.trainer(r, 8)
        t.hello("t", ROWS, DIM, capacity=64)
        for k in (1, 2):
            t.step(k, [1], one)
            t.ack()
        for field, send in bad:
            send(t)
            self.assertEqual(t.error()["field"], field)
        t.step(3, [2], one)                                   # refused messages have not moved the clock
        self.assertEqual((t.ack()["step"], t.seq), (3, 3 + len(bad)))
        self.leave(t)
        code, said = r.ended()
        self.assertEqual(code, 3, said)
        self.assertIn("is refused and not recorded: counts is 'another at entry 0', expected 1..4294967294", said)
        self.assertIn(f"{len(bad)} messages that a daemon refuses", said)
        entries = tape(r.file)[0]
        self.assertEqual([e[1] for e in entries if e[0] == 2], [(8, 3, 2 + len(bad))])
        self.assertEqual([e[0] for e in entries], [1, 1, 1, 2, 1, 1, 3])
        got = scope("play", r.file, "--ingest", self.daemon().endpoint("ingest"))
        self.assertIn("3 steps played", got.stdout)
        self.assertIn("0 messages refused", got.stdout)

    def test_limits_and_tables(self):
        r = self.recorder("--steps", "7")
        t = self.trainer(r, 1)
        t.hello("t", ROWS, DIM)
        for k in range(1, 8):
            t.step(k, [k], np.ones((1, DIM)))
        code, said = r.ended()
        self.assertEqual((code, "7 steps (1 to 7)" in said, "the steps of --steps" in said), (0, True, True), said)
        r = self.recorder("--max-bytes", "4K")
        t = self.trainer(r, 2)
        t.hello("t", ROWS, DIM)
        for k in range(1, 60):
            t.step(k, [k % ROWS], np.ones((1, DIM)))
        code, said = r.ended()
        self.assertIn("the bytes of --max-bytes", said)
        self.assertLessEqual(os.path.getsize(r.file), 4096 + 48)
        r = self.recorder("--tables", "b,c")
        t = self.trainer(r, 3)
        for handle, name in enumerate("abc"):
            t.hello(name, ROWS, DIM, handle=handle)
        for k in range(1, 4):
            for handle in range(3):
                t.step(k, [k], np.ones((1, DIM)), handle=handle)
                t.ack()
        self.leave(t)
        said = r.ended()[1]
        self.assertNotIn("table a ", said)
        self.assertIn("table c ", said)
        self.assertEqual(sum(e[0] == 1 and e[1][0][5] == STEP for e in tape(r.file)[0]), 6)

    def test_a_table_that_never_came_is_told(self):
        for names, code, says in (("a,word", 3, "there were: a words\n"), ("word", 1, "no table of --tables was attached")):
            r = self.recorder("--tables", names)
            t = self.trainer(r, 1)
            for handle, name in enumerate(("a", "words")):
                t.hello(name, ROWS, DIM, handle=handle)
                t.step(1, [1], np.ones((1, DIM)), handle=handle)
                t.ack()
            self.leave(t)
            got, said = r.ended()
            self.assertEqual(got, code, said)
            self.assertIn(f"--tables is '{names}', but no trainer attached a table word; there were: a words\n", said)
            self.assertIn(says, said)
            self.assertEqual(os.path.exists(r.file), code == 3)

    def test_a_daemon_that_comes_back_is_told_of_its_trainers(self):
        d = self.daemon()
        r = self.recorder("--forward", d.endpoint("ingest"))
        t = self.trainer(r, 4)
        t.hello("t", ROWS, DIM)
        t.step(1, [1], np.ones((1, DIM)))
        t.ack()
        d.kill()
        d.start()
        head, body = t.answer()                               # nothing was asked
        self.assertEqual((head["kind"], head["session"], body["field"]), (ERROR, 4, "session"))
        self.assertEqual(t.hello("t", ROWS, DIM, step=1, seq=2)[1]["next_seq"], 2)
        t.seq = 1
        t.step(2, [1], np.ones((1, DIM)))
        t.ack()
        self.leave(t)
        self.assertEqual(r.ended()[0], 0)
        self.assertEqual(len(tape(r.file)[0]), 5)             # HELLO, two steps, BYE, END

    def test_trainers_that_have_left_cost_no_descriptors(self):
        """More sessions than the recorder has places for; then as many that crash, and one that comes 10 s later."""
        d = self.daemon()
        r = self.recorder("--forward", d.endpoint("ingest"), "--stay", "--quiet")
        held = f"/proc/{r.process.pid}/fd"

        def come(session, leave):
            t = raw.Trainer(r, session)
            self.assertEqual(t.hello("t", ROWS, DIM)[0], WELCOME)
            if leave:
                self.leave(t)
            t.close()

        come(1, True)
        before = len(os.listdir(held))
        for session in range(2, 300):
            come(session, True)
        self.assertLess(len(os.listdir(held)), before + 16)
        for session in range(300, 560):
            t = raw.Trainer(r, session)
            t.send(raw.HELLO, b"\x80", seq=1)
            t.close()
        time.sleep(10.5)
        come(600, True)
        r.process.send_signal(signal.SIGTERM)
        self.assertEqual(r.ended()[0], 0)
        sessions = {e[1][0][8:16] for e in tape(r.file)[0] if e[0] == 1}
        self.assertEqual(len(sessions), 300)

    def test_a_new_recorder_asks_for_the_rows_it_has_not_seen(self):
        d = self.daemon()
        r = self.recorder("--forward", d.endpoint("ingest"))
        t = self.trainer(r, 6)
        self.assertFalse(t.hello("t", ROWS, DIM)[1]["shm"])      # gradients in shared memory would pass the recorder by
        t.step(1, [1], np.ones((1, DIM)))
        t.ack()
        r.process.send_signal(signal.SIGTERM)
        self.assertEqual(r.ended()[0], 0)
        second = self.recorder("--forward", d.endpoint("ingest"), dir=r.dir, name="second.tape")
        u = self.trainer(second, 6)
        u.seq = 1
        self.assertFalse(u.hello("t", ROWS, DIM, step=1, seq=2, fresh=False)[1]["exact"])       # the daemon itself would say exact
        u.rows(SYNC, 1, 0, np.ones((ROWS, DIM)), np.ones((ROWS, DIM)), last=True)
        u.ack()
        u.step(2, [1], np.ones((1, DIM)))
        u.ack()
        self.leave(u)
        code, said = second.ended()
        self.assertEqual(code, 0, said)
        self.assertIn("1 steps (2 to 2), 0 lost", said)

    def full_disk(self, room, *options):
        r = self.recorder(*options, room=room)
        t = self.trainer(r, 5)
        self.begin(t)
        self.drive(t)
        self.leave(t)
        code, said = r.ended()
        self.assertEqual(code, 3, said)
        entries, rest = tape(r.file)
        held = sum(e[0] == 1 for e in entries)
        steps = sum(e[0] == 1 and e[1][0][5] == STEP for e in entries)
        self.assertEqual(rest, b"")
        return r, said, entries, held, steps

    def test_a_full_disk_is_told_and_counted(self):
        """With a daemon all 132 messages reach it; the file says which of them it has, and so do words, --list, the exit code."""
        d = self.daemon()
        sub = self.subscriber(d)
        r, said, entries, held, steps = self.full_disk(9000, "--forward", d.endpoint("ingest"), "--quiet")
        sub.table("t", 120)
        self.assertIn("messages go on to the daemon", said)
        self.assertIn(f"File too large; {held} messages are in it, {132 - held} could not be kept", said)
        self.assertEqual(entries[-2][0], 2)                   # LOST, of the one session, up to its BYE
        self.assertEqual(entries[-2][1][::2], (5, 131))
        self.assertEqual(entries[-1], (3, (held, 132 - held)))
        got = scope("play", r.file, "--list").stdout
        self.assertIn(f"{held} messages, {132 - held} lost; INCOMPLETE", got)
        self.assertIn(f"{steps} steps (1 to {steps}), 0 lost", got)

    def test_a_full_disk_alone(self):
        """What the trainer was told to have delivered and is not there is counted; it goes on by itself."""
        r = self.recorder(room=9000)
        t = self.trainer(r, 5)
        self.begin(t)
        for k in range(1, 400):
            t.step(k, [k % ROWS], np.ones((1, DIM)))
        code, said = r.ended()
        self.assertEqual(code, 3, said)
        entries, rest = tape(r.file)
        held, (_, (said_held, lost)) = sum(e[0] == 1 for e in entries), entries[-1]
        self.assertEqual((rest, entries[-1][0], said_held), (b"", 3, held))
        self.assertGreater(lost, 0)
        self.assertIn(f"{r.file}: {held} messages, {lost} lost, {os.path.getsize(r.file)} bytes; INCOMPLETE", said)
        self.assertIn(f"{held - 3} steps (1 to {held - 3}), 0 lost", said)          # the others: HELLO, SYNC, REFERENCE
        self.assertIn("can no longer be written", said)
        r = self.recorder(room=100)
        t = self.trainer(r, 5)
        t.hello("t", ROWS, DIM)
        t.send(BYE)
        code, said = r.ended()
        self.assertEqual((code, "nothing could be kept" in said, os.path.exists(r.file)), (1, True, False), said)

    def test_killed_in_the_middle(self):
        r = self.recorder()
        t = self.trainer(r, 2)
        self.begin(t)
        self.drive(t, 60)
        until = time.monotonic() + 10
        while len(tape(r.file)[0]) < 67 and time.monotonic() < until:    # a thread of its own writes them
            time.sleep(0.01)
        r.process.kill()
        r.process.communicate()
        with open(r.file, "ab") as f:                         # the beginning of one more entry
            f.write(read(r.file)[64:100])
        entries, rest = tape(r.file)
        self.assertEqual((len(entries), len(rest)), (67, 36))    # HELLO, SYNC, REFERENCE, 60 steps, 4 probes
        got = scope("play", r.file, "--list")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("whole up to where it is cut off", got.stdout)
        self.assertIn("60 steps (1 to 60), 0 lost", got.stdout)
        d = self.daemon()
        sub = self.subscriber(d)
        self.assertEqual(scope("play", r.file, "--ingest", d.endpoint("ingest"), "--speed", "100").returncode, 0)
        sub.table("t", 60)

    def test_what_is_refused(self):
        dir = tempfile.mkdtemp(prefix="mscope-rec-")
        self.addCleanup(shutil.rmtree, dir, True)
        taken = os.path.join(dir, "taken")
        with open(taken, "w") as f:
            f.write("a text of mine")
        ipc = f"ipc://{dir}/in"
        for args, code, said in [
            (["record", taken, "--ingest", ipc], 1, "never overwritten"), (["record", dir + "/no/such", "--ingest", ipc], 1, "/no/such"),
            (["record"], 2, "missing FILE"), (["record", dir + "/x", "--ingest", "udp://1"], 2, "udp://1"),
            (["record", dir + "/x", "--ingest", "tcp://0.0.0.0:5555"], 2, "--allow-remote"),
            (["record", dir + "/x", "--ingest", ipc, "--forward", ipc], 2, "another endpoint"),
            (["record", dir + "/x", "--ingest", ipc, "--forward", "tcp://192.0.2.1:5555"], 1, "give --keys"),
            (["record", dir + "/x", "--steps", "0"], 2, "'0'"), (["record", dir + "/x", "--max-bytes", "1Q"], 2, "'1Q'"),
            *((["record", dir + "/x", "--tables", names], 2, f"--tables is '{names}', expected names of tables") for names in
              ("", "a,", ",a", "a,,b", "a, b", "a/b", "x" * 64)),
            (["record", dir + "/x", "--ingest", "ipc://" + taken], 1, "a regular file"),
            (["play", taken], 1, "not a recording"), (["play", dir], 1, "not a regular file"),
            (["play", dir + "/none"], 1, "/none"), (["play", taken, "--speed", "-1"], 2, "'-1'"), (["play"], 2, "missing FILE"),
        ]:
            got = scope(*args)
            self.assertEqual(got.returncode, code, (args, got.stderr))
            self.assertIn(said, got.stderr, args)
            self.assertNotIn("beside a daemon", got.stderr, args)
        self.assertEqual(read(taken), b"a text of mine")
        self.assertEqual(os.listdir(dir), ["taken"])

    def test_beside_a_daemon_it_says_how(self):
        d = self.daemon()
        long = os.path.join(d.dir, "a-directory-with-a-long-name")
        os.mkdir(long)
        os.rename(d.endpoint("ingest")[6:], f"{long}/in")
        got = scope("record", d.dir + "/x", "--ingest", f"ipc://{long}/in")
        self.assertEqual(got.returncode, 1)
        self.assertIn(f"ingest is 'ipc://{long}/in', expected", got.stderr)          # all of it
        self.assertIn("with --forward ENDPOINT", got.stderr)

    def test_the_trainer_does_not_notice(self):
        """Weights after 300 steps: alone, recorded, and with the recorder stopped, killed and replaced on the way."""
        dir = tempfile.mkdtemp(prefix="mscope-rec-")
        self.addCleanup(shutil.rmtree, dir, True)
        text = words_in(dir)

        def start(endpoint):
            return subprocess.Popen([TRAINER, "--quiet", "--steps", "300", "--batch", "8", "--endpoint", endpoint, text],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def last_line(p):
            return p.communicate(timeout=60)[0].splitlines()[-1]

        alone = start(f"ipc://{dir}/nobody")                  # it waits 5 s for an answer at its end
        r = self.recorder("--quiet")
        recorded = last_line(start(r.endpoint(0)))
        self.assertEqual(r.ended()[0], 0)
        self.assertIn("300 steps sent, 0 dropped", recorded)
        r = self.recorder("--quiet", "--stay")
        p = start(r.endpoint(0))
        time.sleep(0.15)
        r.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        r.process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
        r.process.kill()
        r.process.communicate()
        again = self.recorder("--quiet", dir=r.dir, name="again.tape")
        troubled = last_line(p)
        weights = last_line(alone).split(";")[1]
        self.assertEqual((recorded.split(";")[1], troubled.split(";")[1]), (weights, weights))
        steps = [struct.unpack_from("<Q", e[1][0], 24)[0] for f in (r.file, again.file) if os.path.exists(f)
                 for e in tape(f)[0] if e[0] == 1 and e[1][0][5] == STEP]
        self.assertLessEqual(max(steps), 300)


class Trace(Case):
    """The workload on the demo's trainer: its core's own numbers, every rule, bad files."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="mscope-rec-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        d = raw.Daemon("--interval", "0", "--interval-steps", "300")
        try:
            sub = raw.Subscriber(d)
            sub.until(lambda topic, r: topic == "daemon", "the first daemon record")
            r = Recorder("--forward", d.endpoint("ingest"), "--quiet", dir=cls.dir)
            subprocess.run([TRAINER, "--quiet", "--steps", "300", "--batch", "16", "--probe-every", "10", "--endpoint",
                            r.endpoint(0), words_in(cls.dir)], check=True, stdout=subprocess.DEVNULL, timeout=60)
            code, said = r.ended()
            r.process.stdout.close()
            assert code == 0, said
            cls.table = sub.table("embedding", 300)
            sub.close()
        finally:
            d.close()
        cls.file = r.file

    def bench(self, *args, workload="recording", file=None):
        got = scope("bench", "run", workload, *(["--file", file or self.file] if workload == "recording" else []), *args)
        return got, [json.loads(line) for line in got.stdout.splitlines()]

    def test_recorded_schedule_is_the_daemon_s_own_run(self):
        got, runs = self.bench("--schedules", "recorded", "--semantics", "catchup,dense")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("30 probes", got.stderr)
        self.assertEqual({r["steps"] for r in runs}, {300})
        for r in runs:
            total = r["total"]
            # float32 rows against float64: 300 roundings of 6e-8
            self.assertAlmostEqual(total["m2"] * total["rows"] / self.table["V"], 1, delta=1e-5)
            self.assertLess(total["apart2"], 1e-25)
            self.assertLess(total["end"], total["start"])
        self.assertEqual([r["total"]["apart2"] for r in runs if r["semantics"] == "catchup"], [0])

    def test_every_rule_and_semantics(self):
        rules = "recorded,sgd,constant,nesterov,warmup,cosine,step,inv-t,wsd,dana-constant,dana-decaying,two-thirds,dim-adapted"
        sweep = ["--schedules", rules, "--grid", "eta=2", "--grid", "eps=0.05", "--semantics", "catchup,dense,frozen,row-clock",
                 "--every", "100", "--quiet"]
        one, two = (self.bench(*sweep, "--jobs", jobs)[1] for jobs in ("1", "2"))
        key = lambda r: r["key"]
        for r in one + two:
            r.pop("seconds")
        self.assertEqual(sorted(one, key=key), sorted(two, key=key))
        self.assertEqual(len(one), 13 * 4)
        ends = {(r["schedule"], r["semantics"]): r["total"]["end"] for r in one}
        for rule in rules.split(","):
            self.assertAlmostEqual(ends[rule, "catchup"] / ends[rule, "dense"], 1, delta=1e-9, msg=rule)
        for rule in ("recorded", "constant", "cosine"):
            self.assertGreater(abs(ends[rule, "frozen"] / ends[rule, "dense"] - 1), 1e-3, rule)

    def test_rates_for_each_band_are_no_worse_than_one(self):
        _, runs = self.bench("--schedules", "constant,per-band-eta", "--grid", "eta=1:16:x3", "--grid", "eps=0.2", "--every", "100",
                             "--quiet")
        end = {(r["schedule"], r["rates"]["eta"]): r["total"]["end"] for r in runs}
        self.assertEqual(len(end), 6)
        for eta in (1, 4, 16):
            self.assertLessEqual(end["per-band-eta", eta], min(end["constant", e] for e in (1, 4, 16)) * (1 + 1e-9), eta)

    def test_compare_says_what_the_numbers_are(self):
        out = os.path.join(self.dir, "runs.jsonl")
        self.bench("--schedules", "recorded,constant", "--grid", "eta=1,4", "--grid", "eps=0.1", "--every", "10", "--out", out, "--quiet")
        got = scope("bench", "compare", out, "--plot", os.path.join(self.dir, "plot"))
        self.assertEqual(got.returncode, 0, got.stderr)
        for words in ("note: ", "open loop", "recording, recorded, catchup"):
            self.assertIn(words, got.stdout)
        self.assertGreater(os.path.getsize(os.path.join(self.dir, "plot-risk-1.png")), 4000)

    def test_a_start_that_is_not_known_is_told(self):
        tapes = {}
        for name, given in (("late", False), ("given", True)):
            r = self.recorder("--quiet", name=name + ".tape", dir=tempfile.mkdtemp(dir=self.dir))
            t = self.trainer(r, 40 + given)
            t.hello("t", ROWS, DIM, form="torch", fresh=False, step=857)
            if given:
                t.rows(SYNC, 857, 0, np.ones((ROWS, DIM)), np.ones((ROWS, DIM)), last=True)
            self.drive(t, steps=20, first=858)
            self.leave(t)
            r.ended()
            got, runs = self.bench("--schedules", "recorded", file=r.file)
            self.assertEqual(got.returncode, 0, got.stderr)
            tapes[name] = got.stderr
            self.assertEqual("START UNKNOWN: it begins at step 857" in runs[0]["note"], not given)
        self.assertIn("START UNKNOWN", tapes["late"])
        self.assertNotIn("START UNKNOWN", tapes["given"])
        got, runs = self.bench("--schedules", "recorded")
        self.assertNotIn("START UNKNOWN", got.stderr)

    def test_bad_files_are_refused_by_value(self):
        damaged = os.path.join(self.dir, "damaged.tape")
        data = bytearray(read(self.file))
        data[len(data) // 2] ^= 4
        with open(damaged, "wb") as f:
            f.write(data)
        text = os.path.join(self.dir, "text")
        for args, said in [
            (dict(file="/nowhere/run.tape"), "/nowhere/run.tape"), (dict(file=text), "not a recording"), (dict(file=damaged), "is damaged"),
            (dict(more=["--table", "nosuch"]), "embedding"), (dict(more=["--steps", "301"]), "'301'"),
            (dict(more=["--grid", "gap=0"]), "'0'"), (dict(more=["--seeds", "3"]), "asks for 3 runs"), (dict(workload="vocab-ls", more=["--file", text]), "unknown option '--file'"),
            (dict(workload="vocab-ls", more=["--schedules", "recorded"]), "not made from a recording"),
        ]:
            more = args.pop("more", [])
            got, runs = self.bench(*more, **args)
            self.assertEqual((got.returncode, runs), (2, []), (args, more))
            self.assertIn(said, got.stderr)
        self.assertEqual(scope("bench", "run", "recording").returncode, 2)


if __name__ == "__main__":
    unittest.main()
