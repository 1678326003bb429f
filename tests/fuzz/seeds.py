"""seeds.py NAME FOLDER - inputs to begin with: the golden messages, and a few lines for what reads lines."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "protocol", "golden")

LINES = {
    "predict": ['{"model":"ls","p":0.01,"batch":32,"eta":0.5,"eps":0.1,"H":1}', "{}", '{"what":"clocks","p":0.1}'],
    "advise": ['{"topic":"band/words/3","table":"words","band":3,"p":0.1,"P":0.9,"eta":1,"eps":0.1,"H1":0.1,"rows":3,'
               '"batch":32,"d":4,"updates":99,"V":1,"h_samples":20,"h_weight":20,"H2":0.02,"H1_se":0.01,"H2_se":0.01}'],
    "compare": ['{"workload":"gated_rows","rule":"sgd","eta":1,"eps":1,"seed":1,"final":0.1,"curve":[[1,1],[2,0.5]]}'],
}


def golden():
    """(name, bytes) of every golden message."""
    for name in sorted(os.listdir(GOLDEN)):
        with open(os.path.join(GOLDEN, name)) as f:
            text = "".join(line for line in f if not line.startswith("#"))
        yield name.removesuffix(".hex"), bytes.fromhex("".join(text.split()))


def seeds(name):
    if name == "messages":
        kinds = {"hello": 1, "welcome": 2, "direction": 3, "error": 4, "note": 5}
        return [bytes([kinds.get(k, 0)]) + b for k, b in golden() if not k.startswith("record")]
    if name == "records":
        kinds = ["band", "table", "acf", "stability", "daemon", "alert"]
        return [bytes([kinds.index(k[7:])]) + b for k, b in golden() if k.startswith("record_")]
    if name == "lines":
        return [bytes([i]) + "\n".join(lines).encode() + b"\n" for i, lines in enumerate(LINES.values())]
    if name == "options":
        return [b"--flag\0--count=7\0--size\x0012K\0--real\x000.5\0--text=a\0--texts\0b\0c\0", b"--help\0", b"--\0--x\0"]
    if name == "plan":
        return [b'{"table":"words","possible":true,"eta":2,"eps":0.1,"why":"a \\"b\\"","advised":"eta alone","stage":{'
                b'"look_again":9,"bands":[{"band":3,"eta":1,"eps":0.1},{"band":4,"eta":2,"eps":0.1}]}}']
    if name == "replay":
        return [b"\x01" + b"\x0cband/words/3" + b"\x08" + bytes(8)]
    if name == "tape":
        return [b"MSCPTAPE" + bytes([1]) + bytes(55)]
    return [bytes(range(256))]


if __name__ == "__main__":
    for i, seed in enumerate(seeds(sys.argv[1])):
        with open(os.path.join(sys.argv[2], f"{i:03}"), "wb") as f:
            f.write(seed)
