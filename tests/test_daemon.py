"""momentscoped from outside: a trainer and a subscriber made of bytes, and numpy as the judge."""
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import msgpack
import raw
from golden import header
from raw import BYE, COUNTS, ERROR, HELLO, LAST, PROBE, REFERENCE, SAVE, STEP, SYNC, WELCOME
from shadow import Shadow

EINVAL, ENOMEM, ESTATE, EINDEX, ENONFINITE, EPROTO, EVERSION, EBUSY, EGAP = -1, -2, -3, -4, -5, -6, -7, -8, -9
# theta, m are float64 on both sides and differ by rounding of a few hundred steps; sums of squares double it.
RELATIVE = 1e-9


def zipf_batch(rng, rows, dim, n):
    r = np.minimum((rng.pareto(0.7, n)).astype(int), rows - 1)
    return r, np.round(rng.standard_normal((n, dim)), 2)


class Case(unittest.TestCase):
    def daemon(self, *flags, **more):
        d = raw.Daemon("--interval", "0", *flags, **more)
        self.addCleanup(d.close)
        return d

    def trainer(self, daemon, session=1):
        t = raw.Trainer(daemon, session)
        self.addCleanup(t.close)
        return t

    def subscriber(self, daemon, prefix=""):
        s = raw.Subscriber(daemon, prefix)
        self.addCleanup(s.close)
        return s

    def refused(self, trainer, code, field, done=True):
        got = trainer.error(done)
        self.assertEqual((got["code"], got["field"]), (code, field), got)
        return got

    def near(self, got, want, what, scale=None):
        if want is None or got is None:
            self.assertEqual(got, want, what)
            return
        self.assertLessEqual(abs(got - want), RELATIVE * (scale or abs(want)) + 1e-300, f"{what}: {got} {want}")


class Numbers(Case):
    """An independent recomputation agrees with every record."""

    def follow(self, form, kind, steps, schedule, reference=True, rows=40, dim=3):
        rng = np.random.default_rng(7)
        d = self.daemon("--interval-steps", "25")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon", "the first daemon record")
        ref = rng.standard_normal((rows, dim)) if reference else None
        kind_, welcome = t.hello("t", rows, dim, form=form, reference="drawn" if reference else "")
        self.assertEqual((kind_, welcome["exact"], welcome["step"], welcome["next_seq"]), (WELCOME, True, 0, 1))
        model = Shadow(rows, dim, form, ref)
        if reference:
            t.rows(REFERENCE, 0, 0, ref[:17])
            t.rows(REFERENCE, 0, 17, ref[17:], last=True)
        feed = []
        for k in range(1, steps + 1):
            r, g = zipf_batch(rng, rows, dim, int(rng.integers(0, 30)))
            g = np.round(g * 4) / 4 if kind in ("bf", "f2") else np.float32(g).astype(float) if kind == "f4" else g
            eta, eps, decays = schedule(k)
            t.step(k, r, g, eta, eps, 16, kind, schedule=decays, index="u8" if k % 2 else "u4")
            feed.append((r, g, eta, eps, 16, *(decays or (0, 0, 0))))
        last = sub.table("t", steps)
        t.acked()
        self.assertEqual(sub.lost, 0)
        self.check(sub, model, feed, form, reference)
        self.assertEqual((last["form"], last["state"], last["exact"], last["attached"]), (form, "f64", True, True))
        return sub

    def check(self, sub, model, feed, form, reference):
        tables = {r["step"]: r for t, _, r, _ in sub.records if t == "table/t"}
        bands = {}
        for t, _, r, _ in sub.records:
            if t.startswith("band/t/"):
                bands.setdefault(r["step"], {})[r["band"]] = r
        checked = 0
        for k, (r, g, eta, eps, batch, wd, dd, damp) in enumerate(feed, 1):
            model.step(r, g, eta, eps, batch, wd, dd, damp)
            if k not in tables:
                continue
            c = 1.0 if eps == 1 else 1 - damp
            scale = 1.0 if form == "ema" else eps / c
            want = model.bands(scale)
            self.assertEqual(sorted(bands.get(k, {})), sorted(want), f"bands at step {k}")
            self.assertEqual(tables[k]["bands"], [float(b) for b in sorted(want)])
            R, V, C = model.totals()
            for name, value, size in (("R", R, R), ("V", V * scale**2, None), ("C", C * scale, (R * V)**0.5 * scale)):
                if reference or name == "V":
                    self.near(tables[k][name], value, f"table {name} at {k}", size)
                else:
                    self.assertIsNone(tables[k][name])
            for b, w in want.items():
                self.check_band(bands[k][b], w, eta if form == "ema" else eta * c / eps, eps, reference, k)
                checked += 1
            if k % 25 == 0:
                model.reset()
        self.assertGreater(checked, 20)

    def check_band(self, got, want, eta, eps, reference, k):
        what = f"band {got['band']} at step {k}: "
        for name in ("rows", "updates", "window_updates"):
            self.assertEqual(got[name], want[name], what + name)
        scales = {"C": (want["R"] * want["V"])**0.5, "gm": (got["gm_se"] or 0) + abs(want["gm"] or 0),
                  "U": want["g2"]}
        for name in ("R", "V", "C", "p", "P", "g2", "U", "gm"):
            if name in "RC" and not reference:
                self.assertIsNone(got[name])
            else:
                self.near(got[name], want[name], what + name, scales.get(name))
        if reference:
            self.assertLess(got["r_bound"], 1e-9)
            self.assertLessEqual(abs(got["R"] - want["R"]), (got["r_bound"] + 1e-12) * want["R"])
        self.near(got["retention"], (want["P"] + (1 - want["P"]) * eps) / eps, what + "retention")
        self.near(got["eta"], eta, what + "eta")
        self.assertTrue(got["h_source"].startswith("none: no probe"))
        self.assertEqual([got[n] for n in ("H1", "H2", "learning", "delta")], [None] * 4)

    def test_ema_with_a_reference_and_a_moving_schedule(self):
        self.follow("ema", "f8", 300, lambda k: (0.2 * min(1, k / 50), 0.02 + 0.5 / k, None))

    def test_torch_with_coupled_decay_and_dampening(self):
        self.follow("torch", "f4", 200, lambda k: (0.05, 0.1, (1e-3, 0.0, 0.25)))

    def test_torch_with_decoupled_decay_and_no_reference(self):
        sub = self.follow("torch", "bf", 200, lambda k: (0.05, 0.1, (0.0, 1e-2, 0.0)), reference=False)
        band = [r for t, _, r, _ in sub.records if t.startswith("band/")][-1]
        self.assertEqual(band["r_source"], "none: no reference was set")

    def test_probe_and_fisher_curvature(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2, nll=True)
        g = np.array([[3.0, 4.0]])
        t.step(1, [1], g, 0.5, 0.5, 2)
        band = sub.until(lambda topic, r: topic.startswith("band/") and r["step"] == 1)
        # H1 = batch |g|^2 / d, m = eps g
        self.assertEqual((band["h_source"], band["H1"], band["H2"]), ("fisher", 2 * 25 / 2, None))
        self.near(band["learning"], 1 / (0.5 * 25), "learning")
        hm = np.array([[3.0, 0.0]])          # m = (1.5, 2): h1 = <m,hm>/|m|^2, h2 = |hm|^2/|m|^2
        t.send(PROBE, np.array([1], "<u4").tobytes(), hm.astype("<f8").tobytes(), step=2, a=1e-3, count=1,
               index_type=4, value_type=4)
        t.step(2, [1], g, 0.5, 0.5, 2)
        band = sub.until(lambda topic, r: topic.startswith("band/") and r["step"] == 2)
        self.assertEqual((band["h_source"], band["h_samples"]), ("probe", 1.0))
        self.near(band["H1"], 4.5 / 6.25, "H1")
        self.near(band["H2"], 9 / 6.25, "H2")
        self.near(band["delta"], band["retention"] / band["learning"], "delta")

    def test_a_probe_elsewhere_is_not_no_probe(self):
        d = self.daemon("--interval-steps", "1")
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        sources = lambda step: {r["band"]: r["h_source"] for topic, _, r, _ in sub.records
                                if topic.startswith("band/") and r["step"] == step}
        t.step(1, [1, 2, 2, 2], np.ones((4, 2)), batch=2)            # p 1/2 and 3/2: bands 1 and 0
        sub.table("t", 1)
        self.assertEqual(sorted(sources(1)), [0, 1])
        for text in sources(1).values():
            self.assertTrue(text.startswith("none: no probe was sent, and the loss is not"), text)
        t.send(PROBE, np.array([1], "<u4").tobytes(), np.ones(2, "<f8").tobytes(), step=2, a=1e-3, count=1,
               index_type=4, value_type=4)
        t.step(2, [1, 2, 2, 2], np.ones((4, 2)), batch=2)
        sub.table("t", 2)
        self.assertEqual(sources(2)[1], "probe")
        self.assertTrue(sources(2)[0].startswith("none: no probe has reached this band yet, and"), sources(2))
        d.stop()
        d.start()                            # and the state file knows
        t.step(3, [1, 2, 2, 2], np.ones((4, 2)), batch=2)
        band = sub.until(lambda topic, r: topic == "band/t/0" and r["step"] == 3, "band 0 at 3")
        self.assertTrue(band["h_source"].startswith("none: no probe has reached this band yet, and"), band)


class Telemetry(Case):
    def test_late_joiner_replay_and_republish(self):
        d = self.daemon("--interval-steps", "1")
        first, t = self.subscriber(d), self.trainer(d)
        first.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2, reference="zero")
        t.rows(REFERENCE, 0, 0, np.zeros((4, 2)), last=True)
        for k in range(1, 31):
            t.step(k, [k % 3], [[1.0, 2.0]])
        first.table("t", 30)
        late = self.subscriber(d, "table/")
        self.assertEqual(late.take(raw.PATIENCE)[1]["step"], 30)
        self.assertEqual(late.records[0][1], max(s for topic, s, _, _ in first.records if topic == "table/t"))
        for request in (False, True):
            for topic in sorted({r[0] for r in first.records if r[0] not in ("daemon", "alert")}):
                got, end = raw.replay(d, topic, 0, request)
                self.assertEqual(got, [(s, b) for name, s, _, b in first.records if name == topic])
                self.assertEqual(end, b"")
                self.assertEqual(raw.replay(d, topic, 5)[0], got[5:])
        self.assertEqual(raw.replay(d, "table/t", 10**6), ([], b""))
        d.signal(signal.SIGHUP)
        again = first.until(lambda topic, r: topic == "table/t", "the record again")
        before = [r for topic, _, r, _ in first.records if topic == "table/t"][-2]
        self.assertEqual(again, before)

    def test_replay_refuses_in_words(self):
        d = self.daemon()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        for frames, field in (([b"band/no/1", bytes(8)], "topic"), ([b"", bytes(8), b"x"], "seq"), ([b"a", b"b", b"c"], "frames"),
                              ([b"daemon"], "frames"), ([b"daemon", bytes(7)], "seq"), ([b"x" * 200, bytes(8)], "topic"),
                              ([b"\xff\xfe", bytes(8)], "topic"), ([b"daemon", bytes(8), b"", b"", b""], "frames")):
            s = raw.zmq.Context.instance().socket(raw.zmq.DEALER)
            s.linger = 0
            s.connect(d.endpoint("replay"))
            s.send_multipart(frames)
            self.assertTrue(s.poll(10000), field)
            *_, seq, body = s.recv_multipart()
            s.close()
            self.assertEqual(struct.unpack(">Q", seq)[0], raw.END)
            said = msgpack.unpackb(body)
            self.assertEqual(set(said), {"error", "field", "value", "range"})
            self.assertEqual(said["field"], field)
        self.assertGreaterEqual(sub.until(lambda topic, r: r.get("replay_refused", 0) >= 8)["replay_refused"], 8)

    def test_a_huge_frame_ends_the_connection_and_nothing_else(self):
        d = self.daemon()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        context = raw.zmq.Context.instance()
        for size, answered in ((79, True), (80, True), (4096, True), (4097, False), (100000, False)):
            with context.socket(raw.zmq.DEALER) as s:
                s.linger = 0
                s.connect(d.endpoint("replay"))
                gone = s.get_monitor_socket(raw.zmq.EVENT_DISCONNECTED)
                s.send_multipart([b"x" * size, bytes(8)])
                if answered:
                    self.assertTrue(s.poll(10000), size)
                    topic, _, body = s.recv_multipart()
                    self.assertEqual((len(topic), msgpack.unpackb(body)["field"]), (size if size < 80 else 0, "topic"))
                else:
                    self.assertTrue(gone.poll(10000), size)
                s.disable_monitor()
                gone.close()
        with context.socket(raw.zmq.SUB) as s:
            s.linger = 0
            s.connect(d.endpoint("telemetry"))
            s.subscribe(b"x" * 100000)
            self.assertFalse(s.poll(300))
        self.assertTrue(raw.replay(d, "daemon", 0)[0])

    def test_replay_from_a_small_ring_starts_late_and_ends_well(self):
        d = self.daemon("--interval-steps", "1", "--replay-bytes", "65536")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        for k in range(1, 301):
            t.step(k, [k % 4], [[1.0, 2.0]])
        sub.table("t", 300)
        got, end = raw.replay(d, "table/t", 0)
        seqs = [s for s, _ in got]
        self.assertGreater(seqs[0], 100)
        self.assertEqual(seqs, list(range(seqs[0], seqs[-1] + 1)))
        held = {(topic, s): b for topic, s, _, b in sub.records}
        self.assertTrue(all(held[("table/t", s)] == b for s, b in got))

    def test_a_stalled_subscriber_holds_nobody_up_and_can_repair(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        stalled = raw.zmq.Context.instance().socket(raw.zmq.SUB)
        self.addCleanup(stalled.close, 0)
        stalled.rcvhwm = 1
        stalled.setsockopt(raw.zmq.RCVBUF, 4096)
        stalled.connect(d.endpoint("telemetry"))
        stalled.subscribe(b"")
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        steps, got = 4000, []
        for k in range(1, steps + 1):
            t.step(k, [k % 4], [[1.0, 2.0]])
            t.ack()
            sub.table("t", k)
        self.assertEqual(sub.lost, 0)
        while stalled.poll(300):
            topic, seq, body = stalled.recv_multipart()
            if topic == b"table/t":
                got.append((struct.unpack(">Q", seq)[0], body))
        seqs = [s for s, _ in got]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertLess(len(seqs), steps)                 # it did lose some, and knows which
        repaired = dict(raw.replay(d, "table/t", 0)[0])
        repaired.update(got)
        want = {s: b for topic, s, _, b in sub.records if topic == "table/t"}
        self.assertEqual(repaired, want)

    def test_bye_publishes_what_the_steps_left_over(self):
        d = self.daemon("--interval-steps", "100")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        for k in range(1, 157):
            t.step(k, [k % 3], [[1.0, 2.0]])
            t.ack()
        t.send(BYE)
        t.ack()
        self.assertEqual(sub.table("t", 156)["attached"], False)
        sub.until(lambda topic, r: topic == "daemon" and r["steps_applied"] == 156, "the daemon's count", wait=0.5)
        self.assertEqual(sum(r[0] == "table/t" and r[2]["step"] == 156 for r in sub.records), 1)

    def test_time_interval_publishes_and_a_still_table_is_not_repeated(self):
        d = raw.Daemon("--interval", "0.05")
        self.addCleanup(d.close)
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        t.step(1, [1], [[1.0, 2.0]])
        sub.table("t", 1)
        for _ in range(8):
            sub.until(lambda topic, r: topic == "daemon")
        self.assertEqual(sum(r[0] == "table/t" and r[2]["step"] == 1 for r in sub.records), 1)


class Refusals(Case):
    """Everything wrong is refused in words, counted, and changes nothing."""

    def setUp(self):
        self.d = self.daemon("--interval-steps", "1", "--takeover", "3600", "--max-bytes", "64M", "--max-frame", "1M")
        self.sub, self.t = self.subscriber(self.d), self.trainer(self.d)
        self.sub.until(lambda topic, r: topic == "daemon")
        self.t.hello("t", 8, 2, capacity=4, state="f32", reference="zero")
        self.model = Shadow(8, 2)
        self.t.rows(REFERENCE, 0, 0, np.zeros((8, 2)), kind="f4", last=True)
        self.t.ack()
        self.good()

    def good(self):
        """One good step, and the table is exactly where numpy has it: nothing refused before left a trace."""
        k = self.model.k + 1
        rows, g = [k % 8, (3 * k) % 8], np.array([[1.0, 0.5], [-0.25, 2.0]])
        self.t.step(k, rows, g, 0.125, 0.25, 8, "f4")
        self.t.ack()
        self.model.step(rows, g, 0.125, 0.25, 8)
        record = self.sub.table("t", k)
        R, V, C = self.model.totals()
        for name, want in (("R", R), ("V", V), ("C", C)):
            self.assertLessEqual(abs(record[name] - want), 1e-5 * abs(want), name)
        return record

    def test_every_header_field_wrong(self):
        t, n = self.t, self.model.k + 1
        idx, val = np.array([1], "<u4").tobytes(), np.ones(2, "<f4").tobytes()
        base = dict(step=n, a=0.1, b=0.1, count=1, extra=8, index_type=4, value_type=1)
        cases = [("flags", EINVAL, dict(flags=32)), ("flags", EINVAL, dict(flags=4)), ("a (eta)", EINVAL, dict(a=-1.0)),
                 ("a (eta)", ENONFINITE, dict(a=float("nan"))), ("b (eps)", EINVAL, dict(b=1.5)),
                 ("b (eps)", ENONFINITE, dict(b=float("inf"))), ("table (handle)", ESTATE, dict(table=9)),
                 ("extra (batch)", EINVAL, dict(extra=0)), ("index_type", EINVAL, dict(index_type=3)),
                 ("value_type", EINVAL, dict(value_type=9)), ("value_type", EINVAL, dict(value_type=4)),
                 ("step", EGAP, dict(step=n - 1)), ("step", EGAP, dict(step=0)), ("count", EINVAL, dict(count=5)),
                 ("indices", EPROTO, dict(count=2)), ("indices", EPROTO, dict(index_type=8)),
                 ("values", EPROTO, dict(value_type=2))]
        for field, code, over in cases:
            t.send(STEP, idx, val, **dict(base, **over))
            self.refused(t, code, field)
        t.send(9, idx, val, **base)
        self.refused(t, EINVAL, "kind")
        t.send(WELCOME)
        self.refused(t, EINVAL, "kind")
        for field, code, over in (("magic", EPROTO, dict(magic=b"MSCQ")), ("version", EVERSION, dict(version=2)),
                                  ("session", EINVAL, dict(session=0)), ("session", ESTATE, dict(session=77)),
                                  ("seq", EINVAL, dict(seq=0)), ("seq", EGAP, dict(seq=t.seq + 2))):
            t.raw(header(STEP, **dict(dict(base, session=1, seq=t.seq + 1, table=0), **over)), idx, val)
            said = self.refused(t, code, field, done=False)
            if field == "seq" and code == EGAP:
                self.assertEqual(said["range"], str(t.seq + 1))
        damaged = bytearray(header(STEP, **dict(base, session=1, seq=t.seq + 1, table=0)))
        damaged[40] ^= 1
        t.raw(bytes(damaged), idx, val)
        self.refused(t, EPROTO, "crc", done=False)
        record = self.good()
        self.assertEqual(record["refused_frames"], len(cases) + 2)     # those that named this table
        self.assertEqual(record["lost_frames"], 0)

    def test_frames_cut_or_grown(self):
        t, n = self.t, self.model.k + 1
        idx, val = np.array([1, 2], "<u4").tobytes(), np.ones(4, "<f4").tobytes()
        base = dict(step=n, a=0.1, b=0.1, count=2, extra=8, index_type=4, value_type=1)
        for length in range(len(idx)):
            t.send(STEP, idx[:length], val, **base)
            self.refused(t, EPROTO, "indices")
        for length in range(len(val)):
            t.send(STEP, idx, val[:length], **base)
            self.refused(t, EPROTO, "values")
        for frames, field in (([], "indices"), ([idx], "values"), ([idx, val + b"x"], "values"), ([idx + b"x", val],
                              "indices"), ([idx, val, b""], "frames"), ([idx, val] + [b"y"] * 40, "frames"),
                              ([idx, val + bytes(500000)], "values")):
            t.send(STEP, *frames, **base)
            self.refused(t, EPROTO, field)
        t.send(STEP, idx, val, flags=COUNTS, **base)
        self.refused(t, EPROTO, "counts")
        t.send(STEP, idx, val, flags=2, **base)
        self.refused(t, EPROTO, "schedule")
        t.send(BYE, b"x")
        self.refused(t, EPROTO, "frames")
        for length in (0, 1, 63, 65, 200):
            t.raw(header(STEP, seq=t.seq + 1)[:length].ljust(length, b"\0"))
            self.refused(t, EPROTO, "header", done=False)
        self.good()

    def test_contents(self):
        t, n = self.t, self.model.k + 1
        one = [[1.0, 2.0]]
        for index in ("u4", "u8"):
            t.step(n, [1, 8], one * 2, kind="f4", index=index)
            self.assertEqual(self.refused(t, EINDEX, "indices")["range"], "0..7")
        t.step(n, [2**63], one, kind="f4", index="u8")
        self.refused(t, EINDEX, "indices")
        for bad in (np.nan, np.inf, -np.inf):
            for kind in ("f4", "f2"):
                t.step(n, [1, 2], [[1.0, 2.0], [3.0, bad]], kind=kind)
                self.assertIn("entry 1, column 1", self.refused(t, ENONFINITE, "values")["value"])
                t.rows(SYNC, n - 1, 2, np.ones((3, 2)), np.array([[1, 1], [bad, 1], [1, 1]]), kind=kind)
                self.refused(t, ENONFINITE, "m")
        t.step(n, [1], one, kind="f4", counts=[0])
        self.refused(t, EINVAL, "counts")
        for schedule in ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 2.0), (0, 1e9, 0), (np.nan, 0, 0)):
            t.step(n, [1], one, kind="f4", schedule=schedule)
            self.assertIn(t.error()["code"], (EINVAL, ENONFINITE))
            t.step(n + 3, [1], one, kind="f4", schedule=schedule)        # a gap must not hide it
            self.assertIn(t.error()["code"], (EINVAL, ENONFINITE))
        t.step(n + 5, [1], [[np.nan, 1.0]], kind="f4")
        self.refused(t, ENONFINITE, "values")
        self.assertEqual(self.good()["lost_frames"], 0)

    def test_probe_reference_sync(self):
        t, n = self.t, self.model.k + 1
        idx, val = np.array([1], "<u4").tobytes(), np.ones(2, "<f4").tobytes()
        probe = dict(step=n, a=1e-3, count=1, index_type=4, value_type=1)
        for field, code, over in (("step", EGAP, dict(step=n - 1)), ("step", EGAP, dict(step=n + 1)),
                                  ("a (delta)", EINVAL, dict(a=0.0)), ("count", EINVAL, dict(count=5)),
                                  ("b", EINVAL, dict(b=0.5)), ("extra", EINVAL, dict(extra=1))):
            t.send(PROBE, idx, val, **dict(probe, **over))
            self.refused(t, code, field)
        two = np.ones((2, 2))
        for kind, arrays in ((REFERENCE, (two,)), (SYNC, (two, two))):
            t.rows(kind, n - 1, 7, *arrays, kind="f4")
            self.refused(t, EINDEX, "extra (first row)")
            t.rows(kind, n - 1, 2**32 - 1, *arrays, kind="f4")
            self.refused(t, EINDEX, "extra (first row)")
            t.rows(kind, n - 1, 0, *arrays, kind="f4", last=True)
            self.refused(t, EINVAL, "flags")
            t.rows(kind, n - 1, 0, *arrays, kind="f8")
            self.refused(t, EINVAL, "value_type")
            t.rows(kind, n - 2 if kind == SYNC else n, 0, *arrays, kind="f4")
            self.refused(t, EGAP, "step")
        t.send(SAVE)
        self.assertEqual(t.error()["field"], "state")
        self.good()

    def test_steps_beyond_reason(self):
        t, n, largest = self.t, self.model.k + 1, 2**53 - 1
        idx, val, two = np.array([1], "<u4").tobytes(), np.ones(2, "<f4").tobytes(), np.ones((2, 2))
        for bad in (2**53, 2**63, 2**64 - 1):
            t.step(bad, [1], [[1.0, 2.0]], kind="f4")
            said = self.refused(t, EINVAL, "step")
            self.assertEqual((said["value"], said["range"]), (str(bad), f"0..{largest}"))
            for kind, arrays in ((REFERENCE, (two,)), (SYNC, (two, two))):
                t.rows(kind, bad, 0, *arrays, kind="f4")
                self.refused(t, EINVAL, "step")
            t.send(PROBE, idx, val, step=bad, a=1e-3, count=1, index_type=4, value_type=1)
            self.refused(t, EINVAL, "step")
            kind, said = t.hello("u", 4, 2, handle=1, step=bad)
            self.assertEqual((kind, said["code"], said["field"], said["range"]), (ERROR, EINVAL, "step", f"0..{largest}"))
        for bad in (n + 2**32, largest):
            t.step(bad, [1], [[1.0, 2.0]], kind="f4")
            self.assertEqual(self.refused(t, EGAP, "step")["range"], f"at most {n + 2**32 - 1}")
            t.rows(SYNC, bad, 0, two, two, kind="f4")
            self.refused(t, EGAP, "step")
        self.assertEqual(self.good()["lost_frames"], 0)
        t.hello("u", 4, 2, handle=1, step=largest - 1, fresh=False)
        t.step(largest, [1], [[1.0, 2.0]], handle=1)                # the last step there can be
        self.assertEqual(t.ack()["step"], largest)
        self.assertEqual(self.sub.table("u", largest)["lost_frames"], 0)

    def test_a_new_owner_far_ahead_starts_the_table_over(self):
        self.t.send(BYE)
        self.t.ack()
        kind, welcome = self.trainer(self.d, 7).hello("t", 8, 2, capacity=4, state="f32", reference="zero",
                                                      step=2**50, fresh=False)
        self.assertEqual((kind, welcome["step"], welcome["exact"]), (WELCOME, 2**50, False))
        last = self.sub.until(lambda topic, r: topic == "table/t" and r["step"] == 2**50)
        self.assertEqual(last["lost_frames"], 0)

    def test_hello(self):
        t = self.trainer(self.d, 5)
        for code, field, over in ((EBUSY, "table", dict(table="t")), (EINVAL, "table", dict(table="a/b")),
                                  (EINVAL, "table", dict(table="")), (EINVAL, "table", dict(table="x" * 64)),
                                  (EINVAL, "rows", dict(rows=0)), (EINVAL, "rows", dict(rows=2**31 + 1)),
                                  (EINVAL, "dim", dict(dim=65537)), (EINVAL, "capacity", dict(capacity=-1)),
                                  (EINVAL, "capacity", dict(capacity=10**6)), (EINVAL, "state", dict(state="f16")),
                                  (EINVAL, "form", dict(form="adam")), (EPROTO, "nesterov", dict(nesterov=1)),
                                  (EINVAL, "client", dict(client="a\nb")), (EINVAL, "acf_rows", dict(acf_rows=65)),
                                  (ENOMEM, "rows", dict(rows=2**26)), (EPROTO, "step", dict(step=0.5))):
            kind, said = t.hello(**dict(dict(table="u"), **over))
            self.assertEqual((kind, said["code"], said["field"]), (ERROR, code, field), said)
        for body in (b"", b"\xc0", b"\x80", b"\xdf\xff\xff\xff\xff", b"\x91" * 1000, msgpack.packb({"table": "u"})):
            t.send(HELLO, body, seq=1)
            self.assertIn(t.error(done=False)["code"], (EPROTO, EINVAL))
        t.send(HELLO, seq=1)
        self.refused(t, EPROTO, "frames", done=False)
        kind, said = self.t.hello("another", 4, 2, handle=0)
        self.assertEqual((kind, said["field"]), (ERROR, "table (handle)"))
        self.good()

    def test_refusals_are_told_and_counted(self):
        self.t.send(9)
        self.t.error()
        alert = self.sub.alert("refused")
        self.assertIn("kind is 9", alert["text"])
        self.assertGreaterEqual(self.sub.until(lambda topic, r: topic == "daemon")["frames_refused"], 1)


    def test_the_same_refusal_again_and_again_is_one_line_a_second(self):
        started, n = time.monotonic(), 0
        while time.monotonic() - started < 2.5:                     # a trainer with a NaN, healing for ever
            self.t.rows(SYNC, self.model.k, 0, np.full((8, 2), np.nan), np.ones((8, 2)), kind="f4", last=True)
            self.refused(self.t, ENONFINITE, "theta")
            n += 1
        self.assertGreater(n, 100)
        seconds = time.monotonic() - started
        told = [int(r["text"].split()[0]) for r in (self.sub.alert("refused", "t") for _ in range(2))]
        self.assertLessEqual(self.d.said().count("refused: t: "), seconds + 2)
        self.assertLessEqual(self.d.said().count("\n"), seconds + 12)
        self.assertLessEqual(sum(told), n)
        self.assertEqual(self.good()["refused_frames"], n)


class Order(Case):
    """Exactly once, whatever is sent twice, lost or out of order."""

    def test_duplicates_gaps_and_reconnects(self):
        rng = np.random.default_rng(3)
        d = self.daemon("--interval-steps", "50")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 20, 3)
        model, todo = Shadow(20, 3), {}
        for k in range(1, 51):
            r, g = zipf_batch(rng, 20, 3, 6)
            model.step(r, g, 0.1, 0.1, 8)
            todo[k] = (r, g)
        sent, acked = 0, 0
        while acked < 50:
            for seq in range(max(1, acked - 2), min(50, acked + 7) + 1):     # some again, some ahead
                if rng.random() < 0.3:
                    continue
                t.step(seq, *todo[seq], seq=seq)
                sent += 1
            while True:
                try:
                    head, body = t.answer(0.05)
                except TimeoutError:
                    break
                if head["kind"] == ERROR:
                    self.assertEqual((body["field"], body["code"]), ("seq", EGAP))
                    self.assertEqual(int(body["range"]), acked + 1)
                else:
                    acked = max(acked, head["seq"])
            if rng.random() < 0.3:
                t.close()
                t.connect()
                _, welcome = t.hello("t", 20, 3, seq=acked + 1)
                self.assertGreaterEqual(welcome["next_seq"], acked + 1)
                acked = welcome["next_seq"] - 1
        record = sub.table("t", 50)
        self.near(record["V"], model.totals()[1], "V")
        self.assertEqual(record["lost_frames"], 0)
        daemon = sub.until(lambda topic, r: topic == "daemon" and r["steps_applied"] >= 50)
        self.assertEqual(daemon["steps_applied"], 50)
        self.assertGreater(daemon["frames_duplicate"], 0)

    def test_lost_steps_are_silent_ones_until_sync_heals(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 6, 2, reference="zero")
        t.rows(REFERENCE, 0, 0, np.zeros((6, 2)), last=True)
        model = Shadow(6, 2)
        truth = Shadow(6, 2)
        for k in range(1, 41):
            g = np.full((1, 2), 1.0 + k)
            truth.step([k % 6], g, 0.1, 0.2, 4)
            if 10 < k <= 15:
                model.step([], np.zeros((0, 2)), 0.1, 0.2, 4)
                continue
            model.step([k % 6], g, 0.1, 0.2, 4)
            t.step(k, [k % 6], g, 0.1, 0.2, 4)
            record = sub.table("t", k)
            self.near(record["V"], model.totals()[1], f"V at {k}")
            self.assertEqual((record["exact"], record["lost_frames"]), (k < 16 or k >= 32, 5 * (k > 15)))
            if k in (20, 25, 31):            # three ascending chunks, each true at its own step
                first, n = {20: (0, 2), 25: (2, 3), 31: (5, 1)}[k]
                t.rows(SYNC, k, first, truth.theta[first:first + n], truth.m[first:first + n], last=k == 31)
                for a, b in ((model.theta, truth.theta), (model.m, truth.m)):
                    a[first:first + n] = b[first:first + n]
        self.near(record["R"], truth.totals()[0], "R")
        self.assertEqual(record["syncs"], 1)
        for code in ("inexact", "exact"):
            self.assertEqual(sum(r["code"] == code for topic, _, r, _ in sub.records if topic == "alert"), 1)

    def test_acks_say_inexact_and_a_huge_gap_is_jumped(self):
        d = self.daemon("--interval-steps", "1")
        t = self.trainer(d)
        t.hello("t", 4, 2)
        t.step(1, [1], [[1.0, 1.0]])
        self.assertEqual(t.ack()["flags"], 0)
        t.step(10**9, [1], [[1.0, 1.0]])
        self.assertEqual(t.ack()["flags"], raw.INEXACT)
        t.rows(SYNC, 10**9 + 5, 0, np.ones((4, 2)), np.ones((4, 2)), last=True)
        head = t.ack()
        self.assertEqual((head["flags"], head["step"]), (0, 10**9 + 5))
        t.step(10**9 + 6, [], [])
        self.assertEqual(t.ack()["flags"], 0)


class Trainers(Case):
    def test_one_name_two_trainers(self):
        d = self.daemon("--interval-steps", "1", "--takeover", "0.3")
        sub = self.subscriber(d)
        a, b = self.trainer(d, 1), self.trainer(d, 2)
        sub.until(lambda topic, r: topic == "daemon")
        a.hello("t", 4, 2)
        kind, said = b.hello("t", 4, 2)
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, EBUSY, "table"))
        a.step(1, [1], [[1.0, 1.0]])
        a.ack()
        self.assertEqual(sub.table("t", 1)["exact"], True)
        time.sleep(0.4)
        kind, welcome = b.hello("t", 4, 2, step=1, fresh=False)      # a fell silent
        self.assertEqual((kind, welcome["step"], welcome["exact"]), (WELCOME, 1, False))
        sub.alert("takeover", "t")
        a.step(2, [1], [[1.0, 1.0]])
        self.refused(a, ESTATE, "table (handle)")
        b.rows(SYNC, 1, 0, np.ones((4, 2)), np.ones((4, 2)), last=True)
        b.ack()
        b.step(2, [1], [[1.0, 1.0]])
        self.assertEqual(b.ack()["flags"], 0)
        b.send(BYE)
        b.ack()
        sub.alert("detached", "t")
        b.send(BYE, seq=b.seq)                                      # the same BYE again
        b.ack()
        self.assertEqual(b.hello("u", 3, 2)[0], WELCOME)            # back, the handle for another table
        b.step(1, [1], [[1.0, 1.0]])
        self.assertEqual(b.ack()["step"], 1)
        kind, _ = a.hello("t", 5, 2, handle=3)                      # free now; another shape starts over
        self.assertEqual(kind, WELCOME)
        self.assertEqual(sub.until(lambda topic, r: topic == "table/t" and r["rows"] == 5)["step"], 0)

    def test_a_narrower_trainer_is_never_exact(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        kind, welcome = t.hello("t", 4, 2, narrow=True)
        self.assertEqual((kind, welcome["exact"]), (WELCOME, True))         # nothing to SYNC
        self.assertIn("narrower type", sub.alert("inexact", "t")["text"])
        t.step(1, [1], [[1.0, 1.0]])
        self.assertEqual((t.ack()["flags"], sub.table("t", 1)["exact"]), (0, False))
        t.step(3, [1], [[1.0, 1.0]])
        self.assertEqual((t.ack()["flags"], sub.table("t", 3)["exact"]), (raw.INEXACT, False))
        t.rows(SYNC, 3, 0, np.ones((4, 2)), np.ones((4, 2)), last=True)
        self.assertEqual(t.ack()["flags"], 0)
        t.hello("t", 4, 2, step=3, fresh=False, narrow=True)                # again: said once
        t.step(4, [1], [[1.0, 1.0]])
        self.assertEqual((t.ack()["flags"], sub.table("t", 4)["exact"]), (0, False))
        self.assertEqual([r["exact"] for topic, _, r, _ in sub.records if topic.startswith("band/")], [False] * 3)
        said = [(r["code"], r["text"]) for topic, _, r, _ in sub.records if topic == "alert"]
        self.assertEqual([code for code, _ in said], ["attached", "inexact", "inexact", "inexact"], said)
        self.assertEqual(sum("narrower type" in text for _, text in said), 1)
        t.hello("t", 4, 2, step=4, fresh=False)                             # says it no longer is
        self.assertTrue(sub.until(lambda topic, r: topic == "table/t", "the change")["exact"])
        kind, said = t.hello("u", 4, 2, handle=1, narrow=1)
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, EPROTO, "narrow"))

    def test_a_full_daemon_makes_room_from_the_idle(self):
        d = self.daemon("--interval-steps", "1000", "--max-tables", "3", "--takeover", "0.4", "--max-bytes", "4M",
                        "--history", "64")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        crashed, alive, late = [self.trainer(d, s) for s in (1, 2, 3)]
        model = Shadow(4, 2)
        alive.hello("alive", 4, 2)
        crashed.hello("other", 4, 2, handle=1)
        crashed.hello("crashed", 4, 2)
        for k in (1, 2, 3):
            crashed.step(k, [k], [[1.0, 2.0]])
            crashed.ack()
            model.step([k], [[1.0, 2.0]], 0.1, 0.1, 8)
        crashed.step(1, [k], [[1.0, 2.0]], handle=1)                # so "other" is the one heard last
        crashed.ack()
        kind, said = late.hello("new", 4, 2)
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, ENOMEM, "table"))
        time.sleep(0.5)
        alive.step(1, [1], [[1.0, 1.0]])
        alive.ack()
        kind, said = late.hello("new", 2**17, 8)                    # too large to be had: nothing is dropped for it
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, ENOMEM, "rows"))
        self.assertEqual(late.hello("new", 4, 2)[0], WELCOME)
        last = sub.until(lambda topic, r: topic == "table/crashed" and not r["attached"], "what was not yet published")
        self.assertEqual(last["step"], 3)
        self.near(last["V"], model.totals()[1], "V")
        alert = sub.until(lambda topic, r: topic == "alert", "the alert")
        self.assertEqual((alert["code"], alert["table"]), ("dropped", "crashed"))
        self.assertIn("makes room for new", alert["text"])
        self.assertIn("dropped: crashed", d.said())
        self.assertEqual(late.hello("newer", 4, 2, handle=1)[0], WELCOME)
        self.assertEqual(sub.alert("dropped")["table"], "other")
        kind, said = alive.hello("mine", 4, 2, handle=1)
        self.assertEqual((kind, said["code"]), (ERROR, ENOMEM))
        crashed.step(4, [1], [[1.0, 2.0]])
        self.refused(crashed, ESTATE, "table (handle)")
        alive.step(2, [1], [[1.0, 1.0]])
        self.assertEqual(alive.ack()["step"], 2)
        time.sleep(0.5)
        kind, said = late.hello("newest", 4, 2, handle=2)           # silent too, but not from its own tables
        self.assertEqual(kind, WELCOME)
        self.assertEqual(sub.alert("dropped")["table"], "alive")
        time.sleep(0.5)
        kind, said = late.hello("too many", 4, 2, handle=3)
        self.assertEqual((kind, said["code"]), (ERROR, EINVAL))     # no spaces in a name
        kind, said = late.hello("too-many", 4, 2, handle=3)
        self.assertEqual((kind, said["code"]), (ERROR, ENOMEM))

    def test_room_is_made_in_the_order_of_leaving(self):
        d = self.daemon("--interval-steps", "1000", "--max-tables", "3")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        for name, session in (("a", 1), ("b", 2), ("c", 3)):
            self.trainer(d, session).hello(name, 4, 2)
        for session in (2, 3, 1):
            t = self.trainer(d, session)
            t.send(BYE)
            t.ack()
            time.sleep(0.01)
        t = self.trainer(d, 4)
        for handle, oldest in enumerate("bca"):
            self.assertEqual(t.hello(f"new{handle}", 4, 2, handle=handle)[0], WELCOME)
            self.assertEqual(sub.alert("dropped")["table"], oldest)

    def test_topics_of_dropped_tables_make_room(self):
        """One place for a table and 150 names, in a memory for 191 topics: every one is published; a name that comes back goes
        on above its old numbers, and only its new records are replayed."""
        d = self.daemon("--interval-steps", "1", "--interval", "0.05", "--max-tables", "1")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")

        def live(name, session, steps):
            t = self.trainer(d, session)
            self.assertEqual(t.hello(name, 8, 2)[0], WELCOME)
            for k in range(1, steps + 1):
                t.step(k, [1], [[1.0, 1.0]])
                t.ack()
            t.send(BYE)
            t.ack()
            t.close()
            sub.table(name, steps)

        for i in range(150):
            live(f"run-{i}", i + 1, 3)
        old = max(n for t, n, *_ in sub.records if t == "table/run-0")
        self.assertEqual(sub.lost, 0)
        self.assertGreater(len({t for t, *_ in sub.records}), 300)
        self.assertEqual(sub.until(lambda topic, r: topic == "daemon")["records_dropped"], 0)
        self.assertEqual(raw.replay(d, "table/run-0", 0)[0], [])
        first = raw.replay(d, "table/run-149", 0)[0][0][0]
        self.assertGreater(first, old)
        live("run-0", 200, 3)
        numbers = [n for t, n, *_ in sub.records if t == "table/run-0"]
        self.assertEqual(numbers, sorted(set(numbers)))
        again = [n for n in numbers if n > old]
        held = [seq for seq, _ in raw.replay(d, "table/run-0", 0)[0]]
        self.assertEqual(held[:len(again)], again)
        self.assertEqual(held, list(range(again[0], again[0] + len(held))))
        late = self.subscriber(d)
        late.until(lambda topic, r: topic == "table/run-0")
        late.until(lambda topic, r: topic == "daemon")
        self.assertNotIn("table/run-1", {t for t, *_ in late.records})

    def test_starting_over_publishes_what_was_not(self):
        d = self.daemon("--interval-steps", "1000")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4, 2)
        t.step(1, [1], [[1.0, 1.0]])
        t.ack()
        self.assertEqual(t.hello("t", 5, 2)[0], WELCOME)
        self.assertEqual(sub.table("t", 1)["rows"], 4)

    def test_places_of_silent_sessions_are_handed_on(self):
        takeover = 12.0 if os.environ.get("MOMENTSCOPE_SANITIZED") else 3.0     # longer than filling every place takes
        d = self.daemon("--max-tables", "300", "--takeover", str(takeover), "--history", "64")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        for s in range(256):
            t.session = s + 1
            self.assertEqual(t.hello(f"t{s}", 2, 1)[0], WELCOME)
        t.session = 999
        kind, said = t.hello("more", 2, 1)
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, EBUSY, "session"))
        time.sleep(takeover + 0.1)
        self.assertEqual(t.hello("more", 2, 1)[0], WELCOME)
        self.assertEqual(sub.alert("detached")["table"], "t0")
        t.session = 1
        t.step(1, [1], [[1.0]])
        self.refused(t, ESTATE, "session", done=False)
        self.assertEqual(t.hello("t0", 2, 1, fresh=False)[1]["exact"], True)     # its rows were kept

    def test_a_stopped_daemon_blames_nobody_for_the_silence(self):
        for interval in ("0.05", "3600"):
            d = raw.Daemon("--interval", interval, "--takeover", "0.9")
            self.addCleanup(d.close)
            a, b = self.trainer(d, 1), self.trainer(d, 2)
            a.hello("t", 4, 2)
            d.signal(signal.SIGSTOP)
            b.send(HELLO, seq=1)
            time.sleep(1.5)
            d.signal(signal.SIGCONT)
            self.refused(b, EPROTO, "frames", done=False)
            kind, said = b.hello("t", 4, 2)
            self.assertEqual((kind, said.get("code"), said.get("field")), (ERROR, EBUSY, "table"), interval)

    def test_many_tables_many_sessions(self):
        d = self.daemon("--interval-steps", "20", "--max-tables", "6")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        rng = np.random.default_rng(11)
        trainers, models = [self.trainer(d, s) for s in (10, 11, 12)], {}
        for i, t in enumerate(trainers):
            for h in (0, 1):
                self.assertEqual(t.hello(f"t{i}.{h}", 10 + i, 2 + h, handle=h)[0], WELCOME)
                models[i, h] = Shadow(10 + i, 2 + h)
        for k in range(1, 21):
            for (i, h), model in models.items():
                r, g = zipf_batch(rng, 10 + i, 2 + h, 5)
                model.step(r, g, 0.1, 0.05 * (h + 1), 8)
                trainers[i].step(k, r, g, 0.1, 0.05 * (h + 1), 8, handle=h)
        seen = {}
        while len(seen) < 6:
            topic, r = sub.take(raw.PATIENCE)
            if topic.startswith("table/") and r and r["step"] == 20:
                seen[topic] = r
        for (i, h), model in models.items():
            self.near(seen[f"table/t{i}.{h}"]["V"], model.totals()[1], f"V of t{i}.{h}")
        kind, said = self.trainer(d, 13).hello("seventh")
        self.assertEqual((kind, said["code"], said["field"]), (ERROR, ENOMEM, "table"))
        daemon = sub.until(lambda topic, r: topic == "daemon" and r["steps_applied"] == 120)
        self.assertEqual((daemon["tables"], daemon["sessions"]), (6, 3))


class Restarts(Case):
    FLAGS = ("--interval-steps", "10")

    def feed(self, rng, n):
        out = []
        for _ in range(n):
            r, g = zipf_batch(rng, 30, 4, 10)
            out.append((r, g, 0.1, 0.05, 8, "f4"))
        return out

    def run_steps(self, t, steps, first):
        for k, s in enumerate(steps, first):
            t.step(k, *s)
        t.acked()

    def start(self, d):
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, nll=True)
        t.rows(REFERENCE, 0, 0, np.ones((30, 4)), kind="f4", last=True)
        t.ack()
        return sub, t

    @staticmethod
    def regular(sub, after):
        """Records of regular publications, without what names the daemon's own life."""
        return [(topic, {k: v for k, v in r.items() if k != "epoch"}) for topic, _, r, _ in sub.records
                if topic.split("/")[0] in ("band", "acf", "table") and r["step"] > after and r["step"] % 10 == 0]

    def test_killed_after_save_continues_bit_for_bit(self):
        steps = self.feed(np.random.default_rng(5), 400)
        calm = self.daemon(*self.FLAGS)
        sub, t = self.start(calm)
        self.run_steps(t, steps, 1)
        sub.table("t", 400)
        want = self.regular(sub, 205)

        d = self.daemon(*self.FLAGS)
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.start(d)
        self.run_steps(t, steps[:205], 1)
        t.send(SAVE)
        t.ack()
        sub.alert("saved")
        epoch = sub.records[-1][2]["epoch"]
        d.kill()                             # sockets and files stay behind
        d.start()
        sub.alert("restored")
        self.assertGreater(sub.records[-1][2]["epoch"], epoch)
        t.step(206, *steps[205])             # the same session goes on as if nothing had been
        t.ack()
        self.run_steps(t, steps[206:], 207)
        sub.table("t", 400)
        got = self.regular(sub, 205)
        self.assertEqual(len(got), len(want))
        self.assertEqual(got, want)

    def test_stopped_in_order_saves_and_resumes(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        d.flags += ["--state", os.path.join(d.dir, "state")]
        d.start()
        sub, t = self.start(d)
        steps = self.feed(np.random.default_rng(6), 30)
        for k, s in enumerate(steps, 1):
            t.step(k, *s)
        sub.until(lambda topic, r: topic == "table/t" and r["step"] == 10)
        self.assertEqual(d.stop(), 0)
        sub.alert("stopping")
        self.assertEqual(sub.records[-1][2]["code"], "stopping")
        d.start()
        kind, welcome = t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, nll=True, seq=1)
        self.assertEqual((kind, welcome["exact"]), (WELCOME, True))
        self.assertEqual(welcome["next_seq"], welcome["step"] + 2)   # REFERENCE was 1, step k was k + 1
        self.assertEqual(d.stop(), 0)

    def test_damaged_state_is_refused_or_set_aside(self):
        d = self.daemon(*self.FLAGS)
        d.stop()
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path]
        d.start()
        _, t = self.start(d)
        self.run_steps(t, self.feed(np.random.default_rng(6), 5), 1)
        d.stop()
        with open(path, "rb") as f:
            good = f.read()
        rng = np.random.default_rng(1)
        for bad in [good[:-1], good[:30], b"", good + b"x", b"X" + good[1:]] + [
                good[:i] + bytes([good[i] ^ 4]) + good[i + 1:] for i in rng.integers(0, len(good), 3)]:
            with open(path, "wb") as f:
                f.write(bad)
            d.start()
            self.assertEqual(d.process.wait(raw.PATIENCE), 3)
        self.assertIn("is damaged: checksum", d.said())
        self.assertIn("--discard-state", d.said())
        d.flags.append("--discard-state")
        d.start()
        sub = self.subscriber(d)
        self.assertEqual(sub.until(lambda topic, r: topic == "daemon")["tables"], 0)
        with open(path + ".bad", "rb") as f:
            self.assertEqual(f.read(), bad)

    def test_state_must_be_a_file_of_its_own(self):
        d = self.daemon()
        d.stop()
        for path, kind in (("/dev/null", "a device"), (d.dir, "a directory")):
            r = subprocess.run(d.command("--state", path), capture_output=True, text=True, timeout=20)
            self.assertEqual(r.returncode, 3)
            self.assertIn(f"--state is '{path}', expected a path where nothing is, or a regular file: it is {kind}", r.stderr)
            self.assertNotIn("--discard-state", r.stderr)
        path = os.path.join(d.dir, "state")
        d.flags += ["--state", path]
        d.start()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        other = [f"--{n}=ipc://{d.dir}/other.{n}" for n in ("ingest", "telemetry", "replay")]
        r = subprocess.run([d.command()[0], *other, "--state", path], capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn(f"--state is '{path}', expected a file that no other momentscoped is using", r.stderr)
        d.kill()                             # the lock dies with its holder, its file stays and is in nobody's way
        self.assertTrue(os.path.exists(path + ".lock"))
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(sorted(n for n in os.listdir(d.dir) if n.startswith("state")), ["state"])

    def test_a_full_disk_leaves_nothing_behind(self):
        d = self.daemon()
        d.stop()
        path = os.path.join(d.dir, "state")
        program = subprocess.Popen(d.command("--state", path), stderr=subprocess.PIPE, text=True, env=raw.ENVIRONMENT,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
        self.addCleanup(program.kill)
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 4000, 2)
        t.send(SAVE)
        t.ack()
        sub.alert("save-failed")
        self.assertEqual([n for n in os.listdir(d.dir) if n.startswith("state")], ["state.lock"])
        t.step(1, [1], [[1.0, 1.0]])         # and the daemon goes on
        t.ack()
        program.terminate()
        said = program.communicate(timeout=20)[1]
        self.assertEqual(program.returncode, 3)
        self.assertEqual(said.count(f"cannot write {path}.new: File too large"), 2, said)
        self.assertEqual([n for n in os.listdir(d.dir) if n.startswith("state")], [])

    def test_it_times_itself(self):
        d = self.daemon("--interval", "0.05")
        sub = self.subscriber(d, "daemon")
        calm = sub.until(lambda topic, r: r["publish_time"] > 0, "a second daemon record")
        for of in ("late", "pause", "message", "slice"):
            self.assertLessEqual(calm[of + "_max"], calm[of + "_worst"], of)
        self.assertLess(calm["pause_worst"], 0.4)
        self.assertEqual((calm["message_max"], calm["realtime"]), (0, "off"))
        self.trainer(d).hello("t", 1000, 64)
        sub.until(lambda topic, r: 0 < r["message_max"] <= r["pause_max"], "a HELLO took time, and so the engine")
        d.signal(signal.SIGSTOP)
        time.sleep(0.6)
        d.signal(signal.SIGCONT)
        stood = sub.until(lambda topic, r: r["pause_max"] > 0.4, "the pause of a stopped daemon")
        self.assertGreater(stood["late_max"], 0.3)
        after = sub.until(lambda topic, r: r["pause_max"] < 0.4, "a record after it")
        self.assertEqual(after["pause_worst"], stood["pause_max"])

    def test_stopped_and_continued_loses_nothing(self):
        d = self.daemon(*self.FLAGS)
        sub, t = self.start(d)
        steps = self.feed(np.random.default_rng(8), 40)
        self.run_steps(t, steps[:20], 1)
        d.signal(signal.SIGSTOP)
        for k, s in enumerate(steps[20:], 21):
            t.step(k, *s)
        self.assertFalse(t.socket.poll(200))
        d.signal(signal.SIGCONT)
        record = sub.table("t", 40)
        self.assertEqual((record["exact"], record["lost_frames"]), (True, 0))

    def test_killed_without_state_heals_by_sync(self):
        d = self.daemon(*self.FLAGS)
        sub, t = self.start(d)
        model = Shadow(30, 4, ref=np.ones((30, 4)))
        steps = self.feed(np.random.default_rng(9), 60)
        for s in steps[:35]:
            model.step(*s[:5])
        self.run_steps(t, steps[:35], 1)
        d.kill()
        t.step(36, *steps[35])
        model.step(*steps[35][:5])
        d.start()
        self.refused(t, ESTATE, "session", done=False)
        kind, welcome = t.hello("t", 30, 4, state="f32", reference="ones", acf_rows=2, fresh=False, seq=t.seq, step=35)
        self.assertEqual((kind, welcome["exact"], welcome["step"]), (WELCOME, False, 35))
        t.step(36, *steps[35], seq=t.seq)
        self.assertEqual(t.ack()["flags"], raw.INEXACT)
        t.rows(REFERENCE, 36, 0, np.ones((30, 4)), kind="f4", last=True)
        t.ack()
        t.rows(SYNC, 36, 0, model.theta, model.m, kind="f4", last=True)
        self.assertEqual(t.ack()["flags"], 0)
        sub.alert("exact", "t")
        for k, s in enumerate(steps[36:], 37):
            t.step(k, *s)
            t.ack()
            model.step(*s[:5])
        # regular publications count from the step of attach, 35
        record = sub.until(lambda topic, r: topic == "table/t" and r["step"] == 55)
        self.assertTrue(record["exact"])
        d.signal(signal.SIGHUP)
        record = sub.table("t", 60)
        self.assertLessEqual(abs(record["R"] - model.totals()[0]), 1e-5 * model.totals()[0])


class Mapped(Case):
    """Tables that live as files in --map-dir."""
    ROWS, DIM = 30000, 4

    def mapped(self, *flags):
        maps = tempfile.mkdtemp(prefix="mscope-maps-")
        self.addCleanup(shutil.rmtree, maps, ignore_errors=True)
        return maps, self.daemon("--interval-steps", "10", "--map-dir", maps, "--map-above", "3M", *flags)

    def feed(self, trainers, first, last):
        for k in range(first, last + 1):
            rng = np.random.default_rng(k)
            batch = zipf_batch(rng, self.ROWS, self.DIM, 20)
            for t in trainers:
                t.step(k, *batch)
                t.ack()

    def test_stopped_in_order_goes_on_where_it_was(self):
        maps, d = self.mapped()
        plain = self.daemon("--interval-steps", "10")
        t, u = self.trainer(d), self.trainer(plain)
        for one in (t, u):
            one.hello("big", self.ROWS, self.DIM, acf_rows=2)
            one.hello("small", 8, 1, handle=1)
        self.feed((t, u), 1, 30)
        self.assertEqual(os.listdir(maps).count("big.table"), 1)
        self.assertNotIn("small.table", os.listdir(maps))
        self.assertEqual(d.stop(), 0)
        d.start()
        t.close()
        t.connect()
        kind, said = t.hello("big", self.ROWS, self.DIM, acf_rows=2, step=30, fresh=False)
        self.assertEqual((kind, said["exact"], said["step"], said["next_seq"]), (WELCOME, True, 30, t.seq + 1))
        self.feed((t, u), 31, 60)
        got, want = self.subscriber(d, "table/big"), self.subscriber(plain, "table/big")
        got, want = got.table("big", 60), want.table("big", 60)
        self.assertTrue(got["exact"])
        for name in ("V", "bands", "rows", "silent"):
            (self.near if name == "V" else self.assertEqual)(got[name], want[name], name)
        again = subprocess.run([os.path.join(raw.BUILD, "momentscoped"), "--map-dir", maps,
                                *(f"--{n}=ipc://{plain.dir}/2{n}" for n in ("ingest", "telemetry", "replay"))],
                               capture_output=True, text=True, timeout=20)
        self.assertEqual(again.returncode, 3)
        self.assertIn("no other momentscoped is using", again.stderr)

    def test_killed_in_the_middle_is_never_taken_for_whole(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 15)
        d.kill()
        d.start()
        sub = self.subscriber(d)
        sub.alert("dropped")
        self.assertNotIn("big.table", os.listdir(maps))
        t.close()
        t.connect()
        kind, said = t.hello("big", self.ROWS, self.DIM, step=15, fresh=False)
        self.assertEqual((kind, said["exact"], said["step"]), (WELCOME, False, 15))
        zeros = np.zeros((self.ROWS, self.DIM))
        t.rows(SYNC, 15, 0, zeros, zeros, last=True)
        self.assertEqual(t.ack()["flags"], 0)
        sub.alert("exact", "big")

    def test_a_full_disk_is_refused_in_words(self):
        maps, d = self.mapped()
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        t = self.trainer(d)
        t.send(HELLO, msgpack.packb({"table": "big", "client": "raw", "rows": 100000, "dim": 4, "capacity": 64, "step": 0,
                                     "state": "f64", "form": "ema", "nesterov": False, "reference": "", "fresh": True,
                                     "nll": False, "acf_rows": 0}))
        got = t.error(done=False)
        self.assertEqual((got["code"], got["field"]), (ENOMEM, "rows"))
        self.assertIn("--map-dir", got["range"])
        self.assertEqual([n for n in os.listdir(maps) if n.startswith("big")], [])
        t.seq -= 1
        self.assertEqual(t.hello("small", 8, 1)[0], WELCOME)

    def test_what_is_not_ours_or_damaged_stops_the_start(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 5)
        self.assertEqual(d.stop(), 0)
        path = os.path.join(maps, "big.table")
        with open(path, "r+b") as f:
            whole = f.read(4096)
            for at, says in ((0, "not a table"), (12, "damaged"), (24, "damaged"), (100, "damaged")):
                f.seek(0)
                f.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
                f.flush()
                r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
                self.assertEqual(r.returncode, 3, r.stderr)
                self.assertIn(says, r.stderr)
            f.seek(0)
            f.write(whole)
            f.flush()
            f.truncate(os.path.getsize(path) - 1)
        r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 3)
        self.assertIn("cut or grown", r.stderr)
        d.flags.append("--discard-state")
        d.start()
        self.assertEqual(self.trainer(d, 2).hello("big", self.ROWS, self.DIM)[0], WELCOME)

    def test_a_table_that_starts_over_has_a_new_file(self):
        maps, d = self.mapped()
        t = self.trainer(d)
        t.hello("big", self.ROWS, self.DIM)
        self.feed((t,), 1, 5)
        before = os.stat(os.path.join(maps, "big.table"))
        self.assertEqual(t.hello("big", 2 * self.ROWS, self.DIM)[0], WELCOME)
        after = os.stat(os.path.join(maps, "big.table"))
        self.assertNotEqual((before.st_ino, before.st_size), (after.st_ino, after.st_size))
        self.assertEqual(t.hello("big", 8, 1)[0], WELCOME)
        self.assertNotIn("big.table", os.listdir(maps))


class Program(Case):
    def run_(self, *flags, **env):
        return subprocess.run([os.path.join(raw.BUILD, "momentscoped"), *flags], env=dict(os.environ, **env),
                              capture_output=True, text=True, timeout=20)

    def test_options_are_checked_in_words(self):
        for flag, value, says in (("--interval", "-1", "0..3600"), ("--interval", "x", "0..3600"),
                                  ("--history", "17", "power of two"), ("--max-tables", "0", "1..1024"),
                                  ("--max-bytes", "1Q", "K, M, G"), ("--takeover", "nan", "0..86400"),
                                  ("--kernel", "v9999", "ref"), ("--log-level", "loud", "debug"), ("--cpu", "1024", "0..1023"),
                                  ("--ingest", "tcp://0.0.0.0:5555", "--allow-remote"), ("--telemetry", "tcp://*:1", "127"),
                                  ("--replay", "udp://x", "ipc://"), ("--state", "", "bytes"),
                                  ("--interval-steps", "1.5", "whole"), ("--ingest", "inproc://x", "tcp://ADDRESS:PORT"),
                                  ("--replay", "ipc://", "the path"), ("--replay", "ipc://*", "the path"),
                                  *(("--telemetry", f"tcp://127.0.0.1{port}", "1..65535") for port in
                                    (":99999", ":65536", ":0", ":*", ":", "", ":-1", ":5x", ":+55"))):
            r = self.run_(flag, value)
            self.assertEqual(r.returncode, 2, (flag, value, r.stderr))
            self.assertTrue(flag in r.stderr and value in r.stderr and says in r.stderr, r.stderr)
        for flag, arg in (("--interval", "SECONDS"), ("--state", "FILE"), ("--ingest", "ENDPOINT")):
            r = self.run_(flag)
            self.assertEqual((r.returncode, r.stderr),
                             (2, f"momentscoped: {flag} has no value, expected {flag} {arg}\n"))
        r = self.run_(MOMENTSCOPE_MAX_TABLES="0")
        self.assertTrue(r.returncode == 2 and "MOMENTSCOPE_MAX_TABLES" in r.stderr, r.stderr)
        with tempfile.TemporaryDirectory() as d:
            own = [f"--{n}=ipc://{d}/{n}" for n in ("ingest", "telemetry", "replay")]
            r = self.run_("--state", f"{d}/no/such/state", *own)
            self.assertTrue(r.returncode == 3 and "No such file" in r.stderr, r.stderr)
        self.assertEqual(self.run_("--nonsense").returncode, 2)
        self.assertIn("Example", self.run_("--help").stdout)
        self.assertIn("wire 1", self.run_("--version").stdout)

    def test_map_dir_is_named_in_its_refusals(self):
        ipc = [f for n in ("ingest", "telemetry", "replay") for f in ("--" + n, f"ipc:///tmp/mscope-map-{os.getpid()}-{n}")]
        r = self.run_("--map-dir", "/etc/passwd", *ipc)
        self.assertEqual(r.returncode, 3)
        self.assertIn("--map-dir is '/etc/passwd', expected a directory", r.stderr)
        self.assertNotIn("--state", r.stderr)
        for flags, environment in ((["--map-above", "64M"], {}), ([], {"MOMENTSCOPE_MAP_ABOVE": "64M"})):
            r = self.run_(*flags, *ipc, **environment)
            self.assertEqual(r.returncode, 2, r.stderr)
            self.assertIn("--map-above is '64M', expected --map-dir DIR", r.stderr)

    def test_no_regular_records_is_said(self):
        for flags, said in (((), True), (("--interval-steps", "5"), False), (("--interval", "1"), False)):
            d = self.daemon(*flags)
            self.subscriber(d).until(lambda topic, r: topic == "daemon")
            self.assertEqual("no regular records" in d.said(), said, flags)

    def test_a_port_of_the_network_works(self):
        with raw.zmq.Context.instance().socket(raw.zmq.REP) as s:
            port = s.bind_to_random_port("tcp://127.0.0.1")
        d = self.daemon()
        d.stop()
        d.endpoint = lambda name: f"tcp://127.0.0.1:{port}" if name == "ingest" else f"ipc://{d.dir}/{name}.ipc"
        d.start()
        self.assertEqual(self.trainer(d).hello("t", 4, 2)[0], WELCOME)

    def test_a_living_daemon_keeps_its_endpoint(self):
        d = self.daemon()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        for state in (signal.SIGCONT, signal.SIGSTOP):
            d.signal(state)
            r = subprocess.run(d.command(), capture_output=True, text=True, timeout=20)
            self.assertEqual(r.returncode, 4)
            self.assertIn("another momentscoped is listening", r.stderr)
        d.signal(signal.SIGCONT)
        sub.until(lambda topic, r: topic == "daemon")

    def test_only_a_socket_is_replaced(self):
        with tempfile.TemporaryDirectory() as d:
            for taken in ("ingest", "telemetry", "replay"):
                own = [f"--{n}=ipc://{d}/{n}" for n in ("ingest", "telemetry", "replay")]
                path = f"{d}/{taken}"
                for make, kind in ((lambda: open(path, "w", encoding="utf-8").close(), "a regular file"),
                                   (lambda: os.mkdir(path), "a directory"), (lambda: os.mkfifo(path), "a pipe"),
                                   (lambda: os.symlink("/dev/null", path), "a symbolic link")):
                    make()
                    before = os.lstat(path)
                    r = self.run_(*own)
                    self.assertEqual(r.returncode, 4, r.stderr)
                    self.assertIn(f"--{taken} is 'ipc://{path}', expected a path where nothing is, or a socket: it is "
                                  f"{kind}", r.stderr)
                    self.assertEqual(os.lstat(path)[:2], before[:2])
                    self.assertEqual(os.listdir(d), [taken])
                    (os.rmdir if kind == "a directory" else os.unlink)(path)

    def test_socket_files_go_with_their_daemon(self):
        d = self.daemon()
        files = lambda: sorted(n for n in os.listdir(d.dir) if n.endswith(".ipc"))
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        self.assertEqual(len(files()), 3)
        self.assertEqual(d.stop(), 0)
        self.assertEqual(files(), [])
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        d.kill()
        self.assertEqual(len(files()), 3)    # left behind, and no obstacle
        d.start()
        self.subscriber(d).until(lambda topic, r: topic == "daemon")
        os.rename(d.endpoint("ingest")[6:], d.endpoint("moved")[6:])
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(d.endpoint("ingest")[6:])
            self.assertEqual(d.stop(), 0)
        self.assertEqual(files(), ["ingest.ipc", "moved.ipc"])      # another's now, and not where it was bound

    def test_real_time_never_fails_the_start(self):
        d = self.daemon("--realtime", "--cpu", "0")
        said = self.subscriber(d, "daemon").until(lambda topic, r: True)["realtime"]
        for step in ("memory", "faulted in", "SCHED_FIFO 10", "slack", "cpu 0"):
            self.assertIn(step, said)
            self.assertIn(step, d.said())
        t = self.trainer(d)
        self.assertEqual(t.hello("t", 1000, 8)[0], WELCOME)
        self.assertEqual(d.stop(), 0)
        d = self.daemon("--cpu", "1023")
        said = self.subscriber(d, "daemon").until(lambda topic, r: True)["realtime"]
        self.assertRegex(said, "^cpu 1023 refused: ")

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become somebody else")
    @unittest.skipIf(os.environ.get("MOMENTSCOPE_SANITIZED"), "sanitizers answer mlockall themselves")
    def test_real_time_refused_is_said(self):
        with tempfile.TemporaryDirectory() as dir_:
            os.chmod(dir_, 0o777)
            program = shutil.copy(os.path.join(raw.BUILD, "momentscoped"), dir_)
            p = subprocess.Popen([program, "--realtime", *(f"--{n}=ipc://{dir_}/{n}" for n in ("ingest", "telemetry", "replay"))],
                                 stderr=subprocess.PIPE, text=True, user=65534, group=65534, extra_groups=[],
                                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536)))
            said = ""
            while "is ready" not in said:
                line = p.stderr.readline()
                self.assertTrue(line, said)
                said += line
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(raw.PATIENCE), 0)
            p.stderr.close()
        self.assertIn("locking memory refused: ", said)
        self.assertIn("CAP_SYS_NICE", said)

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become somebody else")
    def test_no_permission_is_not_another_daemon(self):
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            program = shutil.copy(os.path.join(raw.BUILD, "momentscoped"), d)
            os.mkdir(f"{d}/closed", 0o700)
            os.mkdir(f"{d}/open")
            os.chmod(f"{d}/open", 0o1777)
            ask = lambda path: subprocess.run(
                [program, f"--ingest=ipc://{path}", f"--telemetry=ipc://{d}/open/t", f"--replay=ipc://{d}/open/r"],
                capture_output=True, text=True, timeout=20, user=65534, group=65534, extra_groups=[])
            with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as dead:
                living.bind(f"{d}/open/living")
                os.chmod(f"{d}/open/living", 0o600)
                living.listen()
                dead.bind(f"{d}/open/dead")
                os.chmod(f"{d}/open/dead", 0o777)
                for path, says in (("open/living", "belongs to user 0, and this is user 65534: Permission denied"),
                                   ("open/dead", "cannot be replaced: no permission"),
                                   ("closed/x", "cannot look at"), ("x", "Permission denied")):
                    r = ask(f"{d}/{path}")
                    self.assertEqual(r.returncode, 4, r.stderr)
                    self.assertIn(says, r.stderr)
                    self.assertNotIn("another momentscoped", r.stderr)

    def test_log_is_opened_anew_on_hangup(self):
        d = self.daemon()
        log = os.path.join(d.dir, "own.log")
        d.stop()
        d.flags += ["--log", log]
        d.start()
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        os.rename(log, log + ".1")
        d.signal(signal.SIGHUP)
        sub.until(lambda topic, r: topic == "daemon" and os.path.exists(log))
        d.stop()
        with open(log, encoding="utf-8") as f:
            self.assertIn("stopped", f.read())
        with open(log + ".1", encoding="utf-8") as f:
            self.assertIn("is ready", f.read())


if __name__ == "__main__":
    unittest.main()
