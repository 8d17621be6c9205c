"""A seeded stream of every raw topic that a chain reads."""

from collections.abc import Iterator

from schemas import Record
from tests.book_venue import depths
from tests.streams import raw


def every_topic(seed: int, count: int, symbols: str = "cab") -> Iterator[Record]:
    """So many records of each topic, taken in turns."""
    for pair in zip(raw(seed, count, symbols), depths(seed, count, symbols), strict=False):
        yield from pair
