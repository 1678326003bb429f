"""A trainer's weights go to its own user's daemon or to nobody's, and attaching never ends the trainer."""
import contextlib
import os
import pwd
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw

NOBODY = pwd.getpwnam("nobody").pw_uid
TRAINER = """
import sys, time
sys.path.insert(0, {python!r})
from momentscope import _lib
from momentscope._client import Client
import numpy as np
try:
    c = Client({endpoint!r}, quiet=False)
    t = c.attach("t", 8, 2, 64, form=_lib.FORM_EMA, fresh=True)
    end = time.monotonic() + {seconds}
    while time.monotonic() < end and not c.stats()["connected"]:
        c.poll(.05)
    s = c.stats()
    print("connected" if s["connected"] else "alone", s["last_error"])
except Exception as e:
    print("refused", e)
"""


def as_user(uid, *command, **more):
    return subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command], **more)


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be two users")
class Strangers(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mscope-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)

    def directory(self, name, uid, mode):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        os.chown(path, uid, uid)
        os.chmod(path, mode)
        return path

    def strange_daemon(self, path, uid=NOBODY):
        """A daemon of another user, who has opened its sockets to everybody."""
        names = ("ingest", "telemetry", "replay")
        d = as_user(uid, os.path.join(raw.BUILD, "momentscoped"), "--allow-users",
                    *(a for n in names for a in (f"--{n}", f"ipc://{path}/{n}.ipc")), stderr=subprocess.PIPE, text=True)
        for line in d.stderr:
            if "is ready" in line:
                break
        self.addCleanup(d.stderr.close)
        self.addCleanup(d.wait)
        self.addCleanup(d.terminate)
        for n in names:
            os.chmod(f"{path}/{n}.ipc", 0o777)
        return d

    def trainer(self, path, seconds=2.0, uid=0, **environment):
        code = TRAINER.format(python=os.path.join(raw.schema.ROOT, "host/python"), endpoint=f"ipc://{path}/ingest.ipc",
                              seconds=seconds)
        env = dict(os.environ, BUILD=os.path.abspath(raw.BUILD), PYTHONDONTWRITEBYTECODE="1", **environment)
        p = as_user(uid, sys.executable, "-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        out, err = p.communicate(timeout=60)
        return out, err

    def watch(self, path, **environment):
        return subprocess.run([os.path.join(raw.BUILD, "momentscope"), "watch", "--json", "--once", "--wait", "2",
                               "--telemetry", f"ipc://{path}/telemetry.ipc", "--replay", ""], capture_output=True,
                              text=True, timeout=30, env=dict(os.environ, **environment))

    def test_a_directory_of_another_user(self):
        path = self.directory("theirs", NOBODY, 0o755)
        self.strange_daemon(path)
        out, _ = self.trainer(path)
        self.assertIn("refused", out)
        self.assertIn(f"is of user {NOBODY}", out)
        r = self.watch(path)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn(f"is of user {NOBODY}", r.stderr)
        self.assertEqual(r.stdout, "")
        out, _ = self.trainer(path, MOMENTSCOPE_DAEMON_USER=str(NOBODY))
        self.assertIn("connected None", out)

    def test_what_ends_every_handshake_is_tried_once_a_second(self):
        """A daemon that has no place for one more does so, and so does one with keys, now and then."""
        path, times = self.directory("full", 0, 0o700), 0
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{path}/ingest.ipc")
            s.listen()

            def turn_away():
                nonlocal times
                with contextlib.suppress(OSError):
                    while True:
                        s.accept()[0].close()
                        times += 1

            thread = threading.Thread(target=turn_away)
            thread.start()
            out, err = self.trainer(path, 6)
            s.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.assertIn("alone", out)
        self.assertEqual(err.count("it ends every handshake"), 1, err)
        self.assertGreaterEqual(times, 8)
        self.assertLessEqual(times, 5 + 7)                   # five at once, then one a second for 6 s; 30 to 40 otherwise

    def test_a_directory_that_others_write(self):
        path = self.directory("open", 0, 0o777)
        out, _ = self.trainer(path)
        self.assertIn("refused", out)
        self.assertIn("chmod go-w", out)

    def test_a_socket_in_a_sticky_directory(self):
        """As in /tmp: the directory passes, and the process behind the socket is looked at, at start and later."""
        path = self.directory("sticky", 0, 0o1777)
        early = subprocess.Popen([sys.executable, "-c", TRAINER.format(
            python=os.path.join(raw.schema.ROOT, "host/python"), endpoint=f"ipc://{path}/ingest.ipc", seconds=3)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, BUILD=os.path.abspath(raw.BUILD)))
        time.sleep(1)
        self.strange_daemon(path)
        out, err = early.communicate(timeout=60)
        self.assertIn("alone", out)
        self.assertIn(f"is of user {NOBODY}", out)
        self.assertEqual(err.count("nothing is sent to this daemon"), 1, err)
        out, _ = self.trainer(path)
        self.assertIn("refused", out)
        r = self.watch(path)
        self.assertIn(f"is of user {NOBODY}", r.stderr)

    def test_no_permission_says_whose_it_is(self):
        path = self.directory("private", 0, 0o755)
        d = raw.Daemon("--interval", "0.1", keep=path)
        self.addCleanup(d.close)
        d.said("is ready")
        os.rename(f"{path}/ingest.ipc", f"{path}/ingest")    # raw.Daemon's names are the ones that trainer() wants
        os.rename(f"{path}/ingest", f"{path}/ingest.ipc")
        out, _ = self.trainer(path, uid=NOBODY)
        self.assertIn("no permission", out)
        self.assertIn("is of user 0", out)

    def test_the_daemon_lets_in_its_own_user_and_root(self):
        path = self.directory("mine", 0, 0o755)
        d = raw.Daemon("--interval", "0.1", keep=path)
        self.addCleanup(d.close)
        d.said("is ready")
        os.chmod(f"{path}/ingest.ipc", 0o777)
        self.trainer(path, uid=NOBODY)
        self.assertIn(f"of user {NOBODY} at ingest: a process of another user", d.said("turned-away"))

    @unittest.skipIf(subprocess.run(["unshare", "--pid", "--fork", "true"], stderr=subprocess.DEVNULL).returncode,
                     "needs the right to make a PID namespace")
    def test_another_user_is_one_also_outside_the_daemons_container(self):
        """There it has no pid (SO_PEERCRED says 0), and is no peer of another machine for that."""
        path = self.directory("mine", 0, 0o755)
        d = raw.Daemon("--interval", "0.1", keep=path, under=["unshare", "--pid", "--fork", "--kill-child"])
        self.addCleanup(d.close)
        self.addCleanup(d.process.kill)      # unshare hears no SIGTERM
        d.said("is ready")
        os.chmod(f"{path}/ingest.ipc", 0o777)
        self.trainer(path, uid=NOBODY)
        self.assertIn(f"pid 0 of user {NOBODY} at ingest: a process of another user", d.said("turned-away"))
        self.assertIn("connected None", self.trainer(path)[0])

    def test_the_default_directory_is_made_before_others_can(self):
        uid = 4242
        path = f"/tmp/momentscope-{uid}"
        shutil.rmtree(path, ignore_errors=True)
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        env = dict(os.environ)
        env.pop("XDG_RUNTIME_DIR", None)
        r = as_user(uid, os.path.join(raw.BUILD, "momentscope"), "watch", "--json", "--once", "--wait", "0.2", env=env,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        r.communicate(timeout=30)
        self.assertEqual((os.stat(path).st_uid, os.stat(path).st_mode & 0o777), (uid, 0o700))
        os.chown(path, NOBODY, NOBODY)       # what a stranger would have done first
        r = as_user(uid, os.path.join(raw.BUILD, "momentscope"), "watch", "--json", "--once", "--wait", "0.2", env=env,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _, err = r.communicate(timeout=30)
        self.assertIn(f"is of user {NOBODY}", err)


class Room(unittest.TestCase):
    """With no descriptors or threads left libzmq would end the process."""

    CODE = """
import os, resource, sys
sys.path.insert(0, {python!r})
from momentscope import _lib
from momentscope._client import Client
_lib.lib()
have = []
if {left} >= 0:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    try:
        while True:
            have.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for fd in have[len(have) - {left}:]:
        os.close(fd)
if {threads}:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.setuid({nobody})
try:
    Client("ipc:///tmp/momentscope-nobody", quiet=True)
    print("opened")
except Exception as e:
    print("refused", e)
"""

    def run_with(self, left, threads=False):
        code = self.CODE.format(python=os.path.join(raw.schema.ROOT, "host/python"), left=left, threads=threads,
                                nobody=NOBODY)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, BUILD=os.path.abspath(raw.BUILD)))

    def test_few_descriptors(self):
        opened = 0
        for left in list(range(0, 24)) + [40]:
            r = self.run_with(left)
            with self.subTest(left=left):
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertTrue("opened" in r.stdout or "ulimit -n" in r.stdout, r.stdout + r.stderr)
                opened += "opened" in r.stdout
        self.assertGreater(opened, 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become a user with one thread")
    def test_no_thread(self):
        r = self.run_with(-1, True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("ulimit -u", r.stdout)


if __name__ == "__main__":
    unittest.main()
