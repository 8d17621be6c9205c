"""A seeded market that speaks Coinbase: for a demo without network, for load tests, benches and tests.

Every frame is in Coinbase's format and goes through Coinbase's parser; the instruments are ``simulator:…``, so that
nobody takes them for the market (producers/market_model.py says how it moves). The same seed, symbols and start give
the same frames. Heartbeats come each second, but not while the whole feed stalls, which it does every few minutes for
some seconds. What is traded during a stall is not sent: trade ids jump across it, and books begin anew after it.

With the channels ``level2_batch``, ``matches`` and ``status`` it can be traded on paper: books, trades, and the steps
of prices and sizes, which come once.
"""

import dataclasses
import heapq
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import ClassVar

import msgspec

from producers.coinbase import (
    EPOCH,
    ErrorMessage,
    HeartbeatMessage,
    Message,
    SubscriptionsMessage,
    TickerMessage,
    positive,
)
from producers.coinbase_level2 import CoinbaseLevel2, SnapshotMessage, UpdateMessage
from producers.coinbase_matches import TAKER, MatchMessage
from producers.feed import Repeated
from producers.market_model import MIDS, SECOND_NS, Deal, Instrument, market
from producers.session import Session
from schemas import Depth, Market, Record, Tick, Trade

TRADES_A_SECOND = 6.0
STALL_RATE = 1 / 240  # a second
LATENCY_NS = 15_000_000
BOOKS, MATCHES, STATUS = "level2_batch", "matches", "status"
PRICE_STEP, SIZE_STEP = "0.01", "0.00000001"


class Product(msgspec.Struct):
    """How a product trades."""

    id: str
    base_currency: str
    quote_currency: str
    base_increment: str
    quote_increment: str


class StatusMessage(Message, tag="status"):
    """All products that are open."""

    products: list[Product]


class Simulator(CoinbaseLevel2):
    """Coinbase's parsers under another venue's name; its frames come from :func:`frames`, not from a socket.

    Ticks come from the trades alone, also where books are sent as well. Where ``matches`` are sent, the trades are
    theirs, so that each counts once: a Tick has quotes only.
    """

    name: ClassVar[str] = "simulator"
    writes: ClassVar[tuple[type[Record], ...]] = (Tick, Depth, Trade, Market)
    url: ClassVar[str] = ""
    known_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeat", BOOKS, MATCHES, STATUS)
    default_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeat")
    decoder: ClassVar[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(
        TickerMessage
        | HeartbeatMessage
        | SnapshotMessage
        | UpdateMessage
        | MatchMessage
        | StatusMessage
        | SubscriptionsMessage
        | ErrorMessage
    )

    def records(self, message: Message, received_ns: int) -> list[Record]:
        match message:
            case MatchMessage():
                return self._match(message, received_ns)
            case StatusMessage():
                return [record for product in message.products for record in self._market(product, received_ns)]
            case TickerMessage() if MATCHES in self.channels:
                return [_quote_of(record) for record in super().records(message, received_ns)]
        return super().records(message, received_ns)

    def last_trade_id(self, beat: HeartbeatMessage) -> int:
        return beat.last_trade_id

    def _quote(self, product: str, event_ns: int, received_ns: int) -> list[Record]:
        return []

    def _match(self, match: MatchMessage, received_ns: int) -> list[Record]:
        product, number = match.product_id, match.trade_id
        event_ns = self.check(product, match.time, received_ns)
        price, size = positive("price", match.price), positive("size", match.size)
        if not self.recent.add((product, number)):
            raise Repeated(f"repeated: {product} trade_id {number}")
        records = self.connects(product, received_ns)
        side, instrument = TAKER[match.side], self.connected[product]
        return [*records, Trade(instrument, event_ns, received_ns, price, size, side, number, number, number)]

    def _market(self, product: Product, received_ns: int) -> list[Record]:
        self.known(product.id)
        step = positive("quote_increment", product.quote_increment)
        size = positive("base_increment", product.base_increment)
        records = self.connects(product.id, received_ns)
        market = Market(
            instrument=self.connected[product.id],
            event_ns=received_ns,
            received_ns=received_ns,
            status="open",
            base=product.base_currency,
            quote=product.quote_currency,
            family="",
            price_step=step,
            size_step=size,
            size_least=size,
            opens_ns=0,
            closes_ns=0,
            settles_on="",
            outcome="",
            details="",
        )
        return [*records, market]


@dataclasses.dataclass(slots=True)
class Sender:
    """One symbol as the venue sends it."""

    symbol: str
    instrument: Instrument
    opened: float
    sequence: int = 1_000_000
    trade_id: int = 100_000
    traded: float = 0.0
    has_book: bool = False  # a snapshot was sent, and nothing was left out since

    def book(self, deal: Deal, now_ns: int) -> str:
        """The frame of the book's levels: those that a trade has changed, all where the receiver has none."""
        changed = zip(("buy", "sell"), self.instrument.ladder(deal), strict=True)
        if self.has_book:
            changes = [(side, *_level(*level)) for side, levels in changed for level in levels.items()]
            return _encode(
                {"type": "l2update", "product_id": self.symbol, "changes": changes, "time": timestamp(now_ns)}
            )
        self.has_book = True
        bids, asks = (
            [_level(*level) for level in side.items()] for side in (self.instrument.bids, self.instrument.asks)
        )
        return _encode({"type": "snapshot", "product_id": self.symbol, "bids": bids, "asks": asks})

    def ticker(self, deal: Deal, now_ns: int) -> str:
        """The ticker frame of a trade."""
        self.sequence += self.instrument.chance.randrange(1, 200)
        self.trade_id += 1
        self.traded += deal.size
        return _encode(
            {
                "type": "ticker",
                "sequence": self.sequence,
                "product_id": self.symbol,
                "price": f"{deal.price / 100:.2f}",
                "open_24h": f"{self.opened:.2f}",
                "volume_24h": f"{self.traded:.8f}",
                "best_bid": f"{deal.bid / 100:.2f}",
                "best_bid_size": f"{deal.bid_size:.8f}",
                "best_ask": f"{deal.ask / 100:.2f}",
                "best_ask_size": f"{deal.ask_size:.8f}",
                "side": deal.side,
                "time": timestamp(now_ns),
                "trade_id": self.trade_id,
                "last_size": f"{deal.size:.8f}",
            }
        )

    def match(self, deal: Deal, now_ns: int) -> str:
        """The frame of the trade alone, after its ticker frame."""
        trade = {
            "type": "match",
            "trade_id": self.trade_id,
            "product_id": self.symbol,
            "time": timestamp(now_ns),
            "price": f"{deal.price / 100:.2f}",
            "size": f"{deal.size:.8f}",
            "side": TAKER[deal.side],
        }
        return _encode(trade)

    def trade(self, now_ns: int, channels: Sequence[str]) -> list[str]:
        """The frames of a trade now: its ticker, and those of ``channels``."""
        deal = self.instrument.trade(now_ns)
        frames = [self.ticker(deal, now_ns)]
        frames += [self.match(deal, now_ns)] if MATCHES in channels else []
        frames += [self.book(deal, now_ns)] if BOOKS in channels else []
        return frames

    def heartbeat(self, now_ns: int) -> str:
        """The heartbeat frame now."""
        self.sequence += 1
        beat = {"type": "heartbeat", "sequence": self.sequence, "last_trade_id": self.trade_id}
        return _encode(beat | {"product_id": self.symbol, "time": timestamp(now_ns)})


def symbols(count: int) -> list[str]:
    """Names for ``count`` symbols: the known ones first.

    >>> symbols(5)
    ['BTC-USD', 'ETH-USD', 'SOL-USD', 'S0004-USD', 'S0005-USD']
    """
    return [*MIDS, *(f"S{number:04}-USD" for number in range(len(MIDS) + 1, count + 1))][:count]


def frames(
    names: Sequence[str],
    start_ns: int,
    seed: int = 0,
    rate: float = TRADES_A_SECOND,
    channels: Sequence[str] = Simulator.default_channels,
) -> Iterator[tuple[str, int]]:
    """Frames with the ns of their receipt, from ``start_ns`` on, without end; ``rate`` is of trades a second in calm.

    >>> next(frames(["ETH-USD"], start_ns=0))
    ('{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["ETH-USD"]},\
{"name":"heartbeat","product_ids":["ETH-USD"]}]}', 15000000)
    """
    yield _subscriptions(names, channels), start_ns + LATENCY_NS
    if STATUS in channels:
        yield _status(names), start_ns + LATENCY_NS
    instruments = market(names, start_ns, seed, rate)
    senders = [Sender(name, item, item.mid) for name, item in zip(names, instruments, strict=True)]
    stalls = _stalls(Random(f"{seed}/stalls"), start_ns)
    stall = next(stalls)
    agenda = [(start_ns + SECOND_NS, index, True) for index in range(len(senders))]
    agenda += [(item.next_ns(start_ns), index, False) for index, item in enumerate(instruments)]
    heapq.heapify(agenda)
    while True:
        now_ns, index, beats = heapq.heappop(agenda)
        sender = senders[index]
        if now_ns >= stall[1]:
            stall = next(stalls)
            for other in senders:
                other.has_book = False
        sent = [sender.heartbeat(now_ns)] if beats else sender.trade(now_ns, channels)
        due_ns = now_ns + SECOND_NS if beats else sender.instrument.next_ns(now_ns)
        heapq.heappush(agenda, (due_ns, index, beats))
        if now_ns < stall[0]:
            for frame in sent:
                yield frame, now_ns + LATENCY_NS


def records(
    names: Sequence[str],
    start_ns: int,
    seed: int = 0,
    rate: float = TRADES_A_SECOND,
    channels: Sequence[str] = Simulator.default_channels,
) -> Iterator[Record]:
    """The records of those frames, without end."""
    session = Session(Simulator, names, channels)
    session.open()
    for frame, received_ns in frames(names, start_ns, seed, rate, channels):
        yield from session.receive(frame, received_ns)


def _stalls(chance: Random, start_ns: int) -> Iterator[tuple[int, int]]:
    """Stretches during which nothing is sent, one after the other."""
    end_ns = start_ns
    while True:
        begin_ns = end_ns + 5 * SECOND_NS + int(chance.expovariate(STALL_RATE) * SECOND_NS)
        end_ns = begin_ns + chance.randrange(2 * SECOND_NS, 8 * SECOND_NS)
        yield begin_ns, end_ns


def timestamp(event_ns: int) -> str:
    """A moment as the venue writes it, cut to the microsecond."""
    return (EPOCH + timedelta(microseconds=event_ns // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _subscriptions(names: Sequence[str], channels: Sequence[str]) -> str:
    confirmed = [{"name": name, "product_ids": list(names)} for name in channels]
    return _encode({"type": "subscriptions", "channels": confirmed})


def _status(names: Sequence[str]) -> str:
    products = []
    for name in names:
        base, _, quote = name.partition("-")
        increments = {"base_increment": SIZE_STEP, "quote_increment": PRICE_STEP}
        products.append({"id": name, "base_currency": base, "quote_currency": quote} | increments)
    return _encode({"type": "status", "products": products})


def _quote_of(record: Record) -> Record:
    if not isinstance(record, Tick):
        return record
    return msgspec.structs.replace(record, price=0.0, size=0.0, side="", trade_id=0)


def _level(cents: int, size: float) -> tuple[str, str]:
    return f"{cents / 100:.2f}", f"{size:.8f}"


def _encode(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()
