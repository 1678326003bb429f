"""Answers of momentscoped to its trainers: refusals, order, one table with many trainers. The test writes every byte that
a trainer would send."""
import os
import signal
import sys
import time
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import msgpack
import raw
from daemon_support import Case, EBUSY, EGAP, EINDEX, EINVAL, ENOMEM, ENONFINITE, EPROTO, ESTATE, EVERSION, zipf_batch
from golden import header
from raw import BYE, COUNTS, ERROR, HELLO, INEXACT, PROBE, REFERENCE, SAVE, STEP, SYNC, WELCOME
from shadow import Shadow


class Refusals(Case):
    """Everything wrong is refused in words, counted, and changes nothing."""

    def setUp(self):
        self.d = self.daemon("--interval-steps", "1", "--takeover", "3600", "--max-bytes", "64M", "--max-part", "1M")
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

    def test_rows_that_overflow_are_told(self):
        """Finite gradients whose sum is none in float32: an alert, once."""
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon", "the first daemon record")
        t.hello("t", 8, 2, state="f32")
        for k in range(1, 5):
            t.step(k, [1, 1], [[3e38, 1.0]] * 2, kind="f4")
        t.acked()
        sub.table("t", 4)
        self.assertIsNone(sub.records[-1][2]["V"])
        told = [r["text"] for topic, _, r, _ in sub.records if topic == "alert" and r["code"] == "overflow"]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], "^row 1 and .* step 1:")

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
        t.send(11, idx, val, **base)
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
        self.assertEqual(record["refused_messages"], len(cases) + 2)     # those that named this table
        self.assertEqual(record["lost_steps"], 0)

    def test_parts_cut_or_grown(self):
        t, n = self.t, self.model.k + 1
        idx, val = np.array([1, 2], "<u4").tobytes(), np.ones(4, "<f4").tobytes()
        base = dict(step=n, a=0.1, b=0.1, count=2, extra=8, index_type=4, value_type=1)
        for length in range(len(idx)):
            t.send(STEP, idx[:length], val, **base)
            self.refused(t, EPROTO, "indices")
        for length in range(len(val)):
            t.send(STEP, idx, val[:length], **base)
            self.refused(t, EPROTO, "values")
        for parts, field in (([], "indices"), ([idx], "values"), ([idx, val + b"x"], "values"), ([idx + b"x", val],
                              "indices"), ([idx, val, b""], "parts"), ([idx, val] + [b"y"] * 40, "parts"),
                              ([idx, val + bytes(500000)], "values")):
            t.send(STEP, *parts, **base)
            self.refused(t, EPROTO, field)
        t.send(STEP, idx, val, flags=COUNTS, **base)
        self.refused(t, EPROTO, "counts")
        t.send(STEP, idx, val, flags=2, **base)
        self.refused(t, EPROTO, "schedule")
        t.send(BYE, b"x")
        self.refused(t, EPROTO, "parts")
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
                self.assertIn("row 2, column 1", self.refused(t, ENONFINITE, "values")["value"])
                t.rows(SYNC, n - 1, 2, np.ones((3, 2)), np.array([[1, 1], [bad, 1], [1, 1]]), kind=kind)
                self.refused(t, ENONFINITE, "m")
        t.step(n, [1], one, kind="f4", counts=[0])
        self.refused(t, EINVAL, "counts")
        t.step(n, [1], one, kind="f4", counts=[4294967295])
        self.assertEqual(self.refused(t, EINVAL, "counts")["value"], "4294967295 at entry 0")
        for schedule in ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 2.0), (0, 1e9, 0), (np.nan, 0, 0)):
            t.step(n, [1], one, kind="f4", schedule=schedule)
            self.assertIn(t.error()["code"], (EINVAL, ENONFINITE))
            t.step(n + 3, [1], one, kind="f4", schedule=schedule)        # a gap must not hide it
            self.assertIn(t.error()["code"], (EINVAL, ENONFINITE))
        t.step(n + 5, [1], [[np.nan, 1.0]], kind="f4")
        self.refused(t, ENONFINITE, "values")
        self.assertEqual(self.good()["lost_steps"], 0)

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
        self.assertEqual(self.good()["lost_steps"], 0)
        t.hello("u", 4, 2, handle=1, step=largest - 1, fresh=False)
        t.step(largest, [1], [[1.0, 2.0]], handle=1)                # the last step there can be
        self.assertEqual(t.ack()["step"], largest)
        self.assertEqual(self.sub.table("u", largest)["lost_steps"], 0)

    def test_a_new_owner_far_ahead_starts_the_table_over(self):
        self.t.send(BYE)
        self.t.ack()
        kind, welcome = self.trainer(self.d, 7).hello("t", 8, 2, capacity=4, state="f32", reference="zero",
                                                      step=2**50, fresh=False)
        self.assertEqual((kind, welcome["step"], welcome["exact"]), (WELCOME, 2**50, False))
        last = self.sub.until(lambda topic, r: topic == "table/t" and r["step"] == 2**50)
        self.assertEqual(last["lost_steps"], 0)

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
        self.refused(t, EPROTO, "parts", done=False)
        kind, said = self.t.hello("another", 4, 2, handle=0)
        self.assertEqual((kind, said["field"]), (ERROR, "table (handle)"))
        self.good()

    def test_refusals_say_what_to_do(self):
        t, n = self.t, self.model.k + 1
        one = dict(step=n, extra=1)
        for kind, fields, part in (
                (65, {}, ("kind", "65", "1..10", "a client sends kinds 1 to 10")),
                (11, {}, ("kind", "11", "1..10 to the daemon, 64..66 from it", "unknown")),
                (STEP, dict(one, flags=32), ("flags", "0x20", "0, 1 COUNTS, 2 SCHEDULE, 16 SHM, and sums of these", "flag")),
                (STEP, dict(one, table=77), ("table (handle)", "77", "a handle announced by HELLO", "say HELLO for it")),
                (STEP, dict(one, a=1e151), ("eta", repr(1e151), "0..1e+150", "send it again")),
                (STEP, dict(one, b=2.0), ("b (eps)", "2", "0..1", "1 - beta"))):
            t.send(kind, **fields)
            said = t.error()
            self.assertEqual((said["field"], float(said["value"]) if part[0] == "eta" else said["value"], said["range"]),
                             (part[0], float(part[1]) if part[0] == "eta" else part[1], part[2]))
            self.assertIn(part[3], said["text"])
        for over, value, text in ((dict(rows=0), "0", "too small"), (dict(acf_rows=65), "65", "too large"),
                                  (dict(client=b"me"), "binary data", "wrong type")):
            said = t.hello(**dict(dict(table="u", handle=1), **over))[1]
            self.assertEqual(said["value"], value)
            self.assertIn(text, said["text"])
        self.good()
        t.send(BYE)
        t.ack()
        t.send(BYE)
        self.assertIn("needs no BYE", self.refused(t, ESTATE, "session", done=False)["text"])

    def test_dampening_says_which_form_has_it(self):
        for handle, shape in ((1, dict(form="ema", nesterov=False)), (2, dict(form="torch", nesterov=True))):
            self.t.hello(f"d{handle}", 4, 2, handle=handle, **shape)
            self.t.step(1, [1], [[1.0, 2.0]], kind="f4", handle=handle, schedule=(0, 0, 0.5))
            said = self.refused(self.t, EINVAL, "dampening")
            self.assertEqual((said["value"], said["range"]), ("0.5", "0..0"))
            self.assertIn("torch form without nesterov", said["text"])

    def test_refusals_are_told_and_counted(self):
        self.t.send(11)
        self.t.error()
        alert = self.sub.alert("refused")
        self.assertIn("kind is 11", alert["text"])
        self.assertGreaterEqual(self.sub.until(lambda topic, r: topic == "daemon")["refused_messages"], 1)


    def test_the_same_refusal_again_and_again_is_one_line_a_second(self):
        started, n = time.monotonic(), 0
        while time.monotonic() - started < 2.5:                     # a trainer with a NaN, healing for ever
            self.t.rows(SYNC, self.model.k, 0, np.full((8, 2), np.nan), np.ones((8, 2)), kind="f4", last=True)
            self.refused(self.t, ENONFINITE, "theta")
            n += 1
        self.assertGreater(n, 100)
        seconds = time.monotonic() - started
        told = [int(r["text"].split()[0]) for r in (self.sub.alert("overflow", "t") for _ in range(2))]
        self.assertLessEqual(self.d.said().count("overflow: t: "), seconds + 2)
        self.assertLessEqual(self.d.said().count("\n"), seconds + 12)
        self.assertLessEqual(sum(told), n)
        self.assertEqual(self.good()["refused_messages"], n)


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
        self.assertEqual(record["lost_steps"], 0)
        daemon = sub.until(lambda topic, r: topic == "daemon" and r["steps_applied"] >= 50)
        self.assertEqual(daemon["steps_applied"], 50)
        self.assertGreater(daemon["duplicate_messages"], 0)

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
            self.assertEqual((record["exact"], record["lost_steps"]), (k < 16 or k >= 32, 5 * (k > 15)))
            if k in (20, 25, 31):            # three ascending chunks, each true at its own step
                first, n = {20: (0, 2), 25: (2, 3), 31: (5, 1)}[k]
                t.rows(SYNC, k, first, truth.theta[first:first + n], truth.m[first:first + n], last=k == 31)
                for a, b in ((model.theta, truth.theta), (model.m, truth.m)):
                    a[first:first + n] = b[first:first + n]
        self.near(record["R"], truth.totals()[0], "R")
        self.assertEqual(record["syncs"], 1)
        for code in ("inexact", "exact"):
            self.assertEqual(sum(r["code"] == code for topic, _, r, _ in sub.records if topic == "alert"), 1)

    def test_a_probe_of_other_momentum_measures_nothing(self):
        """Rows 0 and 1 have curvature 3. A loss leaves the daemon with other momentum, from which H1 would be 3.3 or 30."""
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("t", 2, 2, acf_rows=0)
        truth, at = Shadow(2, 2), {}

        def step(k, lost=False, eps=0.2):
            g = np.full((2, 2), 1.0 + k)
            if k > 1 and not lost:
                t.send(PROBE, np.array([0, 1], "<u4").tobytes(), (3 * truth.m).astype("<f8").tobytes(), step=k, a=1e-3,
                       count=2, index_type=4, value_type=4)
            truth.step([0, 1], g, 0.1, eps, 4)
            if not lost:
                t.step(k, [0, 1], g, 0.1, eps, 4)
                at[k] = sub.until(lambda topic, r: topic.startswith("band/t/") and r["step"] == k)
            return at.get(k)
        self.assertTrue(step(1)["h_source"].startswith("none: no probe was sent"))
        self.assertAlmostEqual(step(2)["H1"], 3)
        for k in range(3, 6):
            step(k, lost=True)
        for k in range(6, 9):                        # the probe of step 6 names a step that was not the next
            record = step(k)
            self.assertAlmostEqual(record["H1"], 3)
            self.assertEqual((round(record["h_samples"], 6), record["exact"]), (2, False))
        t.rows(SYNC, 8, 0, truth.theta, truth.m, last=True)
        self.assertAlmostEqual(step(9)["h_samples"], 4, places=6)
        step(10, lost=True)
        for k in range(11, 80):                      # never healed: after 12/eps = 60 steps the momenta agree
            record = step(k)
        self.assertGreater(record["h_samples"], 4)
        self.assertAlmostEqual(record["H1"], 3, places=4)
        self.assertFalse(record["exact"])

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
        self.assertIn("to make room for new", alert["text"])
        self.assertIn("dropped: crashed", d.said("dropped: crashed"))
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

    def test_a_late_joiner_is_told_of_the_run_that_is(self):
        """A second run of one name in other bands, at fewer steps: nothing of the first answers subscriptions or replay."""
        d = self.daemon("--interval-steps", "10")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")

        def run(session, steps, row):
            t, begin = self.trainer(d, session), len(sub.records)
            self.assertEqual(t.hello("t", 8, 2, fresh=True)[0], WELCOME)
            for k in range(1, steps + 1):
                t.step(k, [row] if k % (8 * session) == 0 else [], [[1.0, 1.0]] if k % (8 * session) == 0 else [])
                t.ack()
            t.send(BYE)
            t.ack()
            t.close()
            sub.until(lambda topic, r: topic == "table/t" and r["step"] == steps and not r["attached"])
            return {topic for topic, *_ in sub.records[begin:] if topic.startswith("band/t/")}

        old = run(1, 400, 1)
        last = max(n for topic, n, *_ in sub.records if topic == "table/t")
        new = run(8, 200, 2)
        self.assertTrue(old - new, (old, new))
        late = self.subscriber(d)
        late.until(lambda topic, r: topic == "table/t")
        late.until(lambda topic, r: topic == "daemon")
        late.until(lambda topic, r: topic == "daemon")
        told = {(topic, r["step"]) for topic, _, r, _ in late.records if topic.split("/")[0] in ("band", "acf", "table")}
        self.assertFalse({one for one in told if one[1] > 200}, told)
        self.assertFalse({topic for topic, _ in told} & (old - new), told)
        held = [seq for seq, _ in raw.replay(d, "table/t", 0)[0]]
        self.assertGreater(held[0], last)
        self.assertEqual(raw.replay(d, sorted(old - new)[0], 0)[0], [])
        self.assertEqual(sub.lost, 0)

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
        for patience in (takeover + 0.1, 1, 2, 4):           # time that the daemon itself stood still does not count
            time.sleep(patience)
            kind = t.hello("more", 2, 1)[0]
            if kind == WELCOME:
                break
        self.assertEqual(kind, WELCOME)
        self.assertEqual(sub.alert("detached")["table"], "t0")
        t.session = 1
        t.step(1, [1], [[1.0]])
        self.refused(t, ESTATE, "session", done=False)
        self.assertEqual(t.hello("t0", 2, 1, fresh=False)[1]["exact"], True)     # its rows were kept

    def test_a_trainer_that_was_killed_is_told_and_one_that_is_quiet_is_not(self):
        d = self.daemon("--interval-steps", "1", "--takeover", "3600")
        sub, killed, cut, quiet, late = self.subscriber(d), *(self.trainer(d, k) for k in (1, 2, 3, 4))
        sub.until(lambda topic, r: topic == "daemon")
        for t, name in ((killed, "killed"), (cut, "cut"), (quiet, "quiet")):
            t.hello(name, 4, 2)
            t.step(1, [1], [[1.0, 2.0]])
            t.acked()
        killed.close()
        cut.close()
        gone = {sub.alert("gone")["table"] for _ in range(2)}
        self.assertEqual(gone, {"killed", "cut"})
        told = set()
        sub.until(lambda topic, r: topic.startswith("table/") and not r["attached"] and (told.add(topic) or len(told) == 2))
        kind, said = late.hello("killed", 4, 2)      # at once, not after the takeover time
        self.assertEqual(kind, WELCOME, said)
        sub.alert("takeover", "killed")
        cut.connect()                                # the same session over another connection
        cut.step(2, [1], [[1.0, 2.0]])
        sub.alert("back", "cut")
        self.assertTrue(sub.table("cut", 2)["attached"])
        time.sleep(3.5)
        quiet.step(2, [1], [[1.0, 2.0]])
        self.assertTrue(sub.table("quiet", 2)["attached"])
        self.assertEqual([r["code"] for topic, _, r, _ in sub.records if topic == "alert" and r["table"] == "quiet"],
                         ["attached"])

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
            self.refused(b, EPROTO, "parts", done=False)
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



class Example(Case):
    """The session of protocol/README.md, 1.13, message by message."""

    def test_the_session_of_the_specification(self):
        d = self.daemon()
        t, values = self.trainer(d), np.ones((1000, 8))
        shape = dict(table="words", rows=1000, dim=8, capacity=128, fresh=False)
        kind, welcome = t.hello(seq=1, **shape)
        self.assertEqual((kind, welcome["next_seq"], welcome["step"], welcome["exact"]), (WELCOME, 1, 0, False))
        self.assertEqual(welcome["credit_messages"], 64)
        t.rows(SYNC, 0, 0, values, values, last=True)
        for k in (1, 2):
            t.step(k, range(100), values[:100])
        head = t.acked()
        self.assertEqual((head["seq"], head["step"], head["flags"], head["count"]), (3, 2, 0, 64))
        t.step(4, range(100), values[:100])
        head = t.acked()
        self.assertEqual((head["seq"], head["step"], head["flags"]), (4, 4, INEXACT))
        t.rows(SYNC, 4, 0, values, values, last=True)
        head = t.acked()
        self.assertEqual((head["seq"], head["step"], head["flags"]), (5, 4, 0))
        t.step(5, [*range(17), 1000], values[:18])
        head, why = t.answer()
        self.assertEqual((head["kind"], head["seq"], head["step"]), (ERROR, 6, 5))
        self.assertEqual((why["code"], why["field"], why["value"], why["range"]),
                         (EINDEX, "indices", "1000 at entry 17", "0..999"))
        head = t.ack()
        self.assertEqual((head["seq"], head["step"], head["flags"]), (6, 4, 0))
        t.step(6, range(100), values[:100])              # 7, which arrives; its ACK is never read
        t.acked()
        t.close()
        t.connect()
        kind, again = t.hello(seq=7, **dict(shape, step=5))
        self.assertEqual((kind, again["epoch"], again["next_seq"]), (WELCOME, welcome["epoch"], 8))
        self.assertEqual((again["step"], again["exact"]), (6, False))
        t.step(7, range(100), values[:100])
        t.rows(SYNC, 7, 0, values, values, last=True)
        t.send(BYE)
        head = t.acked()
        self.assertEqual((head["seq"], head["step"], head["flags"]), (10, 7, 0))


if __name__ == "__main__":
    unittest.main()
