"""momentscope report: the numbers of watch --once, in one file that loads nothing; recordings, JSON lines, a daemon."""
import glob, json, os, re, signal, subprocess, sys, tempfile, time, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
from test_serve import PROGRAM, Case, train


def report(*arguments, stdin=None):
    return subprocess.run([PROGRAM, "report", *arguments], input=stdin, capture_output=True, text=True, timeout=120,
                          check=False)


def data(path):
    with open(path, encoding="utf-8") as f:
        page = f.read()
    return page, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


class Report(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = f"{self.folder}/run.html"

    def records(self, d):
        watch = subprocess.run([PROGRAM, "watch", "--json", "--for", "1.5", "--telemetry", d.endpoint("telemetry"),
                                "--replay", d.endpoint("replay")], capture_output=True, text=True, check=True)
        return watch.stdout

    def once(self, d):
        got = subprocess.run([PROGRAM, "watch", "--once", "--json", "--telemetry", d.endpoint("telemetry")],
                             capture_output=True, text=True, check=True)
        return {r["band"]: r for r in map(json.loads, got.stdout.splitlines()) if r["topic"].startswith("band/")}

    def same(self, page_data, want):
        bands = {b["record"]["band"]: b["record"] for b in page_data["tables"][0]["table"]["bands"]}
        self.assertEqual({b: (r["V"], r["p"], r["regime"], r["why"]) for b, r in bands.items()},
                         {b: (r["V"], r["p"], r["regime"], r["why"]) for b, r in want.items()})

    def test_json_lines_and_a_daemon_give_the_numbers_of_watch(self):
        d = self.daemon("--interval-steps", "4")
        train(self, d)
        lines = self.records(d)
        want = self.once(d)
        r = report("-", "-o", self.out, stdin=lines)
        self.assertEqual(r.returncode, 0, r.stderr)
        page, got = data(self.out)
        self.same(got, want)
        self.assertLess(len(page), 2_000_000)
        r = report("--out", self.out, "--telemetry", d.endpoint("telemetry"), "--replay", d.endpoint("replay"))
        self.assertEqual(r.returncode, 0, r.stderr)
        page, got = data(self.out)
        self.same(got, want)
        self.assertGreaterEqual(len(got["tables"][0]["table"]["series"]["whole"]["step"]), 10)

    def test_the_file_loads_nothing(self):
        d = self.daemon()
        train(self, d)
        self.assertEqual(report("-", "-o", self.out, stdin=self.records(d)).returncode, 0)
        page, _ = data(self.out)
        self.assertEqual(re.findall(r'(?:src|href)="(?!#)[^"]*"', page.split('<script type="application/json"')[0]), [])
        self.assertIn("default-src 'none'; script-src 'nonce-", page)
        self.assertNotIn("unsafe-inline", page)

    def test_more_tables_than_fit_are_a_large_report_and_not_an_empty_one(self):
        d = self.daemon()
        train(self, d)
        one = subprocess.run([PROGRAM, "watch", "--once", "--json", "--telemetry", d.endpoint("telemetry")],
                             capture_output=True, text=True, check=True).stdout
        lines = "".join(one.replace('"words"', f'"words{k}"').replace("/words", f"/words{k}") for k in range(700))
        r = report("-", "-o", self.out, stdin=lines)
        self.assertEqual(r.returncode, 0, r.stderr)
        page, got = data(self.out)
        self.assertEqual(len(got["tables"]), 700)
        self.assertGreater(len(page), 2_000_000)

    def test_rows_that_never_can_be_exact_are_no_fault(self):
        d = self.daemon()
        train(self, d)
        lines = [json.loads(line) for line in self.records(d).splitlines()]
        tables = [r for r in lines if r["topic"] == "table/words"]
        for r in lines:
            r.update({name: False for name in ("climbing", "growing", "top_growing") if name in r})
        for over, inexact in (({}, False), ({"exact": False}, True), ({"exact": False, "state": "mixed"}, False),
                              ({"exact": False, "optimizer": "AdamW"}, False)):
            for r in tables:
                r.update(exact=True, state="f64", optimizer="")
                r.update(over)
            r = report("-", "-o", self.out, stdin="".join(json.dumps(r) + "\n" for r in lines))
            self.assertEqual(r.returncode, 0, r.stderr)
            word = data(self.out)[1]["state"]["sources"][0]["tables"][0]
            self.assertEqual("the daemon's rows are not the trainer's" in json.dumps(word), inexact, (over, word))

    def test_a_second_run_of_a_name_is_shown_without_the_first(self):
        d = self.daemon("--interval-steps", "4")
        train(self, d)
        first = [json.loads(line) for line in self.records(d).splitlines()]
        table = [r for r in first if r["topic"] == "table/words"][-1]
        band = [r for r in first if r["topic"].startswith("band/words/")][-1]
        self.assertGreater(len(table["bands"]), 1)
        second = [dict(band, step=2), dict(table, step=2, bands=[band["band"]])]
        r = report("-", "-o", self.out, stdin="".join(json.dumps(r) + "\n" for r in first + second))
        self.assertEqual(r.returncode, 0, r.stderr)
        shown = data(self.out)[1]["tables"][0]["table"]
        self.assertEqual([b["record"]["band"] for b in shown["bands"]], [band["band"]])
        steps = {b: series["step"] for b, series in shown["series"]["band"].items()}
        self.assertLessEqual(max(max(x, default=0) for x in steps.values()), 2, steps)

    def test_pictures(self):
        d = self.daemon()
        train(self, d)
        lines = self.records(d)
        for ending, magic in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
            r = report("-", "-o", f"{self.folder}/run.{ending}", stdin=lines)
            self.assertEqual(r.returncode, 0, r.stderr)
            with open(f"{self.folder}/run.{ending}", "rb") as f:
                self.assertEqual(f.read(len(magic)), magic)

    def recorded(self, steps):
        endpoint, tape = f"ipc://{self.folder}/ingest", f"{self.folder}/run.tape"
        recorder = subprocess.Popen([PROGRAM, "record", tape, "--ingest", endpoint, "--quiet"])
        demo = subprocess.run([os.path.join(raw.BUILD, "demo_trainer"), "--steps", str(steps), "--endpoint", endpoint,
                               "--quiet"], capture_output=True, text=True, timeout=120, check=False)
        recorder.wait(30)
        if demo.returncode != 0:
            self.skipTest(f"the demo does not run here: {demo.stderr}")
        return tape

    def test_a_recording_is_played_to_its_last_step(self):
        tape = self.recorded(150)
        r = report(tape, "-o", self.out, "--every", "10")
        self.assertEqual(r.returncode, 0, r.stderr)
        _, got = data(self.out)
        table = got["tables"][0]["table"]
        self.assertEqual(table["record"]["step"], 150)
        self.assertEqual(table["series"]["whole"]["step"][:3], [10, 20, 30])

    def test_a_recording_cut_before_its_first_step_is_refused_and_not_waited_for(self):
        tape, cut = self.recorded(20), f"{self.folder}/cut.tape"
        with open(tape, "rb") as f:
            whole = f.read()
        for length in (64, 70, 200):
            with open(cut, "wb") as f:
                f.write(whole[:length])
            begun = time.monotonic()
            r = report(cut, "-o", self.out)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertIn("no training step is in this recording", r.stderr)
            self.assertFalse(os.path.exists(self.out))
            self.assertLess(time.monotonic() - begun, 10)
        with open(cut, "wb") as f:
            f.write(whole[:64])
        play = subprocess.run([PROGRAM, "play", cut, "--ingest", f"ipc://{self.folder}/none"], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(play.returncode, 1)
        self.assertIn("no table is in this recording", play.stderr)

    def test_a_signal_leaves_no_daemon_and_no_folder(self):
        tape = self.recorded(150)
        for number in signal.SIGTERM, signal.SIGINT:
            p = subprocess.Popen([PROGRAM, "report", tape, "-o", self.out], env={**os.environ, "TMPDIR": self.folder})
            until = time.monotonic() + 30
            while not glob.glob(f"{self.folder}/momentscope-*/replay") and time.monotonic() < until:
                time.sleep(0.005)
            self.assertIsNone(p.poll())
            stage, = glob.glob(f"{self.folder}/momentscope-*")
            p.send_signal(number)
            self.assertEqual(p.wait(30), -number)
            self.assertFalse(os.path.exists(stage))
            self.assertFalse(os.path.exists(self.out))
            self.assertEqual([pid for pid in filter(str.isdigit, os.listdir("/proc")) if stage in command(pid)], [])

    def test_a_name_cannot_end_the_script(self):
        d = self.daemon()
        train(self, d)
        evil = "</script><img src=x onerror=alert(1)>"
        r = report("-", "-o", self.out, stdin=self.records(d).replace('"words"', json.dumps(evil)))
        self.assertEqual(r.returncode, 0, r.stderr)
        page, got = data(self.out)
        self.assertEqual(got["tables"][0]["table"]["record"]["table"], evil)
        self.assertNotIn("<img", page)

    def test_what_cannot_be_read_is_said(self):
        for text, word in (("{}\n", "line 1"), ('{"topic":"band/a/1"}\n', "line 1: field table"), ("", "no record"),
                           ('{"topic":"band/a/40","table":"a","band":40,"step":5}\n', "field band"),
                           ('{"topic":"table/a","seq":0,"table":"a","step":"x"}\n', "field step"), ("\x00\xff\n", "line 1")):
            r = report("-", "-o", self.out, stdin=text)
            self.assertEqual(r.returncode, 1, text)
            self.assertIn(word, r.stderr)
            self.assertFalse(os.path.exists(self.out))
        good = '{"topic":"table/words","seq":0,"table":"words","step":5}\n'
        r = report("-", "-o", self.out, "--table", "nope", stdin=good)
        self.assertEqual(r.returncode, 1)
        self.assertIn("there is no record of table nope", r.stderr)
        self.assertFalse(os.path.exists(self.out))
        self.assertEqual(report("-", "-o", self.out, "--table", "words", stdin=good).returncode, 0)
        self.assertIn("missing --out FILE", report("-").stderr)
        self.assertEqual(report("-").returncode, 2)
        self.assertEqual(report("-", "-o", "run.txt").returncode, 2)


if __name__ == "__main__":
    unittest.main()
