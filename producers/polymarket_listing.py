"""Which of Polymarket's markets a symbol wants: where to ask for them, and which of the answer to follow.

- A symbol is a series, as ``btc-updown-5m``, or one market's slug.
- A series wants its next ``AHEAD`` windows, the present one first, and those that have ended within ``AFTER_S``, whose
  markets still trade for a while and are then resolved. They are asked for by their slugs: with ``closed=false``, and
  those that have ended with ``closed=true`` as well, for the venue gives only the ones or the others.
- The venue also lists markets that are long over. One is followed from when it accepts orders, where its start and end
  are those of a window that is wanted; from then on it is, whatever it does.
"""

import itertools
import re
from collections.abc import Container
from urllib.parse import urlencode

from producers.polymarket_markets import GammaMarket, nanoseconds, of_events, of_markets, outcomes
from producers.polymarket_windows import Window, series
from schemas import Rejected

GAMMA = "https://gamma-api.polymarket.com"
SECOND_NS = 1_000_000_000
AHEAD = 6
AFTER_S = 600
KINDS = ("open", "closed")
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


def url(tag: str, now_ns: int) -> str:
    """Where the markets of a symbol are listed, its kind before it; empty where none can be closed yet.

    >>> url("open:some-slug", 0)
    'https://gamma-api.polymarket.com/markets?closed=false&slug=some-slug'
    >>> url("closed:btc-updown-5m", 700 * SECOND_NS)
    'https://gamma-api.polymarket.com/events?closed=true&slug=btc-updown-5m-0&slug=btc-updown-5m-300'
    """
    kind, _, symbol = tag.partition(":")
    closed = kind == "closed"
    if series(symbol) is None:
        return f"{GAMMA}/markets?{urlencode({'closed': str(closed).lower(), 'slug': symbol})}"
    wanted = [window for window in windows(symbol, now_ns) if not closed or window.end_s * SECOND_NS <= now_ns]
    slugs = dict.fromkeys(window.slug for window in wanted)
    query = urlencode([("closed", str(closed).lower()), *(("slug", slug) for slug in slugs)])
    return f"{GAMMA}/events?{query}" if slugs else ""


def chosen(symbol: str, body: bytes, followed: Container[str], now_ns: int) -> list[GammaMarket]:
    """The markets of an answer that are to be followed; ``followed`` are the tokens that are already.

    Raises:
        Rejected: the answer is malformed.

    """
    listed = of_markets(body) if series(symbol) is None else of_events(body)
    wanted = windows(symbol, now_ns)
    return [
        market
        for market in listed
        if not wanted or any(_fits(market, window) for window in wanted)
        if any(token in followed for token in outcomes(market))
        or (market.accepting_orders and not market.closed and nanoseconds(market.end_date) > now_ns)
    ]


def _fits(market: GammaMarket, window: Window) -> bool:
    start = market.event_start_time
    return (
        market.slug == window.slug
        and nanoseconds(market.end_date) == window.end_s * SECOND_NS
        and (start is None or nanoseconds(start) == window.start_s * SECOND_NS)
    )
