"""Coinbase Exchange: a Tick for each trade, with the best quotes after it, and a Heartbeat a second.

Wire format: docs.cdp.coinbase.com/exchange/websocket-feed/channels, channels ``ticker`` and ``heartbeat``. Rules:

- ``side`` is the taker's. Prices and sizes are decimal strings; quotes may be locked but not crossed.
- The venue repeats tickers: the same sequence and trade_id with other 24-hour figures. Only the first counts.
- ``sequence`` counts all messages of a product, of which this feed sees few: a jump in it is not a gap. Trade ids rise
  by one, and ``heartbeat.last_trade_id`` says how far they have come.
- An event time more than a day from ours is a broken clock, the venue's or ours, and is refused.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal

import msgspec

from producers.feed import Feed, Repeated, Resubscribe
from producers.wire import UNREADABLE, Count
from schemas import Heartbeat, Record, Rejected, Tick

DAY_NS = 86_400_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Stricter than float(), which also takes "nan", "1_000" and blanks; the lengths bound what a hostile frame can cost.
AMOUNT = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE]-?[0-9]{1,2})?", re.ASCII).fullmatch
PRODUCT = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}").fullmatch

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Message(msgspec.Struct, tag_field="type", gc=False):
    """Base of the venue's messages, told apart by ``type``."""


class TickerMessage(Message, tag="ticker"):
    """A trade, and the best quotes after it."""

    sequence: Count
    product_id: str
    price: str
    best_bid: str
    best_bid_size: str
    best_ask: str
    best_ask_size: str
    side: Literal["buy", "sell"]
    time: Moment
    trade_id: Count
    last_size: str


class HeartbeatMessage(Message, tag="heartbeat"):
    """Sent each second for each product."""

    sequence: Count
    last_trade_id: Count
    product_id: str
    time: Moment


class Channel(msgspec.Struct):
    """A channel and the products subscribed to on it."""

    name: str
    product_ids: list[str] = []


class SubscriptionsMessage(Message, tag="subscriptions"):
    """The venue's answer to a subscription: all that the connection is subscribed to."""

    channels: list[Channel]


class ErrorMessage(Message, tag="error"):
    """The venue refuses something."""

    message: str
    reason: str = ""


class Timed(msgspec.Struct):
    """The one field that a frame's own time needs."""

    time: Moment


DECODER = msgspec.json.Decoder(TickerMessage | HeartbeatMessage | SubscriptionsMessage | ErrorMessage)
TIMED = msgspec.json.Decoder(Timed)


class Coinbase(Feed):
    """The ticker feed.

    >>> feed = Coinbase()
    >>> feed.subscribe(["ETH-USD"])
    ['{"type":"subscribe","product_ids":["ETH-USD"],"channels":["ticker","heartbeat"]}']
    >>> counts = '"type":"heartbeat","sequence":9,"last_trade_id":4'
    >>> frame = f'{{{counts},"product_id":"ETH-USD","time":"1970-01-01T00:00:01Z"}}'
    >>> for record in feed.parse(frame, 1_000_000_000):
    ...     print(record)
    Connect(instrument='coinbase:ETH-USD', event_ns=1000000000, feed='coinbase', cause='start', quiet_ms=0)
    Heartbeat(instrument='coinbase:ETH-USD', event_ns=1000000000, received_ns=1000000000, sequence=9, last_trade_id=4)
    """

    name: ClassVar[str] = "coinbase"
    writes: ClassVar[tuple[type[Record], ...]] = (Tick,)
    url: ClassVar[str] = "wss://ws-feed.exchange.coinbase.com"
    silence_s: ClassVar[float] = 10.0
    known_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeat")
    default_channels: ClassVar[tuple[str, ...]] = known_channels
    decoder: ClassVar[msgspec.json.Decoder[Message]] = DECODER

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        request = {"type": "subscribe", "product_ids": list(symbols), "channels": list(self.channels)}
        return [msgspec.json.encode(request).decode()]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            message = self.decoder.decode(frame)
        except UNREADABLE as error:
            raise self.unreadable(frame, error) from error
        return iter(self.records(message, received_ns))

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return nanoseconds(TIMED.decode(frame).time)
        except UNREADABLE:
            return 0

    def unreadable(self, frame: str | bytes, error: Exception) -> Exception:
        """What to raise for a frame that is not a message as documented."""
        return Rejected(f"unreadable: {error}")

    def records(self, message: Message, received_ns: int) -> list[Record]:
        """Records of one message."""
        match message:
            case TickerMessage():
                return self._tick(message, received_ns)
            case HeartbeatMessage():
                return self._heartbeat(message, received_ns)
            case SubscriptionsMessage():
                return self._confirm(message, received_ns)
            case ErrorMessage():
                raise Resubscribe("error", f"venue says: {message.message}: {message.reason}")
        raise Rejected(f"not a message of this feed: {message!r}")

    def check(self, product: str, time: datetime, received_ns: int) -> int:
        """The event time in ns of a message that concerns us.

        Raises:
            Rejected: the product was not subscribed to, or the time is more than a day away.

        """
        if product not in self.connected:
            self.known(product)
        event_ns = nanoseconds(time)
        if abs(event_ns - received_ns) > DAY_NS:
            raise Rejected(f"event time {time.isoformat()} is more than a day from its receipt")
        return event_ns

    def known(self, product: str) -> None:
        """Raises Rejected for a product that was not subscribed to, or that cannot be one."""
        if (self.asked and product not in self.asked) or not PRODUCT(product):
            raise Rejected(f"unknown product {product[:50]!r}")

    def _tick(self, ticker: TickerMessage, received_ns: int) -> list[Record]:
        product = ticker.product_id
        event_ns = self.check(product, ticker.time, received_ns)
        bid, ask = positive("best_bid", ticker.best_bid), positive("best_ask", ticker.best_ask)
        if bid > ask:
            raise Rejected(f"crossed: best_bid {ticker.best_bid} above best_ask {ticker.best_ask}")
        bid_size = amount("best_bid_size", ticker.best_bid_size)
        ask_size = amount("best_ask_size", ticker.best_ask_size)
        price, size = positive("price", ticker.price), amount("last_size", ticker.last_size)
        if not self.recent.add((product, ticker.sequence, ticker.trade_id)):
            raise Repeated(f"repeated: {product} sequence {ticker.sequence} trade_id {ticker.trade_id}")
        records = self.connects(product, received_ns)
        records.append(
            Tick(
                self.connected[product],
                event_ns,
                received_ns,
                bid,
                ask,
                bid_size,
                ask_size,
                price,
                size,
                ticker.side,
                ticker.sequence,
                ticker.trade_id,
            )
        )
        return records

    def _heartbeat(self, beat: HeartbeatMessage, received_ns: int) -> list[Record]:
        event_ns = self.check(beat.product_id, beat.time, received_ns)
        records = self.connects(beat.product_id, received_ns)
        instrument = self.connected[beat.product_id]
        records.append(Heartbeat(instrument, event_ns, received_ns, beat.sequence, self.last_trade_id(beat)))
        return records

    def last_trade_id(self, beat: HeartbeatMessage) -> int:
        """How far the trades that this feed passes on have come."""
        return beat.last_trade_id

    def refused(self, answer: SubscriptionsMessage) -> list[str]:
        """What was asked for and is not subscribed to, as channel/product."""
        listed = {channel.name: set(channel.product_ids) for channel in answer.channels}
        return [
            f"{channel}/{product}"
            for channel in self.channels
            for product in sorted(self.asked - listed.get(channel, set()))
        ]

    def _confirm(self, answer: SubscriptionsMessage, received_ns: int) -> list[Record]:
        if refused := self.refused(answer):
            raise Resubscribe("error", f"subscription refused: {', '.join(refused)}")
        listed = {
            product
            for channel in answer.channels
            if channel.name == self.channels[0]
            for product in channel.product_ids
        }
        products = sorted(self.asked or filter(PRODUCT, listed))
        return [record for product in products for record in self.connects(product, received_ns)]


def nanoseconds(time: datetime) -> int:
    """A moment as ns since the epoch; the venue's times are exact to the microsecond."""
    return (time - EPOCH) // MICROSECOND * 1000


def amount(field: str, text: str) -> float:
    """A decimal string as a finite, non-negative number.

    Raises:
        Rejected: it is none, as "nan", "-1" or "1_000".

    """
    if not AMOUNT(text):
        raise Rejected(f"{field} {text[:50]!r} is not a non-negative number")
    return float(text)


def positive(field: str, text: str) -> float:
    """A decimal string as a finite number above zero.

    Raises:
        Rejected: it is none.

    """
    value = amount(field, text)
    if value <= 0.0:
        raise Rejected(f"{field} {text[:50]!r} is not positive")
    return value
