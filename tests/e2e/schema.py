"""metrics.def read without a C compiler; telemetry.cddl made from it, and records checked against the CDDL file.

    python3 tests/e2e/schema.py > protocol/telemetry.cddl     remakes the schema
"""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KINDS = ["band", "table", "acf", "stability", "daemon", "alert"]
CDDL_TYPE = {"u64": "uint", "f64": "real", "bool": "bool", "name": "name", "text": "line", "list": "reals"}
HEAD = """\
; telemetry.cddl - the decoded maps of every telemetry topic (RFC 8610; MessagePack shares CBOR's data model)
; Made from include/mscope/metrics.def: python3 tests/e2e/schema.py > protocol/telemetry.cddl

record = band / table / acf / daemon / alert

name = tstr .size (0..63)
line = tstr .size (0..191)
real = float64 / nil            ; nil: not known; the *_source field beside it says why
reals = [0*48 real]
"""


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def metrics():
    """[(record, name, type, unit, kind, help)] in wire order."""
    out, record = [], None
    for line in re.sub(r'"\n +"', "", read("include/mscope/metrics.def")).splitlines():
        m = re.match(r"#ifdef MSCOPE_(\w+)_METRICS", line)
        if m:
            record = m.group(1).lower()
        m = re.match(r'MSCOPE_METRIC\((\w+), (\w+), "(.*?)", "(.*?)", "(.*)"\)', line)
        if m:
            out.append((record, m.group(2), m.group(1), m.group(3), m.group(4), m.group(5)))
    return out


def cddl():
    text, rows = HEAD, metrics()
    for kind in KINDS:
        text += f"\n{kind} = {{\n"
        for _, name, typ, unit, _, help_ in (r for r in rows if r[0] == kind):
            text += f"  {name}: {CDDL_TYPE[typ]},".ljust(28) + f"; {help_}" + (f" [{unit}]" if unit else "") + "\n"
        text += "}\n"
    return text


def load():
    """{record: {field: type}} from the CDDL file itself."""
    text = re.sub(r";.*", "", read("protocol/telemetry.cddl"))
    return {k: dict(re.findall(r"(\w+): (\w+),", body)) for k, body in re.findall(r"(\w+) = \{(.*?)\}", text, re.S)}


CHECK = {
    "uint": lambda v: type(v) is int and 0 <= v < 2**64,
    "real": lambda v: v is None or type(v) is float,
    "bool": lambda v: type(v) is bool,
    "name": lambda v: type(v) is str and len(v.encode()) <= 63,
    "line": lambda v: type(v) is str and len(v.encode()) <= 191,
    "reals": lambda v: type(v) is list and len(v) <= 48 and all(x is None or type(x) is float for x in v),
}


def faults(schema, topic, record):
    """What is wrong with one decoded record, as a list of sentences."""
    rule = schema[topic.split("/")[0]]
    out = [f"{topic}: {k} missing" for k in rule if k not in record]
    out += [f"{topic}: {k} unknown" for k in record if k not in rule]
    out += [f"{topic}: {k} is {record[k]!r}, not {t}" for k, t in rule.items() if k in record and not CHECK[t](record[k])]
    return out


if __name__ == "__main__":
    print(cddl(), end="")
