"""Growing arrays of rows for kernels that cannot know how much they will yield."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.jit import kernel

FIRST = 256


def row_type(**fields: type) -> np.dtype[np.void]:
    """A row of named numbers, after the event that caused it and the key it belongs to."""
    return np.dtype([("cause", np.int64), ("key", np.int32), *fields.items()])


@kernel
def doubled(rows: NDArray[Any]) -> NDArray[Any]:
    """The same rows with room for as many more."""
    larger = np.empty(2 * len(rows), rows.dtype)
    for index in range(len(rows)):
        larger[index] = rows[index]
    return larger


def columns_of(rows: NDArray[np.void]) -> dict[str, Any]:
    """The named columns of rows, each contiguous, cause and key left out."""
    names = [name for name in rows.dtype.names or () if name not in ("cause", "key")]
    return {name: np.ascontiguousarray(rows[name]) for name in names}
