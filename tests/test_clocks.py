"""Retention of real text read in document order, against the gaps of that text counted by numpy.

Words come in bursts, so momentum is retained longer than for rows that are active independently. The daemon's gaps
count for half after max(4096, 32/eps) steps; here each gap is weighed like that from the text itself. Rows change bands
as documents change, so the sums over all bands are compared.
"""
import glob
import re
import unittest

import client_support
import numpy as np
import momentscope
from momentscope import _lib

WORDS, BATCH, EPS, STEPS = 2000, 16, 0.05, 6000
HALF = max(4096, 32 / EPS)


def text():
    """The words of the licences of a Debian system, in order, as numbers by frequency."""
    words = []
    for path in sorted(glob.glob("/usr/share/common-licenses/*")) + sorted(glob.glob("/usr/share/doc/*/copyright")):
        with open(path, encoding="utf-8", errors="replace") as f:
            words += re.findall(r"[a-z]+", f.read().lower())
        if len(words) > BATCH * STEPS:
            break
    names, counts = np.unique(words, return_counts=True)
    rank = {name: i for i, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return np.array([min(rank[w], WORDS - 1) for w in words[:BATCH * STEPS]])


class DocumentOrder(unittest.TestCase):
    def test_retention_is_that_of_the_gaps(self):
        words = text()
        if len(words) < BATCH * STEPS:
            self.skipTest(f"only {len(words)} words of text on this system")
        batches = words.reshape(STEPS, BATCH)
        with client_support.Daemon("--interval", "0") as daemon:
            ear = client_support.Listener(daemon)
            client = momentscope.Client(daemon.ingest, block_ms=5000)
            handle = client.attach("text", WORDS, 1, BATCH, form=_lib.FORM_EMA, fresh=True,
                                   read=lambda *_: -1)
            step = _lib.Step(eta=0.1, eps=EPS, batch=BATCH)
            grads = np.ones(BATCH, np.float32)
            for rows in batches.astype(np.int64):
                rows = np.ascontiguousarray(rows)
                client.push(handle, _lib.C.byref(step), rows.ctypes.data, grads.ctypes.data, _lib.F32, BATCH)
            self.assertTrue(client.flush(20))
            client.close()
            ear.until(lambda r: r.get("table/text", {}).get("attached") is False)
            bands = [r for t, r in ear.latest.items() if t.startswith("band/text/") and r["gaps"] > 0]
            ear.close()
        gaps = sum(r["gaps"] for r in bands)
        got = gaps / sum(r["gaps"] * r["fade"] for r in bands), gaps / sum(r["gaps"] * r["fade2"] for r in bands)
        want, weight = self.of_the_text(batches)
        print(f"note {gaps:.0f} gaps ({weight:.0f} in the text), retention {got[0]:.4f} ({want[0]:.4f}), "
              f"1/fade2 {got[1]:.4f} ({want[1]:.4f}); burst of bands",
              *(f"{r['burst']:.2f}" for r in sorted(bands, key=lambda r: r["band"]) if r["gaps"] > 1000 and r["rows"]))
        self.assertLess(abs(gaps / weight - 1), 0.15)            # first gaps of rows that appear late are let go
        self.assertLess(abs(got[0] / want[0] - 1), 0.05)
        self.assertLess(abs(got[1] / want[1] - 1), 0.05)
        self.assertGreater(max(r["burst"] for r in bands if r["rows"]), 1.2)

    def of_the_text(self, batches):
        """1/E(1 - beta^K) and 1/E(1 - beta^K)^2 over all gaps K of all words, and their weight."""
        when = {}
        for i, rows in enumerate(batches):
            for row in set(rows.tolist()):
                when.setdefault(row, []).append(i + 1)
        total = np.zeros(3)
        for steps in when.values():
            gaps, ends = np.diff(steps), np.array(steps[1:])
            weight, lost = 0.5 ** ((STEPS - ends) / HALF), 1 - (1 - EPS) ** gaps
            total += [weight.sum(), (weight * lost).sum(), (weight * lost * lost).sum()]
        return (total[0] / total[1], total[0] / total[2]), total[0]


if __name__ == "__main__":
    unittest.main()
