"""The prices that Polymarket settles on, from PolyBolt, which takes the place of the stream of polymarket_prices.py.

Wire format: docs.polymarket.com/api-reference/wss/polybolt. It wants the credentials of the CLOB. Rules:

- Symbols are as ``btcusd``; ``btc/usd`` is taken too. ``price.crypto`` carries its channel in the instrument's name.
- ``full_accuracy_value`` is a decimal. Each subscription begins with the values of the last two minutes.
- ``seq`` rises by one with each message of a channel, and ``dropped`` counts what the venue threw away because we were
  slow. What is missing comes again with a new subscription: the connection is given up, and the next one brings it.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import msgspec

from producers.feed import Feed, Recent, Resubscribe, Shard
from producers.polymarket_prices import MILLISECOND, SYMBOL, PolymarketPrices, Value, exact
from producers.wire import UNREADABLE, Count, Milliseconds, Price, decoder, encoded
from schemas import IndexValue, Record, Rejected

WINDOWS_MS = {"price.crypto.twap": 60_000, "price.crypto": 0}
SUBSCRIPTIONS = 64  # of a connection, at most
CREDENTIALS = {
    "apiKey": "$(polymarket_api_key)",
    "secret": "$(polymarket_api_secret)",
    "passphrase": "$(polymarket_api_passphrase)",
}


class Payload(msgspec.Struct):
    """One value, or in ``data`` those of the last minutes."""

    symbol: str
    timestamp: Milliseconds = 0
    value: Price | None = None
    full_accuracy_value: str = ""
    window_seconds: int = 60
    data: list[Value] = []


class Message(msgspec.Struct):
    """Values of a channel, or the answer to what we asked."""

    op: str = ""
    code: str = ""
    channel: str = ""
    seq: Count = 0
    dropped: Count = 0
    payload: Payload | None = None


class Head(msgspec.Struct):
    """The one field that a frame's own time needs."""

    ts: Milliseconds


MESSAGE = decoder(Message)
HEAD = msgspec.json.Decoder(Head)


class PolymarketBolt(PolymarketPrices):
    """Index values.

    >>> feed = PolymarketBolt()
    >>> feed.subscribe(["btc/usd"])
    ['{"op":"auth","rid":"auth","auth":{"apiKey":"$(polymarket_api_key)","secret":"$(polymarket_api_secret)","passphrase":"$(polymarket_api_passphrase)"}}']
    >>> list(feed.parse('{"op":"authed","rid":"auth"}', 0)), feed.outgoing()[0][:52]
    ([], '{"op":"subscribe","rid":"prices","subscriptions":[{"')
    >>> values = '"symbol":"btcusd","value":65048.1,"full_accuracy_value":"65048.123","timestamp":1000,"window_seconds":60'
    >>> frame = f'{{"v":1,"channel":"price.crypto.twap","seq":1,"ts":1000,"payload":{{{values}}}}}'
    >>> list(feed.parse(frame, 2_000_000_000))[1].value
    65048.123
    """  # noqa: E501

    name: ClassVar[str] = "polymarket_bolt"
    writes: ClassVar[tuple[type[Record], ...]] = (IndexValue,)
    url: ClassVar[str] = "wss://ws-live-v2.polymarket.com/ws"
    known_channels: ClassVar[tuple[str, ...]] = tuple(WINDOWS_MS)
    default_channels: ClassVar[tuple[str, ...]] = ("price.crypto.twap",)
    ping: ClassVar[str] = '{"op":"ping"}'
    ping_s: ClassVar[float] = 10.0

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._sequences: dict[str, int] = {}
        self._wanted: list[str] = []

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        each = SUBSCRIPTIONS // max(len(channels), 1)
        starts = range(0, len(symbols), each)
        return [Shard(tuple(symbols[start : start + each]), tuple(channels)) for start in starts]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        Feed.subscribe(self, [symbol.lower().replace("/", "") for symbol in symbols])
        return [encoded({"op": "auth", "rid": "auth", "auth": CREDENTIALS})]

    def outgoing(self) -> Sequence[str]:
        wanted, self._wanted = self._wanted, []
        return wanted

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            message = MESSAGE.decode(frame)
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error
        match message.op:
            case "":
                return iter(self._prices(message, received_ns))
            case "pong":
                return iter(self.alive(received_ns))
            case "authed":
                self._wanted = [self._request()]
                return iter(())
            case "subscribed" | "unsubscribed":
                return iter(())
            case "error":
                raise Resubscribe("error", f"venue says: {message.code[:100]} {message.channel[:50]}".rstrip())
        raise Rejected(f"unknown op {message.op[:50]!r}")

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return HEAD.decode(frame).ts * MILLISECOND
        except UNREADABLE:
            return 0

    def _request(self) -> str:
        wanted = [
            {"channel": channel, "filter": {"symbol": symbol} | _window(channel)}
            for channel in self.channels
            for symbol in sorted(self.asked)
        ]
        return encoded({"op": "subscribe", "rid": "prices", "subscriptions": wanted})

    def _prices(self, message: Message, received_ns: int) -> list[Record]:
        payload, channel = message.payload, message.channel
        if payload is None or channel not in WINDOWS_MS:
            raise Rejected(f"no prices: channel {channel[:50]!r}")
        symbol = payload.symbol.lower()
        if not SYMBOL(symbol) or (self.asked and symbol not in self.asked):
            raise Rejected(f"unknown symbol {symbol[:50]!r}")
        if payload.window_seconds * 1000 not in (WINDOWS_MS[channel], 60_000):
            raise Rejected(f"{channel} of {symbol} over {payload.window_seconds} s")
        self._follow(message)
        last = [] if payload.value is None else [Value(payload.timestamp, payload.value, payload.full_accuracy_value)]
        found = [(value.timestamp * MILLISECOND, exact(value, whole=False)) for value in [*payload.data, *last]]
        name = symbol if channel in self.default_channels else f"{symbol}@{channel}"
        records = self.news(name, WINDOWS_MS[channel], found, received_ns, alone=False)
        self._sequences[channel] = message.seq
        return records

    def _follow(self, message: Message) -> None:
        """Raises Resubscribe where something is missing before a message."""
        last = self._sequences.get(message.channel, message.seq - 1)
        if message.dropped:
            raise Resubscribe("sequence", f"{message.channel}: the venue has dropped {message.dropped} messages")
        if message.seq != last + 1:
            raise Resubscribe("sequence", f"{message.channel}: message {message.seq} after {last}")


def _window(channel: str) -> dict[str, int]:
    return {"window_seconds": WINDOWS_MS[channel] // 1000} if WINDOWS_MS[channel] else {}
