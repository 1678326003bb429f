"""Rows by name: labels from the trainer to records, alerts, check and rows(); what a daemon refuses of them."""
import os
import struct
import subprocess
import types
import unittest

import numpy as np

from daemon_support import EINDEX, EINVAL, ENOMEM, EPROTO, ESTATE, Case as DaemonCase, raw
import attach_support
from attach_support import DIM, ROWS, SIZE, setUpModule, tearDownModule      # noqa: F401
import client_support
import torch
import momentscope
from momentscope import labels, worst

LABELS = 10


class Wire(DaemonCase):
    def labels(self, t, first, texts, handle=0, count=None, part=None):
        part = b"".join(text + b"\0" for text in texts) if part is None else part
        t.send(LABELS, part, table=handle, count=len(texts) if count is None else count, extra=first)

    def test_bad_labels_are_refused_and_change_nothing(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        t.hello("t", 8, 2)
        self.labels(t, 2, [b"two", b"three"])
        t.acked()
        bad = [(EINVAL, "labels", dict(texts=[b"x" * 64])), (EINVAL, "labels", dict(texts=[b"a\n"])),
               (EINVAL, "labels", dict(texts=[b"\x1b[2J"])), (EINVAL, "labels", dict(texts=[b"\xff"])),
               (EINVAL, "labels", dict(texts=["\u0085".encode()])), (EINVAL, "labels", dict(texts=["a\u202eb".encode()])),
               (EINVAL, "labels", dict(texts=["a\u200bb".encode()])),
               (EPROTO, "labels", dict(texts=[b"a"], count=2)), (EPROTO, "labels", dict(texts=[b"a", b"b"], count=1)),
               (EPROTO, "labels", dict(texts=[b"a"], part=b"a")), (EPROTO, "labels", dict(texts=[b"a"], part=b"")),
               (EPROTO, "labels", dict(texts=[b"a"], part=b"a\0" * (1 << 20))),
               (EINVAL, "count", dict(texts=[], part=b""))]
        for code, field, what in bad:
            with self.subTest(what):
                self.labels(t, 2, **what)
                self.refused(t, code, field)
        self.labels(t, 7, [b"seven", b"eight"])
        self.refused(t, EINDEX, "extra (first row)")
        self.labels(t, 0, [b"zero"], handle=3)
        self.refused(t, ESTATE, "table (handle)")
        t.send(LABELS, count=1)
        self.refused(t, EPROTO, "parts")
        t.send(LABELS, b"a\0", count=1, flags=4)
        self.refused(t, EINVAL, "flags")
        t.step(1, [2, 3], [[3.0, 0.0], [5.0, 0.0]], 0.1, 0.9, 8)
        t.step(2, [2], [[1.0, 0.0]], 0.1, 0.9, 8)
        t.acked()
        sub.table("t", 2)
        self.assertEqual({r["top_label"] for topic, _, r, _ in sub.records if topic.startswith("band/") and r["top"]},
                         {"three", "two"} & {r["top_label"] for topic, _, r, _ in sub.records if "top_label" in r})

    def test_labels_of_single_rows_have_a_bound(self):
        t = self.trainer(self.daemon())
        t.hello("t", 5000, 2)
        for row in range(4096):
            self.labels(t, row, [b"a"])
            if row % 32 == 31:
                t.acked()
        self.labels(t, 4096, [b"a"])
        self.refused(t, ENOMEM, "labels")
        self.labels(t, 0, [b"b"])            # in the place of an older one
        t.acked()

    def test_labels_are_replaced_and_end_with_their_owner(self):
        d = self.daemon("--interval-steps", "1")
        sub, t = self.subscriber(d), self.trainer(d)
        t.hello("t", 8, 2)
        want, step = [], 0

        def named(trainer, row):
            nonlocal step
            step += 1
            trainer.step(step, [row], [[3.0, 0.0]], 0.1, 0.9, 8)
            trainer.acked()
            sub.table("t", step)
            return [r["top_label"] for topic, _, r, _ in sub.records if topic.startswith("band/") and r["step"] == step
                    and r["top_row"] == row and r["top"]]

        self.labels(t, 0, [b"a", b"b", b""])
        self.labels(t, 1, [b"bb"])
        self.assertIn("bb", named(t, 1))     # the newer one
        self.assertIn("", named(t, 2))
        self.labels(t, 0, [b"aa", b"c", "\u00e4".encode()])
        self.assertIn("\u00e4", named(t, 2))
        t.send(raw.BYE)
        other = self.trainer(d, session=2)
        other.hello("t", 8, 2, step=step)
        self.assertIn("", named(other, 1))   # another trainer's rows have other names, or none


class FromPython(attach_support.Case):
    def test_sources(self):
        tokens = ["<pad>", "the", "Ġcat"]
        slow = types.SimpleNamespace(convert_ids_to_tokens=lambda row: tokens[row])
        fast = types.SimpleNamespace(id_to_token=lambda row: tokens[row] if row < 3 else None)
        for source in (tokens, tuple(tokens), dict(enumerate(tokens)), lambda row: tokens[row], slow, fast):
            of = labels.Labels(source, 5)
            self.assertEqual([of(row) for row in range(5)], tokens + ["", ""], source)
            self.assertEqual(list(of.chunks()), [(0, 5, "<pad>\0the\0Ġcat\0\0\0".encode())])
        self.assertEqual(list(labels.Labels({}, 5).chunks()), [])
        with self.assertRaisesRegex(TypeError, "labels = int"):
            labels.Labels(3, 5)

    def test_labels_of_another_table_are_refused(self):
        for source, why in ((["a"] * 6, "number of labels = 6 .*at most 5"), (("a",) * 7, "= 7"),
                            ({5: "a"}, "a row of labels = 5 .*0 to 4"), ({-1: "a"}, "= -1"), ({True: "a"}, "= True")):
            with self.assertRaisesRegex(ValueError, why):
                labels.Labels(source, 5)

    def test_what_a_terminal_would_act_upon_is_escaped(self):
        self.assertEqual(labels.printable("a\n\x1b[2J\u202eb\u0085"), r"a\n\x1b[2J\u202eb\x85")
        self.assertEqual(labels.printable("日" * 40), "日" * 20 + "...")
        self.assertEqual(labels.printable("x" * 63), "x" * 63)
        self.assertLessEqual(len(labels.printable("\ud800" * 90).encode()), 63)
        every = [chr(c) for c in list(range(0x250)) + [0x202e, 0x2066, 0xfeff, 0x1f600, 0x10ffff]]
        part = b"".join(labels.printable(c).encode() + b"\0" for c in every if labels.printable(c))
        self.run_labels(every)

    def run_labels(self, every):
        """The daemon takes whatever printable() returns."""
        emb = torch.nn.Embedding(len(every), 2)
        optimizer = torch.optim.SGD(emb.parameters(), lr=0.1)
        attach_support.Case.names += 1
        with momentscope.attach(emb, optimizer, self.daemon.ingest, prefix=f"l{attach_support.Case.names}.",
                                labels=every) as scope:
            self.assertTrue(scope.flush(10))
            self.assertIsNone(scope.stats()["last_error"])

    def test_records_alerts_and_check_name_rows(self):
        words = [f"word {i}" for i in range(ROWS)]
        model = attach_support.Net()
        with self.run_of(model=model, labels=words) as scope:
            self.steps(scope, 60)
            self.same_as_torch(scope, 60)
            named = {(r["top_row"], r["top_label"]) for r in self.bands() if r["top"]}
            self.assertTrue(named)
            self.assertEqual({label for _, label in named}, {words[row] for row, _ in named})

    def test_alerts_and_check_name_the_rows_of_a_run_that_diverges(self):
        model = torch.nn.Module()
        model.emb = torch.nn.Embedding(ROWS, DIM)
        generator = torch.Generator().manual_seed(3)
        with self.run_of(model=model, labels={"emb.weight": lambda row: f"word {row}"}, momentum=0.5) as scope:
            def step(c):                     # of the loss c/2 |theta|^2 of each row that is active; its limit is c = 30
                rows = torch.randperm(ROWS, generator=generator)[:SIZE]
                self.optimizer.zero_grad()
                (0.5 * model.emb(rows).square().sum(1) * torch.where(rows == 11, c, 1.0)).sum().backward()
                self.optimizer.step()
                scope.step()

            for i in range(900):
                step(1.0 if i < 300 else 32.0)
                if i % 100 == 99:
                    self.assertTrue(scope.flush(5))
            self.ear.pump(0.5)
            about = [a["text"] for a in self.ear.alerts if a["code"] == "growing"]
            self.assertRegex(" ".join(about), r'row (\d+) "word \1"')    # the largest of those that were just active
            r = subprocess.run([os.path.join(client_support.BUILD, "momentscope"), "check", "--telemetry",
                                self.daemon.telemetry, "--replay", "", "--table", self.prefix + "emb.weight"],
                               stdout=subprocess.PIPE, text=True, timeout=30)
            self.assertRegex(r.stdout, r'its largest row is (\d+) "word \1"')
            for i in range(2000):
                step(32.0)
                if i % 50 == 49 and not scope.flush(0.5):
                    break
            self.ear.until(lambda r: any(a["code"] == "overflow" for a in self.ear.alerts))
            self.assertTrue([a for a in self.ear.alerts if a["code"] == "overflow"
                             and 'row 11' in a["text"] and '"word 11"' in a["text"]], self.ear.alerts[-3:])

    def test_labels_come_again_to_a_new_daemon(self):
        with self.run_of(labels=[f"w{i}" for i in range(ROWS)]) as scope:
            self.steps(scope, 20)
            self.assertTrue(scope.flush(10))
            self.daemon.kill()
            self.daemon.start()
            self.steps(scope, 1, 20)
            self.assertTrue(scope.flush(20), scope.stats())
            self.steps(scope, 20, 21)
            self.assertTrue(scope.flush(10))
            self.ear.until(lambda r: f"table/{self.prefix}emb.weight" in r
                           and r[f"table/{self.prefix}emb.weight"]["step"] == 41)
            top = [(r["top_row"], r["top_label"]) for r in self.bands() if r["top"]]
            self.assertTrue(top)
            self.assertEqual(top, [(row, f"w{row}") for row, _ in top])

    def test_a_recording_holds_them(self):
        program, words = os.path.join(client_support.BUILD, "momentscope"), [f"w{i}" for i in range(ROWS)]
        tape, ingest = os.path.join(self.daemon.dir, "labels.tape"), f"ipc://{self.daemon.dir}/recorded"
        recorder = subprocess.Popen([program, "record", tape, "--ingest", ingest, "--forward", self.daemon.ingest],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        model = attach_support.Net()
        self.model, self.optimizer = model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with momentscope.attach(model, self.optimizer, ingest, prefix="recorded.", labels=words) as scope:
            self.steps(scope, 40)
            self.assertTrue(scope.flush(10), scope.stats())
        self.assertEqual(recorder.wait(20), 0)
        with client_support.Daemon("--interval", "0", "--interval-steps", "20") as other:
            ear = client_support.Listener(other)
            ear.pump(0.2)
            r = subprocess.run([program, "play", tape, "--ingest", other.ingest], stdout=subprocess.PIPE, timeout=30)
            self.assertIn(b"0 messages refused", r.stdout)
            ear.until(lambda latest: latest.get("table/recorded.emb.weight", {}).get("step") == 40)
            top = [(r["top_row"], r["top_label"]) for t, r in ear.latest.items()
                   if t.startswith("band/") and r["top"] and r["step"] == 40]
            ear.close()
        self.assertTrue(top)
        self.assertEqual(top, [(row, words[row]) for row, _ in top])

    def test_rows_by_momentum_gradient_and_update(self):
        for sparse in (False, True):
            for nesterov in (False, True):
                torch.manual_seed(1)
                model = attach_support.Net(sparse)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.8, nesterov=nesterov)
                attach_support.Case.names += 1
                with momentscope.attach(model, optimizer, self.daemon.ingest, prefix=f"w{attach_support.Case.names}.",
                                        labels=[f"w{i}" for i in range(ROWS)]) as scope:
                    self.model, self.optimizer = model, optimizer
                    self.steps(scope, 30)
                    self.optimizer.zero_grad()
                    before = model.emb.weight.detach().clone()
                    self.loss(self.batch(99)).backward()
                    optimizer.step()
                    scope.step()
                    grad = model.emb.weight.grad
                    grad = grad.to_dense() if grad.is_sparse else grad
                    buffer = optimizer.state[model.emb.weight]["momentum_buffer"]
                    buffer = buffer.to_dense() if buffer.is_sparse else buffer
                    for by, x in (("m", buffer), ("g", grad), ("u", model.emb.weight.detach() - before)):
                        size = x.norm(dim=1).numpy()
                        got = scope.rows(by=by, k=5)
                        want = np.argsort(-size)[:5]
                        self.assertEqual([r["row"] for r in got], want.tolist(), by)
                        np.testing.assert_allclose([r["value"] for r in got], size[want], rtol=1e-9)
                        self.assertEqual([r["label"] for r in got], [f"w{i}" for i in want])
                    bands = worst.band_of(scope.tables[0].seen)
                    band = int(bands.mode()[0])
                    got = scope.rows(band, k=ROWS)
                    self.assertEqual({r["row"] for r in got}, set((bands == band).nonzero().reshape(-1).tolist()))
                    self.assertTrue(all(2.0 ** -(band + 1) < r["p"] <= 2.0 ** -band for r in got))
                    for wrong in (dict(by="x"), dict(k=0), dict(band=32), dict(table="other")):
                        with self.assertRaises(ValueError):
                            scope.rows(**wrong)


if __name__ == "__main__":
    unittest.main()
