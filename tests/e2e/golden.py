"""The golden examples, made with struct and msgpack alone: python3 tests/e2e/golden.py remakes protocol/golden."""
import os
import struct

import msgpack

import schema

GOLDEN = os.path.join(schema.ROOT, "protocol/golden")


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def header(kind, flags=0, session=0x1122334455667788, seq=1, step=0, a=0.0, b=0.0, table=3, count=0, extra=0,
           index_type=0, value_type=0, magic=b"MSCP", version=1):
    head = struct.pack("<4sBBHQQQddIIIBB", magic, version, kind, flags, session, seq, step, a, b, table, count, extra,
                       index_type, value_type)
    return head + struct.pack("<H", crc16(head))


HELLO = {"table": "embed.weight", "client": "trainer 42", "rows": 4096, "dim": 32, "capacity": 512, "step": 0,
         "state": "mixed", "form": "torch", "nesterov": True, "reference": "zero", "fresh": True, "nll": False,
         "acf_rows": 8, "optimizer": "", "width": 0, "narrow": True}
WELCOME = {"epoch": 2**63 + 5, "next_seq": 7, "step": 300, "exact": True, "credit_messages": 64,
           "credit_bytes": 67108864, "shm": True}
ERROR = {"code": -1, "field": "b (eps)", "value": "1.5", "range": "0..1", "text": "out of range"}


DIRECTION = {"along": "tangent", "spans": "all", "values": 4096, "curvature": 0.5, "product": 0.25, "noise": 0.125,
             "outside_curvature": -0.0625, "outside_noise": 0.03125, "top_table": 3, "top_row": 17, "top_share": 0.75}


def record(kind):
    """Every field of a kind, its value a function of its position: uints 1000 i, floats i + 1/8, every fifth nil."""
    out = {}
    for i, (_, name, typ, *_rest) in enumerate(m for m in schema.metrics() if m[0] == kind):
        out[name] = {"u64": 1000 * i, "f64": None if i % 5 == 4 else i + 0.125, "bool": i % 2 == 0,
                     "name": f"name-{i}", "text": f"text {i}: caf\u00e9", "list": [0.5, None, -3.0]}[typ]
    if "band" in out:
        out["band"] = 5
    return out


def examples():
    yield "header_step", "STEP: COUNTS and SCHEDULE, eta 0.1, eps 0.01, batch 17, 2 u64 indices, bfloat16", header(
        2, 3, seq=9, step=41, a=0.1, b=0.01, count=2, extra=17, index_type=8, value_type=3)
    yield "header_probe", "PROBE: delta 0.001, 5 u32 indices, float32", header(
        3, seq=10, step=42, a=0.001, count=5, index_type=4, value_type=1)
    yield "header_sync", "SYNC: LAST, rows 4000..4095, float64", header(
        5, 4, seq=11, step=42, count=96, extra=4000, value_type=4)
    yield "header_ack", "ACK: INEXACT, credit 64", header(65, 8, seq=11, count=64)
    yield "header_direction", "DIRECTION: 3 u32 rows, float32", header(
        8, seq=12, step=42, count=3, index_type=4, value_type=1)
    yield "direction", "DIRECTION map", msgpack.packb(DIRECTION)
    yield "note", "NOTE body", msgpack.packb({"text": "lr 0.5, times 2: caf\u00e9"})
    yield "hello", "HELLO body", msgpack.packb(HELLO)
    yield "welcome", "WELCOME body", msgpack.packb(WELCOME)
    yield "error", "ERROR body", msgpack.packb(ERROR)
    for kind in schema.KINDS:
        yield f"record_{kind}", f"{kind} record", msgpack.packb(record(kind))


def text(what, data):
    lines = [data[i:i + 32].hex() for i in range(0, len(data), 32)]
    return f"# {what}, {len(data)} bytes. Remake: python3 tests/e2e/golden.py\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name, what, data in examples():
        with open(os.path.join(GOLDEN, name + ".hex"), "w", encoding="utf-8") as f:
            f.write(text(what, data))
