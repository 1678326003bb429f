"""Manual pages of the wire, as scdoc sources: momentscope-wire(7) from protocol/README.md, momentscope-records(7) from
include/mscope/metrics.def.

usage: wire.py FOLDER

Of Markdown it knows what that README is written in: headings, paragraphs, lists, tables, indented blocks, bold, code
and links. Tables are laid out here, the last column wrapped: tbl guesses widths, and is wrong for columns of sentences.
"""
import os
import re
import sys
import textwrap
from typing import Iterator, List

import scd

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WIDTH = 68                                       # of a table, so that it fits a terminal of 80 with man's margin
RECORDS = {"band": "one activity band of a table", "table": "one table",
           "acf": "autocorrelation of the momentum of a band",
           "stability": "largest stable learning rate of all that moves together", "daemon": "the daemon itself",
           "alert": "something that happened"}


def read(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def unlinked(text: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)


def bare(text: str) -> str:
    """A cell of a table: without marks, since it is set as it stands."""
    return re.sub(r"\\([|*<>])", r"\1", re.sub(r"\*\*|`", "", unlinked(text))).strip()


MARKED = re.compile(r"\*\*(?P<bold>.+?)\*\*|`(?P<code>[^`]+)`|(?<![*\\\w])\*(?P<slanted>[^*\s][^*]*)(?<!\\)\*")


def inline(text: str) -> str:
    """A paragraph: bold and code become bold, slanted is underlined, everything else is plain."""
    def literal(part: str) -> str:
        return scd.plain(" " + re.sub(r"\\([|*<>])", r"\1", part))[1:]

    out, at, text = [], 0, unlinked(text)
    for m in MARKED.finditer(text):
        out += [literal(text[at:m.start()]), f"_{literal(m['slanted'])}_" if m["slanted"] else
                f"*{literal(m['bold'] or m['code'])}*"]
        at = m.end()
    out.append(literal(text[at:]))
    return re.sub(r"^([#;\-\[\]|.`'])", r"\\\1", "".join(out))


def table(lines: List[str]) -> str:
    rows = [[bare(c) for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines
            if not re.match(r"\|[-|: ]+\|$", line)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]) - 1)]
    # a long column that is not the last is wrapped as well: none may take more than a third
    widths = [min(w, WIDTH // 3) for w in widths]
    last = max(WIDTH - sum(w + 2 for w in widths), 20)
    out = []
    for row in rows:
        cells = [textwrap.wrap(c, w) or [""] for c, w in zip(row, widths + [last])]
        for k in range(max(map(len, cells))):
            line = ((c[k] if k < len(c) else "").ljust(w) for c, w in zip(cells, widths + [last]))
            out.append("  ".join(line).rstrip())
    return scd.literal("\n".join(out))


def items(lines: List[str]) -> str:
    joined: List[str] = []
    for line in lines:
        if re.match(r"(- |\d+\. )", line):
            joined.append(re.sub(r"^(- |\d+\. )", "", line))
        else:
            joined[-1] += " " + line.strip()
    return "\n".join("- " + inline(item) for item in joined)


def blocks(text: str) -> Iterator[List[str]]:
    """Paragraphs, tables, lists and indented blocks, without headings told apart: lines between empty lines."""
    block: List[str] = []
    for line in text.split("\n"):
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def block(lines: List[str]) -> str:
    first = lines[0]
    if first.startswith("|"):
        return table(lines)
    if first.startswith("    "):
        return scd.literal("\n".join(line[4:] for line in lines))
    if re.match(r"(- |\d+\. )", first):
        return items(lines)
    for at, line in enumerate(lines):            # a list right below its sentence
        if at and line.startswith("- "):
            return inline(" ".join(lines[:at])) + "\n\n" + items(lines[at:])
    return inline(" ".join(line.strip() for line in lines))


def body(markdown: str) -> Iterator[str]:
    for lines in blocks(markdown):
        heading = re.match(r"(#+) (.*)", lines[0])
        if not heading:
            yield block(lines)
            continue
        text = scd.plain(" " + bare(heading[2]))
        yield "#" + text.upper() if len(heading[1]) == 2 else "##" + text
        if lines[1:]:
            yield block(lines[1:])


def head(name: str, brief: str) -> str:
    return f'{name}(7) "momentscope" "momentscope manual"\n\n# NAME\n\n{name} - {brief}\n'


def wire() -> str:
    title, rest = read("protocol/README.md").split("\n", 1)
    for what in (r"1\. \[Ingest\]", "In this folder"):           # its table of contents, and where the sources are
        rest = re.sub(rf"^{what}.*?\n\n", "", rest, flags=re.M | re.S)
    parts = [head("momentscope-wire", "the wire of momentscope, byte by byte"), "# DESCRIPTION", *body(rest)]
    parts += ["# SEE ALSO", "*momentscope-records*(7), *momentscoped*(8), *momentscope*(1)"]
    return "\n\n".join(parts) + "\n"


def records() -> str:
    sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
    import schema                                # the reader of metrics.def behind `make schema`

    types = {"u64": "whole number", "f64": "number", "name": "text", "text": "text", "bool": "true or false",
             "list": "numbers"}
    parts = [head("momentscope-records", "every field of every telemetry record of momentscope"), "# DESCRIPTION",
             "The daemon publishes these records; *momentscope watch --json* prints them. A number that cannot be known"
             " is null. A gauge is the value now, a counter a sum since the daemon started; a window is the time since"
             " the regular record before. Momentum quantities are in EMA form: m <- beta m + eps g, eps = 1 - beta."]
    for kind in schema.KINDS:
        parts.append(f"# {kind.upper()}: {RECORDS[kind].upper()}")
        for _, name, typ, unit, what, text in (r for r in schema.metrics() if r[0] == kind):
            notes = ", ".join([types[typ]] + [unit] * bool(unit) + [what] * (what not in ("label", "list")))
            parts.append(scd.listed(f"*{scd.plain(name)}* ({scd.plain(' ' + notes)[1:]})", text))
    parts += ["# SEE ALSO", "*momentscope-wire*(7), *momentscope-watch*(1), *momentscoped*(8)"]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, text in (("momentscope-wire", wire()), ("momentscope-records", records())):
        with open(f"{folder}/{name}.7.scd", "w", encoding="utf-8") as f:
            f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
