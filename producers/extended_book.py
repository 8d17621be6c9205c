"""Extended's order book of one market on one connection, as Depth records.

Wire format: the vendor's API documentation, orderbooks stream v1. Rules:

- A SNAPSHOT comes first and again each minute; its ``q`` are sizes. Between them come DELTAs, whose ``q`` are signed
  changes; a level whose size comes to exactly 0 is gone.
- ``c`` is the size of a level after a change. Depth has both, so that whoever keeps the book can hold one against the
  other. Where the venue leaves ``c`` out, the size is the sum so far.
- ``seq`` rises by one with each message. After a jump, or a message that cannot be read, a new connection is needed.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from producers.depths import depth
from producers.feed import Resubscribe
from schemas import Depth, Rejected
from schemas.levels import DECIMAL

Sizes = dict[Decimal, Decimal]  # of one side, by price


class Level(msgspec.Struct, gc=False):
    """A level: its size or the change of it, and its size after that."""

    p: str
    q: str
    c: str = ""


class Levels(msgspec.Struct, gc=False):
    """Levels of a market's bids and asks."""

    m: str
    b: list[Level]
    a: list[Level]


class Book:
    """What is known of the book.

    >>> from schemas.levels import unpacked
    >>> book = Book("extended:BTC-USD", "start")
    >>> first, change = (Levels("BTC-USD", [Level("10", size)], []) for size in ("3", "-1.5"))
    >>> [whole.kind for whole in book.take(first, True, 7, 0, 0)]
    ['connect', 'snapshot']
    >>> [delta] = book.take(change, False, 8, 1, 1)
    >>> delta.previous_sequence, delta.size_decimals, unpacked(delta.bids).tolist()
    (7, 1, [[10, 15]])
    """

    def __init__(self, instrument: str, cause: str) -> None:
        self._instrument = instrument
        self._cause = cause
        self._sequence = -1
        self._sides: tuple[Sizes, Sizes] = {}, {}

    def take(self, levels: Levels, whole: bool, sequence: int, event_ns: int, received_ns: int) -> list[Depth]:
        """The message as a Depth, behind one that begins the connection.

        Raises:
            Resubscribe: the book can no longer be followed.

        """
        previous = self._sequence
        if previous < 0 and not whole:
            raise Resubscribe("sequence", f"a change of {levels.m} before its snapshot")
        if previous >= 0 and sequence != previous + 1:
            raise Resubscribe("sequence", f"message {sequence} of {levels.m} where {previous + 1} should have come")
        sides: tuple[Sizes, Sizes] = ({}, {}) if whole else self._sides
        try:
            sizes = _after(sides[0], levels.b, whole), _after(sides[1], levels.a, whole)
            message = depth(
                self._instrument,
                event_ns,
                received_ns,
                "snapshot" if whole else "delta",
                [(level.p, f"{size:f}") for level, size in zip(levels.b, sizes[0], strict=True)],
                [(level.p, f"{size:f}") for level, size in zip(levels.a, sizes[1], strict=True)],
                sequence=sequence,
                previous=-1 if whole else previous,
                changes=((), ()) if whole else ([level.q for level in levels.b], [level.q for level in levels.a]),
            )
        except Rejected as refusal:
            raise Resubscribe("error", f"book of {levels.m}: {refusal}") from refusal
        self._sequence, self._sides = sequence, sides
        for side, changed, after in zip(sides, (levels.b, levels.a), sizes, strict=True):
            for level, size in zip(changed, after, strict=True):
                side[Decimal(level.p)] = size
                if not size:
                    del side[Decimal(level.p)]
        if previous >= 0:
            return [message]
        return [depth(self._instrument, event_ns, received_ns, "connect", cause=self._cause), message]


def _after(before: Sizes, levels: Sequence[Level], whole: bool) -> list[Decimal]:
    """The size of each level after a message."""
    changed: Sizes = {}
    sizes = []
    for level in levels:
        for text in (level.p, level.q, level.c or "0"):
            if not DECIMAL(text):
                raise Rejected(f"{text[:50]!r} is not a decimal number")
        price, quantity = Decimal(level.p), Decimal(level.q)
        summed = quantity if whole else changed.get(price, before.get(price, Decimal())) + quantity
        changed[price] = summed if whole or not level.c else Decimal(level.c)
        sizes.append(changed[price])
    return sizes
