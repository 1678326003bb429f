"""Tables whose optimizer is read, byte by byte: the daemon against numpy, every bad field, state files, shards, tapes."""
import json
import os
import subprocess
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw
import test_record
from daemon_support import Case, EINVAL, EINDEX, ENONFINITE, EPROTO, ESTATE
from raw import ERROR, REFERENCE, SAVE, SYNC, WELCOME

ROWS, WIDTH, BATCH = 40, 6, 16
B1, B2, ETA = 0.9, 0.98, 0.01
HELLO = {"state": "f64", "form": "read", "optimizer": "Adam", "width": WIDTH, "capacity": 16}


class Adam:
    """The moments of all rows, by torch's rule; frozen: of active rows alone."""

    def __init__(self, seed=0, frozen=False):
        self.rng, self.frozen, self.k = np.random.default_rng(seed), frozen, 0
        self.m, self.v = np.zeros((ROWS, WIDTH)), np.zeros((ROWS, WIDTH))

    def step(self, most=8):
        """(rows, columns, counts) of one step."""
        self.k += 1
        rows = np.unique((self.rng.random(most) ** 3 * ROWS).astype(int))
        g = np.zeros((ROWS, WIDTH))
        g[rows] = self.rng.standard_normal((len(rows), WIDTH))
        was = self.m.copy()
        at = rows if self.frozen else slice(None)
        self.m[at] = B1 * self.m[at] + (1 - B1) * g[at]
        self.v[at] = B2 * self.v[at] + (1 - B2) * g[at] ** 2
        size = np.linalg.norm(g[rows], axis=1)
        cos = (g[rows] * was[rows]).sum(1) / np.maximum(size * np.linalg.norm(was[rows], axis=1), 1e-300)
        if self.k % 2 == 0:
            cos[:] = 2                       # by the norms
        rms = np.sqrt(self.v[rows].mean(1))
        rms[self.k % 3:] = -1                # by |g|
        u = np.where(rows % 2, 0.5, -1)
        return rows, np.stack([np.linalg.norm(self.m[rows], axis=1), rms, size, cos, u], 1), 1 + rows % 3

    def sync(self):
        theta, m = np.zeros((ROWS, 2)), np.zeros((ROWS, 2))
        theta[:, 0], m[:, 0] = np.sqrt(self.v.mean(1)), np.linalg.norm(self.m, axis=1)
        return theta, m


def tell(t, adam, **over):
    rows, columns, counts = adam.step()
    fields = dict(eta=ETA, eps=1 - B1, batch=BATCH, schedule=(0.0, 1 - B2, 0.0), counts=counts)
    fields.update(over)
    t.step(adam.k, rows, columns, **fields)


class Reads(Case):
    def start(self, frozen=False, *flags):
        d = self.daemon("--interval-steps", "1", *flags)
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        hello = dict(HELLO, form="frozen" if frozen else "read")
        kind, _ = t.hello("t", ROWS, **hello)
        self.assertEqual(kind, WELCOME)
        return d, sub, t, Adam(frozen=frozen)

    def same(self, sub, adam, tolerance=1e-9):
        table = sub.table("t", adam.k)
        self.assertLess(abs(table["V"] - (adam.m ** 2).sum()), tolerance * (adam.m ** 2).sum(), adam.k)
        bands = {int(t[7:]): r for t, _, r, _ in sub.records if t.startswith("band/t/") and r["step"] == adam.k}
        v = sum(b["v"] * b["rows"] for b in bands.values() if b["rows"])
        self.assertLess(abs(v - adam.v.mean(1).sum()), tolerance * v)
        return table, bands

    def test_v_and_second_moments_are_those_of_numpy(self):
        for frozen, flags in ((False, ()), (True, ()), (False, ("--history", "16")), (True, ("--history", "16"))):
            with self.subTest(frozen=frozen, flags=flags):       # 16: rows are silent for longer than is kept
                _, sub, t, adam = self.start(frozen, *flags)
                for _ in range(300):
                    tell(t, adam)
                    t.ack()
                table, bands = self.same(sub, adam)
                self.assertEqual((table["form"], table["optimizer"], table["d"], table["exact"]),
                                 ("frozen" if frozen else "read", "Adam", WIDTH, True))
                self.assertAlmostEqual(table["eps2"], 1 - B2)
                self.assertEqual({b["R"] for b in bands.values()} | {b["C"] for b in bands.values()}, {None})
                self.assertEqual({round(b["u"], 12) for b in bands.values() if b["u_updates"]}, {0.5})

    def test_steps_that_are_lost_are_healed_by_sync(self):
        _, sub, t, adam = self.start()
        tell(t, adam)
        t.ack()
        adam.step()                          # never sent
        tell(t, adam)
        t.acked()
        self.assertFalse(sub.until(lambda topic, r: topic == "table/t" and r["step"] == 3)["exact"])
        t.rows(SYNC, adam.k, 0, *adam.sync(), last=True)
        tell(t, adam)
        t.acked()
        table = sub.table("t", adam.k)       # of rows whose only step was lost nobody knows a band
        self.assertLess(abs(table["V"] - (adam.m ** 2).sum()), 1e-9 * table["V"])
        self.assertEqual((table["exact"], table["lost_steps"]), (True, 1))

    def test_every_bad_field_is_named_counted_and_changes_nothing(self):
        d, sub, t, adam = self.start()
        tell(t, adam)
        t.ack()
        good = [0.5, 0.25, 1.0, 0.5, 0.125]
        bad, inf = [], float("inf")
        for column, field, values in ((0, "|m|", (-1, 1e146, inf)), (1, "rms v", (-0.5, 1e146, inf)),
                                      (2, "|g|", (-1e-9, 1e146, inf)), (3, "cos", (1.01, -1.01, 3, inf)),
                                      (4, "|u|", (-2, 1e146, inf))):
            for value in (*values, float("nan")):
                row = list(good)
                row[column] = value
                code = EINVAL if np.isfinite(value) else ENONFINITE
                bad.append((code, field, dict(grads=[good, row])))
        bad += [(EINVAL, field, dict(schedule=schedule)) for field, schedule in
                (("weight_decay", (0.1, 0.02, 0)), ("decoupled_decay", (0, 1.1, 0)), ("decoupled_decay", (0, -0.1, 0)),
                 ("dampening", (0, 0.02, 0.5)))]
        bad += [(EINDEX, "indices", dict(rows=[3, ROWS])), (EINVAL, "b (eps)", dict(eps=1.5)),
                (EINVAL, "counts", dict(counts=[1, 0])), (EPROTO, "values", dict(grads=[good[:4], good[:4]])),
                (EPROTO, "values", dict(grads=[good + [0]] * 2))]
        refused = 0
        for code, field, over in bad:
            with self.subTest(field=field, over=over):
                fields = dict(rows=[3, 5], grads=[good, good], eta=ETA, eps=1 - B1, schedule=(0, 1 - B2, 0))
                fields.update(over)
                t.step(adam.k + 1, fields.pop("rows"), fields.pop("grads"), **fields)
                got = self.refused(t, code, field)
                self.assertTrue(got["range"] and got["text"], got)
                refused += 1
        t.rows(REFERENCE, adam.k, 0, np.zeros((ROWS, 2)), last=True)
        self.refused(t, ESTATE, "reference")
        for _ in range(3):
            tell(t, adam)
            t.ack()
        table, _ = self.same(sub, adam)
        self.assertEqual((table["refused_messages"], table["exact"], table["lost_steps"]), (refused + 1, True, 0))

    def test_every_bad_hello_is_named(self):
        d = self.daemon()
        t = self.trainer(d)
        for code, field, over in ((EINVAL, "dim", {"dim": 3}), (EINVAL, "width", {"width": 0}),
                                  (EINVAL, "width", {"width": 65537}), (EINVAL, "state", {"state": "f32"}),
                                  (EINVAL, "acf_rows", {"acf_rows": 8}), (EINVAL, "nesterov", {"nesterov": True}),
                                  (EINVAL, "nll", {"nll": True}), (EINVAL, "reference", {"reference": "zero"}),
                                  (EINVAL, "optimizer", {"optimizer": "x" * 64}), (EINVAL, "form", {"form": "adam"}),
                                  (EPROTO, "optimizer", {"optimizer": 3}), (EPROTO, "width", {"width": "6"})):
            with self.subTest(over=over):
                kind, said = t.hello("t", ROWS, **dict(HELLO, **over))
                self.assertEqual((kind, said["code"], said["field"]), (ERROR, code, field), said)

    def last(self, sub, step):
        """The records of that step, without what differs between daemons."""
        self.assertEqual(sub.table("t", step)["step"], step)
        while sub.take(0.2):
            pass
        return {t: {k: v for k, v in r.items() if k not in ("epoch", "transport")} for t, _, r, _ in sub.records
                if t.startswith(("band/t/", "table/t")) and r["step"] == step}

    def test_a_state_file_continues_as_if_nothing_had_been(self):
        for frozen in (False, True):
            with self.subTest(frozen=frozen):
                _, sub, t, adam = self.start(frozen)
                for _ in range(100):
                    tell(t, adam)
                    t.ack()
                want = self.last(sub, 100)
                d = self.daemon("--interval-steps", "1")
                d.stop()
                d.flags += ["--state", os.path.join(d.dir, "state")]
                d.start()
                sub, t, adam = self.subscriber(d), self.trainer(d), Adam(frozen=frozen)
                t.hello("t", ROWS, **dict(HELLO, form="frozen" if frozen else "read"))
                for _ in range(50):
                    tell(t, adam)
                    t.ack()
                t.send(SAVE)
                t.ack()
                sub.alert("saved")
                d.kill()
                d.start()
                sub.alert("restored")
                for _ in range(50):
                    tell(t, adam)
                    t.ack()
                self.assertEqual(self.last(sub, 100), want)

    def program(self, *command):
        program = os.path.join(raw.BUILD, "momentscope")
        r = subprocess.run([program, *command], capture_output=True, text=True, timeout=60)
        self.assertIn(r.returncode, range(9), r.stderr)
        return r

    def asked(self, name, *daemons):
        """What a command says of these daemons: of one, or of shards."""
        where = ["--telemetry", daemons[0].endpoint("telemetry"), "--replay", daemons[0].endpoint("replay")]
        if len(daemons) > 1:
            where = [f for d in daemons for f in ("--shard", d.endpoint("telemetry"))]
        return self.program(name, *(["--once"] if name == "watch" else []), *where, "--json").stdout

    def test_shards_are_one_table(self):
        """Even rows in one daemon, odd rows in another, all in a third."""
        daemons = [self.daemon("--interval-steps", "50") for _ in range(3)]
        trainers = [self.trainer(d, 1 + i) for i, d in enumerate(daemons)]
        subs = [self.subscriber(d) for d in daemons]
        for i, t in enumerate(trainers):
            t.hello("t", ROWS if i == 2 else ROWS // 2, **HELLO)
        adam = Adam()
        for _ in range(200):
            rows, columns, counts = adam.step()
            for i, t in enumerate(trainers):
                mine = slice(None) if i == 2 else rows % 2 == i
                t.step(adam.k, rows[mine] if i == 2 else rows[mine] // 2, columns[mine], ETA, 1 - B1, BATCH,
                       schedule=(0.0, 1 - B2, 0.0), counts=counts[mine] if len(rows[mine]) else None)
                t.ack()
        for sub in subs:
            sub.table("t", 200)

        def bands(*of):
            lines = [json.loads(line) for line in self.asked("watch", *of).splitlines()]
            return {r["band"]: r for r in lines if r.get("topic", "").startswith("band/")}

        whole, parts = bands(daemons[2]), bands(*daemons[:2])
        self.assertEqual(sorted(whole), sorted(parts))
        self.assertGreater(len(whole), 2)
        for number, w in whole.items():
            p = parts[number]
            self.assertEqual((p["form"], p["d"], p["u_updates"]), (w["form"], w["d"], w["u_updates"]))
            for field in ("V", "v", "v_retention", "v_age", "u", "fade"):
                if w[field] is None or w["rows"] == 0:
                    continue
                self.assertLess(abs(p[field] - w[field]), 1e-9 * abs(w[field]), (number, field))

    def test_a_recording_plays_and_is_no_workload(self):
        recorder = test_record.Recorder(dir=self.daemon().dir)
        self.addCleanup(recorder.close)
        t, adam = self.trainer(recorder), Adam()
        t.hello("t", ROWS, **HELLO)
        for _ in range(60):
            tell(t, adam)
        t.acked()
        t.send(raw.BYE)
        t.ack()
        code, said = recorder.ended()
        self.assertEqual(code, 0, said)
        self.assertIn(f"{ROWS} rows x {WIDTH}, float64, read form", said)
        d = self.daemon("--interval-steps", "1")
        sub = self.subscriber(d)
        sub.until(lambda topic, r: topic == "daemon")
        self.assertEqual(self.program("play", recorder.file, "--ingest", d.endpoint("ingest")).returncode, 0)
        self.same(sub, adam)
        refused = self.program("bench", "run", "recording", "--file", recorder.file)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("norms of the rows of t and not their gradients, because Adam was only read", refused.stderr)

    def test_the_commands_speak_of_it(self):
        d, _, t, adam = self.start()
        for _ in range(100):
            tell(t, adam)
            t.ack()
        where = "--telemetry", d.endpoint("telemetry"), "--replay", d.endpoint("replay")
        watched = self.program("watch", "--once", *where)
        self.assertRegex(watched.stdout, "read form; .* eps2 0.02, batch 16")
        self.assertRegex(watched.stdout, "silent rows decay, v averages [0-9.]+ updates over [0-9.]+ steps, steps of")
        self.assertIn("Adam is read, not followed: silent rows move and decay at every step", watched.stdout)
        self.assertIn("advice: stay; each coordinate has a step size of its own", watched.stdout)
        advice = json.loads(self.asked("advise", d))
        self.assertEqual((advice["possible"], advice["advised"]), (False, "stay"))
        worst = json.loads(self.asked("check", d).splitlines()[-1])
        self.assertEqual(worst["worst"], "unknown")


if __name__ == "__main__":
    unittest.main()
