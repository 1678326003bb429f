"""What momentum does to each band, counted by the optimizer itself: the daemon's numbers without a daemon.

Names, units and meaning are those of include/mscope/metrics.def, in the EMA form. The daemon knows more: curvature,
which takes its probe, and what it derives from it; growth and alerts; means over many windows.
"""
import ctypes
import math
from typing import Any, Dict, List, Optional

from . import _check, _core

BANDS = 32
Record = Dict[str, Any]


def _ratio(a: float, b: float) -> Optional[float]:
    return a / b if b > 0 else None


def _mean_se(total: float, squares: float, n: float) -> Optional[float]:
    """Standard error of a mean, from the sum, the sum of squares and the count."""
    if n < 2:
        return None
    mean = total / n
    return math.sqrt(max((squares / n - mean * mean) / (n - 1), 0.0))


class Counting:
    """The counts of an optimizer's tables since it was made. optimizer.telemetry() makes it.

    batch   samples in a step, for p = occurrences/sample; None: the entries of the gradient. It may be set anew before
            any step
    """

    def __init__(self, optimizer: Any, names: Dict[int, str], batch: Optional[int]) -> None:
        self._optimizer, self._names = optimizer, names
        self.batch = None if batch is None else _check.integer("batch", batch, 1, _check.U32, "samples in a step")

    def _tables(self) -> Any:
        for key, table in self._optimizer._tables.items():
            yield self._names.get(key, f"parameter {len(self._names)}"), table

    def tables(self) -> List[Record]:
        """One record for each parameter that runs on the core: step (since counting began), rows, d, silent
        (rows never active), batch, eta, eps, weight_decay, decoupled_decay, V, bands (those with rows)."""
        out = []
        for name, table in self._tables():
            bands, s = [self._read(table, b) for b in range(BANDS)], table.moves
            eta, scale = _ema(s)
            silent = self._read(table, _core.BAND_SILENT)
            total = sum(b.V for b in bands) + silent.V
            out.append({"table": name, "step": silent.step - table.began, "rows": table.rows, "d": table.dim,
                        "batch": s.batch, "eta": eta, "eps": s.eps, "weight_decay": s.weight_decay, "decoupled_decay": s.decoupled_decay,
                        "V": None if scale is None else total * scale * scale, "silent": silent.rows,
                        "bands": [b for b in range(BANDS) if bands[b].rows]})
        return out

    def bands(self, table: Optional[str] = None, reset: bool = True, fresh: bool = False) -> List[Record]:
        """One record for each band that has rows, of one table or of all.

        reset: begin the next window, over which g2, U and gm are means. fresh: visit all rows first (some 16 ns each),
        because rows that fell silent are otherwise counted by the rates of their last update."""
        out = []
        for name, own in self._tables():
            if table not in (None, name):
                continue
            if fresh:
                own._must(own.lib.mscope_table_resum(own.t))
            for number in range(BANDS):
                band = self._read(own, number)
                if band.rows:
                    out.append(_record(name, number, own, band))
            if reset:
                own.lib.mscope_table_window_reset(own.t)
        return out

    def metrics(self, prefix: str = "momentscope/") -> Dict[str, float]:
        """The same as a flat dict for a logger: prefix + TABLE/FIELD and TABLE/bandNN/FIELD; unknown values are left
        out."""
        out = {}
        for record in self.tables():
            out.update({f"{prefix}{record['table']}/{k}": v for k, v in record.items() if _is_number(v)})
        for record in self.bands():
            at = f"{prefix}{record['table']}/band{record['band']:02}"
            out.update({f"{at}/{k}": v for k, v in record.items() if k not in ("band", "d") and _is_number(v)})
        return out

    def close(self) -> None:
        """Count no longer. Cost: that of reading all rows."""
        self._optimizer._count(None)

    @staticmethod
    def _read(table: Any, band: int) -> Any:
        out = _core.Band()
        table._must(table.lib.mscope_table_band(table.t, band, ctypes.byref(out)))
        return out


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _ema(s: Any) -> Any:
    """(eta of the EMA form, m in EMA form over torch's buffer) of a step; None: there is none."""
    if s.eps == 0.0:
        return None, None
    c = 1.0 if s.eps == 1.0 else 1.0 - s.dampening
    return s.eta * c / s.eps, (s.eps / c if c > 0 else None)


def _record(name: str, number: int, table: Any, b: Any) -> Record:
    s, w, fade = table.moves, b.window, b.fade
    eta, scale = _ema(s)
    independent = (b.P + (1 - b.P) * s.eps) / s.eps if s.eps > 0 else None
    retention = _ratio(fade.gaps, fade.first) if fade.gaps > 0 else independent
    return {"table": name, "band": number, "step": b.step - table.began, "rows": b.rows, "updates": b.updates,
            "p": b.p, "P": b.P, "d": table.dim, "batch": s.batch, "eta": eta, "eps": s.eps,
            "V": None if scale is None else b.V * scale * scale,
            "g2": _ratio(w.s2, w.s2_occurrences), "g2_occurrences": w.s2_occurrences,
            "U": _ratio(w.u, w.u_updates), "U_se": _mean_se(w.u, w.u2, w.u_updates), "U_updates": w.u_updates,
            "gm": _ratio(w.gm, w.gm_updates), "gm_se": _mean_se(w.gm, w.gm2, w.gm_updates),
            "window_updates": w.gm_updates, "gaps": fade.gaps, "fade": _ratio(fade.first, fade.gaps),
            "fade2": _ratio(fade.second, fade.gaps), "retention": retention,
            "burst": None if retention is None or not independent else retention / independent,
            "idle_share": b.idle_share}
