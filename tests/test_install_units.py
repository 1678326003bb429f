#!/usr/bin/env python3
"""The units: systemd reads them and rates the system unit; the daemon lives within the system calls that it leaves, and
tells systemd that it is ready, alive and stopping."""
import glob
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import client_support as support
import sandbox

BUILD, ROOT = support.BUILD, support.ROOT
SANITIZED = "MOMENTSCOPE_SANITIZED" in os.environ
ANALYZE = shutil.which("systemd-analyze")
EXPOSURE = 2.0                               # systemd's own scale: 0 safe .. 10 unsafe
UNITS = {}


def setUpModule():
    """The units as they are installed, with the built daemon in the place of the installed one."""
    at = tempfile.mkdtemp(prefix="momentscope-test-")
    unittest.addModuleCleanup(shutil.rmtree, at)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    subprocess.run(["make", "-s", f"BUILD={BUILD}", f"DESTDIR={at}", "PREFIX=/usr", f"BINDIR={BUILD}", "install-units"],
                   cwd=ROOT, env=env, check=True)
    for which in ("system", "user"):
        UNITS[which] = f"{at}/usr/lib/systemd/{which}/momentscoped.service"


class Manager:
    """The part of systemd that a daemon of Type=notify talks to."""

    def __init__(self, folder):
        self.path = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def hear(self, seconds):
        """The next message as {VARIABLE: VALUE}; None when nothing came."""
        self.socket.settimeout(seconds)
        try:
            return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
        except socket.timeout:
            return None

    def until(self, name, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = self.hear(end - time.monotonic())
            if got and name in got:
                return got
        raise AssertionError(f"no {name}= within {seconds} s")


class Units(unittest.TestCase):
    def analyze(self, *command):
        return subprocess.run([ANALYZE, "--no-pager", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)

    @unittest.skipUnless(ANALYZE, "systemd-analyze is missing")
    def test_systemd_reads_them(self):
        for which, flag in (("system", []), ("user", ["--user"])):
            with tempfile.TemporaryDirectory() as runtime:
                os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
                r = self.analyze(*flag, "verify", "--man=no", UNITS[which])
            self.assertNotIn(f"{UNITS[which]}:", r.stdout)
            self.assertNotIn("momentscoped.service: ", r.stdout)

    @unittest.skipUnless(ANALYZE, "systemd-analyze is missing")
    def test_the_system_unit_exposes_little(self):
        r = self.analyze("security", "--offline=true", UNITS["system"])
        found = re.search(r"Overall exposure level for momentscoped.service: ([0-9.]+)", r.stdout)
        if not found:
            self.skipTest("this systemd-analyze does not rate files: " + r.stdout[:80].strip())
        self.assertLessEqual(float(found[1]), EXPOSURE, r.stdout)

    @unittest.skipUnless(ANALYZE, "systemd-analyze is missing")
    def test_a_unit_without_its_sandbox_is_rated_higher(self):
        with open(UNITS["system"]) as f, tempfile.TemporaryDirectory() as at:
            path = f"{at}/momentscoped.service"
            with open(path, "w") as bare:
                bare.write(re.sub(r"^(Protect|Private|Restrict|SystemCall|Capability).*\n", "", f.read(), flags=re.M))
            r = self.analyze("security", "--offline=true", path)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", r.stdout)
        if not found:
            self.skipTest("this systemd-analyze does not rate files")
        self.assertGreater(float(found[1]), 5)


class Notify(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="momentscope-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.manager = Manager(self.folder)
        self.addCleanup(self.manager.socket.close)

    def daemon(self, **env):
        daemon = support.Daemon()
        self.addCleanup(daemon.stop)
        for name, value in {"NOTIFY_SOCKET": self.manager.path, **env}.items():
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)
        return daemon.start()

    def test_ready_alive_stopping(self):
        daemon = self.daemon(WATCHDOG_USEC="1000000")
        self.manager.until("READY")
        begin = time.monotonic()
        for _ in range(4):
            self.manager.until("WATCHDOG", 2)
        self.assertGreater(time.monotonic() - begin, 1.2)         # half of the second each: not more often than asked
        daemon.signal(signal.SIGTERM)
        self.manager.until("STOPPING")
        self.assertEqual(daemon.process.wait(20), 0)

    def test_no_watchdog_for_somebody_else(self):
        self.daemon(WATCHDOG_USEC="200000", WATCHDOG_PID="1")
        self.manager.until("READY")
        self.assertIsNone(self.manager.hear(0.8))

    def test_a_stopped_daemon_is_not_alive(self):
        daemon = self.daemon(WATCHDOG_USEC="400000")
        self.manager.until("WATCHDOG")
        daemon.signal(signal.SIGSTOP)
        while self.manager.hear(0.05):
            pass
        self.assertIsNone(self.manager.hear(0.8))
        daemon.signal(signal.SIGCONT)
        self.manager.until("WATCHDOG")

    def test_it_starts_without_a_listener(self):
        self.manager.socket.close()
        os.unlink(self.manager.path)
        self.daemon(WATCHDOG_USEC="not a number")


@unittest.skipIf(SANITIZED, "instruments make system calls of their own")
@unittest.skipIf(sandbox.missing(), sandbox.missing())
class Sandboxed(unittest.TestCase):
    """Which calls are left is the unit's; here the daemon meets all that a life brings within them."""

    def life(self, which, *options, **of_peers):
        filtered = sandbox.Filter(UNITS[which])
        self.assertGreater(filtered.rules, 150)
        with tempfile.TemporaryDirectory(prefix="momentscope-test-") as at:
            env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": at, "MOMENTSCOPE_STATE": f"{at}/state"}
            command = [f"{BUILD}/momentscoped", "--interval", "0.05", "--map-dir", f"{at}/large", "--map-above", "1K",
                       *options]
            os.mkdir(f"{at}/large")
            with open(f"{at}/log", "w") as log:
                daemon = subprocess.Popen(command, env=env, stdout=log, stderr=log, preexec_fn=filtered.load)
            try:
                self.live(daemon, at, {**env, **of_peers})
            finally:
                daemon.kill()
                daemon.wait()

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root, to be several users")
    def test_members_of_the_group_are_let_in(self):
        """As the system unit arranges it: a directory of mode 0750, --allow-users, and the endpoints named."""
        daemon, member, stranger = 64001, 64002, 64003           # users that no account has
        mode = sandbox.directives(UNITS["system"])["RuntimeDirectoryMode"][-1]
        with tempfile.TemporaryDirectory(prefix="momentscope-test-") as at:
            os.chmod(at, 0o755)
            os.mkdir(f"{at}/run")
            os.chown(f"{at}/run", daemon, daemon)
            os.chmod(f"{at}/run", int(mode, 8))
            env = {f"MOMENTSCOPE_{n.upper()}": f"ipc://{at}/run/{n}.ipc" for n in ("ingest", "telemetry", "replay")}
            env.update(PATH=os.environ["PATH"], MOMENTSCOPE_DAEMON_USER=str(daemon), MOMENTSCOPE_ALLOW_USERS="1")
            for name in ("momentscoped", "momentscope"):
                shutil.copy(f"{BUILD}/{name}", at)

            def as_user(user, *command):
                groups = ["--groups", str(daemon)] if user == member else ["--clear-groups"]
                return ["setpriv", "--reuid", str(user), "--regid", str(user), *groups, f"{at}/{command[0]}",
                        *command[1:]]

            with open(f"{at}/log", "w") as log:
                process = subprocess.Popen(as_user(daemon, "momentscoped"), env=env, stdout=log, stderr=log)
            try:
                self.up(process, at, f"{at}/run/replay.ipc")
                for user, heard in ((member, True), (stranger, False)):
                    watch = as_user(user, "momentscope", "watch", "--json", "--for", "3")
                    r = subprocess.run(watch, env=env, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                    self.assertEqual('"daemon"' in r.stdout, heard, r.stdout + r.stderr)
            finally:
                process.kill()
                process.wait()

    def up(self, daemon, at, path):
        end = time.monotonic() + 20
        while not os.path.exists(path):
            self.assertIsNone(daemon.poll(), self.log(at))
            self.assertLess(time.monotonic(), end, self.log(at))
            time.sleep(0.01)

    def log(self, at):
        with open(f"{at}/log") as f:
            return f.read()

    def live(self, daemon, at, env):
        self.up(daemon, at, f"{at}/momentscope/replay.ipc")

        def run(*command):
            return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60)

        with open(f"{at}/text", "w") as text:
            words = ["".join(letters) for letters in itertools.product("abcdefghijklmnopqr", repeat=3)]
            text.write(" ".join(words[i % 4999 // (1 + i % 3)] for i in range(60000)))
        trained = run(f"{BUILD}/demo_trainer", "--steps", "300", "--quiet", f"{at}/text")
        self.assertEqual(trained.returncode, 0, trained.stdout + self.log(at))
        daemon.send_signal(signal.SIGHUP)
        daemon.send_signal(signal.SIGUSR1)
        seen = run(f"{BUILD}/momentscope", "watch", "--once")
        self.assertEqual(seen.returncode, 0, seen.stdout + self.log(at))
        self.assertIn("table embedding: step 300", seen.stdout)
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0, self.log(at))
        self.assertGreater(os.path.getsize(f"{at}/state"), 0)
        self.assertGreater(max(os.path.getsize(p) for p in glob.glob(f"{at}/large/*")), 1 << 20)
        self.assertIn("SIGHUP", self.log(at))

    def test_a_life_within_the_system_unit(self):
        self.life("system")

    def test_a_life_within_the_user_unit(self):
        self.life("user", "--threads", "2")

    def test_a_life_with_keys_over_loopback(self):
        with tempfile.TemporaryDirectory(prefix="momentscope-test-") as at:
            def keys(*command):
                return subprocess.run([f"{BUILD}/momentscope", "keys", *command], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout

            for name in ("daemon", "trainer"):
                keys("new", f"{at}/{name}")
            for mine, other in (("daemon", "trainer"), ("trainer", "daemon")):
                keys("allow", f"{at}/{mine}", keys("show", f"{at}/{other}").split()[0], other)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                ingest = f"tcp://127.0.0.1:{free.getsockname()[1]}"
            self.life("system", "--keys", f"{at}/daemon", "--ingest", ingest, MOMENTSCOPE_KEYS=f"{at}/trainer",
                      MOMENTSCOPE_INGEST=ingest)

    def test_what_the_daemon_does_not_need_is_refused(self):
        filtered = sandbox.Filter(UNITS["system"])
        for what in ("os.sched_setaffinity(0, {0})", "os.chroot('/')", "socket.socket(17, 3)",
                     "mmap.mmap(-1, 4096, prot=7)", "os.nice(1)"):
            r = subprocess.run([sys.executable, "-c", f"import mmap, os, socket; {what}"], preexec_fn=filtered.load,
                               stderr=subprocess.DEVNULL)
            self.assertEqual(r.returncode, -signal.SIGSYS, what)
        r = subprocess.run([sys.executable, "-c", "import mmap, os, socket; socket.socket()"], preexec_fn=filtered.load)
        self.assertEqual(r.returncode, 0)


if __name__ == "__main__":
    unittest.main()
