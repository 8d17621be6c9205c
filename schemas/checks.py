"""The checks a record must pass on its way in and on its way out.

Every double is finite; a field's ``check`` and a record's ``order`` stand in its .avsc; a value has exactly the type
that the schema names (fastavro by itself would write 1.7 as the long 1 and True as the double 1.0); a key is never
``*``, which addresses all keys, unless the record type says so.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import astuple

from schemas.record import EVERY_KEY, Record, Rejected

LOWEST_LONG, HIGHEST_LONG = -(2**63), 2**63 - 1


class Checks:
    """The checks of one record type, made from its .avsc."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self.record = str(definition["name"])
        self.names = [str(field["name"]) for field in definition["fields"]]
        self.order: list[tuple[str, str]] = [(low, high) for low, high in definition.get("order", [])]
        self._tests = [_TESTS[field["type"], field.get("check")] for field in definition["fields"]]
        if definition["key"] in self.names:
            self._tests[self.names.index(definition["key"])] = _KEY

    def __call__(self, record: Record) -> None:
        """Raise Rejected, naming field and value, unless every value is as the schema wants it."""
        for name, (passes, wanted), value in zip(self.names, self._tests, astuple(record), strict=True):
            if not passes(value):
                raise Rejected(f"{self.record}.{name} is {shown(value)}, not {wanted}")
        for low, high in self.order:
            if getattr(record, low) > getattr(record, high):
                raise Rejected(
                    f"{self.record}.{low} is {getattr(record, low)!r}, above {high} {getattr(record, high)!r}"
                )


def shown(value: object) -> str:
    """A value as text, cut to what a reason can bear."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}… ({type(value).__name__})"


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_long(value: object) -> bool:
    return type(value) is int and LOWEST_LONG <= value <= HIGHEST_LONG


Test = tuple[Callable[[Any], bool], str]
_KEY: Test = (lambda value: _is_text(value) and value != EVERY_KEY, f"the name of one key as text without {EVERY_KEY}")
_TESTS: dict[tuple[str, str | None], Test] = {
    ("string", None): (_is_text, "text"),
    ("bytes", None): (lambda value: isinstance(value, bytes), "bytes"),
    ("boolean", None): (lambda value: isinstance(value, bool), "a boolean"),
    ("long", None): (_is_long, "a 64-bit integer"),
    ("long", "positive"): (lambda value: _is_long(value) and value > 0, "a 64-bit integer above 0"),
    ("long", "non-negative"): (lambda value: _is_long(value) and value >= 0, "a 64-bit integer of at least 0"),
    ("double", None): (lambda value: isinstance(value, float) and math.isfinite(value), "a finite float"),
    ("double", "positive"): (
        lambda value: isinstance(value, float) and 0.0 < value < math.inf,
        "a finite float above 0",
    ),
    ("double", "non-negative"): (
        lambda value: isinstance(value, float) and 0.0 <= value < math.inf,
        "a finite float of at least 0",
    ),
}
