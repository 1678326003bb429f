"""The house holds: includes follow the Makefile's table of rooms, and no files call one another in a circle."""
import collections, glob, os, re, subprocess, sys, tempfile, unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
ROOTS = ("include", "firmware", "host", ".")         # where "room/file.h" may begin
WITHIN = {                                           # who may include whom between the folders of one room
    "host/bench/run": {"host/bench"},
    "host/bench/workloads": {"host/bench"},
    "host/bench/report": {"host/bench", "host/bench/run"},
    "host/bench/claims": {"host/bench", "host/bench/run", "host/bench/workloads"},
}


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


def rooms():
    """{room: rooms it may use}, as the Makefile says it."""
    text = read("Makefile").replace("\\\n", " ")
    names = re.search(r"^ROOMS\s*=(.*)$", text, re.M).group(1).split()
    uses = {r: set(u.split()) for r, u in re.findall(r"^USES_(\S+)\s*=(.*)$", text, re.M)}
    return {r: uses[r] for r in names if r != "tests"}


def sources():
    for pattern in ("firmware", "host", "protocol"):
        for path in glob.glob(f"{ROOT}/{pattern}/**/*.[chi]*", recursive=True):
            if path.endswith((".c", ".h", ".inc")):
                yield os.path.relpath(path, ROOT)


def room_of(path, table):
    return next((r for r in table if path.startswith(r + "/")), None)


def included(path):
    for name in re.findall(r'^\s*#\s*include "([^"]+)"', read(path), re.M):
        tries = [os.path.join(os.path.dirname(path), name)] + [os.path.join(d, name) for d in ROOTS]
        at = next((t for t in tries if os.path.exists(os.path.join(ROOT, t))), None)
        yield name, os.path.normpath(at) if at else None


def breaches(table):
    for path in sources():
        room = room_of(path, table)
        for name, at in included(path):
            if at is None:
                yield f"{path}: no file for \"{name}\""
                continue
            to = room_of(at, table)
            if to not in (None, room) and to not in table[room]:
                yield f"{path} includes {at}: {room} may not use {to}"
            here, there = os.path.dirname(path), os.path.dirname(at)
            if to == room and here in WITHIN and there != here and there not in WITHIN[here]:
                yield f"{path} includes {at}: {here} may not use {there}"


def calls(table):
    """{unit: units whose functions or data it uses}, by the symbols of the object files."""
    defined, used = {}, collections.defaultdict(set)
    objects = f"{BUILD}/obj"
    for o in glob.glob(f"{objects}/**/*.o", recursive=True):
        unit = os.path.relpath(o, objects)[:-2]
        if room_of(unit, table) is None or not os.path.exists(os.path.join(ROOT, unit + ".c")):
            continue
        used[unit]
        out = subprocess.run(["nm", o], stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in out.splitlines():
            kind, name = line.split()[-2:]
            if kind == "U":
                used[unit].add(name)
            elif kind in "TDRBVW" and name != "main":
                defined[name] = unit
    return {u: {defined[n] for n in names if n in defined} - {u} for u, names in used.items()}


def circles(graph):
    """Strongly connected components of more than one unit (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in graph.get(v, ()):
            if w not in index:
                visit(w)
            if w in stack:
                low[v] = min(low[v], low[w])
        if low[v] == index[v]:
            part = stack[stack.index(v):]
            del stack[stack.index(v):]
            if len(part) > 1:
                found.append(sorted(part))
    for v in sorted(graph):
        if v not in index:
            visit(v)
    return found


class Layers(unittest.TestCase):
    def test_includes_follow_the_table_of_rooms(self):
        self.assertEqual(sorted(breaches(rooms())), [])

    def test_the_table_itself_has_no_circle(self):
        self.assertEqual(circles(rooms()), [])

    def test_no_files_call_one_another_in_a_circle(self):
        graph = calls(rooms())
        self.assertGreater(len(graph), 100, f"no built tree in {BUILD}")
        self.assertEqual(circles(graph), [])

    def test_circles_are_found(self):
        self.assertEqual(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}), [["a", "b", "c"]])

    def test_a_wrong_include_does_not_compile(self):
        """What each room sees at compile time is what the table says: one header of every other room is tried."""
        table = rooms()
        header = {}
        for path in sorted(sources()):
            if path.endswith(".h"):
                header.setdefault(room_of(path, table), path)
        for room in table:
            for to, path in header.items():
                name = re.sub(r"^(firmware|host)/", "", path)
                with self.subTest(room=room, header=name), tempfile.NamedTemporaryFile("w", suffix=".c") as c:
                    c.write(f'#if __has_include("{name}")\n#error seen\n#endif\n')
                    c.flush()
                    r = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only", f"-I{BUILD}/see/{room}",
                                        f"-I{ROOT}/include", c.name], stderr=subprocess.PIPE, text=True)
                    self.assertEqual(r.returncode != 0, to == room or to in table[room], r.stderr)


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    unittest.main()
