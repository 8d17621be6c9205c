"""Rows of Binance's REST answers as records, the same that its streams give.

Wire format: github.com/binance/binance-spot-api-docs, rest-api.md, and developers.binance.com, USD-M futures market
data. Rules:

- ``received_ns`` 0 stands for a row that is back-filled: it counts as received when it happened.
- Klines carry the start of their interval, records its end. Of taker volumes the venue does not say what their time
  is; it is taken for the start, so that no record claims to have been known before it was.
- The last row of an answer may be of an interval that is still under way: with ``received_ns`` given, rows whose end
  lies after it are left out.
- The venue has several names for an interval's width; ``WIDTHS_MS`` knows those of fixed length.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from producers.binance_wire import PartId, nanoseconds
from producers.wire import UNREADABLE, Amount, Count, Price, Rate, Size, decoder
from schemas import Bar, Funding, Record, Rejected, TakerVolume, Trade

MINUTE_MS = 60_000
WIDTHS_MS = {
    "1s": 1_000,
    **{f"{minutes}m": minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * 60 * MINUTE_MS for hours in (1, 2, 4, 6, 8, 12)},
    "1d": 1_440 * MINUTE_MS,
    "3d": 4_320 * MINUTE_MS,
    "1w": 10_080 * MINUTE_MS,
}
Made = TypeVar("Made", bound=Record)


class TradeRow(msgspec.Struct, rename="camel", gc=False):
    """A row of ``trades`` and ``historicalTrades``."""

    id: Count
    price: Price
    qty: Size
    time: Count
    is_buyer_maker: bool


class AggTradeRow(msgspec.Struct, gc=False):
    """A row of ``aggTrades``."""

    a: Count
    p: Price
    q: Size
    f: PartId
    l: PartId  # noqa: E741
    T: Count
    m: bool


class KlineRow(msgspec.Struct, array_like=True, gc=False):
    """A row of ``klines``."""

    open_time: Count
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    close_time: Count
    quote_volume: Amount
    trades: Count
    taker_buy_volume: Amount


class FundingRow(msgspec.Struct, rename="camel", gc=False):
    """A row of ``fundingRate``; old ones have an empty mark price."""

    symbol: str
    funding_time: Count
    funding_rate: Rate
    mark_price: str = ""


class TakerVolumeRow(msgspec.Struct, rename="camel", gc=False):
    """A row of ``takerlongshortRatio``."""

    buy_vol: Amount
    sell_vol: Amount
    timestamp: Count


TRADES = decoder(list[TradeRow])
AGG_TRADES = decoder(list[AggTradeRow])
KLINES = decoder(list[KlineRow])
FUNDINGS = decoder(list[FundingRow])
TAKER_VOLUMES = decoder(list[TakerVolumeRow])


def trades(instrument: str, body: bytes, received_ns: int = 0) -> list[Trade]:
    """Trades of an answer to ``/api/v3/historicalTrades`` or ``/api/v3/trades``.

    Raises:
        Rejected: the answer is not as documented.

    >>> row = '{"id":7,"price":"2.5","qty":"4","time":1735689600010866,"isBuyerMaker":true,"isBestMatch":true}'
    >>> trade = trades("binance:ETHUSDT", f"[{row}]".encode())[0]
    >>> trade.price, trade.side, trade.trade_id, trade.event_ns == trade.received_ns
    (2.5, 'sell', 7, True)

    """

    def made(row: TradeRow) -> Trade:
        event_ns = nanoseconds(row.time)
        side = "sell" if row.is_buyer_maker else "buy"
        return Trade(instrument, event_ns, received_ns or event_ns, row.price, row.qty, side, row.id, row.id, row.id)

    return _made(TRADES, body, made)


def agg_trades(instrument: str, body: bytes, received_ns: int = 0) -> list[Trade]:
    """Trades of an answer to ``/api/v3/aggTrades`` or ``/fapi/v1/aggTrades``.

    Raises:
        Rejected: the answer is not as documented.

    """

    def made(row: AggTradeRow) -> Trade:
        if row.f > row.l:
            raise Rejected(f"trade ids {row.f} to {row.l}")
        event_ns = nanoseconds(row.T)
        side = "sell" if row.m else "buy"
        return Trade(instrument, event_ns, received_ns or event_ns, row.p, row.q, side, row.a, row.f, row.l)

    return _made(AGG_TRADES, body, made)


def klines(instrument: str, interval: str, body: bytes, received_ns: int = 0) -> list[Bar]:
    """Closed bars of an answer to ``/api/v3/klines`` or ``/fapi/v1/klines``.

    Raises:
        Rejected: the answer is not as documented.

    >>> row = '[1499040000000,"1","4","1","2","10",1499040059999,"20",3,"6","12","0"]'
    >>> klines("binance:ETHUSDT", "1m", f"[{row}]".encode())[0].event_ns
    1499040060000000000

    """
    width_ms = WIDTHS_MS[interval]

    def made(row: KlineRow) -> Bar:
        prices = row.open, row.high, row.low, row.close
        volumes = row.volume, row.quote_volume, row.trades, row.taker_buy_volume
        return bar(instrument, received_ns, row.open_time, width_ms, prices, volumes)

    return _ended(_made(KLINES, body, made), received_ns)


def bar(
    instrument: str,
    received_ns: int,
    start: int,
    width_ms: int,
    prices: tuple[float, float, float, float],
    volumes: tuple[float, float, int, float],
) -> Bar:
    """A closed bar from its venue's start; prices are open, high, low, close, volumes base, quote, trades, bought.

    Raises:
        Rejected: it does not start on its grid, or its prices contradict each other.

    """
    start_ns, width_ns = nanoseconds(start), width_ms * 1_000_000
    first, high, low, last = prices
    if start_ns % width_ns and width_ms < WIDTHS_MS["3d"]:
        raise Rejected(f"a bar of {width_ms} ms that starts at {start}")
    if not low <= min(first, last) <= max(first, last) <= high:
        raise Rejected(f"the bar of {start} has open {first} and close {last} outside {low} to {high}")
    event_ns = start_ns + width_ns
    return Bar(instrument, event_ns, received_ns or event_ns, width_ms, *prices, *volumes)


def fundings(instrument: str, body: bytes, received_ns: int = 0) -> list[Funding]:
    """Settled rates of an answer to ``/fapi/v1/fundingRate``.

    Raises:
        Rejected: the answer is not as documented.

    """

    def made(row: FundingRow) -> Funding:
        event_ns = nanoseconds(row.funding_time)
        mark_price = msgspec.convert(row.mark_price, Price, strict=False) if row.mark_price else 0.0
        return Funding(instrument, event_ns, received_ns or event_ns, row.funding_rate, mark_price)

    return _made(FUNDINGS, body, made)


def taker_volumes(instrument: str, period: str, body: bytes, received_ns: int = 0) -> list[TakerVolume]:
    """Complete intervals of an answer to ``/futures/data/takerlongshortRatio``.

    Raises:
        Rejected: the answer is not as documented.

    """
    width_ms = WIDTHS_MS[period]

    def made(row: TakerVolumeRow) -> TakerVolume:
        event_ns = nanoseconds(row.timestamp) + width_ms * 1_000_000
        return TakerVolume(instrument, event_ns, received_ns or event_ns, width_ms, row.buy_vol, row.sell_vol)

    return _ended(_made(TAKER_VOLUMES, body, made), received_ns)


def _made(decoder: "msgspec.json.Decoder[Any]", body: bytes, made: Callable[[Any], Made]) -> list[Made]:
    try:
        return [made(row) for row in decoder.decode(body)]
    except UNREADABLE as error:
        raise Rejected(f"unreadable rows: {error}: {body[:200]!r}") from error


def _ended(records: list[Made], received_ns: int) -> list[Made]:
    return [record for record in records if not received_ns or record.event_ns <= received_ns]
