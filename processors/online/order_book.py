"""An order book in whole numbers: a snapshot sets it, messages change it, and it never says what it cannot know.

- Prices and sizes are whole numbers of 10^-price_decimals and 10^-size_decimals. Where a message is finer the book is
  brought to its decimals, where it is coarser the message is; decimals only grow.
- Venues cut snapshots at a round number of levels. A side with a multiple of CUT_AT levels is therefore known down to
  its last level only; what lies beyond is left out until the next snapshot. The same holds beyond ``limit`` levels.
- What cannot be applied raises Unusable; the book is worth nothing from then on.
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from processors.online import ladder
from processors.online.ladder import CHANGED, COUNT, FLOOR, GOOD, LARGEST, MALFORMED, TOO_LARGE, WHOLE
from processors.online.levels import NOTHING, Ints, Levels, Unusable

CUT_AT = 100
SPARE = 64
MOST_DECIMALS = 30
MOST_DIGITS = 18  # of a factor


REASONS = {
    MALFORMED: ("a price not above 0, or a size below 0", "error"),
    TOO_LARGE: ("numbers that do not fit into 64 bits", "error"),
    CHANGED: ("a size that is not the old one and its change", "change"),
}


Best = tuple[int, int, int, int]  # price and size of the best bid and of the best ask; zeros for an empty side


class View(NamedTuple):
    """The levels near the best, flat and best first, and figures over them, in the book's whole numbers."""

    bids: Ints
    asks: Ints
    imbalance: float
    bid_depth: float
    ask_depth: float


class OrderBook:
    """Both sides, of at most ``limit`` levels each.

    >>> book = OrderBook(10, Levels(1, 0, np.array([100, 5, 99, 7]), np.array([101, 2])))
    >>> book.apply(Levels(0, 0, np.array([10, 0]), np.array([11, 4])))
    (True, (99, 7, 101, 2))
    """

    def __init__(self, limit: int, levels: Levels | None = None) -> None:
        """Begin with a snapshot's levels, in whatever order they come, or with none.

        Raises:
            Unusable: they make no book.

        """
        self.limit = limit
        self.price_decimals = self.size_decimals = 0
        self.sides: Ints = np.empty((2, 2, 0), np.int64)
        self.marks: Ints = np.array([[0, WHOLE, 0], [0, WHOLE, 0]])
        self._room = 0  # levels that certainly find room without looking
        if levels is not None:
            _check_decimals(levels)
            self.price_decimals, self.size_decimals = levels.price_decimals, levels.size_decimals
            self._fill([_sorted(levels.bids, 1), _sorted(levels.asks, -1)])

    @classmethod
    def warm(cls) -> None:
        """Have the kernels compiled."""
        changes = Levels(0, 0, np.frombuffer(bytes(16), np.int64), NOTHING)
        book = cls.restored(1, cls(1, Levels(0, 0, np.ones(2, np.int64), NOTHING)).snapshot())
        book.view(1.0)
        book.best()
        with contextlib.suppress(Unusable):  # a price of 0
            book.apply(changes)

    def apply(self, levels: Levels) -> tuple[bool, Best]:
        """Set the sizes of some levels, 0 removing one; whether a level near the best has changed, and the best.

        Raises:
            Unusable: they cannot be applied.

        """
        price_decimals, size_decimals, bids, asks, bid_changes, ask_changes = levels
        price_factor = size_factor = 1
        if price_decimals != self.price_decimals or size_decimals != self.size_decimals:
            _check_decimals(levels)
            self.refine(price_decimals, size_decimals)
            price_factor = _power(self.price_decimals - price_decimals)
            size_factor = _power(self.size_decimals - size_decimals)
        self._room -= len(bids) + len(asks)
        if self._room < 0:
            self._make_room(len(bids) + len(asks))
        outcome, close, bid, bid_size, ask, ask_size = ladder.take(
            self.sides, self.marks, bids, asks, bid_changes, ask_changes, price_factor, size_factor, self.limit
        )
        if outcome != GOOD:
            raise Unusable(*REASONS[outcome])
        return close, (bid, bid_size, ask, ask_size)

    def best(self) -> Best:
        """The best level of each side."""
        bid, bid_size, ask, ask_size = ladder.best(self.sides, self.marks)
        return bid, bid_size, ask, ask_size

    def view(self, bps: float) -> View:
        """The levels near the best, and the sums of price times size within ``bps`` basis points of the mid."""
        return View(*ladder.view(self.sides, self.marks, bps))

    def counts(self) -> tuple[int, int]:
        """How many levels are known of each side."""
        bids, asks = self.marks[:, COUNT].tolist()
        return bids, asks

    def left(self) -> float:
        """The share of its levels that the side which has lost most of a cut snapshot still has; 1 where none was."""
        return min(1.0 if cut == 0 else count / cut for count, _, cut in self.marks.tolist())

    def agrees(self, other: "OrderBook") -> bool:
        """Whether two books of the same decimals are the same as far as both are known."""
        floors = np.maximum(self.marks[:, FLOOR], other.marks[:, FLOOR]).tolist()
        return all(
            np.array_equal(self._from(side, floor), other._from(side, floor)) for side, floor in enumerate(floors)
        )

    def prove(self, best: Best, told_bid: int, told_ask: int, price_decimals: int) -> None:
        """Hold the best levels against each other, and against the venue's word where it is not 0.

        Raises:
            Unusable: they do not hold.

        """
        bid, _, ask, _ = best
        if bid > ask > 0:
            raise Unusable(f"bid {bid} above ask {ask}", "crossed")
        if told_bid or told_ask:
            unit = 10 ** (self.price_decimals - price_decimals)
            if told_bid * unit not in (0, bid) or told_ask * unit not in (0, ask):
                raise Unusable(f"best {bid} and {ask}, the venue says {told_bid * unit} and {told_ask * unit}", "echo")

    def refined(self, other: "OrderBook") -> bool:
        """Go on with the decimals of another book, if that is possible."""
        try:
            self.refine(other.price_decimals, other.size_decimals)
        except Unusable:
            return False
        return True

    def refine(self, price_decimals: int, size_decimals: int) -> None:
        """Go on with at least so many decimals.

        Raises:
            Unusable: the book does not fit into 64 bits with them; it is unchanged then.

        """
        price_factor = _power(max(price_decimals - self.price_decimals, 0))
        size_factor = _power(max(size_decimals - self.size_decimals, 0))
        if price_factor == size_factor == 1:
            return
        for count, side in zip(self.counts(), self.sides, strict=True):
            _check_size(side[0, :count], price_factor)
            _check_size(side[1, :count], size_factor)
        floors = self.marks[:, FLOOR]
        _check_size(floors[floors != WHOLE], price_factor)
        self.sides[:, 0] *= price_factor
        self.sides[:, 1] *= size_factor
        self.marks[:, FLOOR] = np.where(floors == WHOLE, WHOLE, floors * price_factor)
        self.price_decimals = max(price_decimals, self.price_decimals)
        self.size_decimals = max(size_decimals, self.size_decimals)

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "price_decimals": self.price_decimals,
            "size_decimals": self.size_decimals,
            "marks": self.marks.tolist(),
            "sides": [
                ladder.squeezed(*side[:, :count]).tobytes()
                for side, count in zip(self.sides, self.counts(), strict=True)
            ],
        }

    @classmethod
    def restored(cls, limit: int, snapshot: dict[str, Any]) -> "OrderBook":
        """Continue from a snapshot."""
        book = cls(limit)
        book.price_decimals, book.size_decimals = snapshot["price_decimals"], snapshot["size_decimals"]
        book.marks = np.array(snapshot["marks"])
        book.sides = np.empty((2, 2, max(book.counts())), np.int64)
        for side, data in zip(book.sides, snapshot["sides"], strict=True):
            ladder.stretched(np.frombuffer(data, np.uint8), *side)
        return book

    def _from(self, side: int, floor: int) -> Ints:
        """Keys and sizes of a side that are not below a floor."""
        known = self.sides[side, :, : self.marks[side, COUNT]]
        return known[:, np.searchsorted(known[0], floor) :]

    def _fill(self, sides: list[Ints]) -> None:
        """Take sorted sides over."""
        self.sides = np.empty((2, 2, max(len(side[0]) for side in sides)), np.int64)
        for number, side in enumerate(sides):
            count = side.shape[1]
            kept = side[:, max(count - self.limit, 0) :]
            cut = count > self.limit or (count > 0 and count % CUT_AT == 0)
            self.sides[number, :, : kept.shape[1]] = kept
            self.marks[number] = (kept.shape[1], kept[0, 0], kept.shape[1]) if cut else (kept.shape[1], WHOLE, 0)

    def _make_room(self, numbers: int) -> None:
        """See that levels of so many numbers find room."""
        most = max(self.counts())
        wanted = min(most + numbers // 2, self.limit)
        if wanted > self.sides.shape[2]:
            larger = np.empty((2, 2, min(max(2 * wanted, SPARE), self.limit)), np.int64)
            larger[:, :, :most] = self.sides[:, :, :most]
            self.sides = larger
        # At the limit room is made by what is worst, so there always is some.
        self._room = LARGEST if self.sides.shape[2] == self.limit else 2 * (self.sides.shape[2] - most) - numbers


def scaled(best: Best, price_digits: int, size_digits: int) -> Best:
    """The same levels with so many more decimals."""
    bid, bid_size, ask, ask_size = best
    price, size = 10**price_digits, 10**size_digits
    return bid * price, bid_size * size, ask * price, ask_size * size


def _check_decimals(levels: Levels) -> None:
    if not (0 <= levels.price_decimals <= MOST_DECIMALS and 0 <= levels.size_decimals <= MOST_DECIMALS):
        raise Unusable(f"{levels.price_decimals} and {levels.size_decimals} decimals")


def _power(digits: int) -> int:
    """The factor between two decimals."""
    if digits > MOST_DIGITS:
        raise Unusable(*REASONS[TOO_LARGE])
    return int(10**digits)


def _check_size(numbers: Ints, factor: int) -> None:
    if len(numbers) and int(np.abs(numbers).max()) > LARGEST // factor:
        raise Unusable(*REASONS[TOO_LARGE])


def _sorted(levels: Ints, sign: int) -> Ints:
    """Keys and sizes of a side of a snapshot, best last, without levels of size 0."""
    prices, sizes = levels[0::2], levels[1::2]
    if len(prices) and (prices.min() <= 0 or sizes.min() < 0):
        raise Unusable(*REASONS[MALFORMED])
    pairs = np.stack((sign * prices, sizes))[:, sizes > 0]
    pairs = pairs[:, np.argsort(pairs[0], kind="stable")]
    if np.any(pairs[0, 1:] == pairs[0, :-1]):
        raise Unusable("a price that comes twice in a snapshot")
    return pairs
