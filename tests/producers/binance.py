"""Messages and rows as Binance documents them, for tests: each function gives one with defaults to override."""

import json
from collections.abc import Sequence
from typing import Any

START_NS = 1_767_323_046_000_000_000  # 2026-01-02T03:04:06Z
START_US = START_NS // 1_000

Pairs = Sequence[Sequence[str]]


def wrapped(stream: str, **data: Any) -> str:
    """A message of a combined stream."""
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":"))


def trade(number: int, symbol: str = "ETHUSDT", **fields: Any) -> str:
    data = {"e": "trade", "E": START_US, "s": symbol, "t": number, "p": "3000.2", "q": "0.5", "T": START_US, "m": False}
    return wrapped(f"{symbol.lower()}@trade", **data | fields)


def agg_trade(number: int, symbol: str = "ETHUSDT", **fields: Any) -> str:
    data = {"e": "aggTrade", "s": symbol, "a": number, "p": "3000.2", "q": "0.5", "T": START_US, "m": False}
    return wrapped(f"{symbol.lower()}@aggTrade", **data | {"f": 2 * number, "l": 2 * number + 1} | fields)


def quote(number: int, symbol: str = "ETHUSDT", **fields: Any) -> str:
    data = {"u": number, "s": symbol, "b": "3000.1", "B": "1.5", "a": "3000.2", "A": "0.25"}
    return wrapped(f"{symbol.lower()}@bookTicker", **data | fields)


def depth(first: int, last: int, bids: Pairs = (), asks: Pairs = (), symbol: str = "ETHUSDT", **fields: Any) -> str:
    data = {"e": "depthUpdate", "E": START_US, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return wrapped(f"{symbol.lower()}@depth@100ms", **data | fields)


def snapshot(last: int, bids: Pairs = (), asks: Pairs = ()) -> bytes:
    return json.dumps({"lastUpdateId": last, "bids": bids, "asks": asks}).encode()


def kline(number: int, symbol: str = "ETHUSDT", closed: bool = True, **fields: Any) -> str:
    """The bar of a minute by its number since the epoch."""
    bar = {"t": number * 60_000_000, "i": "1m", "x": closed, "n": 7} | dict.fromkeys("oclh", "3000") | fields
    data = {"e": "kline", "E": START_US, "s": symbol, "k": bar | dict.fromkeys("vqV", "5")}
    return wrapped(f"{symbol.lower()}@kline_1m", **data)


def trade_row(number: int) -> dict[str, Any]:
    return {"id": number, "price": "3000.1", "qty": "0.25", "time": START_US, "isBuyerMaker": True}


def agg_trade_row(number: int) -> dict[str, Any]:
    return {"a": number, "p": "3000.1", "q": "0.25", "f": 2 * number, "l": 2 * number + 1, "T": START_US, "m": True}


def kline_row(number: int) -> list[Any]:
    start = number * 60_000_000
    return [start, "3000", "3000", "3000", "3000", "5", start + 59_999_999, "5", 7, "5", "5", "0"]


def confirmed(number: int = 1) -> str:
    """The answer to a request."""
    return json.dumps({"result": None, "id": number})
