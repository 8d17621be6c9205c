"""Windows of Polymarket's up/down markets: their grid and their slugs.

Each duration has its grid, on New York's clock where that differs from UTC's:

- 5m, 15m, 1h: multiples of the duration, the same in New York and in UTC.
- 4h: 00, 04, 08, 12, 16 and 20 in New York; the days on which its clocks change have a window of 3 or 5 hours.
- 1d: from noon to noon in New York, 23 or 25 hours on those days.

Slugs of 5m, 15m and 4h hold the start in seconds. Those of 1h name New York's hour, those of 1d the day on which the
window ends, both with the year: without it the venue answers with last year's market, so such a slug is refused. On
the night in which an hour comes twice, both hours have the same slug: only the market's own start tells them apart.
"""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas import Rejected

NEW_YORK = ZoneInfo("America/New_York")
COINS = {"btc": "bitcoin", "eth": "ethereum", "sol": "solana", "xrp": "xrp"}
MINUTES = {"5m": 5, "15m": 15, "1h": 60}
HOURS = {"4h": range(0, 24, 4), "1d": range(12, 13)}
SERIES = re.compile(rf"({'|'.join(COINS)})-updown-(5m|15m|1h|4h|1d)", re.ASCII).fullmatch
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
YEARLESS = re.compile(
    rf"[a-z]+-up-or-down-(?:on-)?(?:{'|'.join(MONTHS)})-[0-9]{{1,2}}(?:-[0-9]{{1,2}}[ap]m-et)?", re.ASCII
).fullmatch


class Window(NamedTuple):
    """What one market is about, in seconds since the epoch."""

    start_s: int
    end_s: int
    slug: str


class Series(NamedTuple):
    """All up/down markets of a coin and a duration.

    >>> winter = Series("btc", "4h").window(1795266000)
    >>> winter.slug, winter.end_s - winter.start_s, winter.start_s % 14400
    ('btc-updown-4h-1795266000', 14400, 3600)
    >>> Series("btc", "1h").window(1778727600).slug
    'bitcoin-up-or-down-may-13-2026-11pm-et'
    """

    coin: str
    duration: str

    def window(self, now_s: int) -> Window:
        """The window that a moment lies in."""
        return next(self.windows(now_s))

    def windows(self, now_s: int) -> Iterator[Window]:
        """The window that a moment lies in and those after it, without end."""
        for start_s, end_s in itertools.pairwise(self._starts(now_s)):
            if end_s > now_s:
                yield Window(start_s, end_s, self.slug(start_s, end_s))

    def slug(self, start_s: int, end_s: int) -> str:
        """The slug of the market over a window."""
        coin = COINS[self.coin]
        if self.duration == "1h":
            start = datetime.fromtimestamp(start_s, NEW_YORK)
            hour = f"{start.hour % 12 or 12}{'am' if start.hour < 12 else 'pm'}"
            return f"{coin}-up-or-down-{_day(start)}-{hour}-et"
        if self.duration == "1d":
            return f"{coin}-up-or-down-on-{_day(datetime.fromtimestamp(end_s, NEW_YORK))}"
        return f"{self.coin}-updown-{self.duration}-{start_s}"

    def _starts(self, now_s: int) -> Iterator[int]:
        """Starts of windows in order, the first at or before ``now_s``."""
        if self.duration in MINUTES:
            width_s = MINUTES[self.duration] * 60
            yield from itertools.count(now_s - now_s % width_s, width_s)
        midnight = datetime.fromtimestamp(now_s, NEW_YORK).replace(hour=0, minute=0, second=0) - timedelta(days=1)
        while True:
            for hour in HOURS[self.duration]:
                yield int(midnight.replace(hour=hour).astimezone(UTC).timestamp())
            midnight += timedelta(days=1)


def series(symbol: str) -> Series | None:
    """The series that a symbol such as ``btc-updown-5m`` stands for; None where it is a market's own slug.

    Raises:
        Rejected: it is a slug without its year.

    >>> series("eth-updown-1d")
    Series(coin='eth', duration='1d')

    """
    found = SERIES(symbol)
    if found is not None:
        return Series(*found.groups())
    if YEARLESS(symbol):
        raise Rejected(f"{symbol} lacks its year: the venue would answer with last year's market")
    return None


def _day(moment: datetime) -> str:
    return f"{MONTHS[moment.month - 1]}-{moment.day}-{moment.year}"
