"""Records that momentscoped publishes. The test writes and reads every byte of trainer and subscriber; numpy computes the
expected values."""
import os
import signal
import struct
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import msgpack
import raw
from daemon_support import Case, zipf_batch
from raw import BYE, PROBE, REFERENCE, WELCOME
from shadow import Shadow


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
            held = [b for b, r in bands.get(k, {}).items() if r["rows"]]     # the others tell what rows that left did there
            self.assertEqual(sorted(held), sorted(want), f"bands at step {k}")
            self.assertEqual(tables[k]["bands"], [float(b) for b in sorted(want)])
            R, V, C = model.totals()
            for name, value, size in (("R", R, R), ("V", V * scale**2, None), ("C", C * scale, (R * V)**0.5 * scale)):
                if reference or name == "V":
                    self.near(tables[k][name], value, f"table {name} at {k}", size)
                else:
                    self.assertIsNone(tables[k][name])
            self.assertEqual(sum(r["window_updates"] for r in bands.get(k, {}).values()),
                             sum(len(w) for w in model.window.values()), f"updates up to step {k}")
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
        for name in ("R", "V", "C", "p", "P", "g2", "U", "gm", "gaps", "fade", "fade2"):
            if name in "RC" and not reference:
                self.assertIsNone(got[name])
            else:
                self.near(got[name], want[name], what + name, scales.get(name))
        if reference:
            self.assertLess(got["r_bound"], 1e-9)
            self.assertLessEqual(abs(got["R"] - want["R"]), (got["r_bound"] + 1e-12) * want["R"])
        independent = (want["P"] + (1 - want["P"]) * eps) / eps
        retention = 1 / want["fade"] if want["gaps"] else independent
        self.near(got["retention"], retention, what + "retention")
        self.near(got["burst"], retention / independent, what + "burst")
        self.near(got["eta"], eta, what + "eta")
        self.assertTrue(got["h_source"].startswith("none: no probe"))
        self.assertEqual([got[n] for n in ("H1", "H2", "learning", "delta")], [None] * 4)

    def test_ema_with_a_reference_and_a_moving_schedule(self):
        self.follow("ema", "f8", 300, lambda k: (0.2 * min(1, k / 50), 0.02 + 0.5 / k, None))

    def test_torch_with_coupled_decay_and_dampening(self):
        self.follow("torch", "f4", 200, lambda k: (0.05, 0.1, (1e-3, 0.0, 0.25)))

    def test_torch_with_momentum_that_moves_within_a_window(self):
        self.follow("torch", "f8", 200, lambda k: (0.05, 0.02 + 0.4 * (k % 25) / 25, (0.0, 0.0, 0.5 * (k % 7) / 7)))

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

    def quadratic(self, steep, steps=500, rows=16, dim=8):
        """Rows that are pulled to targets with noise; row 5 becomes `steep` times as steep at step 200, at 1.02 its
        limit."""
        d = self.daemon("--interval-steps", "50")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", rows, dim)
        rng, eps = np.random.default_rng(7), 0.1
        eta = 1.02 * 2 * (2 - eps) / eps / steep
        target = 30 * rng.standard_normal((rows, dim))
        theta, m, v = np.zeros((rows, dim)), np.zeros((rows, dim)), []
        for k in range(1, steps + 1):
            h = np.ones(rows)
            h[5] = steep if k > 200 else 1
            g = h[:, None] * (theta - target) + 0.3 * rng.standard_normal((rows, dim))
            t.step(k, range(rows), g, eta, eps, 32)
            m = (1 - eps) * m + eps * g
            theta -= eta * m
            v.append((m[5] ** 2).sum())
            if v[-1] > 1e20:
                break
        sub.table("t", k - k % 50)
        limit = 1 + next((i for i, x in enumerate(v) if i > 200 and x > 1000 * max(v[:200])), len(v))
        return [(r["step"], r["code"], r["text"]) for topic, _, r, _ in sub.records if topic.startswith("alert")
                and r["code"] in ("growing", "climbing")], limit, sub

    def test_one_steep_row_in_its_band_is_named_before_it_grew_thousandfold(self):
        for steep in (4, 10):
            alerts, limit, sub = self.quadratic(steep)
            named = [step for step, code, text in alerts if code == "growing" and text.startswith("row 5 of table t")]
            self.assertTrue(named and 200 < named[0] < limit, f"steep {steep}: {alerts}, 1000-fold at {limit}")
            bands = [step for step, code, text in alerts if code == "growing" and text.startswith("band 5")]
            self.assertTrue(all(step >= named[0] for step in bands), alerts)         # its mean tells later
            self.assertFalse([a for a in alerts if a[0] <= 200], alerts)
            self.assertIn("climbing", [code for _, code, _ in alerts])
            band = [r for topic, _, r, _ in sub.records if topic.startswith("band/")][-1]
            self.assertEqual((band["top_row"], band["top_growing"]), (5, True))


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
        for parts, field in (([b"band/no/1", bytes(8)], "topic"), ([b"", bytes(8), b"x"], "seq"), ([b"a", b"b", b"c"], "parts"),
                              ([b"daemon"], "parts"), ([b"daemon", bytes(7)], "seq"), ([b"x" * 200, bytes(8)], "topic"),
                              ([b"\xff\xfe", bytes(8)], "topic"), ([b"daemon", bytes(8), b"", b"", b""], "parts")):
            s = raw.zmq.Context.instance().socket(raw.zmq.DEALER)
            s.linger = 0
            s.connect(d.endpoint("replay"))
            s.send_multipart(parts)
            self.assertTrue(s.poll(10000), field)
            *_, seq, body = s.recv_multipart()
            s.close()
            self.assertEqual(struct.unpack(">Q", seq)[0], raw.END)
            said = msgpack.unpackb(body)
            self.assertEqual(set(said), {"error", "field", "value", "range"})
            self.assertEqual(said["field"], field)
            if len(parts[0]) == 200:
                self.assertEqual((said["value"], said["range"]), ("200 bytes", "at most 79 bytes"))
        self.assertGreaterEqual(sub.until(lambda topic, r: r.get("replay_refused", 0) >= 8)["replay_refused"], 8)

    def test_a_huge_part_ends_the_connection_and_nothing_else(self):
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
        self.assertEqual(seqs, sorted(seqs))              # one may come twice: who joins is told the latest again
        self.assertLessEqual(len(seqs), len(set(seqs)) + 1)
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


if __name__ == "__main__":
    unittest.main()
