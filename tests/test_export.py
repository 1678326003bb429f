"""momentscope export: rules and dashboard against a real Prometheus that scrapes serve; metrics in a file."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import client_support
from momentscope import Client, _lib
from test_watch import pack

HAVE_PROMETHEUS = shutil.which("prometheus") and shutil.which("promtool")


def program(*arguments, **kw):
    return subprocess.run([os.path.join(client_support.BUILD, "momentscope"), *arguments], capture_output=True,
                          text=True, timeout=60, **kw)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Run(unittest.TestCase):
    """A daemon with the demo's trainer (stability, probes) and a table that has a reference."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()
        subprocess.run([os.path.join(client_support.BUILD, "demo_trainer"), "--steps", "2500", "--quiet", "--endpoint",
                        cls.daemon.ingest], check=True, timeout=120, capture_output=True)
        cls.client = Client(cls.daemon.ingest, name="test_export")
        table = cls.client.attach("users", 64, 2, 64, form=_lib.FORM_EMA, fresh=True, reference="zeros")
        raw, at = pack("f", [1.0] * 128)
        cls.client.reference(table, 0, 64, at, _lib.F32)
        for i in range(400):
            rows = [0, 0] + [r for r in range(1, 8) if i % (1 << r) == 0]
            raw_rows, at_rows = pack("q", rows)
            raw, at = pack("f", [0.5 + 0.01 * (i % 5)] * (2 * len(rows)))
            if i % 4 == 3:
                raw_hm, at_hm = pack("f", [0.05] * (2 * len(rows)))
                cls.client.probe(table, 0.01, at_rows, at_hm, _lib.F32, len(rows))
            cls.client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at_rows, at, _lib.F32, len(rows))
        assert cls.client.flush(20), cls.client.stats()
        cls.feed = ["--telemetry", cls.daemon.telemetry, "--replay", cls.daemon.replay]

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    def records(self):
        r = program("watch", "--once", "--json", *self.feed)
        self.assertEqual(r.returncode, 0, r.stderr)
        return [json.loads(line) for line in r.stdout.splitlines()]


class Export(Run):
    def test_metrics_in_a_file_are_whole_and_right(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/momentscope.prom"
            r = program("export", "metrics", "--to", path, "--every", "0.2", "--for", "4", *self.feed)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertEqual(os.listdir(folder), ["momentscope.prom"])
            with open(path) as f:
                text = f.read()
        shown = program("export", "metrics", *self.feed)
        self.assertEqual(shown.returncode, 0)
        for of in (text, shown.stdout):
            for record in self.records():
                if record["topic"].startswith("band/"):
                    line = f'momentscope_band_V{{source="daemon",table="{record["table"]}",band="{record["band"]}"}} '
                    found = [float(one[len(line):]) for one in of.splitlines() if one.startswith(line)]
                    self.assertEqual(found, [record["V"]])
        if HAVE_PROMETHEUS:
            r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
            self.assertEqual((r.returncode, r.stdout + r.stderr), (0, ""))

    def test_usage(self):
        for arguments, said in ((["nothing"], "'nothing' is nothing to export; expected rules, dashboard or metrics"),
                                (["metrics", "--every", "1"], "--every needs --to"),
                                (["rules", "--to", "x"], "--to is for metrics; redirect what rules prints")):
            r = program("export", *arguments)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (2, "", f"momentscope export: {said}\n"))
        r = program("export")
        self.assertEqual(r.returncode, 2)
        self.assertIn("missing what to export: rules, dashboard or metrics;", r.stderr)
        r = program("export", "metrics", "--to", "/nowhere/x.prom", "--for", "5", *self.feed)
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot write /nowhere/x.prom: No such file or directory", r.stderr)


@unittest.skipUnless(HAVE_PROMETHEUS, "prometheus is not installed")
class Scraped(Run):
    """The same daemon, scraped each second by a Prometheus that has the rules."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="momentscope-test-")
        cls.serve = subprocess.Popen([os.path.join(client_support.BUILD, "momentscope"), "serve", "--port", "0",
                                      "--alerts", f"{cls.folder}/alerts.db", *cls.feed], stdout=subprocess.PIPE, text=True)
        scraped = int(re.search(r":(\d+)/", cls.serve.stdout.readline()).group(1))
        with open(f"{cls.folder}/momentscope.rules.yml", "w") as f:
            f.write(program("export", "rules").stdout)
        with open(f"{cls.folder}/prometheus.yml", "w") as f:
            f.write("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [momentscope.rules.yml]\n"
                    "scrape_configs:\n  - job_name: momentscope\n    static_configs:\n"
                    f"      - targets: ['127.0.0.1:{scraped}']\n")
        cls.port = free_port()
        cls.log = open(f"{cls.folder}/log", "w")
        cls.prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={cls.folder}/prometheus.yml", f"--storage.tsdb.path={cls.folder}/data",
             f"--web.listen-address=127.0.0.1:{cls.port}"], stdout=cls.log, stderr=cls.log)

    @classmethod
    def tearDownClass(cls):
        for p in (cls.prometheus, cls.serve):
            p.send_signal(signal.SIGTERM)
            p.wait(30)
        cls.serve.stdout.close()
        cls.log.close()
        shutil.rmtree(cls.folder, ignore_errors=True)
        super().tearDownClass()

    def ask(self, path, **query):
        where = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(where, timeout=10) as r:
            return json.load(r)["data"]

    def until(self, query, least=1, seconds=40):
        """The result of a query once it has that many series."""
        end, got = time.monotonic() + seconds, "nothing"
        while time.monotonic() < end:
            try:
                got = self.ask("query", query=query)["result"]
                if len(got) >= least:
                    return got
            except OSError as e:             # it is still starting
                got = e
            time.sleep(0.3)
        with open(f"{self.folder}/log") as f:
            self.fail(f"{query}: {got}\n{f.read()[-2000:]}")

    def test_rules_load_and_record(self):
        self.until("momentscope:table_level:worst")
        groups = self.ask("rules")["groups"]
        rules = [rule for g in groups for rule in g["rules"]]
        self.assertGreaterEqual(len(rules), 12)
        for rule in rules:
            self.assertNotEqual(rule.get("health"), "err", rule)
            if rule["type"] == "recording":
                self.until(rule["name"])
            else:                            # an alert that does not fire asks about series that are there
                for series in re.findall(r"momentscope\w+", rule["query"]):
                    self.until(series)
        checked = subprocess.run(["promtool", "check", "rules", f"{self.folder}/momentscope.rules.yml"],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_a_query_returns_what_the_record_says(self):
        self.until("momentscope_band_V")
        for record in self.records():
            if record["topic"].startswith("band/"):
                got = self.until(f'momentscope_band_V{{table="{record["table"]}",band="{record["band"]}"}}')
                self.assertEqual([float(one["value"][1]) for one in got], [record["V"]])

    def test_every_panel_of_the_dashboard_has_data(self):
        board = json.loads(program("export", "dashboard").stdout)
        self.assertEqual({v["name"] for v in board["templating"]["list"]}, {"source", "table"})
        panels = [p for row in board["panels"] for p in [row, *row.get("panels", [])] if p["type"] != "row"]
        self.assertGreater(len(panels), 60)
        boxes = [tuple(p["gridPos"][k] for k in "xywh") for p in board["panels"]]
        for i, (x, y, w, h) in enumerate(boxes):
            self.assertLessEqual(x + w, 24)
            for x2, y2, w2, h2 in boxes[:i]:
                self.assertFalse(x < x2 + w2 and x2 < x + w and y < y2 + h2 and y2 < y + h, "panels overlap")
        self.until("momentscope_source_up")
        time.sleep(3)                        # a rate wants two scrapes
        empty, seconds = [], ("momentscope_band_v", "momentscope_band_v_fade", "momentscope_band_v_retention",
                              "momentscope_band_v_age", "momentscope_band_u", "momentscope_table_eps2")
        for p in panels:
            if p["title"] in seconds:        # only tables of optimizers that are read have a second moment
                continue
            query = p["targets"][0]["expr"].replace("$source", ".*").replace("$table", ".*")
            if not self.ask("query", query=query)["result"]:
                empty.append(query)
        read = r"momentscope_(band_(v|v_fade|v_retention|v_age|u)|table_eps2)\{"       # of Adam and its like alone
        self.assertEqual([query for query in empty if not re.match(read, query)], [])


if __name__ == "__main__":
    unittest.main()
