"""Venues with a random order book, in whole numbers, and what each kind of them says about it."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from schemas import Depth
from schemas.levels import packed, packed_changes
from tests.streams import MILLISECOND, NOON, SECOND

STYLES = ("ids", "linked", "counted", "echoed", "silent")
CAUSES = ("start", "disconnect", "stall", "sequence", "error", "")
DECIMALS = 3  # of the venue's own prices and sizes


class Style(NamedTuple):
    """What a venue says besides levels."""

    ids: bool = False  # ids of single changes
    linked: bool = False  # and the last id before
    counted: bool = False  # ids of messages
    changes: bool = False
    echo: bool = False


SAYS = {
    "ids": Style(ids=True),
    "linked": Style(ids=True, linked=True),
    "counted": Style(counted=True, changes=True),
    "echoed": Style(echo=True),
    "silent": Style(),
}


class Venue:
    """One instrument's true book. Bids lie below ``middle``, asks above it."""

    def __init__(self, instrument: str, chance: random.Random, style: str) -> None:
        self.instrument, self.chance, self.says = instrument, chance, SAYS[style]
        self.middle = 100_000
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.last = 50
        for _ in range(20):
            self._change()

    def best(self) -> tuple[int, int, int, int]:
        """Best bid and ask with their sizes; zeros for an empty side."""
        bids, asks = self.sides
        bid, ask = max(bids, default=0), min(asks, default=0)
        return bid, bids.get(bid, 0), ask, asks.get(ask, 0)

    def levels(self, side: int, most: int = 20) -> list[tuple[int, int]]:
        """A side's best levels, best first."""
        return sorted(self.sides[side].items(), reverse=side == 0)[:most]

    def delta(self, now_ns: int) -> Depth:
        """Let some orders come and go, and tell of it."""
        before = tuple(dict(side) for side in self.sides)
        touched = [self._change() for _ in range(self.chance.randrange(1, 6))]
        first, previous = self.last + 1, self.last
        self.last += 1 if self.says.counted else len(touched)
        prices = [sorted({price for number, price in touched if number == side}) for side in (0, 1)]
        sizes = [[self.sides[side].get(price, 0) for price in prices[side]] for side in (0, 1)]
        changes = [
            [size - before[side].get(price, 0) for price, size in zip(prices[side], sizes[side], strict=True)]
            for side in (0, 1)
        ]
        numbers = [number for side in (0, 1) for number in (*sizes[side], *changes[side])]
        return self._depth(
            now_ns,
            "delta",
            (self.last if self.says.counted else first, self.last, previous if self.says.linked else -1),
            [list(zip(prices[side], sizes[side], strict=True)) for side in (0, 1)],
            changes if self.says.changes else None,
            numbers,
        )

    def snapshot(self, now_ns: int) -> Depth:
        """Tell the whole book, in no order; a venue that counts messages counts this one."""
        self.last += self.says.counted
        levels = [self.chance.sample(sorted(side.items()), len(side)) for side in self.sides]
        return self._depth(
            now_ns, "snapshot", (self.last, self.last, -1), levels, None, [size for side in levels for _, size in side]
        )

    def connect(self, now_ns: int, cause: str = "disconnect") -> Depth:
        """A new connection."""
        return self._depth(now_ns, "connect", (0, 0, -1), [[], []], None, [], cause)

    def _change(self) -> tuple[int, int]:
        """Change a level, most often near the middle; the middle itself moves through the book."""
        chance, side = self.chance, self.chance.randrange(2)
        if chance.random() < 0.05:
            self.middle += chance.choice((-10, 10))
        if chance.random() < 0.2 and self.sides[side]:
            price = chance.choice(sorted(self.sides[side]))
        else:
            away = 10 * (1 + int(chance.expovariate(0.1)))
            price = self.middle - away if side == 0 else self.middle + away
        other = self.sides[1 - side]
        size = 0 if chance.random() < 0.4 else chance.randrange(1, 9) * 10 ** chance.randrange(4)
        if any(price >= least if side == 0 else price <= least for least in other):
            size = 0  # it would trade with the other side
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)
        return side, price

    def _depth(
        self,
        now_ns: int,
        kind: str,
        ids: tuple[int, int, int],
        levels: list[list[tuple[int, int]]],
        changes: list[list[int]] | None,
        sizes: list[int],
        cause: str = "",
    ) -> Depth:
        """A message with no more decimals than its numbers need."""
        bid, _, ask, _ = self.best()
        prices = [price for side in levels for price, _ in side] + [bid, ask] * self.says.echo
        price_unit, size_unit = (_common(numbers) for numbers in (prices, sizes))
        said = self.says.ids or self.says.counted
        scaled = [[(price // price_unit, size // size_unit) for price, size in side] for side in levels]
        deltas = [[change // size_unit for change in side] for side in changes or ([], [])]
        return Depth(
            instrument=self.instrument,
            event_ns=now_ns,
            received_ns=now_ns + MILLISECOND,
            kind=kind,
            cause=cause,
            first_sequence=ids[0] if said else 0,
            last_sequence=ids[1] if said else 0,
            previous_sequence=ids[2],
            price_decimals=DECIMALS - len(str(price_unit)) + 1,
            size_decimals=DECIMALS - len(str(size_unit)) + 1,
            bids=packed(scaled[0]),
            asks=packed(scaled[1]),
            bid_changes=packed_changes(deltas[0]),
            ask_changes=packed_changes(deltas[1]),
            best_bid=bid // price_unit if self.says.echo and kind != "connect" else 0,
            best_ask=ask // price_unit if self.says.echo and kind != "connect" else 0,
            verified=False,
        )


def _common(numbers: list[int]) -> int:
    """The largest power of ten up to 10^DECIMALS that divides all numbers."""
    return next(10**digits for digits in range(DECIMALS, -1, -1) if all(each % 10**digits == 0 for each in numbers))


def depths(seed: int, count: int = 1_000, symbols: str = "cab") -> Iterator[Depth]:
    """What several venues say, as it comes: with lost, repeated, broken and unknown messages, and new connections."""
    chance = random.Random(seed)
    now = NOON
    venues = [Venue(f"x:{symbol}", chance, STYLES[number % len(STYLES)]) for number, symbol in enumerate(symbols)]
    for _ in range(count):
        now += int(chance.expovariate(1 / (40 * MILLISECOND))) + (chance.random() < 0.01) * 12 * SECOND
        venue, dice = chance.choice(venues), chance.random()
        if dice < 0.01:
            yield venue.connect(now, chance.choice(CAUSES))
        elif dice < 0.06:
            yield venue.snapshot(now)
        else:
            message = venue.delta(now)
            if dice < 0.94:
                yield message
            elif dice < 0.95:
                yield from (message, message)
            elif dice < 0.96:
                yield spoiled(message, chance)
            # else it is lost


def spoiled(message: Depth, chance: random.Random) -> Depth:
    """A message that something has happened to."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    wrong: dict[str, object] = chance.choice(
        (
            {"bids": message.bids + b"\1"},
            {"asks": packed([(-5, 3)])},
            {"bids": packed([(2**62, 1)]), "price_decimals": 0},
            {"bids": packed([(5, -3)])},
            {"kind": "rumour"},
            {"bid_changes": b"12345678"},
            {"size_decimals": 77},
        )
    )
    return Depth(**(fields | wrong))  # type: ignore[arg-type]
