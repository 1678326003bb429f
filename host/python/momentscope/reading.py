"""What the daemon says of this run's tables, as `momentscope watch --json` judges it, for whoever logs beside training.

The program runs as a child, because judging needs libraries that a trainer should not have to load. A thread reads its
lines and keeps the latest complete set of each table, so that asking costs a copy of a dict.
"""
import collections
import json
import math
import os
import subprocess
import threading

from . import _lib
from ._client import default_endpoint

BAND = ("rows", "p", "P", "R", "V", "U", "gm", "H1", "retention", "learning", "delta", "H", "zeta", "confidence",
        "growth", "v", "v_age", "u", "regime")
TABLE = ("step", "eta", "eps", "batch", "R", "V", "silent", "climb", "exact", "lost_steps")
STABILITY = ("H", "H_se", "eta_max", "noise_part", "probes", "confidence", "standing")
LABELS = ("table", "topic", "epoch", "seq", "band", "kernel", "state", "form", "optimizer", "version")
ALERTS_KEPT = 1000                           # that nobody has asked for yet
BAD = ("near-instability", "unstable")


def telemetry_of(endpoint):
    """(telemetry, replay) of the daemon with this ingest endpoint, or None: they lie beside ipc://.../ingest*."""
    if endpoint is None:
        return default_endpoint("telemetry"), default_endpoint("replay")
    folder, _, name = endpoint.rpartition("/")
    if not endpoint.startswith("ipc://") or not name.startswith("ingest"):
        return None
    return tuple(f"{folder}/{other}{name[len('ingest'):]}" for other in ("telemetry", "replay"))


def _is_value(x):
    return isinstance(x, (bool, str)) or isinstance(x, (int, float)) and math.isfinite(x)


def flat(table, bands, stability, full=False):
    """One set as {"TABLE/band03/V": value}; what is not known is left out."""
    out, name = {}, table["table"]

    def put(where, record, fields):
        for field in fields if not full else (f for f in record if f not in LABELS):
            if _is_value(record.get(field)):
                out[f"{where}/{field}"] = record[field]

    put(name, table, TABLE)
    for number, band in sorted(bands.items()):
        put(f"{name}/band{number:02}", band, BAND)
    if stability is not None:
        put(f"{name}/stability", stability, STABILITY)
    return out


class Reading:
    """One child and the thread that reads it. tables: names of those that matter; telemetry, replay: addresses."""

    def __init__(self, tables, telemetry, replay):
        self.tables = set(tables)
        self.sets, self.count = {}, 0        # latest complete set of each table; how many have come
        self.alerts = collections.deque(maxlen=ALERTS_KEPT)
        self._bands, self._stability, self._regimes = {}, {}, {}
        self._new = threading.Condition()
        command = [_lib.program("momentscope"), "watch", "--json", "--telemetry", telemetry, "--replay", replay]
        # a session of its own: Ctrl-C is the trainer's
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, start_new_session=True)
        self._thread = threading.Thread(target=self._read, name="momentscope-reading", daemon=True)
        self._thread.start()

    def _read(self):
        with self.child.stdout as lines:
            for line in lines:
                try:
                    self._take(json.loads(line))
                except (ValueError, KeyError, TypeError):    # cut short at the end
                    continue

    def _take(self, record):
        kind, name = record["topic"].split("/")[0], record.get("table")
        if name not in self.tables and not (kind == "alert" and not name):
            return
        if kind == "band":
            self._bands.setdefault(name, {})[record["band"]] = record
            self._note_regime(record)
        elif kind == "stability":
            self._stability[name] = record
        elif kind == "alert":
            self.alerts.append({k: record[k] for k in ("table", "step", "code", "text")})
        elif kind == "table":                # the last record of a set
            bands = {b: r for b, r in self._bands.get(name, {}).items()
                     if b in record["bands"] and r["epoch"] == record["epoch"]}
            with self._new:
                self.sets[name] = record, bands, self._stability.get(record["stability"])
                self.count += 1
                self._new.notify_all()

    def _note_regime(self, record):
        key, now = (record["table"], record["band"]), record["regime"]
        before, self._regimes[key] = self._regimes.get(key, "unknown"), now
        if now != before and now in BAD:
            self.alerts.append({"table": record["table"], "step": record["step"], "code": now,
                                "text": f"band {record['band']}: {before} -> {now}: {record['why']}"})

    def wait(self, seconds):
        """Until the next complete set."""
        with self._new:
            before = self.count
            self._new.wait_for(lambda: self.count != before, seconds)

    def close(self):
        self.child.terminate()
        self.child.wait()
        self._thread.join(1)


class Reader:
    """What Scope asks. Nothing runs before the first question.

    endpoint, telemetry: addresses as given to Scope, or None
    """

    def __init__(self, tables, endpoint, telemetry):
        self.tables, self.endpoint, self.telemetry = tables, endpoint, telemetry
        self._reading = self._pid = None
        self._listeners, self._flat = [], {}                 # (set, full) of a table -> flat

    def where(self):
        """(telemetry, replay), as options of the program take them."""
        where = (self.telemetry, "") if self.telemetry else telemetry_of(self.endpoint)
        if where is None:
            raise ValueError(f"momentscope: endpoint = {self.endpoint!r} does not tell where its daemon publishes: "
                             "give attach(telemetry=...), the address of momentscoped --telemetry")
        return where

    def start(self):
        if self._reading is None:
            self._pid, self._reading = os.getpid(), Reading(self.tables, *self.where())

    def metrics(self, prefix, words, full, wait):
        if not self.tables:
            return {}
        self.start()
        if wait:
            self._reading.wait(wait)
        out = {}
        for name, records in list(self._reading.sets.items()):
            for key, value in self._of(name, records, full).items():
                if words or not isinstance(value, str):
                    out[prefix + key] = value
        return out

    def _of(self, name, records, full):
        """flat() of a set is made once, however often it is asked for."""
        kept = self._flat.get((name, full))
        if kept is None or kept[0] is not records:
            kept = self._flat[name, full] = records, flat(*records, full)
        return kept[1]

    def on_alert(self, listener):
        if self.tables:
            self.start()
        self._listeners.append(listener)

    def deliver(self):
        """Give alerts to the listeners, on the thread that calls."""
        if not self._listeners or self._pid != os.getpid():
            return
        alerts = self._reading.alerts
        while alerts:
            alert = alerts.popleft()
            for listener in self._listeners:
                listener(dict(alert))

    def close(self):
        if self._reading is not None and self._pid == os.getpid():   # a forked process has no such thread and child
            self._reading.close()
