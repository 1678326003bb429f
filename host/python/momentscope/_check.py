"""Arguments, checked before anything is done: every refusal names the field, its value and the allowed range."""
import operator

U32, SIZE, STEPS, ENTRIES, INT = 2**32 - 1, 2**63 - 1, 2**53 - 1, 2**31, 2**31 - 1


def refuse(kind, field, value, allowed, about=""):
    return kind(f"momentscope: {field} = {value!r} ({allowed})" + (f": {about}" if about else ""))


def integer(field, value, low, high, about=""):
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


def real(field, value, low, high, about=""):
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise refuse(TypeError, field, value, f"{low:g} to {high:g}", about) from None
    if not low <= x <= high:
        raise refuse(ValueError, field, value, f"{low:g} to {high:g}", about)
    return x


def flag(field, value):
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise refuse(TypeError, field, value, "True or False")
    return int(value)


def text(field, value, allowed="text", optional=False):
    """The text as bytes for C, or None where optional."""
    if value is None and optional:
        return None
    if not isinstance(value, str):
        raise refuse(TypeError, field, value, allowed)
    if "\0" in value:
        raise refuse(ValueError, field, value, allowed, "it contains a NUL character")
    return value.encode(errors="backslashreplace")


def one_of(field, value, names):
    """The index of value in names."""
    if value not in names:
        raise refuse(ValueError, field, value, ", ".join(names[:-1]) + " or " + names[-1])
    return names.index(value)
