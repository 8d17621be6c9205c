"""Coinbase Advanced Trade's ticker: a second source of the best quotes, over another API than coinbase.py.

Wire format: docs.cdp.coinbase.com, Advanced Trade websocket, channels ``ticker`` and ``heartbeats``. Rules:

- A subscribe message names one channel. Heartbeats, one a second, keep quiet subscriptions open; they are for no
  product and pass on as a sign of life of each.
- ``sequence_num`` rises by one with each message of a connection, whatever its channel: a jump means that something was
  missed and the connection is given up. A message whose content is refused has been counted all the same. As it says
  nothing of the product, it goes no further: ``sequence`` is 0.
- A ticker has neither trade id nor time of its own, and no size or side of the trade whose price it gives: it becomes a
  Tick without a trade, at the message's time.
- The venue answers for a product that trades in USDC as for the one in USD: ask for that.
- Each ticker of a message must be readable, or all of it is refused. A message more than a day from its receipt is a
  broken clock.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from producers.coinbase import DAY_NS, PRODUCT, amount, nanoseconds, positive
from producers.feed import Feed, Recent, Resubscribe
from producers.wire import UNREADABLE, Count, decoder, encoded
from schemas import Heartbeat, Record, Rejected, Tick

MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z", re.ASCII).fullmatch


class Ticker(msgspec.Struct, gc=False):
    """A product's best quotes."""

    product_id: str
    best_bid: str
    best_bid_quantity: str
    best_ask: str
    best_ask_quantity: str


class TickerEvent(msgspec.Struct, gc=False):
    """What has changed, or at first all there is."""

    type: Literal["snapshot", "update"]
    tickers: list[Ticker]


class SubscriptionsEvent(msgspec.Struct):
    """All that the connection is subscribed to: products by channel."""

    subscriptions: dict[str, list[str]]


class Message(msgspec.Struct, gc=False):
    """Whatever the venue sends on a channel."""

    channel: str
    timestamp: str
    sequence_num: Count
    events: msgspec.Raw


class Refusal(msgspec.Struct):
    """The venue refuses something."""

    type: Literal["error"]
    message: str


MESSAGE = decoder(Message)
REFUSAL = decoder(Refusal)
TICKERS = decoder(list[TickerEvent])
SUBSCRIPTIONS = decoder(list[SubscriptionsEvent])


class CoinbaseAdvanced(Feed):
    """The second ticker feed.

    >>> feed = CoinbaseAdvanced()
    >>> feed.subscribe(["ETH-USD"])[0]
    '{"type":"subscribe","channel":"ticker","product_ids":["ETH-USD"]}'
    >>> quotes = '"best_bid":"9","best_bid_quantity":"1","best_ask":"11","best_ask_quantity":"2"'
    >>> events = f'[{{"type":"update","tickers":[{{"product_id":"ETH-USD",{quotes}}}]}}]'
    >>> envelope = '"channel":"ticker","timestamp":"1970-01-01T00:00:01Z","sequence_num":3'
    >>> connect, tick = feed.parse(f'{{{envelope},"events":{events}}}', 1_000_000_000)
    >>> tick.bid, tick.ask, tick.trade_id
    (9.0, 11.0, 0)
    """

    name: ClassVar[str] = "coinbase_advanced"
    writes: ClassVar[tuple[type[Record], ...]] = (Tick,)
    url: ClassVar[str] = "wss://advanced-trade-ws.coinbase.com"
    silence_s: ClassVar[float] = 10.0
    known_channels: ClassVar[tuple[str, ...]] = ("ticker", "heartbeats")
    default_channels: ClassVar[tuple[str, ...]] = known_channels

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._sequence = -1  # of the last message; -1 before the first

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        products = {"ticker": {"product_ids": list(symbols)}}
        requests = [{"type": "subscribe", "channel": name} | products.get(name, {}) for name in self.channels]
        return [encoded(request) for request in requests]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            message = MESSAGE.decode(frame)
        except UNREADABLE as error:
            raise _unreadable(frame, error) from error
        expected = self._sequence + 1
        if self._sequence >= 0 and message.sequence_num != expected:
            raise Resubscribe("sequence", f"message {message.sequence_num} where {expected} should have come")
        self._sequence = message.sequence_num
        event_ns = moment_ns(message.timestamp)
        if abs(event_ns - received_ns) > DAY_NS:
            raise Rejected(f"event time {message.timestamp} is more than a day from its receipt")
        try:
            return iter(self._records(message, event_ns, received_ns))
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return moment_ns(MESSAGE.decode(frame).timestamp)
        except (*UNREADABLE, Rejected):
            return 0

    def _records(self, message: Message, event_ns: int, received_ns: int) -> list[Record]:
        match message.channel:
            case "ticker":
                tickers = [ticker for event in TICKERS.decode(message.events) for ticker in event.tickers]
                ticks = [self._tick(ticker, event_ns, received_ns) for ticker in tickers]
                products = dict.fromkeys(ticker.product_id for ticker in tickers)
                return [*self._connects(products, received_ns), *ticks]
            case "heartbeats":
                return [Heartbeat(instrument, event_ns, received_ns, 0, 0) for instrument in self.connected.values()]
            case "subscriptions":
                return self._confirm(SUBSCRIPTIONS.decode(message.events), received_ns)
        raise Rejected(f"unknown channel {message.channel[:50]!r}")

    def _tick(self, ticker: Ticker, event_ns: int, received_ns: int) -> Tick:
        product = ticker.product_id
        if (self.asked and product not in self.asked) or not PRODUCT(product):
            raise Rejected(f"unknown product {product[:50]!r}")
        bid, ask = positive("best_bid", ticker.best_bid), positive("best_ask", ticker.best_ask)
        if bid > ask:
            raise Rejected(f"crossed: best_bid {ticker.best_bid} above best_ask {ticker.best_ask}")
        bid_size = amount("best_bid_quantity", ticker.best_bid_quantity)
        ask_size = amount("best_ask_quantity", ticker.best_ask_quantity)
        instrument = f"{self.name}:{product}"
        return Tick(instrument, event_ns, received_ns, bid, ask, bid_size, ask_size, 0.0, 0.0, "", 0, 0)

    def _confirm(self, events: list[SubscriptionsEvent], received_ns: int) -> list[Record]:
        """The venue answers each subscription with all there are so far: a channel may not be there yet."""
        listed = {product for event in events for product in event.subscriptions.get("ticker", ())}
        if listed and (missing := sorted(self.asked - listed)):
            raise Resubscribe("error", f"subscription refused: {', '.join(missing)}")
        return self._connects(sorted(self.asked & listed or filter(PRODUCT, listed)), received_ns)

    def _connects(self, products: Iterable[str], received_ns: int) -> list[Record]:
        return [record for product in products for record in self.connects(product, received_ns)]


def moment_ns(text: str) -> int:
    """A time such as 2026-01-02T03:04:05.123456789Z as ns since the epoch.

    Raises:
        Rejected: it is none.

    >>> moment_ns("1970-01-01T00:00:01.000000002Z")
    1000000002

    """
    found = MOMENT(text)
    try:
        whole = datetime.fromisoformat(f"{found[1]}+00:00") if found else None
    except ValueError:
        whole = None
    if found is None or whole is None:
        raise Rejected(f"{text[:50]!r} is no time")
    return nanoseconds(whole) + int((found[2] or "").ljust(9, "0"))


def _unreadable(frame: str | bytes, error: Exception) -> Exception:
    try:
        return Resubscribe("error", f"venue says: {REFUSAL.decode(frame).message}")
    except UNREADABLE:
        return Rejected(f"unreadable: {error}")
