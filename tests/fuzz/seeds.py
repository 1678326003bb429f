"""seeds.py NAME FOLDER - inputs to begin with: the golden messages, and a few lines for what reads lines."""
import binascii
import os
import struct
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "protocol", "golden")

BAND = ('{"topic":"band/words/3","seq":4,"table":"words","band":3,"step":99,"p":0.1,"P":0.9,"eta":1,"eps":0.1,'
        '"H1":0.1,"rows":3,"batch":32,"d":4,"updates":99,"V":1,"h_samples":20,"h_weight":20,"H2":0.02,"H1_se":0.01,'
        '"H2_se":0.01}')
TOPICS = ["band/words/3", "table/words", "acf/words/3", "stability/words", "daemon", "alert"]
RUN = ('{"key":"gated_rows sgd eta=1 eps=1 seed=%d","workload":"gated_rows","schedule":"sgd","semantics":"ema",'
       '"note":"","steps":99,"t":[1,2],"rates":{"eta":1,"eps":1},"params":{"batch":32,"d":4},"bands":[{"p":0.1,'
       '"rows":3,"start":1,"target":0.1,"steps_to_target":7,"risk":[1,0.5]}],"total":{"p":1,'
       '"rows":3,"start":1,"target":0.1,'
       '"end":0.5,"theory":0.4,"steps_to_target":null,"risk":[1,0.5]},"diverged":false}')
PREDICT = [
    '{"kind":"ls_matrix","in":{"p":0.1,"b":32,"d":4,"eta":0.5,"eps":0.1}}',
    '{"kind":"ls_stability","id":7,"in":{"p":0.1,"batch":32,"eta":0.5,"eps":0.1,"H":1}}',
    '{"kind":"ls_clocks","in":{"p":0.1,"batch":32,"eta":0.5,"eps":0.1,"H1":1,"H2":2}}',
    '{"kind":"ls_regimes","in":{"p":0.1}}', '{"kind":"ls_limit","op":"x","in":{}}', '{"kind":"lr_coeffs","in":{}}',
    '{"kind":"lr_ode","in":{}}', '{"kind":"lr_floors","in":{}}', "{}", "[1]",
]


def golden():
    """(name, bytes) of every golden message."""
    for name in sorted(os.listdir(GOLDEN)):
        with open(os.path.join(GOLDEN, name)) as f:
            text = "".join(line for line in f if not line.startswith("#"))
        yield name.removesuffix(".hex"), bytes.fromhex("".join(text.split()))


def message(kind, seq, step, count, extra, *parts, a=0.0, b=0.0, flags=0, types=(0, 0)):
    head = b"MSCP" + struct.pack("<BBHQQQddIIIBB", 1, kind, flags, 7, seq, step, a, b, 0, count, extra, *types)
    parts = [head + struct.pack("<H", binascii.crc_hqx(head, 0)), *parts]
    return b"".join([struct.pack("<I", len(p)) for p in parts] + parts), len(parts)


def tape():
    """A recording of 4 rows of 2 float32: all rows, then steps with counts and a schedule, probes between."""
    hello = (b"\x8d\xa5table\xa1t\xa6client\xa1c\xa4rows\x04\xa3dim\x02\xa8capacity\x04\xa4step\x00\xa5state\xa3f32"
             b"\xa4form\xa3ema\xa8nesterov\xc2\xa9reference\xa0\xa5fresh\xc2\xa3nll\xc2\xa8acf_rows\x00")
    rows, sums = struct.pack("<2I", 1, 2), struct.pack("<4f", 1, 2, 3, 4)
    body = [message(1, 1, 0, 0, 0, hello), message(5, 1, 0, 4, 0, bytes(32), bytes(32), types=(0, 1))]
    for k in range(1, 5):
        body.append(message(3, 2 * k, k, 2, 0, rows, sums, a=0.1, types=(4, 1)))
        body.append(message(2, 2 * k + 1, k, 2, 8, rows, sums, struct.pack("<2I", 1, 2), struct.pack("<3d", 0, 0, 0),
                            a=0.1, b=0.5, flags=3, types=(4, 1)))
    out = b"MSCPTAPE" + struct.pack("<HHIQQ", 1, 1, 0, 1, 1) + bytes(28)
    out += struct.pack("<I", zlib.crc32(out))
    for n, (data, parts) in enumerate(body + [(struct.pack("<2Q", len(body), 0), 0)], 1):
        head = struct.pack("<IBBHQQI", len(data), 1 if parts else 3, parts, 0, n, n, zlib.crc32(data))
        out += head + struct.pack("<I", zlib.crc32(head)) + data
    return out


def seeds(name):
    if name == "messages":
        kinds = {"hello": 1, "welcome": 2, "direction": 3, "error": 4, "note": 5}
        offer = b"MSHM" + bytes([1, 0, 0, 0]) + bytes([1] + 15 * [0]) + bytes([1] + 7 * [0]) + bytes([0, 16] + 6 * [0])
        return [bytes([kinds.get(k, 0)]) + b for k, b in golden() if not k.startswith("record")] + [
            b"\6\2the\0na\xc3\xafve\0", b"\7" + offer, b"\x08" + offer[:16], b"\x09\5" + bytes([1]) + bytes(7 + 16)]
    if name == "records":
        kinds = ["band", "table", "acf", "stability", "daemon", "alert"]
        return [bytes([kinds.index(k[7:])]) + b for k, b in golden() if k.startswith("record_")]
    if name == "recordlines":
        return [b"\0" + BAND.encode()] + [b"\0" + b'{"topic":"%s","table":"words","band":3,"step":9,"seq":1}'
                                          % t.encode() for t in TOPICS]
    if name == "results":
        return [b"\0" + b"\0".join((RUN % i).encode() for i in (1, 2, 2))]
    if name == "predict":
        return [line.encode() + b"\n" for line in PREDICT]
    if name == "options":
        return [b"--flag\0--count=7\0--size\x0012K\0--real\x000.5\0--text=a\0--texts\0b\0c\0", b"--help\0",
                b"--\0--x\0"]
    if name == "daemonoptions":
        return [b"\2MAX_TABLES=3\0KEYS=k\0--history=16\0--threads\x002\0--max-part=1M\0",
                b"\0--ingest\0tcp://127.0.0.1:7000\0--telemetry=ipc:///x/y\0--replay=ipc://@z\0--log-level=warn\0",
                b"\1MAP_ABOVE=1G\0--map-dir=d\0--interval=0.5\0--allow-remote\0--keys=d\0", b"\0--help\0",
                b"\0--help=data\0", b"\0--version\0"]
    if name == "plan":
        return [b'{"table":"words","possible":true,"eta":2,"eps":0.1,"why":"a \\"b\\"","advised":"eta alone","stage":{'
                b'"look_again":9,"bands":[{"band":3,"eta":1,"eps":0.1},{"band":4,"eta":2,"eps":0.1}]}}']
    if name == "replay":
        return [b"\x01" + b"\x0cband/words/3" + b"\x08" + bytes(8)]
    if name == "zap":
        return [b"\6\0031.0\1x\0\0\0\5CURVE\x20" + b"\7" * 32, b"\6\0031.0\1x\0\0\0\5CURVE\x20" + b"\6" * 32]
    if name == "zmtp":
        greeting = b"\xff" + bytes(8) + b"\x7f\3\0" + b"NULL".ljust(20, b"\0") + bytes(32)
        curve = greeting.replace(b"NULL\0", b"CURVE")
        frames = b"\4\x19\5READY\x0bSocket-Type\0\0\0\3SUB" + b"\0\5\1band" + b"\2" + bytes(7) + b"\3abc"
        return [b"\2\xff" + g + frames for g in (greeting, curve)]
    if name == "keys":
        return [b"# peers\n\n" + b"07" * 32 + b" gpu7\n" + b"a1" * 32 + b" daemon", b"07" * 32 + b" a b\n"]
    if name == "requests":
        return [b"localhost:7411\0/api/table\0table=words\0after=-1e3\0limit=7\0", b"[::1]:80\0/\0since=4\0alarms=1\0",
                b"127.0.0.1\0/page.js\0from=1.5\0source=a\0", b"GPU7.example\0/page.css\0"]
    if name == "tape":
        return [tape()]
    if name == "answers":            # connected, both tables welcomed, steps, one acknowledged, one refused; cut, and again
        up = b"\x06\x0b\0" + b"\0\x0e\x80\0" + b"\x10\x0e\x80\0" + b"\x0b\0"
        steps = b"\x0d\3\1\2\3" + b"\x1d\2\1\2" + b"\1\3\x80" + b"\3\0\x80\1" + b"\x08\x0d\0\x0b\1"
        return [up + steps, up + steps + b"\5\2\x07\xff\0" + up + steps]
    if name == "listener":           # records in order, with a hole that replay fills, and one that it does not
        return [b"\0" + b"\0\1\0\2\0\4" + b"\5\3\x0d" + b"\0\7\x0d\0\x08" + b"\x40\1\x40\2",
                b"\1" + b"\x10\4\x15\1\x15\2\x1d" + b"\x10\x09\x1c\x0b\x40\0\x1d"]
    return [bytes(range(256))]


if __name__ == "__main__":
    for i, seed in enumerate(seeds(sys.argv[1])):
        with open(os.path.join(sys.argv[2], f"{i:03}"), "wb") as f:
            f.write(seed)
