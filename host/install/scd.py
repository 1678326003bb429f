"""Text as scdoc takes it."""
import re
from typing import Iterator, List


def plain(text: str) -> str:
    """Nothing in it means anything to scdoc, also at the start of a line."""
    text = re.sub(r"([\\*_])", r"\\\1", text)
    return re.sub(r"^([#;\-\[\]|.`'])", r"\\\1", text)


def lines(text: str) -> List[str]:
    """Lines of which those that begin with blanks go on with the one before."""
    joined: List[str] = []
    for line in text.split("\n"):
        if line.startswith(" ") and joined:
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def section(title: str, body: Iterator[str]) -> Iterator[str]:
    """The heading and its paragraphs; nothing where there are none."""
    first = True
    for paragraph in body:
        if first:
            yield f"# {title}\n"
        first = False
        yield paragraph + "\n"


def literal(text: str) -> str:
    return "```\n" + text.rstrip("\n").replace("\\", "\\\\") + "\n```"


def listed(term: str, text: str) -> str:
    """A term, and below it, indented, paragraphs of text: one a line."""
    return term + "".join(f"\n\t{plain(line)}" if i == 0 else f"\n\n\t{plain(line)}"
                          for i, line in enumerate(t for t in text.split("\n") if t))
