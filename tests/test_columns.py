"""momentscope.columns: records of a real run as columns, CSV files and TensorBoard scalars."""
import csv
import json
import os
import subprocess
import tempfile
import unittest

import client_support
from momentscope import Client, _lib, columns
from test_watch import pack


class Writer:
    """What add_scalar of a SummaryWriter is given."""

    def __init__(self):
        self.scalars = []

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.scalars.append((tag, scalar_value, global_step))


class OfARun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        daemon = client_support.Daemon().start()
        client = Client(daemon.ingest, name="test_columns")
        table = client.attach("words", 16, 2, 64, form=_lib.FORM_EMA, fresh=True)
        for i in range(100):
            rows = [0] + [r for r in range(1, 5) if i % (1 << r) == 0]
            raw_rows, at_rows = pack("q", rows)
            raw, at = pack("f", [0.5] * (2 * len(rows)))
            client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at_rows, at, _lib.F32, len(rows))
        assert client.flush(10)
        cls.text = subprocess.run(
            [os.path.join(client_support.BUILD, "momentscope"), "watch", "--once", "--json", "--telemetry",
             daemon.telemetry, "--replay", daemon.replay], capture_output=True, text=True, timeout=30, check=True).stdout
        cls.records = [json.loads(line) for line in cls.text.splitlines()]
        client.close()
        daemon.stop()

    def of(self, kind):
        return [r for r in self.records if r["topic"].split("/")[0] == kind]

    def test_columns_have_one_length_and_every_value(self):
        found = columns.read(self.text.splitlines())
        self.assertEqual(found, columns.read(self.records))
        self.assertLessEqual({"band", "table", "daemon"}, set(found))
        for kind, fields in found.items():
            rows = self.of(kind)
            self.assertEqual({len(c) for c in fields.values()}, {len(rows)})
            for name, column in fields.items():
                self.assertEqual(column, [r.get(name) for r in rows])
        self.assertEqual(list(found["band"])[:3], ["topic", "table", "band"])
        self.assertTrue(all(v is None for v in found["band"]["R"]))      # no reference: not known, not 0

    def test_csv_reads_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/run.jsonl"
            with open(path, "w") as f:
                f.write(self.text)
            self.assertIn(f"{folder}/out/band.csv", columns.write_csv(path, f"{folder}/out"))
            with open(f"{folder}/out/band.csv", newline="") as f:
                rows = list(csv.DictReader(f))
        self.assertEqual([float(r["V"]) for r in rows], [r["V"] for r in self.of("band")])
        self.assertEqual({r["R"] for r in rows}, {""})

    def test_scalars_carry_the_step_and_no_unknown(self):
        writer = Writer()
        self.assertEqual(columns.write_scalars(self.records, writer, prefix="m/"), len(writer.scalars))
        got = {tag: (value, step) for tag, value, step in writer.scalars}
        for r in self.of("band"):
            self.assertEqual(got[f"m/words/band{r['band']:02}/V"], (r["V"], 100))
            self.assertNotIn(f"m/words/band{r['band']:02}/R", got)
        self.assertEqual(got["m/words/V"], (self.of("table")[0]["V"], 100))

    def test_what_is_no_record_is_named(self):
        for bad, said in ((["{"], "line 1: not JSON"), (["", '{"a": 1}'], "line 2: no record"), (["[1]"], "line 1: no record"),
                          ([{"topic": 3}], "line 1: no record")):
            with self.assertRaisesRegex(ValueError, said):
                columns.read(bad)


if __name__ == "__main__":
    unittest.main()
