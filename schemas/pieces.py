"""Byte strings in one buffer: what codecs write and read when records come by the thousand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Pieces(NamedTuple):
    """Piece ``n`` is ``data[starts[n]:ends[n]]``; pieces may stand in any order, overlap and repeat.

    >>> some = Pieces.of([b"tick", b"", b"clock"])
    >>> some.take(np.array([2, 0, 2])).to_list()
    [b'clock', b'tick', b'clock']
    """

    data: NDArray[np.uint8]
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, values: Sequence[bytes]) -> "Pieces":
        """Byte strings laid end to end.

        Raises:
            TypeError: one of them is none.

        """
        data = np.frombuffer(b"".join(values), np.uint8)
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        ends = np.cumsum(lengths)
        return cls(data, ends - lengths, ends)

    @classmethod
    def joined(cls, parts: Sequence["Pieces"]) -> "Pieces":
        """The pieces of several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        shifts = np.cumsum([0, *(len(part.data) for part in parts)])[:-1]
        return cls(
            np.concatenate([part.data for part in parts]),
            np.concatenate([part.starts + shift for part, shift in zip(parts, shifts, strict=True)]),
            np.concatenate([part.ends + shift for part, shift in zip(parts, shifts, strict=True)]),
        )

    def take(self, rows: NDArray[np.integer]) -> "Pieces":
        """The pieces of these numbers, over the same buffer."""
        return Pieces(self.data, self.starts[rows], self.ends[rows])

    def to_list(self) -> list[bytes]:
        """The pieces as byte strings."""
        data = self.data.tobytes()
        return [data[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]
