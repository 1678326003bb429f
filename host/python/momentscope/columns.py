"""Records as columns: for pandas, polars, Parquet, CSV, or TensorBoard after the run.

    momentscope watch --json > run.jsonl                  # beside the run; or watch --once --json now
    columns = momentscope.columns.read("run.jsonl")       # {"band": {"table": [...], "band": [...], "V": [...]}, ...}
    pandas.DataFrame(columns["band"]).to_parquet("bands.parquet")
    momentscope.columns.write_csv("run.jsonl", "run/")    # run/band.csv, run/table.csv, ...
    momentscope.columns.write_scalars("run.jsonl", SummaryWriter("runs/a"))

Field names, units and meanings are those of the records: include/mscope/metrics.def, with the verdict's beside a band.
No package is needed.
"""
import csv
import json
import os
from typing import Any, Dict, Iterable, Iterator, List, Union

Record = Dict[str, Any]
Source = Union[str, "os.PathLike[str]", Iterable[Union[str, Record]]]
Columns = Dict[str, List[Any]]

KEYS = "topic", "table", "band", "epoch", "seq", "step"      # first, where a kind has them


def records(source: Source) -> Iterator[Record]:
    """The records of a file of `momentscope watch --json`, or of lines, or of records already read.

    Raises ValueError with the number of the line that is no record.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, encoding="utf-8") as lines:
            yield from records(lines)
        return
    for number, line in enumerate(source, 1):
        if isinstance(line, str):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as e:
                raise ValueError(f"line {number}: not JSON: {e}") from None
        else:
            record = line
        if not isinstance(record, dict) or not isinstance(record.get("topic"), str):
            raise ValueError(f"line {number}: no record of momentscope watch --json: it has no topic")
        yield record


def read(source: Source) -> Dict[str, Columns]:
    """For each kind of record (band, table, stability, acf, daemon, alert) its fields as columns of one length.

    A field that a record does not have, or that is not known, is None. Lists (acf, bands of a table) stay lists.
    """
    kinds: Dict[str, List[Record]] = {}
    for record in records(source):
        kinds.setdefault(record["topic"].split("/")[0], []).append(record)
    out = {}
    for kind, rows in kinds.items():
        names = dict.fromkeys(k for k in KEYS if any(k in r for r in rows))
        for r in rows:
            names.update(dict.fromkeys(r))
        out[kind] = {name: [r.get(name) for r in rows] for name in names}
    return out


def write_csv(source: Source, folder: Union[str, "os.PathLike[str]"]) -> List[str]:
    """One file for each kind of record, folder/band.csv and so on; the paths. What is not known is an empty cell."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for kind, columns in read(source).items():
        path = os.path.join(folder, f"{kind}.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            to = csv.writer(file)
            to.writerow(columns)
            to.writerows(zip(*columns.values()))
        paths.append(path)
    return paths


def write_scalars(source: Source, writer: Any, prefix: str = "momentscope/") -> int:
    """Every number of every record by writer.add_scalar(tag, value, step), as a TensorBoard SummaryWriter has it.

    Tags are prefix + TABLE/FIELD, TABLE/bandNN/FIELD, TABLE/stability/FIELD, those of scope.metrics(); the step is the
    table's. Records of the daemon have no step and are left out. Returns how many scalars were written.
    """
    written = 0
    for record in records(source):
        kind = record["topic"].split("/")[0]
        if kind not in ("band", "table", "stability"):
            continue
        place = {"band": f"band{record.get('band') or 0:02}/", "stability": "stability/", "table": ""}[kind]
        for name, value in record.items():
            if name in KEYS or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            writer.add_scalar(f"{prefix}{record['table']}/{place}{name}", value, record["step"])
            written += 1
    return written
