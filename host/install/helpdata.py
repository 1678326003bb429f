"""What --help of the built programs says, read from --help=data (host/common/manual.h has the form)."""
import re
import subprocess
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}


class Option(NamedTuple):
    name: str                                    # without "--"
    value: str                                   # "FILE"; "" for a flag
    help: str
    variable: str                                # of the environment; "" for none


class Command(NamedTuple):
    name: str                                    # "momentscope bench run"
    brief: str
    said: Dict[str, str]                         # usage, about, notes, example, exits, argument; what is missing is ""
    options: List[Option]
    commands: List[Tuple[str, str]]              # of one that chooses among others: their last words, and briefs

    @property
    def file(self) -> str:
        return self.name.replace(" ", "-")


def fields(line: str) -> List[str]:
    return [re.sub(r"\\(.)", lambda m: ESCAPES[m[1]], f) for f in line.split("\t")]


def read(text: str, brief: str) -> Command:
    said, options, commands = dict.fromkeys(("usage", "about", "notes", "example", "exits", "argument"), ""), [], []
    for key, *rest in (fields(line) for line in text.splitlines()):
        if key == "option":
            options.append(Option(*rest))
        elif key == "command":
            commands.append((rest[0], rest[1]))
        else:
            said[key] = rest[0]
    if "name" not in said:
        raise ValueError(f"no name in {text[:80]!r}")
    return Command(said["name"], brief or said.get("brief", ""), said, options, commands)


def ask(program: List[str], brief: str = "") -> Command:
    return read(subprocess.run([*program, "--help=data"], stdout=subprocess.PIPE, text=True, check=True).stdout, brief)


def below(program: List[str], brief: Optional[str] = "") -> Iterator[Command]:
    """The command and, by depth first, those that it chooses among."""
    command = ask(program, brief or "")
    yield command
    for name, what in command.commands:
        yield from below([*program, name], what)
