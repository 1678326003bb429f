"""Transport by shared memory: it is used where it exists, results equal those over ZeroMQ bit for bit, training goes on
without it, and no acknowledged message is lost when the client or the daemon dies."""
import array
import ctypes as C
import fcntl
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import client_support as support
import numpy as np
from momentscope import _lib
from momentscope._client import Client

ROWS, DIM, CAPACITY = 500, 16, 64
SEALS = 1033 + 1, 1033                       # F_GET_SEALS, F_ADD_SEALS
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1, 2, 4


def batches(seed, steps, most=CAPACITY):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        n = int(rng.integers(0, most + 1))
        yield rng.integers(0, ROWS, n), rng.standard_normal((n, DIM)).astype(np.float32), bool(rng.integers(0, 2))


def push(client, table, batch, eps=0.1):
    rows, grads, counted = batch
    step = _lib.Step(0.05, eps, 0.0, 1e-3 if counted else 0.0, 0.0, 32.0)
    counts = np.arange(1, len(rows) + 1, dtype=np.uint32) if counted and len(rows) else None
    return client.push(table, step, rows.ctypes.data, grads.ctypes.data, _lib.F32, len(rows),
                       None if counts is None else counts.ctypes.data_as(C.POINTER(C.c_uint32)))


def attach(client, **options):
    options.setdefault("fresh", True)
    return client.attach("t", ROWS, DIM, CAPACITY, form=_lib.FORM_EMA, **options)


def until(test, what, seconds=10.0, poll=lambda: None):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise AssertionError(what)
        poll()
        time.sleep(0.005)


def maps(pid):
    with open(f"/proc/{pid}/maps") as f:
        return f.read().count("memfd:momentscope")


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Shm(unittest.TestCase):
    def run_with(self, mode, steps=300, **more):
        """The table's and bands' last records of a run, without what depends on time."""
        with support.Daemon("--interval", "0", "--interval-steps", "50") as d:     # publishing moves silent rows' bands
            listener = support.Listener(d)
            client = Client(d.ingest, transport=mode, block_ms=5000, **more)
            table = attach(client)
            if mode != "zmq":
                until(lambda: client.stats()["transport"] == "shm", "no shm", poll=client.poll)
            for b in batches(1, steps):
                self.assertEqual(push(client, table, b), 0)
            self.assertTrue(client.flush(10))
            record = listener.table("t", steps)
            listener.pump(0.3)
            stats = client.stats()
            client.close()
            out = {k: {f: v for f, v in r.items() if f not in ("epoch", "transport")} for k, r in listener.latest.items()
                   if k.startswith(("band/", "table/")) and r["step"] == steps}
            self.assertGreater(len(out), 3)
            for r in out.values():
                r.pop("attached", None)
            listener.close()
            return out, stats, record

    def test_equal_bit_for_bit_and_told(self):
        through, stats, record = self.run_with("auto")
        without, plain, other = self.run_with("zmq")
        self.assertEqual(through, without)
        self.assertEqual((stats["transport"], plain["transport"]), ("shm", "zmq"))
        self.assertGreater(stats["steps_shm"], 280)          # all but those without a row
        self.assertEqual((plain["steps_shm"], stats["steps_dropped"], stats["errors"]), (0, 0, 0))
        self.assertEqual((record["transport"], other["transport"]), ("shm", "zmq"))

    def test_forced_shm_and_a_ring_that_is_always_full(self):
        through, stats, _ = self.run_with("shm", buffer_bytes=24 << 10)
        without, _, _ = self.run_with("zmq")
        self.assertEqual(through, without)
        self.assertEqual((stats["steps_dropped"], stats["errors"]), (0, 0))
        self.assertEqual(stats["steps_shm"] + sum(len(b[0]) == 0 for b in batches(1, 300)), 300)

    def test_falls_back_by_itself(self):
        without, _, _ = self.run_with("zmq", steps=50)
        for name, break_it in (("no socket", lambda d: os.unlink(f"{d.dir}/ingest.shm")),
                               ("deaf", lambda d: None)):
            with self.subTest(name), support.Daemon() as d:
                break_it(d)
                deaf = None
                if name == "deaf":
                    os.unlink(f"{d.dir}/ingest.shm")
                    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    deaf.bind(f"{d.dir}/ingest.shm")
                    deaf.listen(1)
                listener, client = support.Listener(d), Client(d.ingest, block_ms=5000)
                table = attach(client)
                for b in batches(1, 50):
                    self.assertEqual(push(client, table, b), 0)
                self.assertTrue(client.flush(10))
                self.assertEqual(listener.table("t", 50)["V"], without["table/t"]["V"])
                self.assertEqual((client.stats()["steps_shm"], client.stats()["steps_dropped"]), (0, 0))
                client.close()
                listener.close()
                if deaf:
                    deaf.close()

    def test_modes_are_checked_in_words(self):
        with self.assertRaisesRegex(ValueError, "transport = 'mpi' .auto, zmq or shm."):
            Client("ipc:///tmp/nobody", transport="mpi")
        with self.assertRaisesRegex(ValueError, "transport = shm .auto or zmq with this endpoint"):
            Client("tcp://127.0.0.1:1", transport="shm")
        os.environ["MOMENTSCOPE_TRANSPORT"] = "pigeon"
        try:
            with self.assertRaisesRegex(ValueError, "MOMENTSCOPE_TRANSPORT = pigeon"):
                Client("ipc:///tmp/nobody")
        finally:
            del os.environ["MOMENTSCOPE_TRANSPORT"]

    def insist(self, endpoint, uid=None):
        """A trainer that takes nothing but shared memory, in a process of its own: (stats, stderr, longest push in s)."""
        (out, into), said = os.pipe(), tempfile.TemporaryFile()
        pid = os.fork()
        if pid == 0:
            try:
                os.dup2(said.fileno(), 2)
                if uid is not None:
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                client, longest = Client(endpoint, transport="shm"), 0.0
                table, end = attach(client), time.monotonic() + 6
                for b in batches(3, 2000):
                    start = time.monotonic()
                    push(client, table, b)
                    longest = max(longest, time.monotonic() - start)
                    time.sleep(0.003)
                    if client.stats()["last_error"] and time.monotonic() > end - 4:     # a second note would have come
                        break
                os.write(into, json.dumps([client.stats(), longest]).encode())
            finally:
                os._exit(0)
        os.close(into)
        told = b""
        while chunk := os.read(out, 1 << 16):
            told += chunk
        os.close(out)
        os.waitpid(pid, 0)
        said.seek(0)
        stats, longest = json.loads(told)
        with said:
            return stats, said.read().decode(), longest

    def check_told(self, stats, said, longest, range_, text):
        why = stats["last_error"]
        self.assertEqual((why["field"], why["value"], stats["transport"], stats["connected"]), ("transport", "shm", "zmq", True))
        self.assertIn(range_, why["range"])
        self.assertIn(text, why["text"])
        self.assertIn("MOMENTSCOPE_TRANSPORT", why["text"])
        self.assertEqual(said.count("no shared memory with the daemon: transport = shm (" + range_), 1, said)
        self.assertEqual(stats["steps_shm"] + stats["steps_dropped"] > 0, True)
        self.assertLess(longest, 1)                           # of some microseconds; the machine may be busy

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_another_users_daemon_is_told(self):
        nobody = 65534
        for mode, range_, text in ((0o777, f"a daemon of this user, uid {nobody}", "it is of uid 0;"),
                                   (0o700, "a daemon of this user", "Permission denied")):
            with self.subTest(mode=oct(mode)), support.Daemon("--allow-users") as d:
                os.chmod(d.dir, 0o755)
                os.chmod(f"{d.dir}/ingest", 0o777)
                os.chmod(f"{d.dir}/ingest.shm", mode)
                self.check_told(*self.insist(d.ingest, nobody), range_, text)

    def test_a_daemon_without_shared_memory_is_told(self):
        """A recorder takes the offer out; a socket file that is gone is told when it stays gone."""
        with tempfile.TemporaryDirectory() as dir:
            r = subprocess.Popen([os.path.join(support.BUILD, "momentscope"), "record", f"{dir}/tape", "--quiet", "--stay",
                                  "--ingest", f"ipc://{dir}/in"])
            try:
                self.check_told(*self.insist(f"ipc://{dir}/in"), "a daemon that offers shared memory", "recorder")
            finally:
                r.terminate()
                r.wait()
        with support.Daemon() as d:
            os.unlink(f"{d.dir}/ingest.shm")
            self.check_told(*self.insist(d.ingest), "a socket that answers", "No such file")

    def test_one_too_many_is_told(self):
        """The daemon has 64 places; the trainer that finds none learns it from the daemon's answer."""
        with support.Daemon("--max-tables", "80") as d:
            clients = []
            for i in range(65):
                client = Client(d.ingest, transport="shm", quiet=True)
                client.attach(f"t{i}", ROWS, DIM, CAPACITY, form=_lib.FORM_EMA, fresh=True)
                clients.append(client)
                until(lambda: client.stats()["transport"] == "shm" or client.stats()["last_error"], f"no shm for {i}",
                      poll=lambda: client.poll(0.01))
            why = clients[-1].stats()["last_error"]
            self.assertEqual((why["field"], why["range"]), ("shm", "at most 64 at once"))
            for client in clients:
                client.close()

    def test_slots_are_written_in_place(self):
        lib = _lib.lib()

        class Slot(C.Structure):
            _fields_ = [("rows", C.c_void_p), ("values", C.c_void_p), ("counts", C.c_void_p), ("n", C.c_size_t)]

        results = []
        for mode in ("auto", "zmq"):
            with support.Daemon() as d:
                listener, client = support.Listener(d), Client(d.ingest, transport=mode, block_ms=5000)
                table, slot = attach(client), Slot()
                if mode == "auto":
                    until(lambda: client.stats()["transport"] == "shm", "no shm", poll=client.poll)
                self.assertLess(lib.mscope_client_commit(client._c, C.byref(_lib.Step(0.05, 0.1, 0, 0, 0, 32))), 0)
                done = 0
                for i, (rows, grads, _) in enumerate(b for b in batches(2, 40) if len(b[0])):
                    step = _lib.Step(0.05, 0.1, 0.0, 1e-3 * (i % 2), 0.0, 32.0)
                    self.assertEqual(lib.mscope_client_reserve(client._c, table, C.c_size_t(len(rows)), _lib.F32, i % 3 == 0,
                                                               C.byref(slot)), 0)
                    C.memmove(slot.rows, rows.astype(np.uint32).ctypes.data, 4 * len(rows))
                    C.memmove(slot.values, grads.ctypes.data, grads.nbytes)
                    if slot.counts:
                        C.memmove(slot.counts, np.full(len(rows), 3, np.uint32).ctypes.data, 4 * len(rows))
                    if i % 7 == 3:
                        lib.mscope_client_abandon(client._c)
                        continue
                    if i % 7 == 5:           # another push while the slot is out comes first
                        push(client, table, (rows, grads, False))
                        done += 1
                    self.assertEqual(lib.mscope_client_commit(client._c, C.byref(step)), 0)
                    done += 1
                self.assertTrue(client.flush(10))
                results.append(listener.table("t", done)["V"])
                self.assertEqual(client.stats()["steps_dropped"], 0)
                client.close()
                listener.close()
        # The rows are the same; a total is as of the last resum, and when that was is a matter of time.
        self.assertAlmostEqual(results[0] / results[1], 1, delta=1e-12)


class Deaths(unittest.TestCase):
    """Exactly once, and nothing acknowledged lost, with shared memory active."""

    def test_daemon_killed_at_random(self):
        rng = random.Random(5)
        theta, m = np.zeros((ROWS, DIM), np.float32), np.zeros((ROWS, DIM), np.float32)

        def read(first, n, to_theta, to_m):
            C.memmove(to_theta, theta[first:].ctypes.data, n * DIM * 4)
            C.memmove(to_m, m[first:].ctypes.data, n * DIM * 4)

        with support.Daemon() as d:
            client = Client(d.ingest, block_ms=2000, quiet=True)
            table = client.attach("t", ROWS, DIM, CAPACITY, form=_lib.FORM_EMA, fresh=True, read=read)
            steps, epoch = 0, 0
            for life in range(6):
                until(lambda: client.stats()["transport"] == "shm" and client.stats()["epoch"] != epoch,
                      f"no shm in life {life}", poll=lambda: client.poll(0.01))
                epoch = client.stats()["epoch"]
                for rows, grads, _ in batches(10 + life, rng.randrange(20, 120)):
                    rows = np.unique(rows)   # the model below does not count occurrences
                    grads = grads[:len(rows)]
                    m *= np.float32(0.9)
                    m[rows] += np.float32(0.1) * grads
                    theta -= np.float32(0.05) * m
                    step = _lib.Step(0.05, 0.1, 0.0, 0.0, 0.0, 32.0)
                    self.assertEqual(client.push(table, step, rows.ctypes.data, np.ascontiguousarray(grads).ctypes.data,
                                                 _lib.F32, len(rows)), 0)
                    steps += 1
                d.process.send_signal(signal.SIGKILL)
                d.process.wait()
                d.start() if rng.random() < 0.5 else (d.kill(), d.start())
            listener = support.Listener(d)
            self.assertTrue(client.flush(20), client.stats())
            record = listener.table("t", steps)
            self.assertAlmostEqual(record["V"] / float((m.astype(float) ** 2).sum()), 1, delta=1e-5)
            stats = client.stats()
            self.assertGreater(stats["steps_shm"], 100)
            self.assertGreaterEqual(stats["reconnects"], 5)
            client.close()
            listener.close()

    def test_connection_lost_resends_once(self):
        """SIGSTOP of the daemon with a full ring, then on: every step once, in order, none lost."""
        with support.Daemon() as d:
            listener, client = support.Listener(d), Client(d.ingest, block_ms=5000)
            table = attach(client)
            until(lambda: client.stats()["transport"] == "shm", "no shm", poll=client.poll)
            done = 0
            for round_ in range(5):
                d.signal(signal.SIGSTOP)
                for b in batches(round_, 40):
                    push(client, table, b)
                    done += 1
                d.signal(signal.SIGCONT)
                self.assertTrue(client.flush(10))
            record = listener.table("t", done)
            self.assertEqual((record["lost_steps"], record["refused_messages"]), (0, 0))
            client.close()
            listener.close()

    def test_trainer_killed_at_random(self):
        """What was acknowledged is there; the daemon lives, unmaps the ring, and takes the next trainer."""
        rng = random.Random(6)
        with support.Daemon("--takeover", "0.2") as d:
            listener = support.Listener(d)
            files_before = None
            for life in range(8):
                out, into = os.pipe()
                pid = os.fork()
                if pid == 0:
                    try:
                        client = Client(d.ingest, block_ms=2000, quiet=True)
                        table = client.attach(f"t{life}", ROWS, DIM, CAPACITY, form=_lib.FORM_EMA, fresh=True)
                        until(lambda: client.stats()["transport"] == "shm", "no shm", poll=lambda: client.poll(0.01))
                        k = 0
                        for b in batches(life, 1000000):
                            push(client, table, b)
                            k += 1
                            os.write(into, struct.pack("<QQ", k, client.stats()["messages_unacked"]))
                    finally:
                        os._exit(1)
                os.close(into)
                time.sleep(0.2 + 0.3 * rng.random())
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                said = b""
                while chunk := os.read(out, 1 << 16):
                    said += chunk
                os.close(out)
                pushed, unacked = struct.unpack_from("<QQ", said, len(said) // 16 * 16 - 16)
                until(lambda: maps(d.process.pid) == 0, "the ring of a dead trainer stays mapped")
                listener.until(lambda r: r.get(f"table/t{life}", {"step": 0})["step"] >= pushed - unacked, 3)
                record = listener.latest[f"table/t{life}"]
                self.assertGreaterEqual(record["step"], pushed - unacked)
                self.assertLessEqual(record["step"], pushed + 1)
                self.assertEqual((record["transport"], record["lost_steps"]), ("shm", 0))
                if life == 1:
                    files_before = files(d.process.pid)
            until(lambda: files(d.process.pid) <= files_before, "files leak")
            self.assertIsNone(d.process.poll())
            listener.close()

    def test_trainer_killed_while_its_worker_lives(self):
        """A forked worker (DataLoader) has nothing of the ring: it goes with the trainer, not with the worker."""
        with support.Daemon("--takeover", "60") as d:
            listener = support.Listener(d)
            out, into = os.pipe()
            trainer = os.fork()
            if trainer == 0:
                try:
                    clients = [Client(d.ingest, quiet=True) for _ in range(2)]
                    clients[0].close()                        # one that is closed is none of the child's business
                    client = clients[1]
                    table = client.attach("t", ROWS, DIM, CAPACITY, form=_lib.FORM_EMA, fresh=True)
                    until(lambda: client.stats()["transport"] == "shm", "no shm", poll=lambda: client.poll(0.01))
                    for i, b in enumerate(batches(5, 1000000)):
                        push(client, table, b)
                        if i == 20:
                            worker = os.fork()
                            if worker == 0:
                                time.sleep(60)
                                os._exit(0)
                        if i == 40:
                            assert client.flush(10) and client.stats()["reconnects"] == 0
                            os.write(into, struct.pack("<Q", worker))
                finally:
                    os._exit(1)
            os.close(into)
            worker = struct.unpack("<Q", os.read(out, 8))[0]
            self.addCleanup(os.kill, worker, signal.SIGKILL)
            self.assertEqual([at for fd in os.listdir(f"/proc/{worker}/fd")
                              if "memfd" in (at := os.readlink(f"/proc/{worker}/fd/{fd}"))], [])
            self.assertEqual(maps(d.process.pid), 1)
            os.kill(trainer, signal.SIGKILL)
            os.waitpid(trainer, 0)
            until(lambda: maps(d.process.pid) == 0, "the ring stays mapped while the worker lives")
            os.kill(worker, 0)
            self.assertTrue(listener.until(lambda r: any(a["code"] == "gone" for a in listener.alerts), 10))
            os.close(out)
            listener.close()

    def test_a_thousand_attachments_leave_nothing(self):
        with support.Daemon("--max-tables", "4") as d:
            for i in range(1000):
                client = Client(d.ingest, quiet=True)
                table = attach(client)
                until(lambda: client.stats()["transport"] == "shm", f"no shm, attachment {i}", poll=lambda: client.poll(0.01))
                push(client, table, next(batches(i, 1)))
                client.flush(5)
                client.close()
                if i == 20:
                    until(lambda: maps(d.process.pid) == 0, "mapped after close")
                    time.sleep(0.3)
                    before, mine = files(d.process.pid), files(os.getpid())
            until(lambda: maps(d.process.pid) == 0, "mapped after close")
            until(lambda: files(d.process.pid) <= before + 1, f"daemon: {files(d.process.pid)} files, {before} before")
            self.assertEqual(maps(os.getpid()), 0)
            self.assertLessEqual(files(os.getpid()), mine + 1)


class Offers(unittest.TestCase):
    """What is not a ring is refused with field, value and range, and nothing is kept of it."""

    def offer(self, d, packet, fds):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(5)
        s.connect(f"{d.dir}/ingest.shm")
        s.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        said = s.recv(4096)
        closed = s.recv(1) == b"" if struct.unpack_from("<q", said, 8)[0] else False
        s.close()
        import msgpack
        return struct.unpack_from("<q", said, 8)[0], msgpack.unpackb(said[16:]) if len(said) > 16 else None, closed

    def test_each_wrong_offer(self):
        import msgpack
        import zmq
        import raw
        with support.Daemon() as d:
            context = zmq.Context()
            dealer = context.socket(zmq.DEALER)
            dealer.connect(d.ingest)
            hello = {"table": "t", "client": "raw", "rows": 8, "dim": 2, "capacity": 8, "step": 0, "state": "f32",
                     "form": "ema", "nesterov": False, "reference": "", "fresh": True, "nll": False, "acf_rows": 0}
            dealer.send_multipart([raw.header(raw.HELLO, session=77, seq=1, table=0), msgpack.packb(hello)])
            welcome = msgpack.unpackb(dealer.recv_multipart()[1])
            self.assertIs(welcome["shm"], True)

            def ring(size=8192, seals=F_SEAL_SHRINK | F_SEAL_GROW):
                fd = os.memfd_create("momentscope", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(fd, size)
                if seals:
                    fcntl.fcntl(fd, SEALS[1], seals)
                return fd

            def packet(session=77, epoch=welcome["epoch"], shm=5, size=8192, magic=b"MSHM", version=1, zero=0):
                return struct.pack("<4sB3xQQQQ", magic, version, session, epoch, shm, size)[:5] + bytes([zero, 0, 0]) + \
                    struct.pack("<QQQQ", session, epoch, shm, size)

            good, small, open_, huge = ring(), ring(4096), ring(seals=0), ring(2 << 30)
            plain = os.open(f"{d.dir}/plain", os.O_RDWR | os.O_CREAT)
            os.ftruncate(plain, 8192)
            pipe = os.pipe()
            before = files(d.process.pid)
            for field, p, fds in (
                    ("offer", packet()[:39], [good]), ("offer", packet() + b"\0", [good]), ("offer", b"x", []),
                    ("magic", packet(magic=b"MSCP"), [good]), ("version", packet(version=2), [good]),
                    ("reserved", packet(zero=1), [good]), ("shm", packet(shm=0), [good]),
                    ("bytes", packet(size=0), [good]), ("bytes", packet(size=8193), [good]),
                    ("bytes", packet(size=2 << 30), [huge]), ("bytes", packet(size=2**64 - 64), [good]),
                    ("bytes", packet(size=4096), [good]), ("bytes", packet(), [small]),
                    ("epoch", packet(epoch=1), [good]), ("session", packet(session=78), [good]),
                    ("session", packet(session=0), [good]), ("files", packet(), []), ("files", packet(), [good, good]),
                    ("files", packet(), [good] * 9), ("file", packet(), [plain]), ("file", packet(), [pipe[0]]),
                    ("seals", packet(), [open_])):
                with self.subTest(field=field, fds=len(fds), packet=p[:8]):
                    code, why, closed = self.offer(d, p, fds)
                    self.assertLess(code, 0)
                    self.assertEqual((why["field"], closed), (field, True))
                    self.assertTrue(why["value"] and why["range"] and why["text"])
            until(lambda: files(d.process.pid) <= before, "files of refused offers are kept")
            self.assertEqual(maps(d.process.pid), 0)

            # a good one, then descriptors of every wrong kind: each refused by name, nothing changed
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(f"{d.dir}/ingest.shm")
            s.sendmsg([packet()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [good]))])
            self.assertEqual(struct.unpack_from("<q", s.recv(4096), 8)[0], 0)
            os.pwrite(good, struct.pack("<2I", 1, 7), 64)
            os.pwrite(good, struct.pack("<4f", 1, 2, 3, 4), 128)
            os.pwrite(good, struct.pack("<2I", 1, 8), 192)
            os.pwrite(good, struct.pack("<4f", 1, 2, float("nan"), 4), 256)
            seq, step = 1, 1

            def say(body, *extra, flags=16):
                nonlocal seq
                dealer.send_multipart([raw.header(raw.STEP, session=77, seq=seq, table=0, step=step, flags=flags, a=0.1,
                                                  b=0.1, count=2, extra=1, index_type=4, value_type=1), body, *extra])
                seq += 1
                answer = dealer.recv_multipart()
                if len(answer) == 1:
                    return None
                why = msgpack.unpackb(answer[1])
                if why["field"] != "shm":
                    dealer.recv_multipart()                       # its ACK
                return why["field"]

            where = lambda *parts, shm=5: struct.pack("<Q", shm) + b"".join(struct.pack("<QQ", *p) for p in parts)
            for want, body in (("descriptor", b""), ("descriptor", b"\5" * 8), ("descriptor", where((64, 8), (128, 16)) + b"x"),
                               ("descriptor", where(*[(64, 8)] * 5)),
                               ("offset", where((65, 8), (128, 16))), ("offset", where((64, 8), (8256, 16))),
                               ("offset", where((2**64 - 64, 8), (128, 16))),
                               ("length", where((8192, 8), (128, 16))), ("length", where((64, 2**64 - 1), (128, 16))),
                               ("length", where((64, 8), (8128, 128))),
                               ("indices", where((64, 4), (128, 16))), ("values", where((64, 8), (128, 12))),
                               ("values", where((64, 8))), ("parts", where((64, 8), (128, 16), (0, 4))),
                               ("indices", where((192, 8), (128, 16))), ("values", where((64, 8), (256, 16)))):
                with self.subTest(want=want, body=body):
                    self.assertEqual(say(body), want)
            self.assertEqual(say(where((64, 8), (128, 16)), b"more"), "parts")
            self.assertIsNone(say(where((64, 8), (128, 16))))
            step += 1
            self.assertEqual(say(where((64, 8), (128, 16), shm=6)), "shm")          # not consumed:
            seq -= 1
            self.assertIsNone(say(where((64, 8), (128, 16))))
            s.close()
            until(lambda: maps(d.process.pid) == 0, "still mapped")
            step += 1
            self.assertEqual(say(where((64, 8), (128, 16))), "shm")
            dealer.close(0)
            context.term()


if __name__ == "__main__":
    unittest.main()
