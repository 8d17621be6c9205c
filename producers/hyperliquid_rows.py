"""Hyperliquid's candles as bars: those of the stream, and those of ``candleSnapshot``.

Wire format: hyperliquid.gitbook.io, API, info endpoint and websocket subscriptions. Rules:

- ``t`` is the start of a candle in ms and ``T`` its last millisecond; numbers come as decimal strings. ``v`` is in base
  units, ``n`` counts trades; how much takers bought is not said.
- The venue keeps the newest 5,000 candles of each width and gives them ascending in one answer.
- Coins are perpetuals (``BTC``), spot pairs by number (``@107``), and perpetuals of other deployers (``xyz:GOLD``).
- ``received_ns`` 0 stands for what is back-filled: it counts as received when it ended. Given, it leaves out the candle
  that is still under way.
"""

import msgspec

from producers.wire import MILLISECOND, MINUTE_MS, UNREADABLE, Amount, Count, Milliseconds, Price, decoder, encoded
from schemas import Bar, Rejected

URL = "https://api.hyperliquid.xyz/info"
MOST = 5_000  # candles that the venue keeps
WIDTHS_MS = {
    **{f"{minutes}m": minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * 60 * MINUTE_MS for hours in (1, 2, 4, 8, 12)},
    "1d": 1_440 * MINUTE_MS,
}


class Candle(msgspec.Struct, gc=False):
    """A candle, closed or under way."""

    t: Milliseconds
    T: Milliseconds
    s: str
    i: str
    o: Price
    c: Price
    h: Price
    l: Price  # noqa: E741
    v: Amount
    n: Count


CANDLES = decoder(list[Candle])


def request(coin: str, start_ms: int, end_ms: int, interval: str = "1m") -> str:
    """The body to send to ``URL`` by POST for the candles that begin from ``start_ms`` to ``end_ms``.

    >>> request("@107", 60_000, 120_000)
    '{"type":"candleSnapshot","req":{"coin":"@107","interval":"1m","startTime":60000,"endTime":120000}}'
    """
    wanted = {"coin": coin, "interval": interval, "startTime": start_ms, "endTime": end_ms}
    return encoded({"type": "candleSnapshot", "req": wanted})


def bars(body: bytes, received_ns: int = 0) -> list[Bar]:
    """The closed bars of an answer in the order of time.

    Raises:
        Rejected: it is none, or one of its candles cannot be.

    >>> row = '{"t":60000,"T":119999,"s":"@107","i":"1m","o":"38.1","c":"38.3","h":"38.4","l":"38.0","v":"12.5","n":7}'
    >>> [bar] = bars(f"[{row}]".encode())
    >>> bar.instrument, bar.event_ns, bar.close, bar.trades
    ('hyperliquid:@107', 120000000000, 38.3, 7)

    """
    try:
        candles = CANDLES.decode(body)
    except UNREADABLE as error:
        raise Rejected(f"unreadable: {error}") from error
    made = [bar(candle, received_ns) for candle in sorted(candles, key=lambda candle: candle.t)]
    return [made_bar for made_bar in made if not received_ns or made_bar.event_ns <= received_ns]


def bar(candle: Candle, received_ns: int = 0) -> Bar:
    """A candle as a bar.

    Raises:
        Rejected: it cannot be one.

    """
    width_ms = WIDTHS_MS.get(candle.i)
    if width_ms is None:
        raise Rejected(f"unknown interval {candle.i[:50]!r}")
    if candle.t % width_ms or not candle.t < candle.T <= candle.t + width_ms:
        raise Rejected(f"a {candle.i} candle from {candle.t} to {candle.T}")
    if not candle.l <= min(candle.o, candle.c) <= max(candle.o, candle.c) <= candle.h:
        raise Rejected(f"no candle: open {candle.o}, high {candle.h}, low {candle.l}, close {candle.c}")
    end_ns = (candle.t + width_ms) * MILLISECOND
    return Bar(
        f"hyperliquid:{candle.s}",
        end_ns,
        received_ns or end_ns,
        width_ms,
        candle.o,
        candle.h,
        candle.l,
        candle.c,
        candle.v,
        0.0,
        candle.n,
        0.0,
    )
