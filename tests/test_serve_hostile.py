"""momentscope serve against bad clients: slow, idle, many, wrong; and alerts that are told and kept."""
import contextlib, json, os, re, socket, sqlite3, subprocess, sys, tempfile, threading, time, unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

import random

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
from test_serve import PATIENCE, PROGRAM, Case, Serve, train


def connect(s):
    c = socket.create_connection(("127.0.0.1", s.port), timeout=PATIENCE)
    return c


def memory(s):
    with open(f"/proc/{s.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


class Clients(Case):
    def test_two_hundred_idle_connections_and_a_slow_request(self):
        s = self.serve(daemon=self.daemon())
        s.until("/healthz", lambda x: x["ok"])
        idle = [connect(s) for _ in range(200)]
        slow = connect(s)
        for c in (*idle, slow):
            self.addCleanup(c.close)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        begin = time.monotonic()
        self.assertEqual(s.ask("/healthz").status, 200)
        self.assertLess(time.monotonic() - begin, 2)
        gone = None                                  # a byte now and then does not keep it alive
        while gone is None and time.monotonic() - begin < 25:
            try:
                slow.sendall(b"X")
                slow.settimeout(0.5)
                if slow.recv(100) == b"":
                    gone = time.monotonic() - begin
            except TimeoutError:
                pass
            except OSError:
                gone = time.monotonic() - begin
        self.assertIsNotNone(gone, "a request that never ends is let go")
        self.assertLess(gone, 16)
        self.assertEqual(s.ask("/healthz").status, 200)

    def test_too_many_streams_are_refused_and_slow_ones_cost_nothing(self):
        s = self.serve(daemon=self.daemon("--interval", "0.05"))
        s.until("/api/state", lambda x: x["sources"][0]["state"] == "live")
        streams = []
        for _ in range(64):
            c = connect(s)
            c.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            streams.append(c)
        for c in streams:
            self.assertIn(b" 200 ", c.recv(100).split(b"\r\n")[0])
        self.assertEqual(s.ask("/events").status, 503)
        before = memory(s)
        time.sleep(4)                                # none of them reads
        self.assertLess(memory(s) - before, 4000)
        self.assertEqual(s.ask("/api/state").status, 200)
        for c in streams:
            c.close()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:              # their places are free again
            c = connect(s)
            c.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if b" 200 " in c.recv(100).split(b"\r\n")[0]:
                break
            c.close()
            time.sleep(0.5)
        else:
            self.fail("streams that were closed still hold their places")
        c.close()

    def test_random_requests_end_in_an_answer_or_a_closed_connection(self):
        s = self.serve(daemon=self.daemon())
        rng = random.Random(14)
        words = [b"GET", b"POST", b"HEAD", b"/", b"/api/table?table=", b"HTTP/1.1", b"Host:", b"localhost", b"\r\n", b"\r\n\r\n", b"%00",
                 b"%ff", b"../", b"Content-Length: ", b"99999999999", b"-1", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
                 b"\x00", b"\xff" * 9, b"A" * 5000, b" ", b"?after=", b"nan", b"1e999", b"&", b"Range: bytes=0-", b"Connection: keep-alive\r\n"]
        for _ in range(400):
            c = connect(s)
            c.settimeout(2)
            try:
                c.sendall(b"".join(rng.choice(words) + rng.choice([b" ", b"", b"\r\n"]) for _ in range(rng.randrange(1, 14))) + b"\r\n\r\n")
                c.shutdown(socket.SHUT_WR)
                while c.recv(65536):
                    pass
            except OSError:
                pass
            c.close()
        self.assertIsNone(s.process.poll())
        self.assertTrue(s.until("/healthz", lambda x: x["ok"])["ok"])
        code, (_, err) = s.close()
        self.assertEqual((code, err), (0, ""))


class Alerts(Case):
    def alerts(self, s, *options):
        return subprocess.run([PROGRAM, "alerts", "--file", f"{s.folder}/alerts.db", *options], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    def test_alerts_outlive_the_server_and_are_not_told_twice(self):
        d = self.daemon()
        with tempfile.TemporaryDirectory() as folder:
            s = Serve(daemon=d, folder=folder)
            train(self, d)
            s.until("/api/alerts", lambda x: x["last"] >= 1)
            first = s.json("/api/alerts")
            self.assertEqual(s.close()[0], 0)
            again = Serve(daemon=d, folder=folder)
            again.until("/api/state", lambda x: x["sources"][0]["state"] == "live")
            time.sleep(0.5)
            codes = [a["code"] for a in again.json("/api/alerts")["alerts"]]
            self.assertEqual(codes.count("attached"), 1, codes)
            self.assertEqual(again.json(f"/api/alerts?since={first['last']}&limit=1")["last"], again.json("/api/alerts")["last"])
            r = self.alerts(again, "--json")
            self.assertEqual([json.loads(x)["id"] for x in r.stdout.splitlines()], [a["id"] for a in again.json("/api/alerts")["alerts"]])
            self.assertEqual(self.alerts(again, "--since", "9999").stdout, "")
            self.assertEqual(self.alerts(again, "--since", "soon").returncode, 2)
            self.assertEqual(self.alerts(again, "--since", "1h", "--last", "1").stdout.count("\n"), 1)
            self.assertEqual(again.close()[0], 0)
        self.assertEqual(self.alerts(s).returncode, 1)

    def test_whoever_goes_on_from_a_number_misses_none(self):
        with tempfile.TemporaryDirectory() as folder:
            s = Serve(daemon=self.daemon(), folder=folder)
            self.assertEqual(s.close()[0], 0)
            with contextlib.closing(sqlite3.connect(f"{folder}/alerts.db")) as db, db:
                db.executemany("INSERT INTO alert (at, source, tbl, step, code, level, text) "
                               "VALUES (1, 'a', 't', ?, 'note', 0, 'x')", [(k,) for k in range(700)])
                first = db.execute("SELECT min(id) FROM alert").fetchone()[0]
            s = Serve(daemon=self.daemon(), folder=folder)
            ids = lambda query: [a["id"] for a in s.json("/api/alerts" + query)["alerts"] if a["table"] == "t"]
            self.assertEqual(ids(f"?since={first + 2}"), list(range(first + 3, first + 700)))
            self.assertEqual(len(ids("?limit=500")), 500)
            self.assertEqual(len(ids("")), 200)
            self.assertEqual(s.close()[0], 0)

    def test_a_command_and_an_address_are_told_when_the_daemon_falls_silent(self):
        got = []

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self):
                got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        d = self.daemon()
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/url", "w", encoding="ascii") as f:
                f.write(f"http://127.0.0.1:{server.server_port}/hook?secret=1\n")
            have_curl = subprocess.run(["sh", "-c", "command -v curl"], stdout=subprocess.DEVNULL, check=False).returncode == 0
            hook = ["--webhook", f"{folder}/url"] if have_curl else []
            s = Serve("--exec", f"cat >>{folder}/told", *hook, daemon=d, folder=folder)
            s.until("/api/state", lambda x: x["sources"][0]["state"] == "live")
            d.kill()
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and not (os.path.exists(f"{folder}/told") and (got or not have_curl)):
                time.sleep(0.1)
            with open(f"{folder}/told", encoding="utf-8") as f:
                self.assertEqual(json.loads(f.readline())["code"], "silent")
            if have_curl:
                self.assertEqual((got[0][0], got[0][1]["code"]), ("/hook?secret=1", "silent"))
            else:
                print("note no curl here: --webhook is not tried")
            self.assertEqual(s.close()[0], 0)

    def test_a_webhook_that_is_no_address_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".url") as f:
            f.write("file:///etc/passwd\n")
            f.flush()
            r = subprocess.run([PROGRAM, "serve", "--port", "0", "--alerts", "", "--webhook", f.name], capture_output=True, text=True,
                               timeout=PATIENCE, check=False)
            self.assertEqual(r.returncode, 2)
            self.assertIn("http", r.stderr)


if __name__ == "__main__":
    unittest.main()
