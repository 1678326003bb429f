"""protocol/golden and telemetry.cddl against code that shares nothing with protocol/*.c."""
import os
import sys
import unittest

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import golden
import schema


class Golden(unittest.TestCase):
    def test_parts_are_what_struct_and_msgpack_make(self):
        names = set()
        for name, what, data in golden.examples():
            with open(os.path.join(golden.GOLDEN, name + ".hex"), encoding="utf-8") as f:
                self.assertEqual(f.read(), golden.text(what, data), name)
            names.add(name + ".hex")
        self.assertEqual(names, set(os.listdir(golden.GOLDEN)))

    def test_cddl_is_made_from_metrics_def(self):
        with open(os.path.join(schema.ROOT, "protocol/telemetry.cddl"), encoding="utf-8") as f:
            self.assertEqual(f.read(), schema.cddl())

    def test_golden_records_match_the_schema_and_broken_ones_do_not(self):
        rules = schema.load()
        for name, _, data in golden.examples():
            if not name.startswith("record_"):
                continue
            topic, record = name[7:], msgpack.unpackb(data)
            self.assertEqual(schema.faults(rules, topic, record), [])
            for key in record:
                for wrong in (-1, [], {}, "x" * 200, 2**64):
                    if wrong == [] and rules[topic][key] == "reals":
                        continue
                    bad = dict(record, **{key: wrong})
                    self.assertTrue(schema.faults(rules, topic, bad), f"{topic}.{key} = {wrong!r}")
                self.assertTrue(schema.faults(rules, topic, {k: v for k, v in record.items() if k != key}))


if __name__ == "__main__":
    unittest.main()
