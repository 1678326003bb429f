#!/usr/bin/env python3
"""Random requests against a running serve, many to a connection.  usage: fuzz.py PORT [REQUESTS [SEED]]

Ends with the number sent and of answers by status; the server must go on to answer. Run it on a build with sanitizers:
    make BUILD=build/asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" build/asan/momentscope
    build/asan/momentscope serve --port 7411 & tests/web/fuzz.py 7411 1000000"""
import collections, random, re, socket, sys, time

GOOD = [b"/", b"/page.js", b"/api/state", b"/api/table", b"/api/table?table=words&after=5", b"/api/alerts?since=3&limit=9", b"/api/rows",
        b"/api/counsel?table=words", b"/api/verdicts", b"/api/stability", b"/api/bands?table=x", b"/healthz", b"/nothing", b"/licences.txt"]
HEADERS = [b"Accept: */*", b"Connection: keep-alive", b"Range: bytes=0-5", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: -1",
           b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Cookie: a=b", b"X: " + b"y" * 900, b"Host: evil", b": ", b"\x00: \xff", b"A"]
NUMBERS = [b"0", b"-1", b"1e308", b"nan", b"inf", b"99999999999999999999", b"0x10", b"", b"%00", b"1;2", b"\xff"]


LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def fair(rng):
    return b"GET " + rng.choice(GOOD) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def request(rng):
    path = rng.choice(GOOD)
    if rng.random() < 0.3:
        path += b"?" + rng.choice([b"after", b"since", b"limit", b"table", b"source", b"from", b"alarms", b"x"]) + b"=" + rng.choice(NUMBERS)
    if rng.random() < 0.2:
        at = rng.randrange(len(path) + 1)
        path = path[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6))) + path[at:]
    if rng.random() < 0.01:
        path += b"a" * rng.randrange(20000)
    lines = [rng.choice([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"OPTIONS", b"G\x00T"]) + b" " + path + b" HTTP/1." + rng.choice(b"11100x2").to_bytes(1, "big")]
    lines.append(b"Host: " + rng.choice([b"localhost", b"localhost", b"127.0.0.1:99", b"[::1]", b"[::1", b"a.b", b"", b"localhost:99999999"]))
    lines += [rng.choice(HEADERS) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    out = rng.choice([b"\r\n", b"\r\n", b"\r\n", b"\n"]).join(lines) + b"\r\n\r\n"
    if rng.random() < 0.03:
        out = out[:rng.randrange(len(out))] + bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    return out


def exchange(port, batch):
    """Send a batch, read until the other side closes or is quiet; the statuses."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as c:
        try:
            c.sendall(b"".join(batch) + LAST)
            while part := c.recv(1 << 18):
                got += part
        except OSError:
            pass
    return re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)


def main():
    port, many, seed = (int(x) for x in (sys.argv[1:] + ["10000", "14"][len(sys.argv) - 2:]))
    rng, sent, statuses, begin = random.Random(seed), 0, collections.Counter(), time.monotonic()
    while sent < many:
        batch = [fair(rng) for _ in range(rng.choice([0, 0, 1, 5]))] + [request(rng) for _ in range(rng.randrange(1, 3))]
        statuses.update(s.decode() for s in exchange(port, batch))
        sent += len(batch)
    last = exchange(port, [b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    print(f"{sent} requests in {time.monotonic() - begin:.0f} s, answers {dict(sorted(statuses.items()))}, at the end {last}")
    return 0 if last[:1] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
