"""Coinbase Exchange's trades, each once and in the order of their ids, and a Heartbeat a second.

Wire format: docs.cdp.coinbase.com/exchange/websocket-feed/channels, channels ``matches`` and ``heartbeat``, and
docs.cdp.coinbase.com, Exchange REST API, get product trades. Rules:

- ``side`` is the maker's, on the stream and over REST; a Trade has the taker's.
- Trade ids of a product rise by one. What was missed is fetched again and what comes meanwhile held back, see
  refill.py; what the venue does not offer again shows as a jump of the ids.
- ``last_match`` comes first on a connection: the trade before it, which shows at once whether some were missed.
- A heartbeat may overtake a match: only ids that the heartbeat before has told of, and that have not come, are missing.
- Heartbeats pass on the id up to which trades have been passed on, for the rest is not lost yet.
- Pages run from new to old, ``after`` an id that is not in them. One row more than is missing is asked for, so that a
  page would hold all of it even with that id in it.
- A match more than a day from its receipt is a broken clock; trades that come late may be older.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import msgspec

from producers.agenda import Fetch
from producers.coinbase import (
    DAY_NS,
    Coinbase,
    ErrorMessage,
    HeartbeatMessage,
    Message,
    Moment,
    SubscriptionsMessage,
    nanoseconds,
    positive,
)
from producers.feed import Recent, Repeated
from producers.refill import Missing, Refill
from producers.wire import UNREADABLE, Count
from schemas import Record, Rejected, Trade

URL = "https://api.exchange.coinbase.com/products"
PAGE = 999
TAKER = {"buy": "sell", "sell": "buy"}  # by the maker's side


class Row(msgspec.Struct, gc=False):
    """A trade, as REST gives it."""

    trade_id: Count
    time: Moment
    price: str
    size: str
    side: Literal["buy", "sell"]


class MatchMessage(Message, tag="match"):
    """A trade as it happens."""

    trade_id: Count
    product_id: str
    time: Moment
    price: str
    size: str
    side: Literal["buy", "sell"]


class LastMatchMessage(MatchMessage, tag="last_match"):
    """The trade before the connection began."""


DECODER = msgspec.json.Decoder(MatchMessage | LastMatchMessage | HeartbeatMessage | SubscriptionsMessage | ErrorMessage)
ROWS = msgspec.json.Decoder(list[Row])


class CoinbaseMatches(Coinbase):
    """The feed of trades.

    >>> feed = CoinbaseMatches()
    >>> fields = '"product_id":"ETH-USD","time":"1970-01-01T00:00:01Z","price":"10.5","size":"2","side":"sell"'
    >>> frames = [f'{{"type":"match","trade_id":{number},{fields}}}' for number in (7, 9)]
    >>> [type(record).__name__ for record in feed.parse(frames[0], 1)], list(feed.parse(frames[1], 2))
    (['Connect', 'Trade'], [])
    >>> [fetch.url.partition("products")[2] for fetch in feed.fetches(2)]
    ['/ETH-USD/trades?after=9&limit=2']
    >>> row = '{"trade_id":8,"time":"1970-01-01T00:00:01Z","price":"10.4","size":"1","side":"buy"}'
    >>> [(trade.trade_id, trade.side) for trade in feed.answer("trades:ETH-USD", f"[{row}]".encode(), 3)]
    [(8, 'sell'), (9, 'buy')]
    """

    name: ClassVar[str] = "coinbase_matches"
    writes: ClassVar[tuple[type[Record], ...]] = (Trade,)
    known_channels: ClassVar[tuple[str, ...]] = ("matches", "heartbeat")
    default_channels: ClassVar[tuple[str, ...]] = known_channels
    decoder: ClassVar[msgspec.json.Decoder[Message]] = DECODER

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._refills: dict[str, Refill[Trade]] = {}
        self._told: dict[str, int] = {}  # last trade id of the last heartbeat, by product

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        missing = ((product, refill.due(now_ns)) for product, refill in self._refills.items())
        return [_fetch(product, wanted) for product, wanted in missing if wanted is not None]

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        kind, _, product = tag.partition(":")
        refill = self._refills.get(product)
        if kind != "trades" or refill is None:
            raise Rejected(f"an answer to {tag[:50]!r}, which was not asked for")
        try:
            rows = ROWS.decode(body)
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error
        trades = [(row.trade_id, self._trade(product, row, received_ns)) for row in rows]
        return iter(refill.fetched(trades, received_ns))

    def tick(self, now_ns: int) -> Iterator[Record]:
        for refill in self._refills.values():
            yield from refill.overdue(now_ns)

    def records(self, message: Message, received_ns: int) -> list[Record]:
        match message:
            case LastMatchMessage():
                return self._last(message, received_ns)
            case MatchMessage():
                self.check(message.product_id, message.time, received_ns)
                return self._match(message, received_ns)
            case HeartbeatMessage():
                records = super().records(message, received_ns)
                self._refill(message.product_id).told(self._told.get(message.product_id, 0), received_ns)
                self._told[message.product_id] = message.last_trade_id
                return records
        return super().records(message, received_ns)

    def last_trade_id(self, beat: HeartbeatMessage) -> int:
        return min(beat.last_trade_id, self.recent.latest.get(beat.product_id, 0))

    def _last(self, message: LastMatchMessage, received_ns: int) -> list[Record]:
        try:
            return self._match(message, received_ns)
        except Repeated:
            return self.connects(message.product_id, received_ns)

    def _match(self, message: MatchMessage, received_ns: int) -> list[Record]:
        product = message.product_id
        self.known(product)
        trade = self._trade(product, message, received_ns)
        passed = self._refill(product).take(message.trade_id, trade, received_ns)
        return [*self.connects(product, received_ns), *passed]

    def _trade(self, product: str, row: MatchMessage | Row, received_ns: int) -> Trade:
        event_ns = nanoseconds(row.time)
        if event_ns - received_ns > DAY_NS:
            raise Rejected(f"event time {row.time.isoformat()} is more than a day after its receipt")
        price, size = positive("price", row.price), positive("size", row.size)
        number = row.trade_id
        return Trade(
            f"{self.name}:{product}", event_ns, received_ns, price, size, TAKER[row.side], number, number, number
        )

    def _refill(self, product: str) -> Refill[Trade]:
        if product not in self._refills:
            self._refills[product] = Refill(self.recent.latest, product, PAGE)
        return self._refills[product]


def _fetch(product: str, wanted: Missing) -> Fetch:
    rows = wanted.last - wanted.first + 2
    return Fetch(f"trades:{product}", f"{URL}/{product}/trades?after={wanted.last + 1}&limit={rows}")
