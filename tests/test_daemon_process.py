"""momentscoped as a process: restarts and state files, mapped tables, options, endpoints, its log."""
import contextlib
import fcntl
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import msgpack
import raw
from daemon_support import Case, ENOMEM, ESTATE, zipf_batch
from raw import HELLO, REFERENCE, SAVE, SYNC, WELCOME
from shadow import Shadow


class Restarts(Case):
    FLAGS = ("--interval-steps", "10")

    def feed(self, rng, n):
        out = []
        for _ in range(n):
            r, g = zipf_batch(rng, 30, 4, 10)
            out.append((r, g, 0.1, 0.05, 8, "f4"))
        return out

    def run_steps(self, t, steps, first):
        for k, s in enumerate(steps, first):
            t.step(k, *s)
        t.acked()

    def start(self, d):
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, nll=True)
        t.rows(REFERENCE, 0, 0, np.ones((30, 4)), kind="f4", last=True)
        t.ack()
        return sub, t

    @staticmethod
    def regular(sub, after):
        """Records of regular publications, without what names the daemon's own life."""
        return [(topic, {k: v for k, v in r.items() if k != "epoch"}) for topic, _, r, _ in sub.records
                if topic.split("/")[0] in ("band", "acf", "table") and r["step"] > after and r["step"] % 10 == 0]

    def test_killed_after_save_continues_bit_for_bit(self):
        steps = self.feed(np.random.default_rng(5), 400)
        calm = self.daemon(*self.FLAGS)
        sub, t = self.start(calm)
        self.run_steps(t, steps, 1)
        sub.table("t", 400)
        want = self.regular(sub, 205)

        d = self.daemon(*self.FLAGS)
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.start(d)
        self.run_steps(t, steps[:205], 1)
        t.send(SAVE)
        t.ack()
        sub.alert("saved")
        epoch = sub.records[-1][2]["epoch"]
        d.kill()                             # sockets and files stay behind
        d.start()
        sub.alert("restored")
        self.assertGreater(sub.records[-1][2]["epoch"], epoch)
        t.step(206, *steps[205])             # the same session goes on as if nothing had been
        t.ack()
        self.run_steps(t, steps[206:], 207)
        sub.table("t", 400)
        got = self.regular(sub, 205)
        self.assertEqual(len(got), len(want))
        self.assertEqual(got, want)

    def test_stopped_in_order_saves_and_resumes(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.start(d)
        steps = self.feed(np.random.default_rng(6), 30)
        for k, s in enumerate(steps, 1):
            t.step(k, *s)
        sub.until(lambda topic, r: topic == "table/t" and r["step"] == 10)
        self.assertEqual(d.stop(), 0)
        sub.alert("stopping")
        self.assertEqual(sub.records[-1][2]["code"], "stopping")
        d.start()
        kind, welcome = t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, nll=True, seq=1)
        self.assertEqual((kind, welcome["exact"]), (WELCOME, True))
        self.assertEqual(welcome["next_seq"], welcome["step"] + 2)   # REFERENCE was 1, step k was k + 1
        self.assertEqual(d.stop(), 0)

    def test_damaged_state_is_refused_or_set_aside(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path]
        d.start()
        _, t = self.start(d)
        self.run_steps(t, self.feed(np.random.default_rng(6), 5), 1)
        d.stop()
        with open(path, "rb") as f:
            good = f.read()
        rng = np.random.default_rng(1)
        for bad in [good[:-1], good[:30], b"", good + b"x", b"X" + good[1:]] + [
                good[:i] + bytes([good[i] ^ 4]) + good[i + 1:] for i in rng.integers(0, len(good), 3)]:
            with open(path, "wb") as f:
                f.write(bad)
            d.start()
            self.assertEqual(d.process.wait(raw.PATIENCE), 3)
        self.assertIn("is damaged: checksum", d.said("is damaged: checksum"))
        self.assertIn("--discard-state", d.said("--discard-state"))
        d.flags.append("--discard-state")
        d.start()
        sub = self.subscriber(d)
        self.assertEqual(sub.until(lambda topic, r: topic == "daemon")["tables"], 0)
        with open(path + ".bad", "rb") as f:
            self.assertEqual(f.read(), bad)

    def test_a_lock_that_a_dead_daemon_left_is_waited_for(self):
        """kill -9 between the fork of a save and the child's first instruction: the child still has the lock."""
        d = self.daemon()
        d.stop()
        path = os.path.join(d.dir, "state")
        with open(path + ".lock", "w") as left:
            fcntl.flock(left, fcntl.LOCK_EX)
            d.flags += ["--state", path]
            d.start()
            time.sleep(0.3)
            self.assertIsNone(d.process.poll())
            self.assertFalse(os.path.exists(d.endpoint("telemetry")[6:]))
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(d.stop(), 0)

    def test_state_must_be_a_file_of_its_own(self):
        d = self.daemon()
        d.stop()
        for path, kind in (("/dev/null", "a device"), (d.dir, "a directory")):
            r = subprocess.run(d.command("--state", path), capture_output=True, text=True, timeout=20)
            self.assertEqual(r.returncode, 3)
            self.assertIn(f"--state is '{path}', expected a free path or a regular file: it is {kind}", r.stderr)
            self.assertNotIn("--discard-state", r.stderr)
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path]
        d.start()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        other = [f"--{n}=ipc://{d.dir}/other.{n}" for n in ("ingest", "telemetry", "replay")]
        r = subprocess.run([d.command()[0], *other, "--state", path], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn(f"--state is '{path}', expected a file that no other momentscoped uses", r.stderr)
        d.kill()                             # the lock dies with its holder, its file stays and is in nobody's way
        self.assertTrue(os.path.exists(path + ".lock"))
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(sorted(n for n in os.listdir(d.dir) if n.startswith("state")), ["state"])

    def test_a_link_stays_one_and_a_pipe_is_no_state(self):
        d = self.daemon()
        d.stop()
        path, link, pipe = (os.path.join(d.dir, n) for n in ("state", "link", "pipe"))
        d.flags += ["--state", path]
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(d.stop(), 0)
        os.symlink(path, link)
        before = os.stat(path).st_mtime_ns
        d.flags[-1] = link
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(os.readlink(link), path)
        self.assertGreater(os.stat(path).st_mtime_ns, before)
        os.unlink(path)
        for target in ("state", "link"):                  # relative; then a link to a link, and no file yet
            d.flags[-1] = os.path.join(d.dir, "link" if target == "state" else "second")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(d.flags[-1])
            os.symlink(target, d.flags[-1])
            d.start()
            self.subscriber(d).until(lambda topic, r: topic == "daemon")
            self.assertEqual(d.stop(), 0)
            self.assertEqual(os.readlink(d.flags[-1]), target)
            self.assertTrue(os.path.isfile(path) and not os.path.islink(path))
            os.unlink(path)
        os.mkfifo(pipe, 0o600)
        r = subprocess.run([d.command()[0], "--verify", pipe], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn("expected a regular file", r.stderr)

    def test_saved_by_itself_and_the_one_before_is_kept(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path, "--state-every", "0.2"]
        d.start()
        sub, t = self.start(d)
        steps = self.feed(np.random.default_rng(6), 60)
        saves = 0
        for first in (0, 20, 40):
            self.run_steps(t, steps[first:first + 20], first + 1)
            saves = sub.until(lambda topic, r: topic == "daemon" and r["state_saves"] > saves)["state_saves"]
        told = [r for topic, _, r, _ in sub.records if topic == "alert" and r["code"] == "saved"]
        self.assertEqual(len(told), 1)       # the first one; the others are no news
        self.assertEqual(d.said().count("state saved: "), 1)
        d.kill()
        with open(path, "r+b") as f:         # a disk that lies
            f.seek(-40, os.SEEK_END)
            f.write(b"damage!")
        d.start()
        said = sub.alert("restored")["text"]
        self.assertIn("state.previous: the newer file was damaged", said)
        self.assertTrue(os.path.exists(path + ".bad"))
        kind, welcome = t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, nll=True, fresh=False, step=60)
        self.assertEqual(kind, WELCOME)
        self.assertIn(welcome["step"], range(20, 61))

    def test_verify_and_check_config(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path]
        d.start()
        _, t = self.start(d)
        self.run_steps(t, self.feed(np.random.default_rng(6), 20), 1)
        ask = lambda *a: subprocess.run(d.command(*a), capture_output=True, text=True, timeout=20)
        good = ask("--check-config")
        self.assertEqual((good.returncode, good.stdout), (0, "the options are good\n"))    # beside the living daemon
        self.assertEqual(d.stop(), 0)
        r = ask("--verify", path)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.stdout, f"t: 30 rows x 4, step 20, exact, 0 lost steps\n{path} is whole: 1 tables\n")
        with open(path, "r+b") as f:
            f.seek(100)
            f.write(b"damage!")
        r = ask("--verify", path)
        self.assertEqual(r.returncode, 3)
        self.assertIn("is damaged: checksum", r.stderr)
        for flags, says in ((("--verify", path + ".none"), "No such file"), (("--check-config", "--keys", d.dir), "there is no"),
                            (("--check-config", "--state", "/nowhere/state"), "No such file"),
                            (("--check-config", "--interval", "x"), "--interval is 'x'")):
            r = ask(*flags)
            self.assertIn(r.returncode, (2, 3))
            self.assertIn(says, r.stderr)

    def test_what_others_have_put_there_is_neither_written_nor_read(self):
        d = self.daemon()
        d.stop()
        path, victim = os.path.join(d.dir, "state"), os.path.join(d.dir, "victim")
        with open(victim, "w", encoding="ascii") as f:
            f.write("precious")
        os.symlink(victim, path + ".new")
        d.flags += ["--state", path]
        d.start()
        self.trainer(d).hello("t", 30, 4)
        self.assertEqual(d.stop(), 0)
        with open(victim, encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")
        self.assertEqual(os.lstat(path).st_mode & 0o777777, 0o100600)
        os.chmod(path, 0o666)
        r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn("expected a regular file of this user that others cannot change", r.stderr)

    def test_a_save_does_not_hold_up_the_engine(self):
        d = self.daemon("--interval", "0.1")
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.subscriber(d), self.trainer(d)
        t.hello("t", 500000, 32, state="f32")
        sub.until(lambda topic, r: topic == "daemon" and r["tables"] == 1)
        for k in range(1, 4):
            t.step(k, [k], [32 * [1.0]], kind="f4")
        t.acked()
        sub.until(lambda topic, r: topic == "daemon" and r["pause_max"] < 0.1, "a calm window")
        t.send(SAVE)
        t.ack()
        worst = 0.0
        while (got := sub.take(raw.PATIENCE)) and not (got[0] == "alert" and got[1] and got[1]["code"] == "saved"):
            if got[0] == "daemon" and got[1]:
                worst = max(worst, got[1]["pause_max"], got[1]["message_max"])
        self.assertIsNotNone(got)
        size = os.path.getsize(os.path.join(d.dir, "state"))
        self.assertGreater(size, 100 << 20)
        self.assertLess(worst, 1.5)          # 2.2 s of processor time when it was copied and summed in one piece
        before = time.monotonic()
        self.assertEqual(d.stop(), 0)
        print(f"note a save of {size >> 20} MB: the engine stood still for {1e3 * worst:.1f} ms; "
              f"stopped within {time.monotonic() - before:.2f} s")

    def test_a_full_disk_leaves_nothing_behind(self):
        d = self.daemon()
        d.stop()
        path = os.path.join(d.dir, "state")
        program = subprocess.Popen(d.command("--state", path), stderr=subprocess.PIPE, text=True, env=raw.ENVIRONMENT,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
        self.addCleanup(program.kill)
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 2000, 2)
        t.send(SAVE)
        t.ack()
        sub.alert("save-failed")
        self.assertEqual([n for n in os.listdir(d.dir) if n.startswith("state")], ["state.lock"])
        t.step(1, [1], [[1.0, 1.0]])         # and the daemon goes on
        t.ack()
        program.terminate()
        said = program.communicate(timeout=20)[1]
        self.assertEqual(program.returncode, 3)
        self.assertEqual(said.count(f"cannot write {path}.new: File too large"), 2, said)
        self.assertEqual([n for n in os.listdir(d.dir) if n.startswith("state")], [])

    def test_it_times_itself(self):
        d = self.daemon("--interval", "0.05")
        sub = self.subscriber(d, "daemon")
        calm = sub.until(lambda topic, r: r["publish_time"] > 0, "a second daemon record")
        for of in ("late", "pause", "message", "slice"):
            self.assertLessEqual(calm[of + "_max"], calm[of + "_worst"], of)
        self.assertLess(calm["pause_worst"], 0.4)
        self.assertEqual((calm["message_max"], calm["realtime"]), (0, "off"))
        self.trainer(d).hello("t", 1000, 64)
        sub.until(lambda topic, r: 0 < r["message_max"] <= r["pause_max"], "a HELLO took time, and so the engine")
        d.signal(signal.SIGSTOP)
        time.sleep(0.6)
        d.signal(signal.SIGCONT)
        stood = sub.until(lambda topic, r: r["pause_max"] > 0.4, "the pause of a stopped daemon")
        self.assertGreater(stood["late_max"], 0.3)
        after = sub.until(lambda topic, r: r["pause_max"] < 0.4, "a record after it")
        self.assertEqual(after["pause_worst"], stood["pause_max"])

    def test_stopped_and_continued_loses_nothing(self):
        d = self.daemon(*self.FLAGS)
        sub, t = self.start(d)
        steps = self.feed(np.random.default_rng(8), 40)
        self.run_steps(t, steps[:20], 1)
        d.signal(signal.SIGSTOP)
        for k, s in enumerate(steps[20:], 21):
            t.step(k, *s)
        self.assertFalse(t.socket.poll(200))
        d.signal(signal.SIGCONT)
        record = sub.table("t", 40)
        self.assertEqual((record["exact"], record["lost_steps"]), (True, 0))

    def test_killed_without_state_heals_by_sync(self):
        d = self.daemon(*self.FLAGS)
        sub, t = self.start(d)
        model = Shadow(30, 4, ref=np.ones((30, 4)))
        steps = self.feed(np.random.default_rng(9), 60)
        for s in steps[:35]:
            model.step(*s[:5])
        self.run_steps(t, steps[:35], 1)
        d.kill()
        t.step(36, *steps[35])
        model.step(*steps[35][:5])
        d.start()
        self.refused(t, ESTATE, "session", done=False)
        kind, welcome = t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, fresh=False, seq=t.seq, step=35)
        self.assertEqual((kind, welcome["exact"], welcome["step"]), (WELCOME, False, 35))
        t.step(36, *steps[35], seq=t.seq)
        self.assertEqual(t.ack()["flags"], raw.INEXACT)
        t.rows(REFERENCE, 36, 0, np.ones((30, 4)), kind="f4", last=True)
        t.ack()
        t.rows(SYNC, 36, 0, model.theta, model.m, kind="f4", last=True)
        self.assertEqual(t.ack()["flags"], 0)
        sub.alert("exact", "t")
        for k, s in enumerate(steps[36:], 37):
            t.step(k, *s)
            t.ack()
            model.step(*s[:5])
        # regular publications count from the step of attach, 35
        record = sub.until(lambda topic, r: topic == "table/t" and r["step"] == 55)
        self.assertTrue(record["exact"])
        d.signal(signal.SIGHUP)
        record = sub.table("t", 60)
        self.assertLessEqual(abs(record["R"] - model.totals()[0]), 1e-5 * model.totals()[0])


class Mapped(Case):
    """Tables that live as files in --map-dir."""
    ROWS, DIM = 30000, 4

    def mapped(self, *flags):
        maps = tempfile.mkdtemp(prefix="mscope-maps-")
        self.addCleanup(shutil.rmtree, maps, ignore_errors=True)
        return maps, self.daemon("--interval-steps", "10", "--map-dir", maps, "--map-above", "3M", *flags)

    def feed(self, trainers, first, last):
        for k in range(first, last + 1):
            rng = np.random.default_rng(k)
            batch = zipf_batch(rng, self.ROWS, self.DIM, 20)
            for t in trainers:
                t.step(k, *batch)
                t.ack()

    def test_stopped_in_order_goes_on_where_it_was(self):
        maps, d = self.mapped()
        plain = self.daemon("--interval-steps", "10")
        t, u = self.trainer(d), self.trainer(plain)
        for one in (t, u):
            one.hello("big", self.ROWS, self.DIM, acf_rows=2)
            one.hello("small", 8, 1, handle=1)
        self.feed((t, u), 1, 30)
        self.assertEqual(os.listdir(maps).count("big.table"), 1)
        self.assertNotIn("small.table", os.listdir(maps))
        self.assertEqual(d.stop(), 0)
        d.start()
        t.close()
        t.connect()
        kind, said = t.hello("big", self.ROWS, self.DIM, acf_rows=2, step=30, fresh=False)
        self.assertEqual((kind, said["exact"], said["step"], said["next_seq"]), (WELCOME, True, 30, t.seq + 1))
        self.feed((t, u), 31, 60)
        got, want = self.subscriber(d, "table/big"), self.subscriber(plain, "table/big")
        got, want = got.table("big", 60), want.table("big", 60)
        self.assertTrue(got["exact"])
        for name in ("V", "bands", "rows", "silent"):
            (self.near if name == "V" else self.assertEqual)(got[name], want[name], name)
        again = subprocess.run([os.path.join(raw.BUILD, "momentscoped"), "--map-dir", maps,
                                *(f"--{n}=ipc://{plain.dir}/2{n}" for n in ("ingest", "telemetry", "replay"))],
                               capture_output=True, text=True, timeout=20)
        self.assertEqual(again.returncode, 3)
        self.assertIn("no other momentscoped uses", again.stderr)

    def test_killed_in_the_middle_is_never_taken_for_whole(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 15)
        d.kill()
        d.start()
        sub = self.subscriber(d)
        sub.alert("dropped")
        self.assertNotIn("big.table", os.listdir(maps))
        t.close()
        t.connect()
        kind, said = t.hello("big", self.ROWS, self.DIM, step=15, fresh=False)
        self.assertEqual((kind, said["exact"], said["step"]), (WELCOME, False, 15))
        zeros = np.zeros((self.ROWS, self.DIM))
        t.rows(SYNC, 15, 0, zeros, zeros, last=True)
        self.assertEqual(t.ack()["flags"], 0)
        sub.alert("exact", "big")

    def test_a_full_disk_is_refused_in_words(self):
        maps, d = self.mapped()
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        t = self.trainer(d)
        t.send(HELLO, msgpack.packb({"table": "big", "client": "raw", "rows": 100000, "dim": 4, "capacity": 64, "step": 0,
                                     "state": "f64", "form": "ema", "nesterov": False, "reference": "", "fresh": True,
                                     "nll": False, "acf_rows": 0}))
        got = t.error(done=False)
        self.assertEqual((got["code"], got["field"]), (ENOMEM, "rows"))
        self.assertIn("--map-dir", got["range"])
        self.assertEqual([n for n in os.listdir(maps) if n.startswith("big")], [])
        t.seq -= 1
        self.assertEqual(t.hello("small", 8, 1)[0], WELCOME)

    def test_what_is_not_ours_or_damaged_stops_the_start(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 5)
        self.assertEqual(d.stop(), 0)
        path = os.path.join(maps, "big.table")
        with open(path, "r+b") as f:
            whole = f.read(32768)
            for at, says in ((0, "not a table"), (12, "damaged"), (24, "damaged"), (100, "damaged")):
                f.seek(0)
                f.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
                f.flush()
                r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
                self.assertEqual(r.returncode, 3, r.stderr)
                self.assertIn(says, r.stderr)
            f.seek(0)
            f.write(whole)
            f.flush()
            f.truncate(os.path.getsize(path) - 1)
        r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn("size is not what its head says", r.stderr)
        d.flags.append("--discard-state")
        d.start()
        self.assertEqual(self.trainer(d, 2).hello("big", self.ROWS, self.DIM)[0], WELCOME)

    def test_a_table_that_starts_over_has_a_new_file(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 5)
        before = os.stat(os.path.join(maps, "big.table"))
        self.assertEqual(t.hello("big", 2 * self.ROWS, self.DIM)[0], WELCOME)
        after = os.stat(os.path.join(maps, "big.table"))
        self.assertNotEqual((before.st_ino, before.st_size), (after.st_ino, after.st_size))
        self.assertEqual(t.hello("big", 8, 1)[0], WELCOME)
        self.assertNotIn("big.table", os.listdir(maps))


class Program(Case):
    def run_(self, *flags, **env):
        return subprocess.run([os.path.join(raw.BUILD, "momentscoped"), *flags], env=dict(os.environ, **env),
                              capture_output=True, text=True, timeout=20)

    def test_options_are_checked_in_words(self):
        for flag, value, says in (("--interval", "-1", "0..3600"), ("--interval", "x", "0..3600"),
                                  ("--history", "17", "power of two"), ("--max-tables", "0", "1..1024"),
                                  ("--max-bytes", "1Q", "K, M, G"), ("--takeover", "nan", "0..86400"),
                                  ("--kernel", "v9999", "ref"), ("--log-level", "loud", "debug"), ("--cpu", "1024", "0..1023"),
                                  ("--ingest", "tcp://0.0.0.0:5555", "--allow-remote"), ("--telemetry", "tcp://*:1", "127"),
                                  ("--replay", "udp://x", "ipc://"), ("--state", "", "bytes"),
                                  ("--interval-steps", "1.5", "whole"), ("--ingest", "inproc://x", "tcp://ADDRESS:PORT"),
                                  ("--replay", "ipc://", "the path"), ("--replay", "ipc://*", "the path"),
                                  *(("--telemetry", f"tcp://127.0.0.1{port}", "1..65535") for port in
                                    (":99999", ":65536", ":0", ":*", ":", "", ":-1", ":5x", ":+55"))):
            r = self.run_(flag, value)
            self.assertEqual(r.returncode, 2, (flag, value, r.stderr))
            self.assertTrue(flag in r.stderr and value in r.stderr and says in r.stderr, r.stderr)
        for flag, arg in (("--interval", "SECONDS"), ("--state", "FILE"), ("--ingest", "ENDPOINT")):
            r = self.run_(flag)
            self.assertEqual((r.returncode, r.stderr),
                             (2, f"momentscoped: {flag} has no value, expected {flag} {arg}\n"))
        r = self.run_(MOMENTSCOPE_MAX_TABLES="0")
        self.assertEqual((r.returncode, r.stderr),
                         (2, "momentscoped: MOMENTSCOPE_MAX_TABLES is '0', expected 1..1024, a whole number\n"))
        for flags, named in (((), "MOMENTSCOPE_INGEST is 'foo'"), (("--ingest", "bar"), "--ingest is 'bar'")):
            r = self.run_(*flags, MOMENTSCOPE_INGEST="foo")
            self.assertEqual((r.returncode, r.stderr),
                             (2, f"momentscoped: {named}, expected ipc://PATH or tcp://ADDRESS:PORT\n"))
        with tempfile.TemporaryDirectory() as d:
            r = self.run_("--ingest", f"ipc://{d}/typo/ingest")
            self.assertEqual(r.returncode, 4, r.stderr)
            self.assertIn(f"cannot use directory {d}/typo (--ingest): No such file or directory", r.stderr)
            self.assertEqual(os.listdir(d), [])
            with subprocess.Popen([os.path.join(raw.BUILD, "momentscoped")], env=dict(os.environ, XDG_RUNTIME_DIR=d),
                                  stderr=subprocess.PIPE, text=True) as p:     # the usual place is made
                while " is ready" not in p.stderr.readline():
                    self.assertIsNone(p.poll())
                self.assertEqual(os.stat(f"{d}/momentscope").st_mode & 0o777, 0o700)
                p.terminate()
        with tempfile.TemporaryDirectory() as d:
            own = [f"--{n}=ipc://{d}/{n}" for n in ("ingest", "telemetry", "replay")]
            r = self.run_("--state", f"{d}/no/such/state", *own)
            self.assertTrue(r.returncode == 3 and "No such file" in r.stderr, r.stderr)
        self.assertEqual(self.run_("--nonsense").returncode, 2)
        self.assertIn("Example", self.run_("--help").stdout)
        self.assertIn("wire 1", self.run_("--version").stdout)

    def test_map_dir_is_named_in_its_refusals(self):
        ipc = [f for n in ("ingest", "telemetry", "replay") for f in ("--" + n, f"ipc:///tmp/mscope-map-{os.getpid()}-{n}")]
        r = self.run_("--map-dir", "/etc/passwd", *ipc)
        self.assertEqual(r.returncode, 3)
        self.assertIn("--map-dir is '/etc/passwd', expected a directory", r.stderr)
        self.assertNotIn("--state", r.stderr)
        for flags, environment in ((["--map-above", "64M"], {}), ([], {"MOMENTSCOPE_MAP_ABOVE": "64M"})):
            r = self.run_(*flags, *ipc, **environment)
            self.assertEqual(r.returncode, 2, r.stderr)
            self.assertIn("--map-above is '64M', expected --map-dir DIR", r.stderr)

    def test_threads_change_no_record(self):
        """Steps of 6,000 entries by one thread and by three: the same records, to the last bit."""
        def bands(*flags):
            d = self.daemon("--interval-steps", "4", *flags)
            sub, t, rng = self.subscriber(d), self.trainer(d), np.random.default_rng(3)
            sub.until(lambda topic, r: topic == "daemon", "the first daemon record")
            t.hello("t", 2000, 5, capacity=6000, state="f32")      # few enough rows for a resum in one piece
            for k in range(1, 13):
                t.step(k, rng.integers(0, 2000, 6000), rng.standard_normal((6000, 5)), kind="f4", batch=64)
            t.acked()
            sub.table("t", 12)
            d.stop()
            return {(topic, r["step"]): {k: v for k, v in r.items() if k != "epoch"}
                    for topic, _, r, _ in sub.records if topic.startswith("band/")}
        one, three = bands(), bands("--threads", "3")
        self.assertGreater(len(one), 5)
        self.assertEqual(one, three)
        for flags, value in ((["--threads", "0"], "0"), (["--threads", "65"], "65"), (["--threads", "2", "--realtime"], "2")):
            r = self.run_(*flags)
            self.assertEqual(r.returncode, 2, r.stderr)
            self.assertIn(f"--threads is '{value}', expected 1", r.stderr)

    def test_no_regular_records_is_said(self):
        for flags, said in (((), True), (("--interval-steps", "5"), False), (("--interval", "1"), False)):
            d = self.daemon(*flags)
            self.subscriber(d).until(lambda topic, r: topic == "daemon")
            self.assertEqual("no regular records" in d.said(), said, flags)

    def test_a_port_of_the_network_works(self):
        with raw.zmq.Context.instance().socket(raw.zmq.REP) as s:
            port = s.bind_to_random_port("tcp://127.0.0.1")
        d = self.daemon()
        d.stop()
        d.endpoint = lambda name: f"tcp://127.0.0.1:{port}" if name == "ingest" else f"ipc://{d.dir}/{name}.ipc"
        d.start()
        self.assertEqual(self.trainer(d).hello("t", 4, 2)[0], WELCOME)

    def test_a_living_daemon_keeps_its_endpoint(self):
        d = self.daemon()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        for state in (signal.SIGCONT, signal.SIGSTOP):
            d.signal(state)
            r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
            self.assertEqual(r.returncode, 4)
            self.assertIn("another momentscoped is listening", r.stderr)
        d.signal(signal.SIGCONT)
        sub.until(lambda topic, r: topic == "daemon")

    def test_of_two_that_start_at_once_one_stays(self):
        """And all of its three endpoints are its own, with one state file for both and without."""
        for state in (False, True):
            for trial in range(10):
                with tempfile.TemporaryDirectory() as d:
                    own = [os.path.join(raw.BUILD, "momentscoped"), "--interval", "0.1",
                           *(f"--{n}=ipc://{d}/{n}.ipc" for n in ("ingest", "telemetry", "replay")),
                           *(["--state", f"{d}/state"] if state else [])]
                    both = [subprocess.Popen(own, stderr=subprocess.PIPE, text=True) for _ in range(2)]
                    for p in both:
                        self.addCleanup(p.kill)
                    lost = self.first_to_end(both)
                    self.assertIsNotNone(lost, "both live")
                    stays = both[1 - both.index(lost)]
                    self.assertIn(lost.returncode, (3, 4), trial)
                    self.assertRegex(lost.stderr.read(), "about to|another momentscoped is|no other momentscoped uses")
                    time.sleep(0.05)
                    self.assertIsNone(stays.poll(), trial)
                    for n in ("ingest", "telemetry", "replay"):
                        with socket.socket(socket.AF_UNIX) as s:
                            s.connect(f"{d}/{n}.ipc")
                            pid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                        self.assertEqual(pid, stays.pid, n)
                    stays.terminate()
                    self.assertEqual(stays.wait(raw.PATIENCE), 0)
                    self.assertEqual([n for n in os.listdir(d) if n != "state"], [])
                    for p in both:
                        p.stderr.close()

    @staticmethod
    def first_to_end(processes):
        until = time.monotonic() + raw.PATIENCE
        while time.monotonic() < until:
            for p in processes:
                if p.poll() is not None:
                    return p
            time.sleep(0.02)
        return None

    def test_only_a_socket_is_replaced(self):
        with tempfile.TemporaryDirectory() as d:
            for taken in ("ingest", "telemetry", "replay"):
                own = [f"--{n}=ipc://{d}/{n}" for n in ("ingest", "telemetry", "replay")]
                path = f"{d}/{taken}"
                for make, kind in ((lambda: open(path, "w", encoding="utf-8").close(), "a regular file"),
                                   (lambda: os.mkdir(path), "a directory"), (lambda: os.mkfifo(path), "a pipe"),
                                   (lambda: os.symlink("/dev/null", path), "a symbolic link")):
                    make()
                    before = os.lstat(path)
                    r = self.run_(*own)
                    self.assertEqual(r.returncode, 4, r.stderr)
                    self.assertIn(f"--{taken} is 'ipc://{path}', expected a free path or a socket: it is "
                                  f"{kind}", r.stderr)
                    self.assertEqual(os.lstat(path)[:2], before[:2])
                    self.assertEqual(os.listdir(d), [taken])
                    (os.rmdir if kind == "a directory" else os.unlink)(path)

    def test_socket_files_go_with_their_daemon(self):
        d = self.daemon()
        files = lambda: sorted(n for n in os.listdir(d.dir) if n.endswith(".ipc"))
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(len(files()), 3)
        self.assertEqual(d.stop(), 0)
        self.assertEqual(files(), [])
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        d.kill()
        self.assertEqual(len(files()), 3)    # left behind, and no obstacle
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        os.rename(d.endpoint("ingest")[6:], d.endpoint("moved")[6:])
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(d.endpoint("ingest")[6:])
            self.assertEqual(d.stop(), 0)
        self.assertEqual(files(), ["ingest.ipc", "moved.ipc"])      # another's now, and not where it was bound

    def test_sockets_that_are_removed_are_made_again(self):
        d = self.daemon("--interval", "0.1")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        for n in ("ingest", "telemetry", "replay"):
            os.unlink(d.endpoint(n)[6:])
        os.unlink(d.endpoint("ingest")[6:] + ".lock")        # a cleaner may take both, or the socket alone
        sub.alert("unreachable")
        for n in ("ingest", "telemetry", "replay"):
            d.said(f"the socket file {d.endpoint(n)[6:]} is gone; it was made again")
        os.rename(d.dir, d.dir + "-away")    # nowhere to bind: told once, and healed when there is
        told = sub.alert("unreachable")["text"]
        self.assertIn("cannot be made again", told)
        time.sleep(1.5)
        os.rename(d.dir + "-away", d.dir)
        t = self.trainer(d)
        self.assertEqual(t.hello("t", 4, 2)[0], WELCOME)
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 4)
        self.assertIn("another momentscoped is listening", r.stderr)
        self.assertEqual(d.stop(), 0)
        self.assertEqual([n for n in os.listdir(d.dir) if n.endswith((".ipc", ".lock"))], [])

    def test_real_time_never_fails_the_start(self):
        d = self.daemon("--realtime", "--cpu", "0")
        said = self.subscriber(d, "daemon").until(lambda topic, r: True)["realtime"]
        for step in ("memory", "faulted in", "SCHED_FIFO 10", "slack", "cpu 0"):
            self.assertIn(step, said)
            self.assertIn(step, d.said(step))
        t = self.trainer(d)
        self.assertEqual(t.hello("t", 1000, 8)[0], WELCOME)
        self.assertEqual(d.stop(), 0)
        d = self.daemon("--cpu", "1023")
        said = self.subscriber(d, "daemon").until(lambda topic, r: True)["realtime"]
        self.assertRegex(said, "^cpu 1023 refused: ")

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become somebody else")
    @unittest.skipIf(os.environ.get("MOMENTSCOPE_SANITIZED"), "sanitizers answer mlockall themselves")
    def test_real_time_refused_is_said(self):
        with tempfile.TemporaryDirectory() as dir_:
            os.chown(dir_, 65534, 65534)
            program = shutil.copy(os.path.join(raw.BUILD, "momentscoped"), dir_)
            p = subprocess.Popen([program, "--realtime", *(f"--{n}=ipc://{dir_}/{n}" for n in ("ingest", "telemetry", "replay"))],
                                 stderr=subprocess.PIPE, text=True, user=65534, group=65534, extra_groups=[],
                                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536)))
            said = ""
            while "is ready" not in said:
                line = p.stderr.readline()
                self.assertTrue(line, said)
                said += line
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(raw.PATIENCE), 0)
            p.stderr.close()
        self.assertIn("locking memory refused: ", said)
        self.assertIn("CAP_SYS_NICE", said)

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become somebody else")
    def test_no_permission_is_not_another_daemon(self):
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            program = shutil.copy(os.path.join(raw.BUILD, "momentscoped"), d)
            os.mkdir(f"{d}/closed", 0o700)
            os.mkdir(f"{d}/open")
            os.chmod(f"{d}/open", 0o1777)
            ask = lambda path: subprocess.run(
                [program, f"--ingest=ipc://{path}", f"--telemetry=ipc://{d}/open/t", f"--replay=ipc://{d}/open/r"],
                capture_output=True, text=True, timeout=20, user=65534, group=65534, extra_groups=[])
            with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as dead:
                living.bind(f"{d}/open/living")
                os.chmod(f"{d}/open/living", 0o600)
                living.listen()
                dead.bind(f"{d}/open/dead")
                os.chmod(f"{d}/open/dead", 0o777)
                for path, says in (("open/living", "belongs to user 0, and this is user 65534: Permission denied"),
                                   ("open/dead", "cannot be replaced: no permission"),
                                   ("closed/x", "cannot examine"), ("x", "Permission denied")):
                    r = ask(f"{d}/{path}")
                    self.assertEqual(r.returncode, 4, r.stderr)
                    self.assertIn(says, r.stderr)
                    self.assertNotIn("another momentscoped", r.stderr)

    def test_log_is_opened_anew_on_hangup(self):
        d = self.daemon()
        log = os.path.join(d.dir, "own.log")
        d.stop()
        d.flags += ["--log", log]
        d.start()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        os.rename(log, log + ".1")
        d.signal(signal.SIGHUP)
        sub.until(lambda topic, r: topic == "daemon" and os.path.exists(log))
        d.stop()
        with open(log, encoding="utf-8") as f:
            self.assertIn("stopped", f.read())
        with open(log + ".1", encoding="utf-8") as f:
            self.assertIn("is ready", f.read())


if __name__ == "__main__":
    unittest.main()
