"""Manual pages of the built programs, as scdoc sources: what --help says, and what a file in man/ adds.

usage: man.py BUILD FOLDER      writes FOLDER/NAME.SECTION.scd for each command, and prints nothing

What --help repeats is never written here by hand. man/NAME.SECTION.scd adds sections to a page: those named as in EARLY
come before EXIT STATUS, the others after EXAMPLE.
"""
import os
import re
import sys
from typing import Dict, Iterator, List, Tuple

import helpdata
import scd
from helpdata import Command

HERE = os.path.dirname(os.path.abspath(__file__))
VARIABLE = re.compile(r"\$(MOMENTSCOPE_[A-Z_]+)")


def synopsis(c: Command) -> Iterator[str]:
    yield "++\n".join(f"*{c.name}* {scd.plain(' ' + u)[1:]}".rstrip() for u in scd.lines(c.said["usage"]))


def paragraphs(text: str) -> Iterator[str]:
    yield from (scd.plain(line) for line in text.split("\n") if line)


def options(c: Command) -> Iterator[str]:
    for o in c.options:
        yield scd.listed(f"*--{o.name}*" + (f" {scd.plain(' ' + o.value)[1:]}" if o.value else ""), o.help)
    if all(o.name != "help" for o in c.options):
        yield scd.listed("*--help*", "print this text and exit")


def variables(c: Command) -> Iterator[Tuple[str, str]]:
    """(variable, option) where an option has one, or its help names one."""
    for o in c.options:
        for v in [o.variable] if o.variable else VARIABLE.findall(o.help):
            yield v, o.name


def environment(c: Command) -> Iterator[str]:
    """Each variable; where every option has one of its own name the description says the rule."""
    found = list(variables(c))
    if len(found) > 8 and all(v == "MOMENTSCOPE_" + o.upper().replace("-", "_") for v, o in found):
        return
    for variable, option in found:
        yield scd.listed(f"*{scd.plain(variable)}*", f"in the place of --{option}, which wins")


def exits(c: Command) -> Iterator[str]:
    for line in scd.lines(c.said["exits"]):
        code, _, meaning = line.partition(" ")
        yield scd.listed(f"*{code}*", meaning.strip())


def chosen(c: Command) -> Iterator[str]:
    for name, brief in c.commands:
        yield scd.listed(f"*{name}*", f"{brief}; see {c.file}-{name}(1)")


def extra(page: str) -> Dict[str, str]:
    """{title: text} of the sections that a file adds to the page."""
    path = f"{HERE}/man/{page}.scd"
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        parts = re.split(r"^# (.+)\n", f.read(), flags=re.M)
    return {title: text.strip("\n") for title, text in zip(parts[1::2], parts[2::2])}


def page(c: Command, number: int, others: List[str]) -> str:
    more = extra(f"{c.file}.{number}")
    about = [scd.plain(p) for p in c.said["about"].split("\n") if p]
    parts: List[Tuple[str, Iterator[str]]] = [
        ("NAME", iter([f"{c.file} - {scd.plain(' ' + c.brief)[1:]}"])),
        ("SYNOPSIS", synopsis(c)),
        ("DESCRIPTION", iter([p for p in [more.pop("DESCRIPTION", "")] if p] + about)),
        ("COMMANDS", chosen(c)),
        ("OPTIONS", options(c)),
        ("NOTES", paragraphs(c.said["notes"])),
        ("ENVIRONMENT", environment(c)),
        ("EXIT STATUS", exits(c)),
        ("EXAMPLE", iter([scd.literal(c.said["example"])] * bool(c.said["example"])))]
    parts += [(title, iter([text])) for title, text in more.items()]
    parts += [("SEE ALSO", iter([", ".join(f"*{o[:-3]}*{o[-3:]}" for o in others)]))]
    head = f'{c.file}({number}) "momentscope" "momentscope manual"\n\n'
    return head + "\n".join(line for title, body in parts for line in scd.section(title, body))


def see(name: str, every: List[str]) -> List[str]:
    """The pages that a page points at: its own commands and those above it, the daemon, the wire."""
    words = name.split("-")
    return [e for e in every if e[:-3] != name and (e[-2] != "1" or name.startswith(e[:-3]) or
                                                    e[:-3].split("-")[:-1] in (words, words[:-1]))]


def main() -> int:
    build, folder = sys.argv[1:]
    commands = [(c, 1) for c in helpdata.below([f"{build}/momentscope"], "see what momentum does while a model trains")]
    commands += [(c, 8) for c in helpdata.below([f"{build}/momentscoped"])]
    every = [f"{c.file}({number})" for c, number in commands] + [f"momentscope-{n}(7)" for n in ("wire", "records")]
    os.makedirs(folder, exist_ok=True)
    for c, number in commands:
        with open(f"{folder}/{c.file}.{number}.scd", "w", encoding="utf-8") as f:
            f.write(page(c, number, see(c.file, every)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
