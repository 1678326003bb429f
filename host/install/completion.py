"""Completion for bash, zsh and fish of the built programs, from what their --help says.

usage: completion.py BUILD FOLDER      writes FOLDER/bash/NAME, FOLDER/zsh/_NAME and FOLDER/fish/NAME.fish

Completed are commands, options, and values where --help tells what they are: files, folders, or one of some words.
"""
import os
import re
import shlex
import sys
from typing import Dict, Iterator, List

import helpdata
from helpdata import Command, Option

ONE_OF = re.compile(r"^(?:.*: )?(\w[\w-]*(?:, \w[\w-]*)*(?:,| or) \w[\w-]*)(?: \([^)]*\))?$")


def kind(o: Option) -> str:
    """What the value is: file, folder, words, other, or none of a flag."""
    if not o.value:
        return "none"
    if o.value in ("FILE", "DIR"):
        return "file" if o.value == "FILE" else "folder"
    return "words" if words(o) else "other"


def words(o: Option) -> List[str]:
    """error, warn or info: the words that the help of an option names as its values."""
    found = ONE_OF.match(o.help)
    return re.split(r", | or ", found[1]) if found else []


def options(c: Command) -> List[Option]:
    found = [o for o in c.options if o.name != "help"]
    return found + [Option("help", "", "print this text and exit", "")]


def takes_files(c: Command) -> bool:
    return c.said["usage"].startswith(("FILE", "[FILE"))


def summary(text: str) -> str:
    """The first line of a help, short enough for a menu."""
    line = re.split(r"[;.:] |\n| \(", text)[0]
    return line if len(line) <= 70 else line[:67].rsplit(" ", 1)[0] + ".."


# -- bash -------------------------------------------------------------------------------------------------

def alternatives(patterns: List[str]) -> str:
    return " | ".join(f'"{p}"' for p in patterns)


PATHS = {"file": "f", "folder": "d"}             # compgen's letter


def bash_paths(what: str) -> str:
    return f'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -{PATHS[what]} -- "$cur"); return ;;'


def bash_values(commands: List[Command]) -> Iterator[str]:
    """Cases of what follows an option that has a value."""
    by: Dict[str, List[str]] = {"file": [], "folder": [], "other": []}
    for c in commands:
        for o in c.options:
            if kind(o) == "words":
                yield f'        "{c.name} --{o.name}")'
                yield f'            COMPREPLY=($(compgen -W "{" ".join(words(o))}" -- "$cur")); return ;;'
            elif kind(o) != "none":
                by[kind(o)].append(f"{c.name} --{o.name}")
    for what in by:
        if by[what]:
            yield f"        {alternatives(by[what])})"
            yield "            " + (bash_paths(what) if what in PATHS else "return ;;")


def bash_arguments(commands: List[Command]) -> Iterator[str]:
    """Commands whose arguments are files."""
    files = [c.name for c in commands if takes_files(c)]
    if files:
        yield '    case "$at $cur" in'
        yield "        " + " | ".join(f'"{f} -"*' for f in files) + ") ;;"
        yield "        " + " | ".join(f'"{f} "*' for f in files) + ") " + bash_paths("file")
        yield "    esac"


def bash_walk(commands: List[Command]) -> Iterator[str]:
    """The words before the cursor that choose a command."""
    if len(commands) > 1:
        yield "    for ((i = 1; i < COMP_CWORD; i++)); do"
        yield '        case "$at ${COMP_WORDS[i]}" in'
        yield f"            {alternatives([c.name for c in commands[1:]])})"
        yield '                at="$at ${COMP_WORDS[i]}" ;;'
        yield "        esac"
        yield "    done"


def bash(commands: List[Command]) -> str:
    name, function = commands[0].name, "_" + commands[0].name
    lists = []
    for c in commands:
        known = [n for n, _ in c.commands] + [f"--{o.name}" for o in options(c)]
        lists.append(f'        "{c.name}") known="{" ".join(known)}" ;;')
    return "\n".join([
        f"# Completion of {name} for bash; made by host/install/completion.py from --help.",
        "# shellcheck shell=bash disable=SC2207", f"{function}()", "{",
        '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at="' + name + '" known="" i',
        "    COMPREPLY=()", *bash_walk(commands), '    case "$at $prev" in', *bash_values(commands), "    esac",
        *bash_arguments(commands), '    case "$at" in', *lists, "    esac",
        '    COMPREPLY=($(compgen -W "$known" -- "$cur"))', "}", f"complete -F {function} {name}", ""])


# -- zsh --------------------------------------------------------------------------------------------------

def zsh_option(o: Option) -> str:
    text = re.sub(r"([\[\]:\\])", r"\\\1", summary(o.help))
    action = {"file": "_files", "folder": "_files -/", "words": f"({' '.join(words(o))})", "other": " "}.get(kind(o))
    label = re.sub(r"([\[\]:\\])", r"\\\1", o.value)
    return shlex.quote(f"--{o.name}[{text}]" if action is None else f"*--{o.name}=[{text}]:{label}:{action}")


def zsh(commands: List[Command]) -> str:
    out = [f"#compdef {commands[0].name}", "# Made by host/install/completion.py from --help."]
    for c in reversed(commands):
        function = "_" + c.file.replace("-", "_")
        out.append(f"\n{function}() {{")
        if c.commands:
            out.append("    local -a known\n    known=(")
            out += ["        " + shlex.quote(name + ":" + brief.replace(":", "\\:")) for name, brief in c.commands]
            out.append(f"    )\n    if (( CURRENT == 2 )); then\n        _describe command known\n"
                       f"        _arguments {zsh_option(options(c)[-1])}\n        return\n    fi\n"
                       "    local word=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $word in")
            out += [f"        {name}) {function}_{name} ;;" for name, _ in c.commands]
            out.append("    esac")
        else:
            specs = [zsh_option(o) for o in options(c)] + (["'*:FILE:_files'"] if takes_files(c) else [])
            out.append("    _arguments \\\n        " + " \\\n        ".join(specs))
        out.append("}")
    first = "_" + commands[0].file
    return "\n".join(out) + f'\n\n{first} "$@"\n'


# -- fish -------------------------------------------------------------------------------------------------

def fish_option(name: str, at: str, o: Option) -> str:
    value = {"none": "", "file": " -r -F", "folder": " -x -a '(__fish_complete_directories)'",
             "words": f" -x -a {fish_quote(' '.join(words(o)))}", "other": " -x"}[kind(o)]
    return f"complete -c {name} -n {fish_quote(at)} -l {o.name}{value} -d {fish_quote(summary(o.help))}"


def fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(commands: List[Command]) -> str:
    name = commands[0].name
    at = f"__{name}_at"
    known = " ".join(fish_quote(c.name) for c in commands[1:])
    out = [f"""# Completion of {name} for fish; made by host/install/completion.py from --help.
function {at}
    set -l at {name}
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" {known or "''"}
            set at "$at $word"
        end
    end
    test "$at" = "$argv"
end"""]
    for c in commands:
        here = f"{at} {c.name}"
        if not takes_files(c):
            out.append(f"complete -c {name} -n {fish_quote(here)} -f")
        out += [f"complete -c {name} -n {fish_quote(here)} -a {sub} -d {fish_quote(brief)}"
                for sub, brief in c.commands]
        out += [fish_option(name, here, o) for o in options(c)]
    return "\n".join(out) + "\n"


def main() -> int:
    build, folder = sys.argv[1:]
    for program in ("momentscope", "momentscoped"):
        commands = list(helpdata.below([f"{build}/{program}"]))
        for path, make in ((f"bash/{program}", bash), (f"zsh/_{program}", zsh), (f"fish/{program}.fish", fish)):
            os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
            with open(f"{folder}/{path}", "w", encoding="utf-8") as f:
                f.write(make(commands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
