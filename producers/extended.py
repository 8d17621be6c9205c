"""Extended: order book, public trades, funding, mark and index prices and metadata of its perpetuals.

Wire format: the vendor's API documentation, public websocket streams v1: one address for each stream of each market, to
which nothing is sent; extended_market.py for what is fetched. Rules:

- The book is followed in extended_book.py. A frame that cannot be read may have been a change of it: where books are
  received it ends the connection.
- The other streams' messages stand each for themselves: ``seq`` must rise, and what comes late is refused.
- ``S`` is the taker's side. ``i`` names a trade and does not count: trade_id is 0. Liquidations are trades;
  deleveraging moves positions at a price off the market and is left out.
- Rates of the funding stream were paid: each is a Funding. The mark's stream also fetches the market once a minute: a
  Mark of all prices with the funding rate to come, which the stream's own Marks carry on, and a Market when it changed,
  or an hour after the last one.
- An index price is an IndexValue. A sign of life is any message, at most one a second.
- The venue refuses requests without a User-Agent.
- A message more than a day from its receipt is a broken clock; trades and funding may be older, but not newer.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

from producers import extended_market
from producers.agenda import Agenda, Fetch
from producers.extended_book import Book, Levels
from producers.feed import Feed, Recent, Repeated, Resubscribe, Shard
from producers.wire import MILLISECOND, UNREADABLE, Count, Milliseconds, Price, Rate, decoder
from schemas import Depth, Funding, Heartbeat, IndexValue, Mark, Market, Record, Rejected, Trade

PATHS = {
    "orderbooks": "orderbooks",
    "publicTrades": "publicTrades",
    "funding": "funding",
    "mark": "prices/mark",
    "index": "prices/index",
}
SILENCES_S = {"publicTrades": 7_200.0, "funding": 7_200.0}  # the others speak at least once a minute
MARKET = re.compile(r"[A-Za-z0-9_]{1,20}-[A-Z0-9]{1,10}", re.ASCII).fullmatch
POLL_S = 60.0
TOLD_AGAIN_NS = 3_600_000_000_000
DAY_MS = 86_400_000
SECOND_MS = 1_000


class Deal(msgspec.Struct, gc=False):
    """A trade."""

    m: str
    S: Literal["BUY", "SELL"]
    tT: Literal["TRADE", "LIQUIDATION", "DELEVERAGE"]  # noqa: N815
    T: Milliseconds
    p: Price
    q: Annotated[float, msgspec.Meta(gt=0.0, lt=1e18)]
    i: Count


class Paid(msgspec.Struct, gc=False):
    """A funding rate that was applied."""

    m: str
    T: Milliseconds
    f: Rate


class Priced(msgspec.Struct, gc=False):
    """A mark or index price, and when it was calculated."""

    m: str
    p: Price
    ts: Milliseconds


class Message(msgspec.Struct, gc=False):
    """Whatever the venue sends; ``type`` is not documented for all of it."""

    ts: Milliseconds
    seq: Count
    data: msgspec.Raw
    type: str | None = None
    error: str | None = None


MESSAGE = decoder(Message)
LEVELS = decoder(Levels)
DEALS = decoder(list[Deal])
PAID = decoder(Paid)
PRICED = decoder(Priced)


class Extended(Feed):
    """The feed of all that.

    >>> Extended.address(Extended.shards(["BTC-USD"], ["mark"])[0]).rpartition("/v1/")[2]
    'prices/mark/BTC-USD'
    >>> feed = Extended()
    >>> deal = '{"m":"BTC-USD","S":"SELL","tT":"LIQUIDATION","T":4000,"p":"25670","q":"0.1","i":25124}'
    >>> connect, trade = feed.parse(f'{{"ts":5000,"seq":1,"data":[{deal}]}}', 6_000_000_000)
    >>> trade.instrument, trade.event_ns, trade.side
    ('extended:BTC-USD', 4000000000, 'sell')
    """

    name: ClassVar[str] = "extended"
    writes: ClassVar[tuple[type[Record], ...]] = (Depth, Trade, Mark, IndexValue, Funding, Market)
    url: ClassVar[str] = "wss://api.starknet.extended.exchange/stream.extended.exchange/v1"
    silence_s: ClassVar[float] = 75.0
    quiet_ms: ClassVar[int] = 75_000
    known_channels: ClassVar[tuple[str, ...]] = tuple(PATHS)
    default_channels: ClassVar[tuple[str, ...]] = known_channels
    headers: ClassVar[dict[str, str]] = {"User-Agent": "tidemill"}

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._agenda = Agenda()
        self._sequences: dict[tuple[str, str], int] = {}  # last seq by kind of message and market
        self._books: dict[str, Book] = {}
        self._beats: dict[str, int] = {}  # venue's time of a market's last Heartbeat, in ms
        self._funding: dict[str, tuple[float, int]] = {}  # the rate to come, and when
        self._markets: dict[str, Market] = {}

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        """As Feed.shards; raises Rejected for what is no market."""
        for symbol in symbols:
            if not MARKET(symbol):
                raise Rejected(f"{symbol[:50]!r} is no market: they are named as BTC-USD is")
        return [Shard((symbol,), (channel,)) for symbol in symbols for channel in channels]

    @classmethod
    def address(cls, shard: Shard) -> str:
        return f"{cls.url}/{PATHS[shard.channels[0]]}/{shard.symbols[0]}"

    def silence(self) -> float:
        return max(SILENCES_S.get(channel, self.silence_s) for channel in self.channels)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        if "mark" in self.channels:
            for symbol in symbols:
                request = Fetch(f"market:{symbol}", f"{extended_market.URL}?market={symbol}")
                self._agenda.add(request, every_s=POLL_S)
        return super().subscribe(symbols)

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            message = MESSAGE.decode(frame)
            if message.error is not None:
                raise Resubscribe("error", f"venue says: {message.error[:200]}")
            return iter(self._records(message, received_ns))
        except UNREADABLE as error:
            if "orderbooks" in self.channels:
                raise Resubscribe("error", f"unreadable, perhaps a change of the book: {error}") from error
            raise Rejected(f"unreadable: {error}") from error

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return int(MESSAGE.decode(frame).ts) * MILLISECOND
        except UNREADABLE:
            return 0

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        return self._agenda.due(now_ns)

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        kind, _, name = tag.partition(":")
        found = [row for row in extended_market.rows(body) if row.name == name]
        if kind != "market" or not found:
            raise Rejected(f"an answer to {tag[:50]!r} without it")
        self._check(name)
        market = extended_market.market(found[0], f"{self.name}:{name}", received_ns)
        mark = extended_market.mark(found[0], f"{self.name}:{name}", received_ns)
        self._agenda.done(tag)
        self._funding[name] = mark.funding_rate, mark.next_funding_ns
        told = self._news(name, market)
        heartbeat = Heartbeat(market.instrument, received_ns, received_ns, 0, 0)
        return iter([*self.connects(name, received_ns), *told, mark, heartbeat])

    def _news(self, name: str, market: Market) -> list[Market]:
        """The market where it has changed, or was not told for long: somebody may have begun to listen since."""
        told = self._markets.get(name, market)
        same = msgspec.structs.replace(told, event_ns=market.event_ns, received_ns=market.received_ns) == market
        if told is not market and same and market.event_ns - told.event_ns < TOLD_AGAIN_NS:
            return []
        self._markets[name] = market
        return [market]

    def _records(self, message: Message, received_ns: int) -> list[Record]:
        if abs(message.ts - received_ns // MILLISECOND) > DAY_MS:
            raise Rejected(f"time {message.ts} is more than a day from its receipt")
        if bytes(message.data).startswith(b"["):
            return self._trades(message, DEALS.decode(message.data), received_ns)
        match message.type:
            case "SNAPSHOT" | "DELTA":
                return self._book(message, LEVELS.decode(message.data), received_ns)
            case "MP" | "IP":
                return self._price(message, PRICED.decode(message.data), received_ns)
        return self._paid(message, PAID.decode(message.data), received_ns)

    def _book(self, message: Message, levels: Levels, received_ns: int) -> list[Record]:
        name = levels.m
        self._check(name)
        book = self._books.get(name) or Book(f"{self.name}:{name}", self.cause)
        whole, event_ns = message.type == "SNAPSHOT", message.ts * MILLISECOND
        depths = book.take(levels, whole, message.seq, event_ns, received_ns)
        self._books[name] = book
        return [*self.connects(name, received_ns), *depths, *self._beat(name, message, received_ns)]

    def _trades(self, message: Message, deals: list[Deal], received_ns: int) -> list[Record]:
        for deal in deals:
            self._check(deal.m)
            _not_later(deal.T, received_ns)
        self._rise("trades", deals[0].m if deals else "", message.seq)
        new = [deal for deal in deals if self.recent.add((deal.m, deal.i))]
        if deals and not new:
            raise Repeated(f"repeated: {len(deals)} trades of {deals[0].m}")
        records: list[Record] = []
        for deal in new:
            records += self.connects(deal.m, received_ns)
            if deal.tT != "DELEVERAGE":
                side = "buy" if deal.S == "BUY" else "sell"
                event_ns = deal.T * MILLISECOND
                records.append(Trade(self.connected[deal.m], event_ns, received_ns, deal.p, deal.q, side, 0, 0, 0))
        return records

    def _paid(self, message: Message, paid: Paid, received_ns: int) -> list[Record]:
        self._check(paid.m)
        _not_later(paid.T, received_ns)
        self._rise("funding", paid.m, message.seq)
        if not self.recent.add((paid.m, "funding", paid.T)):
            raise Repeated(f"repeated: funding of {paid.m} at {paid.T}")
        connects = self.connects(paid.m, received_ns)
        funding = Funding(self.connected[paid.m], paid.T * MILLISECOND, received_ns, paid.f, 0.0)
        return [*connects, funding, *self._beat(paid.m, message, received_ns)]

    def _price(self, message: Message, priced: Priced, received_ns: int) -> list[Record]:
        name, event_ns = priced.m, priced.ts * MILLISECOND
        self._check(name)
        _not_later(priced.ts, received_ns)
        self._rise(str(message.type), name, message.seq)
        connects = self.connects(name, received_ns)
        instrument = self.connected[name]
        price: Record
        if message.type == "MP":
            price = Mark(instrument, event_ns, received_ns, priced.p, 0.0, *self._funding.get(name, (0.0, 0)))
        else:
            price = IndexValue(instrument, event_ns, received_ns, priced.p, 0.0, 0.0, 0)
        return [*connects, price, *self._beat(name, message, received_ns)]

    def _beat(self, name: str, message: Message, received_ns: int) -> list[Record]:
        if message.ts - self._beats.get(name, 0) < SECOND_MS:
            return []
        self._beats[name] = message.ts
        return [Heartbeat(self.connected[name], message.ts * MILLISECOND, received_ns, 0, 0)]

    def _check(self, name: str) -> None:
        if (self.asked and name not in self.asked) or not MARKET(name):
            raise Rejected(f"unknown market {name[:50]!r}")

    def _rise(self, kind: str, name: str, sequence: int) -> None:
        """Raises Rejected for what comes late."""
        last = self._sequences.get((kind, name), -1)
        if sequence <= last:
            raise Rejected(f"late: message {sequence} of {name} after {last}")
        self._sequences[kind, name] = sequence


def _not_later(stamp_ms: int, received_ns: int) -> None:
    if stamp_ms - received_ns // MILLISECOND > DAY_MS:
        raise Rejected(f"time {stamp_ms} is more than a day after its receipt")
