"""Rows of Deribit's and Hyperliquid's histories become bars, whole and in order, or are refused."""

import json
from typing import Any

import pytest

from producers import deribit_rows, hyperliquid_rows
from schemas import Bar, Rejected
from schemas.codec import Codec
from tests.data import recording

MINUTE_NS = 60_000_000_000
CANDLE = {"t": 60_000, "T": 119_999, "s": "xyz:GOLD", "i": "1m", "n": 7}
PRICES = {"o": "38.1", "c": "38.3", "h": "38.4", "l": "38.0", "v": "12.5"}


def page(rows: list[list[float]], continuation: int | None = None, received_ns: int = 0) -> deribit_rows.Page:
    body = json.dumps({"jsonrpc": "2.0", "result": {"data": rows, "continuation": continuation}, "usIn": 1})
    return deribit_rows.page("btc_usd", body.encode(), received_ns)


def candles(*rows: dict[str, Any], received_ns: int = 0) -> list[Bar]:
    return hyperliquid_rows.bars(json.dumps(rows).encode(), received_ns)


def test_a_volatility_row_ends_a_width_after_its_stamp() -> None:
    [bar], continuation = page([[60_000, 52.1, 52.3, 52.0, 52.2]], continuation=60_000)
    assert (bar.event_ns, bar.received_ns, bar.width_ms) == (2 * MINUTE_NS, 2 * MINUTE_NS, 60_000)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (52.1, 52.3, 52.0, 52.2, 0.0)
    assert continuation == 60_000


def test_the_row_under_way_is_left_out_when_the_time_is_known() -> None:
    rows = [[60_000, 52.0, 52.0, 52.0, 52.0], [120_000, 53.0, 53.0, 53.0, 53.0]]
    [bar], _ = page(rows, received_ns=2 * MINUTE_NS)
    assert (bar.event_ns, bar.received_ns) == (2 * MINUTE_NS, 2 * MINUTE_NS)
    assert len(page(rows, received_ns=3 * MINUTE_NS).bars) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "unreadable"),
        (b"[]", "unreadable"),
        (b'{"jsonrpc":"2.0"}', "neither a result nor an error"),
        (b'{"error":{"message":"Invalid params","code":-32602}}', r"venue says: Invalid params \(-32602\)"),
        (b'{"result":{"data":[[60000,52.1,52.3,52.0]]}}', "unreadable"),
        (b'{"result":{"data":[[60000,52.1,52.3,52.0,null]]}}', "unreadable"),
        (b'{"result":{"data":[[60000,52.1,52.0,51.0,52.2]]}}', "no candle: open 52.1, high 52.0"),
        (b'{"result":{"data":[[99000000000000000,52.1,52.3,52.0,52.2]]}}', "unreadable"),
    ],
)
def test_what_is_no_page_of_volatility_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        deribit_rows.page("btc_usd", body)


def test_an_hour_of_real_volatility_comes_back_as_it_was() -> None:
    lines = recording("deribit/dvol_btc_60s_2025-12-19.csv").read_text().split()[1:]
    real = [(int(stamp), float(close) * 100.0) for stamp, close in (line.split(",") for line in lines)]
    found = page([[stamp, close, close, close, close] for stamp, close in reversed(real)]).bars
    assert [(bar.event_ns // 1_000_000 - 60_000, bar.close) for bar in found] == real


def test_a_candle_ends_a_width_after_its_start() -> None:
    [bar] = candles(CANDLE | PRICES)
    assert (bar.instrument, bar.event_ns, bar.received_ns) == ("hyperliquid:xyz:GOLD", 2 * MINUTE_NS, 2 * MINUTE_NS)
    assert (bar.open, bar.high, bar.low, bar.close) == (38.1, 38.4, 38.0, 38.3)
    assert (bar.volume, bar.quote_volume, bar.trades, bar.taker_buy_volume) == (12.5, 0.0, 7, 0.0)
    assert Codec().decode(Codec().encode(bar)) == bar


def test_the_candle_under_way_is_left_out_when_the_time_is_known() -> None:
    assert candles(CANDLE | PRICES, received_ns=2 * MINUTE_NS - 1) == []
    assert len(candles(CANDLE | PRICES, received_ns=2 * MINUTE_NS)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"i": "7m"}, "unknown interval '7m'"),
        ({"t": 60_001}, "a 1m candle from 60001 to 119999"),
        ({"T": 180_000}, "a 1m candle from 60000 to 180000"),
        ({"h": "38.2"}, "no candle: open 38.1, high 38.2"),
        ({"o": "nan"}, "unreadable"),
        ({"v": "-1"}, "unreadable"),
        ({"n": None}, "unreadable"),
    ],
)
def test_what_is_no_candle_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        candles(CANDLE | PRICES | change)
