"""The prices that Polymarket settles on, as it relays them: Chainlink's averages over a minute, and their sources.

Wire format: docs.polymarket.com/market-data/websocket/rtds; a channel here is a topic there. The venue retires these
topics in favour of PolyBolt, see polymarket_bolt.py, which wants credentials. Rules:

- ``full_accuracy_value`` counts, in Chainlink's topics a whole number of 10^-18, else a decimal; ``value`` only where
  the other is missing. The two must agree to a millionth.
- The same symbol means another series in each topic: what is not the minute's average carries its kind in its name,
  ``polymarket_prices:btc/usd@chainlink``.
- The venue refuses filters, so it sends every symbol and those not asked for are passed over. So is what a topic sends
  that was not chosen. After a filtered subscription it sends the last minutes: what is new of them is given.
- The venue sometimes goes on answering pings while it sends no more prices: that is a stall too.
"""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from producers.feed import Feed, Recent, Repeated, Resubscribe
from producers.wire import UNREADABLE, Milliseconds, Price, encoded
from schemas import Heartbeat, IndexValue, Record, Rejected
from schemas.levels import DECIMAL

MILLISECOND, SECOND_NS = 1_000_000, 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
STALL_NS = 45 * SECOND_NS
SYMBOL = re.compile(r"[a-z0-9]{1,20}(?:/[a-z0-9]{1,20})?", re.ASCII).fullmatch


class Topic(NamedTuple):
    """What a topic's values are."""

    window_ms: int
    kind: str  # for the instrument's name
    chainlink: bool


TOPICS = {
    "crypto_prices_twap_sixty": Topic(60_000, "", True),
    "crypto_prices_twap_thirty": Topic(30_000, "@twap30", True),
    "crypto_prices_chainlink": Topic(0, "@chainlink", True),
    "crypto_prices": Topic(0, "", False),  # Binance's: its symbols are no others
}


class Value(msgspec.Struct):
    """A price at a time."""

    timestamp: Milliseconds
    value: Price
    full_accuracy_value: str = ""


class Payload(msgspec.Struct):
    """One value, or in ``data`` those of the last minutes."""

    symbol: str
    timestamp: Milliseconds = 0
    value: Price | None = None
    full_accuracy_value: str = ""
    window_s: int = 0
    data: list[Value] = []


class Message(msgspec.Struct, rename={"status_code": "statusCode"}):
    """Values of a topic, or the refusal of a subscription."""

    topic: str = ""
    type: str = ""
    payload: Payload | None = None
    status_code: int = 0
    message: str = ""


class Head(msgspec.Struct):
    """The one field that a frame's own time needs."""

    timestamp: Milliseconds


MESSAGE = msgspec.json.Decoder(Message)
HEAD = msgspec.json.Decoder(Head)


class PolymarketPrices(Feed):
    """Index values.

    >>> feed = PolymarketPrices(channels=["crypto_prices_twap_sixty"])
    >>> feed.subscribe(["btc/usd"])
    ['{"action":"subscribe","subscriptions":[{"topic":"crypto_prices_twap_sixty","type":"update"}]}']
    >>> values = '"value":65048.1,"full_accuracy_value":"65048100000000000000000","timestamp":1000,"window_s":60'
    >>> topic = '"topic":"crypto_prices_twap_sixty","type":"update","timestamp":1100'
    >>> for record in feed.parse(f'{{{topic},"payload":{{"symbol":"btc/usd",{values}}}}}', 2_000_000_000):
    ...     print(record)
    Connect(instrument='polymarket_prices:btc/usd', event_ns=2000000000, feed='polymarket_prices', cause='start', quiet_ms=45000)
    IndexValue(instrument='polymarket_prices:btc/usd', event_ns=1000000000, received_ns=2000000000, value=65048.1, confidence=0.0, average=0.0, window_ms=60000)
    """  # noqa: E501

    name: ClassVar[str] = "polymarket_prices"
    writes: ClassVar[tuple[type[Record], ...]] = (IndexValue,)
    url: ClassVar[str] = "wss://ws-live-data.polymarket.com"
    silence_s: ClassVar[float] = 45.0
    quiet_ms: ClassVar[int] = 45_000
    known_channels: ClassVar[tuple[str, ...]] = tuple(TOPICS)
    default_channels: ClassVar[tuple[str, ...]] = ("crypto_prices_twap_sixty",)
    ping: ClassVar[str] = "PING"
    ping_s: ClassVar[float] = 5.0

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._priced_ns = 0  # when a price last came, or pings were first answered

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe([symbol.lower() for symbol in symbols])
        kinds = {"crypto_prices_chainlink": "*"}
        wanted = [{"topic": topic, "type": kinds.get(topic, "update")} for topic in self.channels]
        return [encoded({"action": "subscribe", "subscriptions": wanted})]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        text = frame[:10] if isinstance(frame, str) else frame[:10].decode("utf-8", "replace")
        if text.upper() == "PONG":
            return iter(self.alive(received_ns))
        if not text:
            return iter(())
        try:
            message = MESSAGE.decode(frame)
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error
        if message.status_code >= 400:
            raise Resubscribe("error", f"venue says: {message.status_code}: {message.message[:200]}")
        if message.payload is None or message.topic not in TOPICS:
            raise Rejected(f"no prices: topic {message.topic[:50]!r}, type {message.type[:50]!r}")
        return iter(self._values(message.topic, message.payload, received_ns))

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return HEAD.decode(frame).timestamp * MILLISECOND
        except UNREADABLE:
            return 0

    def _values(self, name: str, payload: Payload, received_ns: int) -> list[Record]:
        topic, symbol = TOPICS[name], payload.symbol.lower()
        if not SYMBOL(symbol):
            raise Rejected(f"unknown symbol {symbol[:50]!r}")
        if self.asked and (symbol not in self.asked or name not in self.channels):
            return []
        if payload.window_s and payload.window_s * 1000 != topic.window_ms:
            raise Rejected(f"{name} of {symbol} over {payload.window_s} s")
        if payload.value is None:
            values, alone = payload.data, False
        else:
            values, alone = [Value(payload.timestamp, payload.value, payload.full_accuracy_value)], True
        found = [(value.timestamp * MILLISECOND, exact(value, topic.chainlink)) for value in values]
        return self.news(symbol + topic.kind, topic.window_ms, found, received_ns, alone)

    def news(
        self, symbol: str, window_ms: int, values: Sequence[tuple[int, float]], received_ns: int, alone: bool
    ) -> list[Record]:
        """What is new of some values and their times; one that comes alone must be.

        Raises:
            Rejected: a time lies more than a day away, or the one value is repeated or late.

        """
        latest_ns = self.recent.latest.get(symbol, -1)
        if any(abs(event_ns - received_ns) > DAY_NS for event_ns, _ in values):
            raise Rejected(f"{symbol}: a time more than a day from its receipt")
        if alone and values[0][0] == latest_ns:
            raise Repeated(f"repeated: {symbol} at {latest_ns // MILLISECOND}")
        if alone and values[0][0] < latest_ns:
            raise Rejected(f"late: {symbol} at {values[0][0] // MILLISECOND}, after {latest_ns // MILLISECOND}")
        found = [(event_ns, value) for event_ns, value in sorted(values) if event_ns > latest_ns]
        if not found:
            return []
        self._priced_ns, self.recent.latest[symbol] = received_ns, found[-1][0]
        records = self.connects(symbol, received_ns)
        instrument = self.connected[symbol]
        return [*records, *(IndexValue(instrument, at, received_ns, value, 0.0, 0.0, window_ms) for at, value in found)]

    def alive(self, received_ns: int) -> list[Record]:
        """What an answered ping says.

        Raises:
            Resubscribe: it is all that has come for too long.

        """
        self._priced_ns = self._priced_ns or received_ns
        if received_ns - self._priced_ns > STALL_NS:
            raise Resubscribe("stall", f"pings are answered, but no price has come since {self._priced_ns}")
        return [Heartbeat(instrument, received_ns, received_ns, 0, 0) for instrument in self.connected.values()]


def exact(value: Value, whole: bool) -> float:
    """The price to full accuracy, which ``whole`` counts in 10^-18 unless it has a point.

    Raises:
        Rejected: it is none, or differs from the rounded one.

    >>> exact(Value(0, 65048.078902, "65048078902260626000000"), whole=True)
    65048.078902260626

    """
    text = value.full_accuracy_value
    if not text:
        return value.value
    if not DECIMAL(text):
        raise Rejected(f"full_accuracy_value {text[:50]!r} is not a decimal number")
    found = float(f"{text}e-18" if whole and "." not in text else text)
    if abs(found - value.value) > 1e-6 * value.value:
        raise Rejected(f"full_accuracy_value {text[:50]} is not the value {value.value}")
    return found
