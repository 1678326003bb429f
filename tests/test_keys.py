"""Keys: who is let in, what the others are told, and that none of it is sent in the clear."""
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
from test_strangers import TRAINER

PROGRAM = os.path.join(raw.BUILD, "momentscope")


def keys(*args, code=0):
    r = subprocess.run([PROGRAM, "keys", *args], capture_output=True, text=True, timeout=20)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


class Keys(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mscope-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.d = os.path.join(self.dir, "daemon")
        self.public = keys("new", self.d).strip()

    def folder(self, name, daemon=None, allow=True):
        """A trainer's folder; `daemon`: the key that it takes for the daemon's."""
        path = os.path.join(self.dir, name)
        public = keys("new", path).strip()
        keys("allow", path, daemon or self.public, "daemon")
        if allow:
            keys("allow", self.d, public, name)
        return path

    def daemon(self, *flags):
        d = raw.Daemon("--interval", "0.1", "--keys", self.d, *flags)
        self.addCleanup(d.close)
        d.said("is ready")
        return d

    def trainer(self, daemon, folder, seconds=2.0, endpoint=None):
        code = TRAINER.format(python=os.path.join(raw.schema.ROOT, "host/python"),
                              endpoint=endpoint or daemon.endpoint("ingest"), seconds=seconds)
        env = dict(os.environ, BUILD=os.path.abspath(raw.BUILD))
        env.pop("MOMENTSCOPE_KEYS", None)
        if folder:
            env["MOMENTSCOPE_KEYS"] = folder
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout, r.stderr

    def watch(self, daemon, folder):
        env = dict(os.environ)
        env.pop("MOMENTSCOPE_KEYS", None)
        if folder:
            env["MOMENTSCOPE_KEYS"] = folder
        return subprocess.run([PROGRAM, "watch", "--json", "--once", "--wait", "8", "--telemetry",
                               daemon.endpoint("telemetry"), "--replay", daemon.endpoint("replay")],
                              capture_output=True, text=True, timeout=30, env=env)

    def test_a_listed_key_is_let_in(self):
        d, good = self.daemon(), self.folder("trainer")
        out, _ = self.trainer(d, good, 10)
        self.assertIn("connected None", out)
        r = self.watch(d, good)
        self.assertIn("no row of the table has moved yet", r.stderr)     # it has heard of the table

    def test_the_others_are_told_and_counted(self):
        d = self.daemon()
        good, stranger = self.folder("trainer"), self.folder("stranger", allow=False)
        wrong = self.folder("wrong", daemon=keys("new", os.path.join(self.dir, "another")).strip())
        for folder, to_client, to_log, within in (
                (None, "the daemon wants keys", "it has no keys", 6), (stranger, "does not know this public key",
                                                                      "is not in the file `allowed`", 3),
                (wrong, "another public key than", "it has another daemon's public key", 6)):
            with self.subTest(folder=folder):
                out, err = self.trainer(d, folder, within)
                self.assertIn("alone", out)
                self.assertIn(to_client, out)
                self.assertEqual(err.count("nothing is sent to this daemon"), 1, err)
                self.assertIn(to_log, d.said(to_log))
                r = self.watch(d, folder)
                self.assertNotEqual(r.returncode, 0)
                self.assertIn(to_client, r.stderr)
        self.assertIn("turned-away", d.said("turned-away"))
        self.assertIn("connected None", self.trainer(d, good, 10)[0])

    def test_a_wrong_key_is_not_tried_again_at_once(self):
        d, stranger = self.daemon(), self.folder("stranger", allow=False)
        self.trainer(d, stranger, 4)
        self.assertEqual(d.said("is not in").count("is not in " + self.d), 1)

    def test_steps_left_behind_are_told_with_their_reason(self):
        """Nothing was sent, so a longer wait in close would not have helped."""
        code = TRAINER.format(python=os.path.join(raw.schema.ROOT, "host/python"),
                              endpoint=self.daemon().endpoint("ingest"), seconds=6) + (
            "rows, grads = np.array([1]), np.ones((1, 2), np.float32)\n"
            "c.push(t, _lib.Step(.1, .1, 0, 0, 0, 8), rows.ctypes.data, grads.ctypes.data, _lib.F32, 1)\nc.close(.1)\n")
        env = {k: v for k, v in os.environ.items() if k != "MOMENTSCOPE_KEYS"}
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                           env=dict(env, BUILD=os.path.abspath(raw.BUILD)))
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stderr, "nothing was sent to the daemon at .*, as told above; the last 1 steps are lost")

    def test_a_peer_is_allowed_while_the_daemon_runs(self):
        d = self.daemon()
        late = self.folder("late", allow=False)
        self.assertIn("alone", self.trainer(d, late)[0])
        keys("allow", self.d, keys("show", late).split()[0], "late")
        self.assertIn("connected None", self.trainer(d, late, 10)[0])

    # -- the recorder in the daemon's place, and in front of it ---------------------------------------------

    def start(self, *args, folder=None):
        env = dict(os.environ)
        env.pop("MOMENTSCOPE_KEYS", None)
        if folder:
            env["MOMENTSCOPE_KEYS"] = folder
        p = subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.addCleanup(lambda: (p.poll() is None and p.kill(), p.communicate()))
        return p

    def recorder(self, *options, folder=None):
        """Started, and its address."""
        number = sum(n.startswith("front") for n in os.listdir(self.dir))
        address = f"ipc://{self.dir}/front{number}"
        p = self.start("record", f"{self.dir}/run{number}.tape", "--ingest", address, "--stay", *options, folder=folder)
        while "trainers attach at" not in (line := p.stderr.readline()):
            self.assertNotEqual(line, "")
        return p, address

    def ended(self, process):
        process.send_signal(signal.SIGINT)
        return process.communicate(timeout=20)

    def test_a_recorder_lets_in_as_a_daemon_does(self):
        good, stranger = self.folder("trainer"), self.folder("stranger", allow=False)
        wrong = self.folder("wrong", daemon=keys("new", os.path.join(self.dir, "another")).strip())
        r, address = self.recorder("--keys", self.d)
        self.assertIn("connected None", self.trainer(None, good, 10, address)[0])
        refused = ((None, "the daemon wants keys"), (stranger, "does not know this public key"),
                   (wrong, "another public key than"))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda c: self.trainer(None, c[0], 6, address), refused))
        for (_, to_client), (out, err) in zip(refused, said):
            self.assertIn("alone", out)
            self.assertIn(to_client, out)
            self.assertEqual(err.count("nothing is sent to this daemon"), 1, err)
        out, err = self.ended(r)
        reasons = ("it has no keys", "is not in the file `allowed`", "it has another daemon's public key")
        self.assertGreaterEqual(sum(said in err for said in reasons), 2, err)    # one a second is told
        times = int(re.search(r"turned away: (\d+) times", out).group(1))
        self.assertLessEqual(3, times)
        self.assertLess(times, 40)                           # in 6 s
        self.assertIn("table t", out)                        # the listed trainer's, and nobody else's
        self.assertEqual(out.count("table t"), 1)

    def test_a_recorder_in_front_of_a_daemon(self):
        """One folder of keys: trainers and the daemon are allowed in it."""
        d, middle, good = self.daemon(), self.folder("recorder"), self.folder("trainer", allow=False)
        os.truncate(f"{good}/allowed", 0)
        keys("allow", good, keys("show", middle).split()[0], "daemon")
        keys("allow", middle, keys("show", good).split()[0], "trainer")
        r, address = self.recorder("--keys", middle, "--forward", d.endpoint("ingest"))
        self.assertIn("connected None", self.trainer(None, good, 10, address)[0])
        self.assertIn("the daemon is up", self.ended(r)[1])

    def test_a_recorder_in_the_daemon_s_name(self):
        """With the daemon's own folder, in which it is allowed by the name of daemon, trainers see no difference."""
        good = self.folder("trainer")
        keys("allow", self.d, self.public, "daemon")
        d = self.daemon()
        _, address = self.recorder("--forward", d.endpoint("ingest"), folder=self.d)
        self.assertIn("connected None", self.trainer(None, good, 10, address)[0])

    def test_a_recorder_that_the_daemon_refuses(self):
        d, middle = self.daemon(), self.folder("recorder", allow=False)
        plain = raw.Daemon("--interval", "0.1")
        self.addCleanup(plain.close)
        plain.said("is ready")
        for daemon, options, to_recorder, to_log in (
                (d, ("--keys", middle), "does not know this public key", "is not in the file `allowed`"),
                (d, (), "the daemon wants keys", "it has no keys"),
                (plain, ("--keys", middle), "the daemon has no keys", None)):
            with self.subTest(to_recorder=to_recorder):
                r, _ = self.recorder("--forward", daemon.endpoint("ingest"), *options)
                while to_recorder not in (first := r.stderr.readline()):
                    self.assertNotEqual(first, "")
                time.sleep(2)
                _, err = self.ended(r)
                self.assertIn("nothing goes on to the daemon: ", first)
                # the daemon may end five handshakes without a word before one tells why: that is another reason
                self.assertLessEqual(err.count("nothing goes on"), int("it ends every handshake" in first), err)
                if to_log:
                    self.assertIn(to_log, d.said(to_log))

    # -- those who listen -----------------------------------------------------------------------------------

    def test_every_listener_takes_the_option(self):
        d, good = self.daemon(), self.folder("trainer")
        self.assertIn("connected None", self.trainer(d, good, 10)[0])
        where = ("--telemetry", d.endpoint("telemetry"), "--replay", d.endpoint("replay"))
        for r in [self.start(*command, "--wait", "6", *where, "--keys", good)
                  for command in (("watch", "--once"), ("check",), ("advise",))]:
            with self.subTest(command=r.args[1]):
                self.assertIn("no row of the table has moved yet", r.communicate(timeout=30)[1])

    def test_a_listener_that_stays_is_told_and_comes_back(self):
        """Refused, it says so once, waits 30 s, and hears the daemon as soon as its key is allowed after that."""
        d, late = self.daemon(), self.folder("late", allow=False)
        where = ("--telemetry", d.endpoint("telemetry"), "--replay", d.endpoint("replay"), "--keys", late)
        listeners = [self.start("watch", "--json", "--for", "36", *where),
                     self.start("check", "--follow", "--for", "36", *where),
                     self.start("serve", "--port", "0", "--alerts", "", "--for", "36", *where)]
        time.sleep(3)
        keys("allow", self.d, keys("show", late).split()[0], "late")
        out, err = zip(*(p.communicate(timeout=90) for p in listeners))
        for said in err:
            self.assertEqual(said.count("does not know this public key"), 1, said)
        self.assertIn('"topic":"daemon"', out[0])
        self.assertIn("the daemon at", err[1])               # "has no table": it was heard
        tried = d.said("turned-away")
        self.assertLess(sum(int(n) for n in re.findall(r"turned-away: (\d+) ", tried)), 30, tried)

    def test_alerts_that_check_publishes(self):
        d, good, stranger = self.daemon(), self.folder("trainer"), self.folder("stranger", allow=False)
        where = f"ipc://{self.dir}/alerts"
        p = self.start("check", "--follow", "--publish", where, "--telemetry", d.endpoint("telemetry"), "--replay", "",
                       folder=good)
        while not os.path.exists(where[6:]):
            time.sleep(.01)
        listener = os.path.join(self.dir, "listener")
        mine = keys("new", listener).strip()
        keys("allow", listener, keys("show", good).split()[0], "daemon")
        keys("allow", good, mine, "listener")                # beside the daemon, whose name it keeps
        heard = self.start("watch", "--json", "--telemetry", where, "--replay", "", "--for", "3", "--keys", listener)
        self.assertNotIn("nothing is heard", heard.communicate(timeout=30)[1])
        for options, told in ((("--keys", stranger), "another public key than"), ((), "the daemon wants keys")):
            refused = self.start("watch", "--json", "--telemetry", where, "--replay", "", "--for", "4", *options)
            self.assertIn(told, refused.communicate(timeout=30)[1])
        err = self.ended(p)[1]
        self.assertIn("it has no keys", err)
        self.assertIn("it has another daemon's public key", err)

    def test_no_command_binds_to_the_network_without_keys(self):
        for command in (("record", f"{self.dir}/x", "--ingest", "tcp://0.0.0.0:7001", "--allow-remote"),
                        ("check", "--follow", "--publish", "tcp://0.0.0.0:7001", "--allow-remote")):
            p = self.start(*command)
            _, err = p.communicate(timeout=20)
            self.assertEqual(p.returncode, 2)
            self.assertIn("--keys DIR with it", err)
        p = self.start("record", f"{self.dir}/x", "--keys", f"{self.dir}/none")
        self.assertIn("momentscope keys new makes one", p.communicate(timeout=20)[1])
        self.assertEqual(p.returncode, 1)

    def test_keys_but_a_plain_daemon(self):
        plain, folder = raw.Daemon("--interval", "0.1"), self.folder("trainer")
        self.addCleanup(plain.close)
        plain.said("is ready")
        out, _ = self.trainer(plain, folder)
        self.assertIn("the daemon has no keys", out)

    def test_the_network_needs_keys_on_both_sides(self):
        own = [f for n in ("ingest", "telemetry", "replay") for f in (f"--{n}", f"ipc://{self.dir}/{n}")]
        program = os.path.join(raw.BUILD, "momentscoped")
        r = subprocess.run([program, *own[2:], "--ingest", "tcp://0.0.0.0:7001", "--allow-remote"], capture_output=True,
                           text=True, timeout=20)
        self.assertEqual(r.returncode, 2)
        self.assertIn("expected --keys DIR with it", r.stderr)
        out, _ = self.trainer(None, None, 0.1, "tcp://192.0.2.1:7001")
        self.assertIn("refused", out)
        self.assertIn("MOMENTSCOPE_KEYS", out)
        with raw.zmq.Context.instance().socket(raw.zmq.REP) as s:
            port = s.bind_to_random_port("tcp://127.0.0.1")
        d = self.daemon("--ingest", f"tcp://0.0.0.0:{port}", "--allow-remote")
        out, _ = self.trainer(d, self.folder("trainer"), 10, f"tcp://127.0.0.1:{port}")
        self.assertIn("connected None", out)

    def test_files_that_others_could_read_or_change_are_not_used(self):
        d = os.path.join(raw.BUILD, "momentscoped")
        ask = lambda: subprocess.run([d, "--keys", self.d, *(a for n in ("ingest", "telemetry", "replay")
                                                             for a in (f"--{n}", f"ipc://{self.dir}/{n}"))],
                                     capture_output=True, text=True, timeout=20)
        os.chmod(f"{self.d}/secret", 0o640)
        r = ask()
        self.assertEqual(r.returncode, 4, r.stderr)
        self.assertIn("chmod 600", r.stderr)
        os.chmod(f"{self.d}/secret", 0o600)
        with open(f"{self.d}/allowed", "w", encoding="ascii") as f:
            f.write("# peers\n\n" + 63 * "a" + " short\n")
        r = ask()
        self.assertEqual(r.returncode, 4, r.stderr)
        self.assertIn("line 3: expected a public key of 64", r.stderr)

    def test_the_command(self):
        self.assertIn("there is one, and it is kept", keys("new", self.d, code=1))
        self.assertEqual(keys("show", self.d), self.public + "\n")
        self.assertIn("is allowed already", keys("allow", self.d, self.public, "me") and keys("allow", self.d, self.public, "me"))
        self.assertIn("64 hexadecimal digits", keys("allow", self.d, "abc", "me", code=1))
        self.assertIn("letters, digits", keys("allow", self.d, 64 * "0", "my name", code=1))
        with open(f"{self.d}/allowed", "rb+") as f:          # as some editors leave it
            f.truncate(os.path.getsize(f.name) - 1)
        keys("allow", self.d, 64 * "1", "more")
        with open(f"{self.d}/allowed", encoding="ascii") as f:
            self.assertEqual(f.read().splitlines()[-2:], [self.public + " me", 64 * "1" + " more"])
        self.assertIn("momentscope keys new makes one", keys("show", self.dir, code=1))
        self.assertEqual(os.stat(f"{self.d}/secret").st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()
