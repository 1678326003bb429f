"""momentscope watch on a real daemon, fed by the Python client without torch."""
import json
import os
import pty
import resource
import select
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree

import client_support
from momentscope import Client, Error, _lib


def pack(kind, values):
    """Numbers as C memory; keep the result alive during the call."""
    raw = struct.pack(f"<{len(values)}{kind}", *values)
    return raw, _lib.C.cast(_lib.C.c_char_p(raw), _lib.C.c_void_p).value


class Watch(unittest.TestCase):
    ROWS, DIM = 8, 2

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()
        cls.client = Client(cls.daemon.ingest, name="test_watch")
        cls.table = cls.client.attach("words", cls.ROWS, cls.DIM, 64, form=_lib.FORM_EMA, fresh=True)
        cls.idle = cls.client.attach("idle", 4, 1, 4, form=_lib.FORM_EMA, fresh=True)
        for i in range(64):
            cls.push(i)
        assert cls.client.flush(10), cls.client.stats()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    @classmethod
    def push(cls, i, table=None):
        table = cls.table if table is None else table
        rows = [0, 0] + [r for r in range(1, cls.ROWS) if i % (1 << r) == 0]
        raw_rows, at_rows = pack("q", rows)
        raw_grads, at_grads = pack("f", [0.5 + 0.01 * i] * (cls.DIM * len(rows)))
        if i % 8 == 7:
            unique = sorted(set(rows))
            raw_u, at_u = pack("q", unique)
            raw_hm, at_hm = pack("f", [0.05] * (cls.DIM * len(unique)))
            cls.client.probe(table, 0.01, at_u, at_hm, _lib.F32, len(unique))
        return cls.client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at_rows, at_grads, _lib.F32, len(rows))

    def command(self, *options):
        return [os.path.join(client_support.BUILD, "momentscope"), "watch", "--telemetry", self.daemon.telemetry,
                "--replay", self.daemon.replay, *options]

    def watch(self, *options):
        return subprocess.run(self.command(*options), capture_output=True, text=True, timeout=30)

    def test_once_prints_a_table_and_a_sentence_a_band(self):
        r = self.watch("--once", "--table", "words")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertNotIn("\033", r.stdout)
        lines = r.stdout.splitlines()
        head = next(i for i, line in enumerate(lines) if line.startswith("band "))
        self.assertEqual(lines[head].split(), "band p rows P updates R V C H1 retention learning delta H zeta regime".split())
        bands = []
        while lines[head + 1 + len(bands)].split()[0].isdigit():
            bands.append(lines[head + 1 + len(bands)])
        self.assertGreaterEqual(len(bands), 3)
        self.assertTrue(all(len(line.split()) == 15 for line in bands), bands)
        said = [line for line in lines if line.startswith("band ") and ": p " in line]
        self.assertEqual(len(said), len(bands))
        self.assertIn("words: step 64, 8 rows x 2, ema form", r.stdout)
        self.assertIn("note: R and C need a reference", r.stdout)

    def test_once_json_is_one_object_a_record(self):
        r = self.watch("--once", "--json", "--table", "words")
        self.assertEqual(r.returncode, 0, r.stderr)
        records = [json.loads(line) for line in r.stdout.splitlines()]
        bands = [x for x in records if x["topic"].startswith("band/")]
        self.assertTrue(bands)
        for b in bands:
            for field in ("seq", "epoch", "R", "V", "H1", "H", "zeta", "omega", "rate", "regime", "confidence", "why"):
                self.assertIn(field, b)
            self.assertIsNone(b["R"])
        self.assertTrue(any(b["regime"] != "unknown" for b in bands), bands)
        table = next(x for x in records if x["topic"] == "table/words")
        self.assertEqual(table["step"], 64)
        self.assertEqual(table["lost_steps"], 0)
        self.assertEqual(sorted(table["bands"]), sorted(b["band"] for b in bands))

    def test_plot_draws_the_bands_of_one_table(self):
        records = map(json.loads, self.watch("--once", "--json", "--table", "words").stdout.splitlines())
        known = [r for r in records if r["topic"].startswith("band/") and r["H1"]]
        self.assertGreaterEqual(len(known), 1)
        with tempfile.TemporaryDirectory() as dir:
            svg, png = f"{dir}/b.svg", f"{dir}/b.png"
            for path in (svg, png):
                r = self.watch("--once", "--table", "words", "--plot", path)
                self.assertEqual((r.returncode, r.stderr), (0, ""))
            with open(png, "rb") as f:
                self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")
            inks = "fill:rgb(16%,25%,45%)", "fill:rgb(75%,15%,10%)"          # of a dot, and of one in alarm
            dots = [e for e in xml.etree.ElementTree.parse(svg).iter() if any(i in e.get("style", "") for i in inks)]
            self.assertEqual(len(dots), len(known))
            for options, said, code in (((), "choose one with --table", 1),
                                        (("--table", "words"), "b.svg: No such file or directory", 1)):
                r = self.watch("--once", *options, "--plot", f"{dir}/none/b.svg")
                self.assertEqual(r.returncode, code)
                self.assertIn(said, r.stderr)
        r = self.watch("--plot", "b.svg")
        self.assertEqual((r.returncode, r.stderr), (2, "momentscope watch: --plot needs --once\n"))

    def test_a_plot_that_does_not_fit_leaves_the_old_file(self):
        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

        with tempfile.TemporaryDirectory() as dir:
            for name in ("b.svg", "b.png"):
                command = self.command("--once", "--table", "words", "--plot", f"{dir}/{name}")
                for old in (None, b"an old picture"):
                    if old:
                        with open(f"{dir}/{name}", "wb") as f:
                            f.write(old)
                    r = subprocess.run(command, capture_output=True, text=True, timeout=30, preexec_fn=small)
                    self.assertEqual(r.returncode, 1)
                    self.assertIn(f"cannot draw {dir}/{name}: File too large", r.stderr)
                    self.assertEqual(os.listdir(dir), [name] if old else [])
                with open(f"{dir}/{name}", "rb") as f:
                    self.assertEqual(f.read(), old)
                os.unlink(f"{dir}/{name}")
        r = self.watch("--once", "--table", "words", "--plot", "/dev/full")
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot draw /dev/full: No space left on device", r.stderr)
        self.assertEqual(self.watch("--once", "--table", "words", "--plot", "/dev/null").returncode, 0)

    def test_live_json_follows_without_holes(self):
        r = self.watch("--json", "--for", "1")
        self.assertEqual(r.returncode, 0)
        last = {}
        for line in r.stdout.splitlines():
            r = json.loads(line)
            self.assertEqual(r["seq"], last.get(r["topic"], r["seq"] - 1) + 1)
            last[r["topic"]] = r["seq"]
        self.assertTrue(last)

    def test_terminal_is_drawn_in_place_and_restored(self):
        main, side = pty.openpty()
        p = subprocess.Popen(self.command("--table", "words"), stdin=side, stdout=side, stderr=side)
        os.close(side)
        out, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            if not select.select([main], [], [], 0.2)[0]:
                if p.poll() is not None:
                    break
                continue
            try:
                out += os.read(main, 65536)
            except OSError:
                break
            if b"regime" in out and p.poll() is None and not getattr(p, "told", False):
                p.told = True
                p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(5), 0)
        os.close(main)
        self.assertIn(b"\033[?1049h", out)
        self.assertLess(out.index(b"\033[?25l"), out.index(b"\033[?25h"))
        self.assertLess(out.index(b"\033[?25h"), out.index(b"\033[?1049l"))
        self.assertIn(b"regime", out[out.index(b"\033[?1049l"):])    # the last picture stays

    def test_interrupt_while_the_terminal_is_slow_is_a_success(self):
        moving = self.client.attach("moving", self.ROWS, self.DIM, 64, form=_lib.FORM_EMA, fresh=True)
        main, side = pty.openpty()
        p = subprocess.Popen(self.command("--table", "moving", "--every", "0.01"), stdin=side, stdout=side, stderr=side)
        os.close(side)
        out = os.read(main, 64)
        for i in range(100):                  # nobody reads: pictures that change fill the terminal's few kilobytes,
            self.push(i, moving)              # and a write blocks
            time.sleep(0.04)
        for _ in range(3):                    # the first signal may only shorten that write; the next meet one at rest
            p.send_signal(signal.SIGINT)
            time.sleep(0.1)
        self.assertIsNone(p.poll(), "the write was not blocked")
        while select.select([main], [], [], 10)[0]:
            try:
                out += os.read(main, 4096)
            except OSError:
                break
        self.assertEqual(p.wait(5), 0)
        os.close(main)
        self.assertIn(b"regime", out[out.index(b"\033[?1049l"):])

    def test_a_reader_that_leaves_early_is_no_error(self):
        for options in (["--every", "0.05"], ["--json"], ["--once", "--json"]):
            read, write = os.pipe()
            p = subprocess.Popen(self.command(*options), stdout=write, stderr=subprocess.PIPE, text=True)
            os.close(write)
            if "--once" not in options:
                self.assertTrue(os.read(read, 16))
            os.close(read)
            said = p.communicate(timeout=20)[1]
            self.assertEqual((p.returncode, said), (0, ""), options)
        read, write = os.pipe()              # and so is one that leaves where no record ever comes
        nowhere = [os.path.join(client_support.BUILD, "momentscope"), "watch", "--json", "--telemetry", "ipc:///nowhere/t"]
        p = subprocess.Popen(nowhere, stdout=write, stderr=subprocess.DEVNULL)
        os.close(write)
        time.sleep(0.3)
        self.assertIsNone(p.poll())
        os.close(read)
        p.wait(5)
        with open("/dev/full", "w") as full:
            r = subprocess.run(self.command("--once"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot write standard output: ", r.stderr)

    def test_version(self):
        r = subprocess.run([self.command()[0], "--version"], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stdout, r"^momentscope \d+\.\d+\.\d+ \(wire 1\)$")

    def test_plain_sgd_is_given_its_rate(self):
        table = self.client.attach("torch", 4, 1, 4, form=_lib.FORM_TORCH, fresh=True)
        for i in range(40):
            raw_rows, at_rows = pack("q", [i % 4])
            raw, at = pack("f", [0.5])
            raw_hm, at_hm = pack("f", [0.001])
            self.client.probe(table, 0.01, at_rows, at_hm, _lib.F32, 1)
            self.client.push(table, _lib.Step(0.5, 0.1, 0, 0, 0, 64), at_rows, at, _lib.F32, 1)
        self.assertTrue(self.client.flush(10))
        r = self.watch("--once", "--table", "torch")
        self.assertIn("plain SGD at rate eta = 5 (torch: lr (1-dampening)/(1-momentum)).", r.stdout)

    def test_nothing_to_see_is_said(self):
        r = subprocess.run(self.command("--once", "--wait", "0.3")[:2] + ["--once", "--wait", "0.3", "--telemetry",
                           "ipc:///tmp/momentscope-nobody", "--replay", ""], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 1)
        self.assertIn("is momentscoped running?", r.stderr)
        r = self.watch("--once", "--wait", "0.3", "--table", "nothing")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no table", r.stderr)
        r = self.watch("--once", "--wait", "0.3", "--table", "idle")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no row of the table has moved yet", r.stderr)

    def test_usage(self):
        self.assertEqual(self.watch("--help").returncode, 0)
        self.assertIn("example:", self.watch("--help").stdout)
        self.assertIn("exit codes:", self.watch("--help").stdout)
        for bad in (["--nonsense"], ["--wait", "x"], ["more"]):
            self.assertEqual(self.watch(*bad).returncode, 2, bad)
        for idle, said in ((["--wait", "10"], "--wait needs --once"), (["--wait", "0", "--for", "1"], "--wait needs --once"),
                           (["--once", "--for", "1"], "--for has no effect with --once"),
                           (["--once", "--every", "1"], "--every has no effect with --once")):
            r = self.watch(*idle)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (2, "", f"momentscope watch: {said}\n"), idle)
        for option, value, low in (("--wait", "-1", "0"), ("--wait", "nan", "0"), ("--wait", "x", "0"), ("--for", "-1", "0.01"),
                                   ("--for", "0", "0.01"), ("--for", "2e6", "0.01"), ("--every", "nan", "0.01"), ("--every", "0", "0.01")):
            r = self.watch(option, value)
            self.assertEqual((r.returncode, r.stdout), (2, ""))
            self.assertEqual(r.stderr, f"momentscope watch: {option} is '{value}', expected a number from {low} to 1000000\n")
        for options, variables, words in (
                (["--telemetry", "foo"], {}, "--telemetry is 'foo', expected ipc:///PATH"),
                (["--replay", "foo"], {}, "--replay is 'foo', expected ipc:///PATH"),
                ([], {"MOMENTSCOPE_TELEMETRY": "foo"}, "MOMENTSCOPE_TELEMETRY is 'foo', expected ipc:///PATH"),
                ([], {"MOMENTSCOPE_REPLAY": "foo"}, "MOMENTSCOPE_REPLAY is 'foo', expected ipc:///PATH")):
            for command in ("watch", "check", "advise"):
                r = subprocess.run(self.command()[:1] + [command] + options, capture_output=True, text=True, timeout=20,
                                   env=dict(os.environ, **variables))
                self.assertEqual(r.returncode, 2)
                self.assertIn(f"momentscope {command}: {words}", r.stderr)
                self.assertIn("tcp://HOST:PORT", r.stderr)

    def test_client_refuses_clearly(self):
        with self.assertRaisesRegex(Error, "attach 'a b': table = a b .1 to 63 letters"):
            self.client.attach("a b", 1, 1, 1)
        with self.assertRaisesRegex(ValueError, "acf_rows = 1000 .0 to 64") as e:
            self.client.attach("t", 1, 1, 1, acf_rows=1000)
        self.assertEqual((e.exception.field, e.exception.value, e.exception.range), ("acf_rows", "1000", "0 to 64"))
        with self.assertRaisesRegex(ValueError, "rows = -1 .an integer from 0"):
            self.client.attach("t", -1, 1, 1)
        with self.assertRaisesRegex(Error, "endpoint = nonsense .ipc:///PATH"):
            Client("nonsense")
        with self.assertRaisesRegex(ValueError, "seconds = -1"):
            self.client.flush(-1)


if __name__ == "__main__":
    unittest.main()
