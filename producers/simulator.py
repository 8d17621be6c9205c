"""A seeded market that speaks Coinbase: for a demo without network, for load tests, benches and tests.

Every frame is in Coinbase's format and goes through Coinbase's parser; the instruments are ``simulator:…``, so that
nobody takes them for the market (producers/market_model.py says how it moves). The same seed, symbols and start give
the same frames. Heartbeats come each second, but not while the whole feed stalls, which it does every few minutes for
some seconds. What is traded during a stall is not sent: trade ids jump across it, and books begin anew after it.
"""

import dataclasses
import heapq
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import ClassVar

import msgspec

from producers.coinbase import EPOCH, ErrorMessage, HeartbeatMessage, Message, SubscriptionsMessage, TickerMessage
from producers.coinbase_level2 import CoinbaseLevel2, SnapshotMessage, UpdateMessage
from producers.market_model import MIDS, SECOND_NS, Deal, Instrument, market
from producers.session import Session
from schemas import Depth, Record, Tick

TRADES_A_SECOND = 6.0
STALL_RATE = 1 / 240  # a second
LATENCY_NS = 15_000_000
BOOKS = "level2_batch"


class Simulator(CoinbaseLevel2):
    """Coinbase's parsers under another venue's name; its frames come from :func:`frames`, not from a socket.

    Ticks come from the trades alone, also where books are sent as well.
    """

    name: ClassVar[str] = "simulator"
    writes: ClassVar[tuple[type[Record], ...]] = (Tick, Depth)
    url: ClassVar[str] = ""
    known_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeat", BOOKS)
    default_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeat")
    decoder: ClassVar[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(
        TickerMessage | HeartbeatMessage | SnapshotMessage | UpdateMessage | SubscriptionsMessage | ErrorMessage
    )

    def last_trade_id(self, beat: HeartbeatMessage) -> int:
        return beat.last_trade_id

    def _quote(self, product: str, event_ns: int, received_ns: int) -> list[Record]:
        return []


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

    def trade(self, now_ns: int, with_book: bool) -> list[str]:
        """The frames of a trade now."""
        deal = self.instrument.trade(now_ns)
        frames = [self.ticker(deal, now_ns)]
        return [*frames, self.book(deal, now_ns)] if with_book else frames

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
        sent = [sender.heartbeat(now_ns)] if beats else sender.trade(now_ns, BOOKS in channels)
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


def _level(cents: int, size: float) -> tuple[str, str]:
    return f"{cents / 100:.2f}", f"{size:.8f}"


def _encode(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()
