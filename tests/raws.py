"""A seeded stream of every raw topic that a chain reads."""

from collections.abc import Callable, Iterator

from schemas import Record
from tests.book_venue import depths
from tests.estimates import estimates
from tests.minute_bars import bars
from tests.streams import raw

# Who writes a stage on a topic that nobody is made from here adds a stream of it: seed, count of records, symbols.
# Instruments are named ``x:`` and the symbol, time begins at tests.streams.NOON, and it goes on for ever or for count.
# All must be records that the codec takes, for live runs write them.
STREAMS: tuple[Callable[[int, int, str], Iterator[Record]], ...] = (raw, depths, estimates, bars)


def every_topic(seed: int, count: int, symbols: str = "cab") -> Iterator[Record]:
    """So many records of each stream, taken in turns."""
    for records in zip(*(stream(seed, count, symbols) for stream in STREAMS), strict=False):
        yield from records
