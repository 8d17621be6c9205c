"""A record's schema as small arrays: what the compiled loops of ``kernels`` are driven by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXT, LONG, DOUBLE, BOOLEAN = range(4)
ANY, POSITIVE, NON_NEGATIVE = range(3)
KINDS = {"string": TEXT, "bytes": TEXT, "long": LONG, "double": DOUBLE, "boolean": BOOLEAN}
RULES = {None: ANY, "positive": POSITIVE, "non-negative": NON_NEGATIVE}


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a schema in the order of their bytes; all fields of one kind share one two-dimensional array."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    kinds: NDArray[np.int64]
    rules: NDArray[np.int64]
    slots: NDArray[np.int64]  # row of each field in the array of its kind
    counts: NDArray[np.int64]  # fields of each kind


def layout(fields: Sequence[Mapping[str, Any]], checks: Mapping[str, str]) -> Layout | None:
    """The layout of some Avro fields with the checks of their names; None where the loops cannot read them."""
    if not all(isinstance(field["type"], str) and field["type"] in KINDS for field in fields):
        return None
    kinds = [KINDS[field["type"]] for field in fields]
    return Layout(
        names=tuple(field["name"] for field in fields),
        types=tuple(field["type"] for field in fields),
        kinds=np.array(kinds, np.int64),
        rules=np.array([RULES[checks.get(field["name"])] for field in fields], np.int64),
        slots=np.array([kinds[:index].count(kind) for index, kind in enumerate(kinds)], np.int64),
        counts=np.array([kinds.count(kind) for kind in range(4)], np.int64),
    )
