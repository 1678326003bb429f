"""What rows are called: a tokenizer's tokens, a list, a dict or a function, as texts that any program may print."""
import numbers
from typing import Any, Callable, Iterator, Tuple

from . import _check

ROWS, BYTES, LABEL = 1 << 21, 48 << 20, 63   # most rows, bytes and bytes of one label that are sent
CHUNK = 4096                                 # rows in one message


def printable(text: Any) -> str:
    """The text without characters that a terminal would act upon, at most 63 bytes of UTF-8."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in str(text))
    coded = text.encode("utf-8", "backslashreplace")
    if len(coded) <= LABEL:
        return coded.decode()
    return coded[:LABEL - 3].decode(errors="ignore") + "..."


def reader(source: Any) -> Callable[[int], Any]:
    """A function from the number of a row to its label, or None for a row without one."""
    if hasattr(source, "convert_ids_to_tokens"):             # transformers
        return lambda row: source.convert_ids_to_tokens(row)
    if hasattr(source, "id_to_token"):                       # tokenizers
        return lambda row: source.id_to_token(row)
    if hasattr(source, "get_itos"):                          # torchtext
        source = source.get_itos()
    if callable(source):
        return source
    if hasattr(source, "get") and hasattr(source, "items"):
        return lambda row: source.get(row)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return lambda row: source[row] if row < len(source) else None
    raise TypeError(f"momentscope: labels = {type(source).__name__} (a tokenizer, a list, a dict of row numbers, or a "
                    "function of a row's number)")


def check(source: Any, rows: int) -> None:
    """Refuse a list longer than the table, and a dict that names rows which are not there. A shorter list is taken:
    tables are often padded beyond their vocabulary."""
    if hasattr(source, "convert_ids_to_tokens") or hasattr(source, "id_to_token") or callable(source):
        return
    if hasattr(source, "keys"):
        for row in source.keys():
            if isinstance(row, bool) or not isinstance(row, numbers.Integral) or not 0 <= int(row) < rows:
                raise _check.refuse(ValueError, "a row of labels", row, f"a number from 0 to {rows - 1}")
    elif hasattr(source, "__len__") and not hasattr(source, "get_itos") and len(source) > rows:
        raise _check.refuse(ValueError, "the number of labels", len(source), f"at most {rows}, one for each row",
                            "give {parameter name: labels} where tables differ")


class Labels:
    """Of one table."""

    def __init__(self, source: Any, rows: int) -> None:
        self.of, self.rows = reader(source), rows
        check(source, rows)

    def __call__(self, row: int) -> str:
        """The label, or "" without one. A tokenizer smaller than its table has none for the rows beyond."""
        try:
            found = self.of(row)
        except (IndexError, KeyError, OverflowError):
            return ""
        return "" if found is None else printable(found)

    def chunks(self) -> Iterator[Tuple[int, int, bytes]]:
        """(first row, rows, their labels each ended by a NUL)"""
        room = BYTES
        for first in range(0, min(self.rows, ROWS), CHUNK):
            labels = [self(row) for row in range(first, min(first + CHUNK, self.rows, ROWS))]
            text = b"".join(label.encode() + b"\0" for label in labels)
            room -= len(text)
            if room < 0:
                return
            if any(labels):
                yield first, len(labels), text
