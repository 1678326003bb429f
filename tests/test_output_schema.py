"""What check and advise print for programs keeps host/cli/output.schema.json; host/for-programs.md says the truth."""
import json
import os
import re
import subprocess
import unittest

import client_support
import jsonschema
from momentscope import Client, _lib
from test_watch import pack


class Output(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(client_support.ROOT, "host/cli/output.schema.json")) as f:
            schema = json.load(f)
        jsonschema.Draft7Validator.check_schema(schema)
        cls.validator = jsonschema.Draft7Validator(schema)
        cls.daemon = client_support.Daemon().start()
        subprocess.run([os.path.join(client_support.BUILD, "demo_trainer"), "--steps", "1500", "--quiet", "--endpoint",
                        cls.daemon.ingest], check=True, timeout=120, capture_output=True)
        cls.client = Client(cls.daemon.ingest, name="test_output_schema")
        table = cls.client.attach("blind", 16, 2, 64, form=_lib.FORM_EMA, fresh=True)     # without curvature: no advice
        for i in range(64):
            raw_rows, at_rows = pack("q", [0, 1 + i % 15])
            raw, at = pack("f", [0.5] * 4)
            cls.client.push(table, _lib.Step(0.1, 0.1, 0, 0, 0, 4), at_rows, at, _lib.F32, 2)
        assert cls.client.flush(10)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    def run_command(self, *command):
        return subprocess.run([os.path.join(client_support.BUILD, "momentscope"), *command, "--telemetry",
                               self.daemon.telemetry, "--replay", self.daemon.replay], capture_output=True, text=True,
                              timeout=60)

    def objects(self, *command):
        r = self.run_command(*command)
        found = [json.loads(line) for line in r.stdout.splitlines()]
        for one in found:
            errors = [f"{list(e.path)}: {e.message}" for e in self.validator.iter_errors(one)]
            self.assertEqual(errors, [], one)
        return r.returncode, found

    def test_check_keeps_the_schema(self):
        code, found = self.objects("check", "--json")
        self.assertEqual(found[-1]["exit"], code)
        kinds = {next(k for k in ("worst", "stability", "bounds", "regime") if k in one) for one in found}
        self.assertEqual(kinds, {"worst", "stability", "bounds", "regime"})

    def test_advise_keeps_the_schema(self):
        code, found = self.objects("advise", "--json")
        self.assertEqual(code, 1)                # of one table nothing can be said
        self.assertEqual({one["possible"] for one in found}, {True, False})

    def test_the_schema_can_fail(self):
        good = self.objects("check", "--json")[1][0]
        for change in ({"H": "1"}, {"regime": "fine"}, {"new": 1}):
            self.assertFalse(self.validator.is_valid({**good, **change}))
        self.assertFalse(self.validator.is_valid({k: v for k, v in good.items() if k != "why"}))

    def test_the_page_names_the_exit_codes_of_the_commands(self):
        with open(os.path.join(client_support.ROOT, "host/for-programs.md")) as f:
            page = f.read()
        for command in re.findall(r"^\| `momentscope ([a-z]+)[^`]*` \|.*\| ([^|]+) \|$", page, re.M):
            name, codes = command
            told = set(re.findall(r"(?:^|[;,] |^)(\d)\b", codes))
            text = subprocess.run([os.path.join(client_support.BUILD, "momentscope"), name, "--help"],
                                  capture_output=True, text=True, timeout=20).stdout
            real = set(re.findall(r"^  (\d) ", text.split("exit codes:")[1], re.M))
            self.assertEqual(told, real, name)
        for option in set(re.findall(r"(?<!-)--[a-z][a-z-]*", page)):
            self.assertTrue(any(option in subprocess.run(
                [os.path.join(client_support.BUILD, "momentscope"), name, "--help"], capture_output=True, text=True,
                timeout=20).stdout for name in ("check", "advise", "watch", "export", "alerts")), option)


if __name__ == "__main__":
    unittest.main()
