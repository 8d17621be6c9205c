"""The recorded market of one instrument: from tables, from the frames of a feed, or from the archive.

Frames go through the feed that would have read them live and through the stage that keeps books. What tells no Market
gets one: with the steps that are given, else the least that the first book's decimals can tell apart.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from consumers.backtest import tables
from consumers.backtest.tables import Steps
from infra.errors import UserError
from processors.books import Books
from processors.chain import EventChain
from processors.replay.sources import archive
from producers import frames
from producers.feed import feeds
from schemas import EVERY_KEY, Book, Clock, Depth, Funding, Mark, Market, Record, Top, Trade
from schemas.columns import Keys

AS_SEEN = Steps()
Origin = Literal["tables", "frames", "archive"]
READ = (Clock, Market, Mark, Funding, Trade, Book, Top)  # of one time, in this order: a book shows its trades


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a market is recorded."""

    origin: Origin
    paths: tuple[Path, ...]
    instrument: str
    steps: Steps = AS_SEEN
    start_ns: int | None = None
    end_ns: int | None = None

    def records(self) -> Iterator[Record]:
        """The market in order of time.

        Raises:
            UserError: there is nothing of it.

        """
        found = {"tables": self._tables, "frames": self._frames, "archive": self._archive}[self.origin]()
        first, last = self.start_ns or 0, self.end_ns
        empty = True
        for record in found:
            if last is not None and record.event_ns >= last:
                break
            if isinstance(record, Market):
                yield replace(record, event_ns=max(record.event_ns, first))  # what was told before still holds
            elif record.event_ns >= first:
                empty = empty and record.key != self.instrument
                yield record
        if empty:
            raise UserError(f"nothing is recorded of {self.instrument} in {', '.join(map(str, self.paths))}")

    def _tables(self) -> Iterator[Record]:
        return tables.read(self.paths, self.instrument, self.steps)

    def _frames(self) -> Iterator[Record]:
        venue, _, symbol = self.instrument.partition(":")
        if venue not in feeds():
            raise UserError(f"no feed {venue!r}; there are {', '.join(sorted(feeds()))}")
        chain = EventChain([Books])
        for path in self.paths:
            if not path.is_file():
                raise UserError(f"there is no file {path}")
        raw = (record for path in self.paths for record in frames.records(path, feeds()[venue], (symbol,)))
        return with_market(self._booked(raw, chain), self.steps)

    def _booked(self, raw: Iterable[Record], chain: EventChain) -> Iterator[Record]:
        for record in raw:
            if record.key not in (self.instrument, EVERY_KEY):
                continue
            if isinstance(record, Depth):
                yield from (made for made in chain.on_event(record)[0] if isinstance(made, READ))
            elif isinstance(record, READ):
                yield record

    def _archive(self) -> Iterator[Record]:
        (root,) = self.paths
        topics = sorted({record.topic for record in READ if archive.holds(root, record.topic)})
        logs = [self._log(root, topic, partition) for topic in topics for partition in archive.partitions(root, topic)]
        return with_market(heapq.merge(*logs, key=_place), self.steps)

    def _log(self, root: Path, topic: str, partition: int) -> Iterator[Record]:
        names = frozenset({self.instrument, EVERY_KEY})
        start_ns = None if topic == Market.topic else self.start_ns
        selection = archive.Selection(start_ns, self.end_ns, names)
        there = {record for record in READ if record.topic == topic}
        for run in archive.log(root, topic, partition, Keys(), dict.fromkeys(there), selection):
            for _, record in run.records():
                if isinstance(record, READ) and record.key in names:
                    yield record


def with_market(records: Iterable[Record], given: Steps) -> Iterator[Record]:
    """Records with a Market before the first book, unless one has come; with the steps that are given in every one."""
    told = False
    for record in records:
        if isinstance(record, Market):
            told = True
            yield _stepped(record, given)
            continue
        if isinstance(record, Book) and record.valid and not told:
            told = True
            yield _market(record, given)
        yield record


def _stepped(market: Market, given: Steps) -> Market:
    return replace(
        market,
        price_step=given.price or market.price_step,
        size_step=given.size or market.size_step,
        size_least=given.least or market.size_least,
    )


def _place(record: Record) -> tuple[int, int]:
    return record.event_ns, READ.index(type(record))


def _market(book: Book, given: Steps) -> Market:
    base, _, quote = book.instrument.partition(":")[2].partition("-")
    size = given.size or 10.0**-book.size_decimals
    return Market(
        book.instrument, book.event_ns, book.event_ns, "open", base, quote or "USD", "",
        given.price or 10.0**-book.price_decimals, size, given.least or size, 0, 0, "", "", "",
    )  # fmt: skip
