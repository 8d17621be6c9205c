"""What volatility is multiplied by, minute by minute, because the market behind a price is open or shut.

The sessions are those of exchange_calendars, asked for a span that is given and never for today's, so that a minute is
open or shut for good under one version of the library. It is imported when an asset with market hours is first met.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from processors.online.crps import Floats
from processors.online.synth_assets import Asset

MINUTE_NS = 60_000_000_000
DAY_MINUTES = 1_440
MARGIN_DAYS = 10  # sessions around, so that every minute asked for has one before and after it


def variance_multipliers(asset: Asset, start: int, count: int) -> Floats:
    """The square of the multiplier of each minute from ``start`` (minutes since the epoch) on.

    >>> from processors.online.synth_assets import ASSETS
    >>> friday = 29_738_280  # 2026-07-17 14:00 UTC
    >>> variance_multipliers(ASSETS["NVDAX"], friday + 359, 2).round(2).tolist()
    [1.0, 0.36]
    """
    if not asset.calendar:
        return np.ones(count)
    opens, closes = sessions(asset.calendar, start // DAY_MINUTES // 366, (start + count) // DAY_MINUTES // 366)
    minutes = np.arange(start, start + count)
    session = np.searchsorted(opens, minutes, side="right") - 1
    trading = (session >= 0) & (minutes < closes[np.maximum(session, 0)])
    return np.where(trading, 1.0, asset.off_hours**2)


@lru_cache(maxsize=16)
def sessions(name: str, first: int, last: int) -> tuple[Any, Any]:
    """First minute and minute after the last of each session; the span is given in years of 366 days since 1970."""
    import exchange_calendars  # noqa: PLC0415  takes a second, which assets without market hours need not

    begin = np.datetime64(first * 366 - MARGIN_DAYS, "D")
    end = np.datetime64((last + 1) * 366 + MARGIN_DAYS, "D")
    calendar = exchange_calendars.get_calendar(name, start=str(begin), end=str(end))
    return calendar.opens_nanos // MINUTE_NS, calendar.closes_nanos // MINUTE_NS
