"""When a candle of Hyperliquid's stream is closed, and which are missing.

The stream repeats the candle under way with each trade and does not say when it is closed. Rules:

- A candle is closed when a later one of its coin begins, or when a message about its coin is ``GRACE_MS`` later than
  its end by the venue's time: channels of a connection may overtake one another by a little.
- The candle under way holds all trades of its minute, also those before the connection.
- Minutes that have ended without a closed candle are missing and fetched, see refill.py; the venue may have none for a
  minute without trades.
- A closed candle counts as received when it was known to be closed. One that comes after that is refused.
"""

import contextlib

import msgspec

from producers.feed import Repeated
from producers.hyperliquid_rows import Candle, bar
from producers.refill import Missing, Refill
from producers.wire import MINUTE_MS
from schemas import Bar, Rejected

INTERVAL = "1m"
GRACE_MS = 2_000
LAG_NS = 10_000_000_000  # between two requests for a minute that the venue does not have
PAGE = 5_000


class Candles:
    """The minutes of one coin; ``key`` stands for them in ``latest``, which outlives the connection.

    >>> candles = Candles({}, "candle:BTC")
    >>> first, second = (Candle(start, start + 59_999, "BTC", "1m", 9, 10, 11, 8, 1, 2) for start in (60_000, 180_000))
    >>> candles.take(first, 1), [bar.event_ns // 10**9 for bar in candles.take(second, 2)], candles.due(2)
    ([], [120], Missing(first=2, last=2))
    """

    def __init__(self, latest: dict[str, int], key: str) -> None:
        self._refill: Refill[Bar] = Refill(latest, key, PAGE, lag_ns=LAG_NS)
        self._under_way: Bar | None = None
        self._closed_ns = 0  # end of the last candle that was closed

    def check(self, candle: Candle) -> None:
        """Raises Rejected for what cannot be a candle, or comes after it was closed."""
        if candle.i != INTERVAL:
            raise Rejected(f"a candle of {candle.i[:50]!r}, which was not asked for")
        end_ns, before = bar(candle).event_ns, self._under_way
        if end_ns <= self._closed_ns or (before is not None and end_ns < before.event_ns):
            raise Rejected(f"a candle from {candle.t} after it was closed")

    def take(self, candle: Candle, received_ns: int) -> list[Bar]:
        """Bars that are closed now that this candle has come, which was checked."""
        closed = self.passed(candle.t, received_ns, grace_ms=0)
        self._under_way = bar(candle, received_ns)
        return closed

    def passed(self, venue_ms: int, received_ns: int, grace_ms: int = GRACE_MS) -> list[Bar]:
        """Bars that are closed now that the venue's time is this."""
        ended = (venue_ms - grace_ms) // MINUTE_MS - 1  # the last minute that has
        before = self._under_way
        closed: list[Bar] = []
        if before is not None and _minute(before) <= ended:
            self._under_way, self._closed_ns = None, before.event_ns
            with contextlib.suppress(Repeated):  # another connection has passed it on, or an answer held it
                whole = msgspec.structs.replace(before, received_ns=received_ns)
                closed = self._refill.take(_minute(whole), whole, received_ns)
        self._refill.told(ended, received_ns)
        return closed

    def due(self, now_ns: int) -> Missing | None:
        """Minutes to fetch now."""
        return self._refill.due(now_ns)

    def fetched(self, bars: list[Bar], received_ns: int) -> list[Bar]:
        """Bars to pass on now that these were fetched."""
        return self._refill.fetched([(_minute(whole), whole) for whole in bars], received_ns)

    def overdue(self, now_ns: int) -> list[Bar]:
        """Bars to pass on because the venue does not answer."""
        return self._refill.overdue(now_ns)


def _minute(whole: Bar) -> int:
    return whole.event_ns // (MINUTE_MS * 1_000_000) - 1
