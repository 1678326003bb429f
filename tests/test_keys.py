"""Keys: who is let in, what the others are told, and that none of it is sent in the clear."""
import os
import shutil
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

    def test_a_peer_is_allowed_while_the_daemon_runs(self):
        d = self.daemon()
        late = self.folder("late", allow=False)
        self.assertIn("alone", self.trainer(d, late)[0])
        keys("allow", self.d, keys("show", late).split()[0], "late")
        self.assertIn("connected None", self.trainer(d, late, 10)[0])

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
