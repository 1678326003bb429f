"""What the Python benches share: quartiles and JSON rows (see tests/speed/run), and how to say that they cannot run here."""
import json
import sys

import numpy as np


def cannot(why):
    """End the program as one that was skipped, not one that failed."""
    print(why, file=sys.stderr)
    sys.exit(77)


def _row(ratio, **members):
    q25, median, q75 = np.percentile(ratio, [25, 50, 75])
    row = {"ratio": float(median), "q25": float(q25), "q75": float(q75), "repeats": len(ratio), **members}
    print(json.dumps({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}), flush=True)


def versus(bench, row, unit, ours, peer, peer_name, ratio, target, better, checked, **extra):
    """ours, peer: repeats of the same moments, in unit; ratio: of each pair."""
    _row(ratio, bench=bench, row=row, ours=float(np.median(ours)), peer=float(np.median(peer)), unit=unit,
         peer_name=peer_name, target=target, better=better, checked=bool(checked), **extra)


def value(bench, row, unit, x, target, checked, **extra):
    """A figure without a peer: quartiles and target are in unit."""
    _row(x, bench=bench, row=row, ours=float(np.median(x)), peer=None, unit=unit, peer_name=None, target=target,
         better="lower", checked=bool(checked), **extra)
