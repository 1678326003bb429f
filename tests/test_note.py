#!/usr/bin/env python3
"""NOTE: a trainer's words become an alert of the daemon, bad ones are refused in words, and a flood is cut."""
import unittest

import msgpack

from daemon_support import EINVAL, EPROTO, ESTATE, Case, raw

EAGAIN = -11


class Note(Case):
    def start(self):
        d = self.daemon("--interval", "3600", "--interval-steps", "2")
        sub, t = self.subscriber(d), self.trainer(d)
        sub.until(lambda topic, r: topic == "daemon")
        t.hello("a", 8, 2)
        t.step(1, [1], [[1.0, 2.0]])
        t.acked()
        return sub, t

    def say(self, t, text, **fields):
        t.send(raw.NOTE, msgpack.packb({"text": text}), step=1, **fields)

    def test_it_becomes_an_alert(self):
        sub, t = self.start()
        for text in ("lr 0.5, times 2: H is 0.1", "caf\u00e9", "x" * 191, "100 %s %n"):
            self.say(t, text)
            t.acked()
            r = sub.until(lambda topic, r: topic == "alert" and r["code"] == "note" and r["text"] == text)
            self.assertEqual((r["table"], r["step"]), ("a", 1))

    def test_bad_ones_are_refused_in_words(self):
        _, t = self.start()
        good = msgpack.packb({"text": "x"})
        for field, code, parts, over in (
                ("text", EINVAL, [msgpack.packb({"text": ""})], {}),
                ("text", EINVAL, [msgpack.packb({"text": "a\nb"})], {}),
                ("text", EINVAL, [msgpack.packb({"text": "x" * 192})], {}),
                ("text", EPROTO, [msgpack.packb({"text": 7})], {}),
                ("text", EPROTO, [msgpack.packb({})], {}),
                ("body", EPROTO, [b"\xc1"], {}), ("parts", EPROTO, [], {}), ("parts", EPROTO, [good, b""], {}),
                ("count", EINVAL, [good], dict(count=1)), ("flags", EINVAL, [good], dict(flags=1)),
                ("extra", EINVAL, [good], dict(extra=1)), ("a", EINVAL, [good], dict(a=1.0)),
                ("step", EINVAL, [good], dict(step=2**53)), ("table (handle)", ESTATE, [good], dict(table=5))):
            t.send(raw.NOTE, *parts, **over)
            said = t.error()
            self.assertEqual((said["code"], said["field"]), (code, field), (parts, over, said))
        t.step(2, [1], [[1.0, 2.0]])
        t.acked()

    def test_a_table_has_64_between_two_publications(self):
        sub, t = self.start()
        for k in range(64):
            self.say(t, f"{k}")
        t.acked()
        self.say(t, "one too many")
        said = t.error()
        self.assertEqual((said["code"], said["field"], said["value"]), (EAGAIN, "notes", "65"))
        for step in (2, 3, 4):
            t.step(step, [1], [[1.0, 2.0]])
        t.acked()
        sub.until(lambda topic, r: topic == "table/a" and r["step"] >= 2)
        self.say(t, "again")
        t.acked()
        sub.until(lambda topic, r: topic == "alert" and r["text"] == "again")


if __name__ == "__main__":
    unittest.main()
