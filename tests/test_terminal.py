"""momentscope watch on real terminals of several sizes and abilities, seen through tmux."""
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import client_support
from momentscope import Client, _lib
from test_watch import pack


def setUpModule():
    if not shutil.which("tmux"):
        raise unittest.SkipTest("tmux is not installed")


class Terminal:
    """A program in a terminal of its own size, locale and TERM."""

    def __init__(self, command, columns, rows, **env):
        self.dir = tempfile.mkdtemp(prefix="momentscope-test-")
        self.tmux = ["tmux", "-S", f"{self.dir}/tmux", "-f", "/dev/null"]
        self.width, self.height = columns, rows
        setting = " ".join(f"{k}={v}" for k, v in {"LC_ALL": "C.UTF-8", **env}.items())
        line = f"env -u NO_COLOR {setting} {' '.join(command)}; echo ended with $?; exec sleep 60"
        subprocess.run([*self.tmux, "new-session", "-d", "-x", str(columns), "-y", str(rows), line], check=True,
                       env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=20)

    def screen(self, *options):
        out = subprocess.run([*self.tmux, "capture-pane", "-p", *options], check=True, capture_output=True, timeout=20)
        return out.stdout.decode().split("\n")

    def wait(self, *words, options=()):
        """The screen once all of words are on it."""
        end = time.monotonic() + 30
        while True:
            lines = self.screen(*options)
            if all(any(w in line for line in lines) for w in words):
                return lines
            if time.monotonic() > end:
                raise AssertionError(f"{words} did not come:\n" + "\n".join(lines))
            time.sleep(0.1)

    def press(self, *keys):
        for key in keys:
            subprocess.run([*self.tmux, "send-keys", key], check=True, timeout=20)
            time.sleep(0.3)

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True, timeout=20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Picture(unittest.TestCase):
    ROWS = 256

    @classmethod
    def setUpClass(cls):
        cls.daemon = client_support.Daemon().start()
        cls.client = Client(cls.daemon.ingest, name="test_terminal")
        cls.tables = [cls.client.attach(name, cls.ROWS, 2, 64, form=_lib.FORM_EMA, fresh=True)
                      for name in ("words", "users")]
        for i in range(512):
            for table in cls.tables:
                cls.push(table, i)
        assert cls.client.flush(20), cls.client.stats()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    @classmethod
    def push(cls, table, i):
        rows = [0] + [r for r in range(1, 9) if i % (1 << r) == 0] + [9 + i % 200]
        raw_rows, at_rows = pack("q", rows)
        raw, at = pack("f", [0.5 + 0.01 * (i % 7)] * (2 * len(rows)))
        raw_hm, at_hm = pack("f", [0.05] * (2 * len(rows)))
        if i % 4 == 3:
            cls.client.probe(table, 0.01, at_rows, at_hm, _lib.F32, len(rows))
        cls.client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at_rows, at, _lib.F32, len(rows))

    def open(self, columns, rows, *options, **env):
        t = Terminal([os.path.join(client_support.BUILD, "momentscope"), "watch", "--telemetry", self.daemon.telemetry,
                      "--replay", self.daemon.replay, *options], columns, rows, **env)
        self.addCleanup(t.close)
        return t

    def bands_of(self, lines):
        """The lines of the list of bands: header and rows."""
        at = next(i for i, line in enumerate(lines) if line.split()[:1] + line.split()[-1:] == ["band", "regime"])
        rows = []
        while lines[at + 1 + len(rows)].split()[:1] and lines[at + 1 + len(rows)].split()[0].isdigit():
            rows.append(lines[at + 1 + len(rows)])
        return lines[at], rows

    def test_the_verdict_comes_first_and_nothing_is_broken_at_any_size(self):
        for columns, rows in ((80, 24), (120, 40), (40, 12), (200, 60)):
            with self.subTest(columns=columns, rows=rows):
                t = self.open(columns, rows)
                lines = t.wait("regime", "q quit")
                self.assertRegex(lines[0], "words|users")
                self.assertRegex(lines[1], "^(no band|near-instability|unstable)")
                head, bands = self.bands_of(lines)
                self.assertEqual(head.split()[-1], "regime")
                self.assertIn("zeta", head)
                self.assertGreaterEqual(len(bands), 2)
                regimes = {"heavy-ball", "resonant", "sgd-like", "unknown", "near-instability", "unstable"}
                for line in bands:
                    self.assertIn(line.split()[-1], regimes)
                self.assertTrue(lines[rows - 1].startswith("q quit"), lines)

    def test_columns_leave_by_width_or_are_chosen(self):
        seen = {}
        for columns in (40, 80, 120, 200):
            head, _ = self.bands_of(self.open(columns, 24).wait("regime", "q quit"))
            seen[columns] = head.split()
        self.assertEqual(seen[40], ["band", "H", "zeta", "regime"])
        everything = "band p rows P updates R V C H1 retention learning delta H zeta V lately regime"
        self.assertEqual(seen[200], everything.split())
        self.assertLess(len(seen[80]), len(seen[120]))
        self.assertLessEqual({"p", "rows", "retention", "lately"}, set(seen[80]))
        head, bands = self.bands_of(self.open(80, 24, "--columns", "V,p").wait("regime", "q quit"))
        self.assertEqual(head.split(), ["band", "p", "V", "regime"])
        self.assertEqual(len(bands[0].split()), 4)

    def test_keys(self):
        t = self.open(80, 16)
        t.wait("q quit", "band")
        t.press("?")
        t.wait("R, V, C: sums")
        t.press("x")
        first = t.wait("q quit")
        t.press("t")
        second = t.wait("(table 2 of 2)")[0].split()[0]
        t.press("Tab")
        self.assertEqual({second, t.wait("(table 1 of 2)")[0].split()[0]}, {"words", "users"})
        t.press("s")
        _, rows = self.bands_of(t.wait("s sort: updates"))
        self.assertNotEqual(rows, self.bands_of(first)[1])
        t.press("Space")
        t.wait("PAUSED")
        t.press("Space")
        t.press("s", "s", "s", "s")
        t.wait("s sort: band")
        t.press("Down", "Down")
        chosen = self.bands_of(t.screen())[1][2].split()[0]
        t.wait(f"band {chosen}: ")
        t.press("q")
        t.wait("ended with 0")

    def test_colours_only_where_they_are_wanted(self):
        red_green = "\033[3"
        self.assertIn(red_green, "".join(line for line in self.open(80, 24).wait("q quit", options=["-e"])
                                         if "regime" not in line).replace("\033[39m", ""))
        for env in ({"NO_COLOR": "1"}, {"TERM": "vt100"}):
            shown = "".join(self.open(80, 24, **env).wait("q quit", options=["-e"])).replace("\033[39m", "")
            self.assertNotIn(red_green, shown)

    def test_ascii_where_the_locale_has_no_more(self):
        t = self.open(80, 24, LC_ALL="C")
        lines = t.wait("q quit", "regime")
        self.assertTrue("\n".join(lines).isascii(), lines)
        self.assertFalse("\n".join(self.open(80, 24).wait("q quit", "regime")).isascii())

    def test_a_terminal_that_cannot_draw_gets_plain_text_that_fits(self):
        for term in ("dumb", "nonsense-terminal"):
            t = self.open(72, 50, "--every", "0.5", TERM=term)
            lines = t.wait("regime", "band")
            self.assertFalse(any("q quit" in line for line in lines))
            head, bands = self.bands_of(lines)
            self.assertEqual(head.split()[-1], "regime")
            self.assertTrue(all(len(b.split()) == len(head.split()) for b in bands))

    def test_once_wraps_at_the_window(self):
        t = self.open(64, 100, "--once", "--table", "words")
        lines = t.wait("what it means", "ended with 0")
        self.assertRegex(lines[0], "^(no band|near-instability|unstable)")
        wrapped = " ".join(" ".join(lines).split())
        plain = subprocess.run([os.path.join(client_support.BUILD, "momentscope"), "watch", "--once", "--table",
                                "words", "--telemetry", self.daemon.telemetry, "--replay", self.daemon.replay],
                               capture_output=True, text=True, timeout=30).stdout.splitlines()
        prose = [line for line in plain if ": p " in line or line.startswith("note") or
                 (line.startswith("  ") and not line.split()[0].isdigit())]
        said = [" ".join(line.split()) for line in prose]
        self.assertGreater(len(said), 4)
        for sentence in said:                # no word is broken, and none is lost
            self.assertIn(sentence, wrapped)

    def test_a_window_that_changes_its_size(self):
        t = self.open(120, 30)
        t.wait("q quit", "learning")
        subprocess.run([*t.tmux, "resize-window", "-x", "50", "-y", "14"], check=True, timeout=20)
        end = time.monotonic() + 10
        while "learning" in "".join(t.screen()) or not any(line.startswith("q quit") for line in t.screen()):
            self.assertLess(time.monotonic(), end, t.screen())
            time.sleep(0.1)
        self.assertTrue(t.screen()[13].startswith("q quit"))

    def test_a_window_that_changes_its_size_while_paused(self):
        t = self.open(120, 30)
        t.wait("q quit", "learning")
        t.press("Space")
        t.wait("PAUSED")
        subprocess.run([*t.tmux, "resize-window", "-x", "50", "-y", "14"], check=True, timeout=20)
        end = time.monotonic() + 10
        while "learning" in "".join(t.screen()) or not any(line.startswith("q quit") for line in t.screen()):
            self.assertLess(time.monotonic(), end, t.screen())
            time.sleep(0.1)

    def shell(self, columns, rows, **env):
        """A terminal whose program is a shell with job control, where watch has begun to draw."""
        t = Terminal(["bash", "--norc", "--noprofile"], columns, rows, PS1="ready-", **env)
        self.addCleanup(t.close)
        t.wait("ready-")
        t.press(f"stty -a | grep -v columns >{t.dir}/before", "Enter")
        t.press(" ".join([os.path.join(client_support.BUILD, "momentscope"), "watch", "--telemetry",
                          self.daemon.telemetry, "--replay", self.daemon.replay]), "Enter")
        return t

    def state(self, t):
        """(second screen, cursor shown)"""
        out = subprocess.run([*t.tmux, "display", "-p", "#{alternate_on} #{cursor_flag}"], capture_output=True, text=True,
                             timeout=20)
        return tuple(int(x) for x in out.stdout.split())

    def restored(self, t):
        t.press("Enter")
        self.assertEqual(self.state(t), (0, 1))
        t.press("clear", "Enter", f"stty -a | grep -v columns | diff - {t.dir}/before && echo same modes", "Enter")
        t.wait("same modes", "ready-")

    def test_stopped_and_continued(self):
        t = self.shell(120, 24)
        t.wait("q quit", "learning")
        self.assertEqual(self.state(t), (1, 0))
        t.press("C-z")
        t.wait("Stopped")
        self.restored(t)
        subprocess.run([*t.tmux, "resize-window", "-x", "50", "-y", "14"], check=True, timeout=20)
        t.press("fg", "Enter")
        lines = t.wait("q quit", "regime")
        self.assertEqual(self.state(t), (1, 0))
        self.assertNotIn("learning", "".join(lines))
        self.assertTrue(lines[13].startswith("q quit"), lines)
        t.press("Space")                                      # a picture that stands still is drawn anew, too
        t.wait("PAUSED")
        t.press("C-z")
        t.wait("Stopped")
        t.press("fg", "Enter")
        t.wait("PAUSED", "regime")
        t.press("q")
        self.restored(t)

    def test_stopped_by_a_signal_that_cannot_be_caught(self):
        t = self.shell(120, 24)
        t.wait("q quit", "learning")
        t.press("Space")
        t.wait("PAUSED")
        pid = subprocess.run(["pgrep", "-f", f"momentscope watch .*{self.daemon.replay}"], capture_output=True, text=True)
        os.kill(int(pid.stdout.split()[0]), signal.SIGSTOP)
        t.wait("Stopped")
        t.press("fg", "Enter")
        lines = t.wait("PAUSED", "regime", "q quit")
        end = time.monotonic() + 10
        while "Stopped" in "".join(lines) or "fg" in "".join(lines):
            self.assertLess(time.monotonic(), end, lines)
            lines = t.screen()
            time.sleep(0.1)
        t.press("C-\\")                                     # a quit gives the terminal back as well
        t.wait("Quit")
        self.restored(t)

    def watching(self, term="xterm", **more):
        """A watch whose terminal is ours: (process, the terminal's other end, what it has drawn)."""
        ours, its = pty.openpty()
        env = {**os.environ, "TERM": term}
        if term is None:
            del env["TERM"]
        p = subprocess.Popen([os.path.join(client_support.BUILD, "momentscope"), "watch", "--telemetry",
                              self.daemon.telemetry, "--replay", self.daemon.replay], stdin=its, stdout=its, stderr=its,
                             start_new_session=True, env=env, **more)
        os.close(its)
        seen = b""
        while b"regime" not in seen:
            seen += os.read(ours, 65536)
        return p, ours, seen

    def test_no_escapes_where_the_terminal_knows_none(self):
        for term in ("dumb", "", None):
            with self.subTest(term):
                p, ours, seen = self.watching(term)
                p.terminate()
                self.assertEqual(p.wait(10), 0)
                try:
                    seen += os.read(ours, 1 << 20)
                except OSError:              # it wrote nothing more before it left
                    pass
                os.close(ours)
                self.assertNotIn(b"\033", seen)
                self.assertIn(b"band", seen)

    def test_a_terminal_that_is_closed_ends_it(self):
        for how in ("hangup", "signal", "closed and nohup"):
            with self.subTest(how):
                ignore = None if "nohup" not in how else lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
                p, ours, _ = self.watching(preexec_fn=ignore)
                if how == "signal":
                    p.send_signal(signal.SIGHUP)
                    time.sleep(0.3)
                    self.assertIn(b"\033[?1049l", os.read(ours, 1 << 20))       # the first screen again
                os.close(ours)
                self.assertIsNotNone(p.wait(10))

    def test_nohup_keeps_what_writes_elsewhere(self):
        p = subprocess.Popen([os.path.join(client_support.BUILD, "momentscope"), "watch", "--json", "--telemetry",
                              self.daemon.telemetry, "--replay", self.daemon.replay], stdout=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        p.stdout.readline()
        p.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        self.assertIsNone(p.poll())
        p.terminate()
        p.stdout.close()
        self.assertEqual(p.wait(10), 0)


class Usage(unittest.TestCase):
    def test_columns_are_checked(self):
        command = [os.path.join(client_support.BUILD, "momentscope"), "watch"]
        r = subprocess.run([*command, "--columns", "p,q"], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 2)
        self.assertIn("--columns is 'p,q'", r.stderr)
        self.assertIn("'q' is no column; expected band, p, rows,", r.stderr)
        r = subprocess.run([*command, "--json", "--columns", "p"], capture_output=True, text=True, timeout=20)
        self.assertEqual((r.returncode, r.stderr), (2, "momentscope watch: --columns has no effect with --json\n"))


if __name__ == "__main__":
    unittest.main()
