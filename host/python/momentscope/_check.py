"""Arguments, checked before anything is done: every refusal names the field, its value and the allowed range."""
import operator
from typing import Any, Optional, Sequence, Type, TypeVar

U32, SIZE, STEPS, ENTRIES, INT = 2**32 - 1, 2**63 - 1, 2**53 - 1, 2**31, 2**31 - 1


_E = TypeVar("_E", bound=Exception)


def refuse(kind: Type[_E], field: str, value: Any, allowed: str, about: str = "") -> _E:
    return kind(f"momentscope: {field} = {value!r} ({allowed})" + (f": {about}" if about else ""))


def integer(field: str, value: Any, low: int, high: int, about: str = "") -> int:
    """A whole number from low to high; 32.0 is one, True is not."""
    allowed = f"an integer from {low} to {high}"
    try:
        n = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        n = None
    if n is None or isinstance(value, bool):
        raise refuse(ValueError if isinstance(value, float) else TypeError, field, value, allowed, about)
    if not low <= n <= high:
        raise refuse(ValueError, field, value, allowed, about)
    return n


def real(field: str, value: Any, low: float, high: float, about: str = "") -> float:
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise refuse(TypeError, field, value, f"{low:g} to {high:g}", about) from None
    if not low <= x <= high:
        raise refuse(ValueError, field, value, f"{low:g} to {high:g}", about)
    return x


def flag(field: str, value: Any) -> int:
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise refuse(TypeError, field, value, "True or False")
    return int(value)


def text(field: str, value: Any, allowed: str = "text", optional: bool = False) -> Optional[bytes]:
    """The text as bytes for C, or None where optional."""
    if value is None and optional:
        return None
    if not isinstance(value, str):
        raise refuse(TypeError, field, value, allowed)
    if "\0" in value:
        raise refuse(ValueError, field, value, allowed, "it contains a NUL character")
    return value.encode(errors="backslashreplace")


def one_of(field: str, value: Any, names: Sequence[str]) -> int:
    """The index of value in names."""
    if value not in names:
        raise refuse(ValueError, field, value, ", ".join(names[:-1]) + " or " + names[-1])
    return names.index(value)
