"""momentscope serve: what it answers, and to whom; real daemon, real trainer, real HTTP."""
import http.client, json, os, re, signal, socket, subprocess, sys, tempfile, time, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import numpy as np
import raw

PROGRAM = os.path.join(raw.BUILD, "momentscope")
PATIENCE = 15.0


class Serve:
    """momentscope serve on a port of its own; alerts in a folder of its own."""

    def __init__(self, *options, daemon=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="mscope-serve-")
        at = ["--telemetry", daemon.endpoint("telemetry"), "--replay", daemon.endpoint("replay")] if daemon else []
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--alerts", f"{self.folder}/alerts.db", *at,
                                         *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)/", line).group(1))

    def ask(self, path, method="GET", **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        c.request(method, path, headers=headers)
        r = c.getresponse()
        r.body = r.read().decode()
        c.close()
        return r

    def json(self, path):
        return json.loads(self.ask(path).body)

    def until(self, path, right):
        end = time.monotonic() + PATIENCE
        while True:
            got = self.json(path)
            if right(got) or time.monotonic() > end:
                return got
            time.sleep(0.05)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        out = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


def train(case, daemon, steps=40, name="words", rows=64, dim=4, session=1):
    """A trainer in bytes: frequent and rare rows, momentum .9; every row update is confirmed."""
    rng = np.random.default_rng(7)
    t = raw.Trainer(daemon, session)
    case.addCleanup(t.close)
    t.hello(table=name, rows=rows, dim=dim)
    for number in range(1, steps + 1):
        i = np.unique(np.minimum(rng.geometric(0.2, 12), rows) - 1)
        t.step(number, i, rng.standard_normal((len(i), dim)))
        t.acked()
    return t


class Case(unittest.TestCase):
    def daemon(self, *flags):
        d = raw.Daemon("--interval", "0.1", *flags)
        self.addCleanup(d.close)
        return d

    def serve(self, *options, **more):
        s = Serve(*options, **more)
        self.addCleanup(lambda: s.process.poll() is None and s.close())
        return s


class Answers(Case):
    def test_state_tables_and_metrics_say_the_same_V(self):
        d = self.daemon()
        train(self, d)
        s = self.serve(daemon=d)
        state = s.until("/api/state", lambda x: [t["step"] for t in x["sources"][0]["tables"]] == [40])
        self.assertEqual(state["sources"][0]["state"], "live")
        self.assertEqual(state["sources"][0]["tables"][0]["name"], "words")
        table = s.json("/api/table?table=words")
        once = subprocess.run([PROGRAM, "watch", "--once", "--json", "--telemetry", d.endpoint("telemetry")],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        want = {r["band"]: r["V"] for r in map(json.loads, once.splitlines()) if r["topic"].startswith("band/")}
        self.assertGreater(len(want), 2)
        self.assertEqual({b["record"]["band"]: b["record"]["V"] for b in table["bands"]}, want)
        metrics = s.ask("/metrics").body
        got = {int(b): float(v) for b, v in
               re.findall(r'^momentscope_band_V\{source="daemon",table="words",band="(\d+)"\} (\S+)$', metrics, re.M)}
        self.assertEqual(got, want)
        self.assertEqual(s.close()[0], 0)

    def test_what_came_before_it_is_there_and_not_told_as_news(self):
        d = self.daemon("--interval-steps", "4")
        train(self, d)
        s = self.serve(daemon=d)
        s.until("/api/state", lambda x: [t["step"] for t in x["sources"][0]["tables"]] == [40])
        series = s.json("/api/table?table=words")["series"]
        steps = series["whole"]["step"]
        self.assertGreaterEqual(len(steps), 10)
        self.assertEqual(steps, sorted(set(steps)))
        self.assertEqual(set(series["whole"]["at"][:9]), {0})
        codes = {a["code"] for a in s.json("/api/alerts")["alerts"]}
        self.assertIn("attached", codes)
        self.assertEqual(codes - {"attached", "climbing"}, set())    # the daemon's own alone
        self.assertEqual([x["lost"] for x in s.json("/api/state")["sources"]], [0])

    def test_without_a_daemon_it_waits_and_health_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            s = self.serve("--telemetry", f"ipc://{folder}/none.ipc", "--replay", "")
            r = s.ask("/healthz")
            self.assertEqual(r.status, 503)
            self.assertEqual(json.loads(r.body)["sources"][0]["state"], "waiting")
            self.assertEqual(s.ask("/api/table").status, 404)

    def test_a_connection_serves_many_requests(self):
        s = self.serve(daemon=self.daemon())
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=PATIENCE)
        for _ in range(20):
            c.request("GET", "/api/state")
            r = c.getresponse()
            self.assertEqual((r.status, r.getheader("Connection")), (200, None))
            r.read()
        c.request("GET", "/api/state", body=b"x" * 10)
        self.assertEqual(c.getresponse().status, 400)

    def test_unknown_paths_methods_and_numbers_are_refused(self):
        s = self.serve(daemon=self.daemon())
        for path in ("/etc/passwd", "/../../etc/passwd", "/page.html", "/api", "/api/state/", "/%2e%2e/"):
            self.assertEqual(s.ask(path).status, 404, path)
        self.assertEqual(s.ask("/", "POST").status, 405)
        self.assertEqual(s.ask("/", "DELETE").status, 405)
        self.assertEqual(s.ask("/api/alerts?since=x").status, 400)
        self.assertEqual(s.ask("/", "HEAD").status, 200)


class Several(Case):
    def test_two_daemons_are_two_sources_and_one_that_dies_is_named(self):
        a, b = self.daemon(), self.daemon()
        train(self, a, name="left")
        train(self, b, name="right", session=2)
        s = self.serve("--daemon", f"a={a.endpoint('telemetry')}", "--daemon", f"b={b.endpoint('telemetry')}")
        both = s.until("/api/state", lambda x: [len(y["tables"]) for y in x["sources"]] == [1, 1])
        self.assertEqual([(x["name"], x["tables"][0]["name"]) for x in both["sources"]], [("a", "left"), ("b", "right")])
        self.assertEqual(s.json("/api/table?source=b&table=right")["record"]["table"], "right")
        self.assertEqual(s.ask("/api/table?source=a&table=right").status, 404)
        self.assertEqual({r["source"] for r in map(json.loads, s.ask("/api/verdicts").body.splitlines())}, {"a", "b"})
        b.kill()
        end = s.until("/api/state", lambda x: [y["state"] for y in x["sources"]] == ["live", "silent"])
        self.assertEqual([x["state"] for x in end["sources"]], ["live", "silent"])
        self.assertEqual([(x["source"], x["code"]) for x in s.json("/api/alerts")["alerts"]][-1], ("b", "silent"))

    def test_a_name_given_twice_is_refused(self):
        r = subprocess.run([PROGRAM, "serve", "--port", "0", "--daemon", "a=ipc:///tmp/x", "--daemon", "a=ipc:///tmp/y"],
                           stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn("'a' is given twice", r.stderr)

    def test_a_daemon_needs_an_address(self):
        for given, said in (("a=", "with an address"), ("", "with an address"), (",", "with an address"),
                            ("=ipc:///tmp/x", "with a name before =")):
            r = subprocess.run([PROGRAM, "serve", "--port", "0", "--daemon", given], stderr=subprocess.PIPE, text=True,
                               timeout=PATIENCE, check=False)
            self.assertEqual(r.returncode, 2, given)
            self.assertIn(f"--daemon is '{given}', expected [NAME=]ADDRESS[,ADDRESS..] {said}", r.stderr)


class Guard(Case):
    def test_other_hosts_are_refused(self):
        s = self.serve("--host", "box.example", daemon=self.daemon())
        for host, status in (("localhost", 200), ("127.0.0.1:1", 200), ("[::1]:80", 200), ("box.example:99", 200),
                             ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421),
                             ("localhost:80:90", 421), ("[::1", 421), ("10.0.0.1", 421), ("localhost:8o", 421)):
            self.assertEqual(s.ask("/", Host=host).status, status, host)
        with socket.create_connection(("127.0.0.1", s.port)) as c:
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b" 421 ", c.recv(4096).split(b"\r\n")[0])

    def test_every_answer_keeps_other_sites_out(self):
        s = self.serve(daemon=self.daemon())
        for path in ("/", "/page.js", "/api/state", "/metrics", "/nothing"):
            r = s.ask(path)
            self.assertIn("default-src 'none'", r.getheader("Content-Security-Policy"), path)
            self.assertNotIn("unsafe", r.getheader("Content-Security-Policy"))
            self.assertEqual(r.getheader("X-Content-Type-Options"), "nosniff")
            self.assertIsNone(r.getheader("Access-Control-Allow-Origin"))

    def test_an_address_others_can_reach_needs_a_word(self):
        r = subprocess.run([PROGRAM, "serve", "--address", "0.0.0.0", "--port", "0"], stderr=subprocess.PIPE, text=True,
                           timeout=PATIENCE, check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn("--allow-remote", r.stderr)


if __name__ == "__main__":
    unittest.main()
