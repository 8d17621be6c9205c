"""The streams of one symbol at Binance whose ids rise by one: trades and bars.

- What was missed, over a reconnection or within one, is fetched again, and what comes meanwhile is held back; see
  refill.py.
- A bar's id is the number of its interval since the epoch. Klines become Bars when they close; one that is still open
  shows that the symbol is alive, as a Heartbeat. Only what closed between two connections is missing: the venue does
  not promise a bar for each interval.
"""

from typing import Any, ClassVar

import msgspec

from producers.agenda import Fetch
from producers.binance_rows import WIDTHS_MS, agg_trades, bar, klines, trades
from producers.binance_streams import DAY_NS, Page, Stream, far
from producers.binance_wire import FIRST_US, AggTradeEvent, KlineEvent, TradeEvent, Wrapped
from producers.refill import Missing, Refill
from producers.wire import decoder
from schemas import Heartbeat, Record, Rejected, Trade


class Rising(Stream):
    """A stream of records whose ids rise by one."""

    def __init__(self, name: str, instrument: str, page: Page, latest: dict[str, int], cause: str = "start") -> None:
        super().__init__(name, instrument, page, latest, cause)
        self._refill: Refill[Record] = Refill(latest, name)

    def due(self, now_ns: int) -> Fetch | None:
        missing = self._refill.due(now_ns)
        if missing is None:
            return None
        query = f"symbol={self.symbol}&{self.query(missing)}"
        return Fetch(self.name, f"{self._page.url}?{query}", weight=self._page.weight)

    def answer(self, body: bytes, received_ns: int) -> list[Record]:
        return self._seen(self._refill.fetched(self.rows(body, received_ns), received_ns))

    def overdue(self, now_ns: int) -> list[Record]:
        return self._seen(self._refill.overdue(now_ns))

    def in_order(self, number: int, record: Record, received_ns: int) -> list[Record]:
        """A record that came live, and what it lets pass; nothing while something before it is missing."""
        if not self.wants and self._latest.get(self.name) == number - 1:
            self._latest[self.name] = number
            return [record]
        return self._seen(self._refill.take(number, record, received_ns))

    def query(self, missing: Missing) -> str:
        """How to ask for a page of ids."""
        return f"fromId={missing.first}&limit={missing.last - missing.first + 1}"

    def rows(self, body: bytes, received_ns: int) -> list[tuple[int, Record]]:
        """The records of a page by their ids."""
        raise NotImplementedError

    def _seen(self, passed: list[Record]) -> list[Record]:
        self.wants = self._refill.open
        return passed


class Trades(Rising):
    """``trade``: each trade."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[TradeEvent])

    def take(self, event: TradeEvent, received_ns: int) -> list[Record]:
        stamp, number, side = event.T, event.t, "sell" if event.m else "buy"
        event_ns = stamp * (1_000 if stamp >= FIRST_US else 1_000_000)
        if not -DAY_NS < event_ns - received_ns < DAY_NS:
            raise far(stamp)
        trade = Trade(self._instrument, event_ns, received_ns, event.p, event.q, side, number, number, number)
        return self.in_order(number, trade, received_ns)

    def rows(self, body: bytes, received_ns: int) -> list[tuple[int, Record]]:
        return [(trade.trade_id, trade) for trade in trades(self._instrument, body, received_ns)]


class AggTrades(Rising):
    """``aggTrade``: the trades of an order at one price as one, by ids of their own."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[AggTradeEvent])

    def take(self, event: AggTradeEvent, received_ns: int) -> list[Record]:
        stamp, number, first, last, side = event.T, event.a, event.f, event.l, "sell" if event.m else "buy"
        event_ns = stamp * (1_000 if stamp >= FIRST_US else 1_000_000)
        if not -DAY_NS < event_ns - received_ns < DAY_NS:
            raise far(stamp)
        if first > last:
            raise Rejected(f"trade ids {first} to {last}")
        trade = Trade(self._instrument, event_ns, received_ns, event.p, event.q, side, number, first, last)
        return self.in_order(number, trade, received_ns)

    def rows(self, body: bytes, received_ns: int) -> list[tuple[int, Record]]:
        return [(trade.trade_id, trade) for trade in agg_trades(self._instrument, body, received_ns)]


class Klines(Rising):
    """``kline``: bars of one width."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[KlineEvent])

    def __init__(self, name: str, instrument: str, page: Page, latest: dict[str, int], cause: str = "start") -> None:
        super().__init__(name, instrument, page, latest, cause)
        self._interval = name.partition("@kline_")[2]
        self._width_ms = WIDTHS_MS[self._interval]
        self._begun = False

    def take(self, event: KlineEvent, received_ns: int) -> list[Record]:
        event_ns, kline = self.happened(event.E, received_ns), event.k
        if kline.i != self._interval:
            raise Rejected(f"on {self.name}: a kline of {kline.i[:50]!r}")
        if not kline.x:
            return [Heartbeat(self._instrument, event_ns, received_ns, 0, 0)]
        closed = bar(
            self._instrument,
            received_ns,
            kline.t,
            self._width_ms,
            (kline.o, kline.h, kline.l, kline.c),
            (kline.v, kline.q, kline.n, kline.V),
        )
        number = self._number(closed)
        if self._begun and not self.wants and number > self._latest[self.name]:
            self._latest[self.name] = number - 1
        self._begun = True
        return self.in_order(number, closed, received_ns)

    def query(self, missing: Missing) -> str:
        start_ms, end_ms = (missing.first - 1) * self._width_ms, missing.last * self._width_ms - 1
        return f"interval={self._interval}&startTime={start_ms}&endTime={end_ms}&limit=1000"

    def rows(self, body: bytes, received_ns: int) -> list[tuple[int, Record]]:
        bars = klines(self._instrument, self._interval, body, received_ns)
        return [(self._number(found), found) for found in bars]

    def _number(self, closed: Record) -> int:
        return closed.event_ns // (self._width_ms * 1_000_000)
