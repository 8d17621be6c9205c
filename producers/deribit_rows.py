"""Deribit's history of its volatility index (DVOL) as bars.

Wire format: docs.deribit.com, ``public/get_volatility_index_data``. Rules:

- A row is [start in ms, open, high, low, close] in volatility points: 52.1 is 52.1 % a year. There are no volumes.
- An answer holds the newest rows of what was asked for. ``continuation`` is the end to ask for next, and null when all
  has come: history is paged backwards. Rows within a page ascend.
- ``received_ns`` 0 stands for what is back-filled: it counts as received when it ended. Given, it leaves out the row of
  the interval that is still under way.
"""

from typing import NamedTuple

import msgspec

from producers.wire import MILLISECOND, MINUTE_MS, UNREADABLE, Milliseconds, Price, decoder
from schemas import Bar, Rejected

URL = "https://www.deribit.com/api/v2/public/get_volatility_index_data"
RESOLUTIONS = {1_000: "1", MINUTE_MS: "60", 3_600_000: "3600", 43_200_000: "43200", 86_400_000: "1D"}


class Row(msgspec.Struct, array_like=True, gc=False):
    """A candle."""

    start_ms: Milliseconds
    open: Price
    high: Price
    low: Price
    close: Price


class Result(msgspec.Struct):
    """A page of candles."""

    data: list[Row]
    continuation: Milliseconds | None = None


class Failure(msgspec.Struct):
    """Why the venue does not answer."""

    message: str
    code: int = 0


class Answer(msgspec.Struct):
    """The venue's answer."""

    result: Result | None = None
    error: Failure | None = None


class Page(NamedTuple):
    """Closed bars in the order of time, and the end in ms to ask for next; None when there is nothing before them."""

    bars: list[Bar]
    continuation: int | None


DECODER = decoder(Answer)


def currency(symbol: str) -> str:
    """The currency that an index is about.

    Raises:
        ValueError: the symbol is no index.

    >>> currency("btc_usd")
    'BTC'

    """
    base, _, quote = symbol.partition("_")
    if not base or quote != "usd":
        raise ValueError(f"{symbol!r} is no volatility index; they are named as btc_usd is")
    return base.upper()


def url(symbol: str, start_ms: int, end_ms: int, width_ms: int = MINUTE_MS) -> str:
    """Where the bars from ``start_ms`` to ``end_ms`` are.

    >>> url("btc_usd", 0, 60_000).partition("?")[2]
    'currency=BTC&start_timestamp=0&end_timestamp=60000&resolution=60'
    """
    range_ms = f"start_timestamp={start_ms}&end_timestamp={end_ms}"
    return f"{URL}?currency={currency(symbol)}&{range_ms}&resolution={RESOLUTIONS[width_ms]}"


def page(symbol: str, body: bytes, received_ns: int = 0, width_ms: int = MINUTE_MS) -> Page:
    """The bars of an answer.

    Raises:
        Rejected: it is none, or a row of it is no candle.

    >>> body = b'{"result":{"data":[[60000,52.1,52.3,52.0,52.2]],"continuation":0}}'
    >>> [bar], continuation = page("btc_usd", body)
    >>> bar.event_ns, bar.close, continuation
    (120000000000, 52.2, 0)

    """
    try:
        answer = DECODER.decode(body)
    except UNREADABLE as error:
        raise Rejected(f"unreadable: {error}") from error
    if answer.error is not None:
        raise Rejected(f"venue says: {answer.error.message} ({answer.error.code})")
    if answer.result is None:
        raise Rejected("an answer with neither a result nor an error")
    rows = sorted(answer.result.data, key=lambda row: row.start_ms)
    ends_ns = [(row.start_ms + width_ms) * MILLISECOND for row in rows]
    bars = [
        _bar(symbol, row, end_ns, received_ns or end_ns, width_ms)
        for row, end_ns in zip(rows, ends_ns, strict=True)
        if not received_ns or end_ns <= received_ns
    ]
    return Page(bars, answer.result.continuation)


def _bar(symbol: str, row: Row, end_ns: int, received_ns: int, width_ms: int) -> Bar:
    if not row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high:
        raise Rejected(f"no candle: open {row.open}, high {row.high}, low {row.low}, close {row.close}")
    instrument = f"deribit:{symbol}"
    return Bar(instrument, end_ns, received_ns, width_ms, row.open, row.high, row.low, row.close, 0.0, 0.0, 0, 0.0)
