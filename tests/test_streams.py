"""Standard output that goes away: a reader that has read enough, a full disk, no descriptor at all. Every command."""
import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import client_support
from momentscope import Client, _lib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz"))
import seeds
import test_terminal

SCOPE = os.path.join(client_support.BUILD, "momentscope")
QUESTION = '{"kind":"ls","in":{"op":"clocks"}}\n'
PROGRESS = re.compile(r"\d+ (of \d+ )?runs, ")
LISTEN = {"watch", "watch --json", "watch --once", "watch --once --json", "check", "check --json", "advise",
          "advise --json", "export metrics"}
UNFINISHED = {"bench run", "bench reproduce"}        # the rest is not done
ENDLESS = {"watch", "watch --json"}                  # they stay until they are stopped, or have nobody to print for


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="momentscope-test-")
        cls.tape, cls.results = cls.file("seed.tape"), cls.file("results.jsonl")
        with open(cls.tape, "wb") as f:
            f.write(seeds.tape())
        os.environ["MOMENTSCOPE_ALERTS"] = cls.file("alerts.db")
        cls.daemon = client_support.Daemon().start()
        cls.client = Client(cls.daemon.ingest, name="test_streams")
        cls.tables = [cls.client.attach("words", test_terminal.Picture.ROWS, 2, 64, form=_lib.FORM_EMA, fresh=True)]
        for i in range(512):
            test_terminal.Picture.push.__func__(cls, cls.tables[0], i)
        assert cls.client.flush(20), cls.client.stats()
        listen = ["--telemetry", cls.daemon.telemetry, "--replay", cls.daemon.replay]
        run = ["bench", "run", "sparse-ls", "--schedules", "sgd", "--grid", "eta=0.1,0.2", "--steps", "50", "--every", "5"]
        subprocess.run([SCOPE, *run, "--out", cls.results], check=True, capture_output=True)
        subprocess.run([SCOPE, "keys", "new", cls.file("keys")], check=True, capture_output=True)
        subprocess.run([SCOPE, "serve", "--port", "0", "--for", "1", *listen], check=True, capture_output=True)
        cls.commands = {
            "--version": ["--version"], "--help": ["--help"], "watch --help": ["watch", "--help"],
            "watch": ["watch", *listen, "--every", "0.1"],
            "watch --json": ["watch", "--json", *listen],
            "watch --once": ["watch", "--once", *listen],
            "watch --once --json": ["watch", "--once", "--json", *listen],
            "serve": ["serve", "--port", "0", "--for", "0.3", *listen],
            "alerts": ["alerts"], "alerts --json": ["alerts", "--json"],
            "check": ["check", *listen], "check --json": ["check", "--json", *listen],
            "advise": ["advise", *listen], "advise --json": ["advise", "--json", *listen],
            "export rules": ["export", "rules"], "export dashboard": ["export", "dashboard"],
            "export metrics": ["export", "metrics", *listen],
            "predict": ["predict", "--d", "8", "--p", "0.01", "--batch", "32", "--eta", "0.5", "--eps", "0.1"],
            "predict --jsonl": ["predict", "--jsonl"],
            "play --list": ["play", "--list", cls.tape],
            "keys show": ["keys", "show", cls.file("keys")],
            "bench list": ["bench", "list"], "bench run": run, "bench compare": ["bench", "compare", cls.results],
            "bench reproduce": ["bench", "reproduce", "--figure", "Figure 17"],
        }
        cls.commands = {name: [SCOPE, *args] for name, args in cls.commands.items()}
        cls.commands["momentscoped --help"] = [os.path.join(client_support.BUILD, "momentscoped"), "--help"]

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()
        cls.dir.cleanup()

    @classmethod
    def file(cls, name):
        return os.path.join(cls.dir.name, name)

    def run_to(self, args, stdout, **more):
        """Exit code and standard error; standard input has a question for predict --jsonl."""
        p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True, **more)
        try:
            err = p.communicate(QUESTION * 3, timeout=30)[1]
        except subprocess.TimeoutExpired:
            p.kill()
            self.fail(f"{args} did not end: {p.communicate()[1]}")
        return p.returncode, "".join(line for line in err.splitlines(True) if not PROGRESS.match(line))

    @functools.cache
    def verdict(self, *args):
        """The code of the same command with somebody to read it."""
        return subprocess.run(args, input=QUESTION * 3, capture_output=True, text=True, timeout=60).returncode

    def test_a_reader_that_left_is_no_error(self):
        """Ended by SIGPIPE in silence, as any program is; where that is ignored or a verdict is due: by the code."""
        for name, args in self.commands.items():
            for ignored in (False, True):
                with self.subTest(command=name, ignored=ignored):
                    read, write = os.pipe()
                    os.close(read)
                    ignore = (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if ignored else None
                    code, err = self.run_to(args, write, restore_signals=not ignored, preexec_fn=ignore)
                    os.close(write)
                    self.assertEqual(err, "")
                    allowed = {0 if name in ENDLESS else 1 if name in UNFINISHED else self.verdict(*args)}
                    self.assertIn(code, allowed if ignored or name in LISTEN else {*allowed, -signal.SIGPIPE})

    def test_a_reader_that_has_read_one_line_is_no_error(self):
        for name in ("watch --json", "watch", "bench list", "export dashboard"):
            with self.subTest(command=name):
                p = subprocess.Popen(self.commands[name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                p.stdout.readline()
                p.stdout.close()
                err = p.stderr.read()
                p.stderr.close()
                self.assertEqual((err, p.wait(20) in (0, -signal.SIGPIPE)), ("", True))

    def test_a_full_disk_is_told(self):
        for name, args in self.commands.items():
            with self.subTest(command=name), open("/dev/full", "w") as full:
                code, err = self.run_to(args, full)
                self.assertGreater(code, 0)
                self.assertIn("cannot write standard output", err)
                self.assertEqual(err.count("\n"), 1, err)

    def test_no_output_at_all_is_told(self):
        for name, args in self.commands.items():
            with self.subTest(command=name):
                code, err = self.run_to(args, None, preexec_fn=lambda: os.close(1))
                self.assertGreater(code, 0)
                self.assertIn("cannot write standard output", err)

    def test_no_file_or_socket_takes_their_numbers(self):
        """They would get what is printed: a recording the report of its recorder, a connection a line of the log."""
        at = [f"--{name}=ipc://{self.dir.name}/{name}" for name in ("ingest", "telemetry", "replay")]
        programs = {"record": [SCOPE, "record", self.file("alone.tape"), at[0] + "-2"],
                    "watch": [*self.commands["watch"], "--table", "absent"],
                    "serve": [*self.commands["serve"][:4], *self.commands["serve"][6:]],
                    "momentscoped": [os.path.join(client_support.BUILD, "momentscoped"), *at]}
        for name, args in programs.items():
            with self.subTest(program=name):
                p = subprocess.Popen(args, preexec_fn=lambda: [os.close(fd) for fd in range(3)])
                self.addCleanup(p.kill)
                time.sleep(0.5)                               # the loader, too, opens files
                taken = [os.readlink(f"/proc/{p.pid}/fd/{fd}") for fd in range(3)]
                p.terminate()
                p.wait(20)
                self.assertEqual(taken, ["/dev/null"] * 3)


if __name__ == "__main__":
    unittest.main()
