"""A resting order, and its place in the queue at its price.

A market that we only watch does not know our orders, so their place is reckoned from what it shows:

- An order enters behind all that is displayed at its price.
- A trade at its price takes from the front of the queue: first the others' volume ahead, then ours, then the others'
  behind us. Orders of ours at one price take in the order of their coming.
- Where the displayed size falls by more than has traded, the rest was cancelled. Of that ``cancels_ahead`` times the
  share of the queue that is ahead of us was ahead of us: 1 if any unit of it is as likely to be cancelled as any other,
  0 if all cancels happen behind us.
- No more can be ahead than is displayed. Volume that comes later is behind us.
- The displayed size of a level that lies beyond the visible ones is unknown; once in sight, all of it is ahead.

Our own fills take nothing from the displayed sizes, for in the recording they never happened.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

UNKNOWN = 1 << 62  # more than any size


@dataclass(slots=True)
class Resting:
    """An order at the venue: prices and sizes in the venue's whole numbers."""

    client_id: str
    strategy: str
    venue_id: str
    buy: bool
    price: int
    size: int
    filled: int
    post_only: bool
    reduce_only: bool
    expires_ns: int
    ahead: int = UNKNOWN  # size of others that trades before it
    shown: int = UNKNOWN  # size displayed at its price, less what has traded since
    came_ns: int = 0

    @property
    def left(self) -> int:
        """What has not traded yet."""
        return self.size - self.filled

    def enter(self, displayed: int) -> None:
        """Join the queue at the price."""
        self.ahead = self.shown = displayed

    def show(self, displayed: int, cancels_ahead: float) -> None:
        """Take what the book shows at the price now."""
        if displayed < self.shown < UNKNOWN and self.ahead < UNKNOWN:
            cancelled = self.shown - displayed
            self.ahead -= int(cancels_ahead * (min(self.ahead, self.shown) * cancelled // self.shown))
        self.shown = displayed
        self.ahead = min(self.ahead, displayed)

    def refine(self, price_factor: int, size_factor: int) -> None:
        """Go on with finer numbers."""
        self.price *= price_factor
        self.size *= size_factor
        self.filled *= size_factor
        self.ahead = self.ahead if self.ahead == UNKNOWN else self.ahead * size_factor
        self.shown = self.shown if self.shown == UNKNOWN else self.shown * size_factor


def trade(queue: Iterable[Resting], size: int) -> Iterator[tuple[Resting, int]]:
    """Trade a size at the price of a queue, first come first; what each order of it gets, if anything.

    >>> first, second = [Resting(name, "s", name, True, 100, 5, 0, True, False, 0) for name in "ab"]
    >>> first.enter(3)
    >>> second.enter(10)
    >>> [(order.client_id, size) for order, size in trade([first, second], 9)]
    [('a', 5)]
    >>> first.ahead, second.ahead
    (0, 6)

    """
    left, passed = size, 0  # passed: of the others' volume
    for order in queue:
        if order.ahead < UNKNOWN:
            taken = max(min(left, order.ahead - passed), 0)
            passed += taken
            left -= taken
            order.ahead = max(order.ahead - passed, 0)
        else:
            left = 0
        if order.shown < UNKNOWN:
            order.shown = max(order.shown - size, 0)
        if order.ahead == 0 and left > 0:
            got = min(left, order.left)
            left -= got
            yield order, got
