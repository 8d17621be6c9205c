"""Which of Polymarket's markets a symbol wants: where to ask for them, and which of the answer to follow.

- A symbol is a series, as ``btc-updown-5m``, or one market's slug.
- A series wants its next ``AHEAD`` windows, the present one first, and those that have ended within ``AFTER_S``, whose
  markets still trade for a while and are then resolved. They are asked for by their slugs.
- The venue also lists markets that are long over. One is followed from when it accepts orders, where its start and end
  are those of a window that is wanted; from then on it is, whatever it does.
"""

import itertools
import re
from collections.abc import Container, Sequence
from urllib.parse import urlencode

from producers.polymarket_markets import GammaMarket, nanoseconds, outcomes
from producers.polymarket_windows import Window, series
from schemas import Rejected

GAMMA = "https://gamma-api.polymarket.com"
SECOND_NS = 1_000_000_000
AHEAD = 6
AFTER_S = 600
SLUG = re.compile(r"[a-z0-9-]{1,200}", re.ASCII).fullmatch


def check(symbol: str) -> None:
    """Raises Rejected for a symbol that is neither a series nor a slug, or that lacks its year."""
    if series(symbol) is None and not SLUG(symbol):
        raise Rejected(f"{symbol[:50]!r} is neither a series nor a slug")


def windows(symbol: str, now_ns: int) -> list[Window]:
    """The windows that a series wants; none for a slug."""
    found = series(symbol)
    if found is None:
        return []
    now_s = now_ns // SECOND_NS
    recent = itertools.takewhile(lambda window: window.end_s <= now_s, found.windows(now_s - AFTER_S))
    return [*recent, *itertools.islice(found.windows(now_s), AHEAD)]


def wants(symbol: str, slug: str, now_ns: int) -> bool:
    """Whether a market is one that a symbol wants.

    >>> wants("btc-updown-5m", "btc-updown-5m-600", 700 * SECOND_NS)
    True
    >>> wants("btc-updown-5m", "btc-updown-5m-6000", 700 * SECOND_NS)
    False
    """
    return slug == symbol or any(window.slug == slug for window in windows(symbol, now_ns))


def url(symbol: str, now_ns: int) -> str:
    """Where the markets of a symbol are listed.

    >>> url("some-slug", 0)
    'https://gamma-api.polymarket.com/markets?slug=some-slug'
    """
    slugs = dict.fromkeys(window.slug for window in windows(symbol, now_ns))
    if not slugs:
        return f"{GAMMA}/markets?{urlencode({'slug': symbol})}"
    return f"{GAMMA}/events?{urlencode([('slug', slug) for slug in slugs])}"


def chosen(symbol: str, listed: Sequence[GammaMarket], followed: Container[str], now_ns: int) -> list[GammaMarket]:
    """The markets to follow; ``followed`` are the tokens that are already.

    Raises:
        Rejected: there is none, or one of them is malformed.

    """
    wanted = windows(symbol, now_ns)
    fitting = [market for market in listed if (any(_fits(market, window) for window in wanted) if wanted else True)]
    found = [
        market
        for market in fitting
        if any(token in followed for token in outcomes(market))
        or (market.accepting_orders and not market.closed and nanoseconds(market.end_date) > now_ns)
    ]
    if not found:
        raise Rejected(f"none of {len(listed)} markets listed for {symbol[:100]} is one that it wants, and open")
    return found


def _fits(market: GammaMarket, window: Window) -> bool:
    start = market.event_start_time
    return (
        market.slug == window.slug
        and nanoseconds(market.end_date) == window.end_s * SECOND_NS
        and (start is None or nanoseconds(start) == window.start_s * SECOND_NS)
    )
