"""Deribit's volatility index (DVOL): each value as it is published, and the bar of each minute.

Wire format: docs.deribit.com, JSON-RPC over a websocket, channel ``deribit_volatility_index.{index}``, methods
``public/set_heartbeat`` and ``public/test``; deribit_rows.py for the bars. Rules:

- A symbol is the venue's name of the index, as btc_usd; values are volatility points, percent a year.
- The venue ends a connection that does not answer its test requests.
- Each value is also a sign of life, at the venue's time. The venue does not say how often it publishes one.
- Bars come from the history, ``SETTLED_NS`` after each minute, from the minute that was under way when the first
  connection began; those missed while there was none are fetched then. Values missed are not offered again.
- A value more than a day from its receipt is a broken clock.
"""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

import msgspec

from producers import deribit_rows
from producers.agenda import Fetch
from producers.feed import Feed, Recent, Repeated, Resubscribe, Shard
from producers.refill import Refill
from producers.wire import MILLISECOND, MINUTE_MS, UNREADABLE, Milliseconds, Price, decoder, encoded
from schemas import Bar, Heartbeat, IndexValue, Record, Rejected

CHANNEL = "deribit_volatility_index"
INDEX = re.compile(r"[a-z0-9]{1,20}_usd", re.ASCII).fullmatch
TAG = re.compile(r"bars:([a-z0-9]{1,20}_usd):([0-9]{1,12}):([0-9]{1,12})", re.ASCII).fullmatch
DAY_MS = 86_400_000
MINUTE_NS = MINUTE_MS * MILLISECOND
SETTLED_NS = 5_000_000_000
LAG_NS = 10_000_000_000  # between two requests for a minute that the venue does not have yet
HEARTBEAT_S = 10  # the venue's least
BEATS, SUBSCRIBED, TESTED = 1, 2, 3  # ids of our requests


class Value(msgspec.Struct, gc=False):
    """A value of the index."""

    timestamp: Milliseconds
    volatility: Price
    index_name: str


class Params(msgspec.Struct):
    """What a notification is about."""

    type: str = ""
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Message(msgspec.Struct):
    """A notification has a method, an answer an id."""

    method: str = ""
    params: Params = msgspec.field(default_factory=Params)
    id: int = 0
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: deribit_rows.Failure | None = None


MESSAGE = decoder(Message)
VALUE = decoder(Value)
CHANNELS = decoder(list[str])


class Deribit(Feed):
    """The feed of volatility indices.

    >>> feed = Deribit()
    >>> data = '{"timestamp":1000,"volatility":52.2,"index_name":"btc_usd"}'
    >>> params = f'{{"channel":"deribit_volatility_index.btc_usd","data":{data}}}'
    >>> connect, value, heartbeat = feed.parse(f'{{"method":"subscription","params":{params}}}', 2_000_000_000)
    >>> value.instrument, value.event_ns, value.value
    ('deribit:btc_usd', 1000000000, 52.2)
    >>> list(feed.parse('{"method":"heartbeat","params":{"type":"test_request"}}', 3_000_000_000)), feed.outgoing()
    ([], ['{"jsonrpc":"2.0","id":3,"method":"public/test","params":{}}'])
    """

    name: ClassVar[str] = "deribit"
    writes: ClassVar[tuple[type[Record], ...]] = (IndexValue, Bar)
    url: ClassVar[str] = "wss://www.deribit.com/ws/api/v2"
    silence_s: ClassVar[float] = 35.0
    quiet_ms: ClassVar[int] = 30_000
    known_channels: ClassVar[tuple[str, ...]] = (CHANNEL, "bars")
    default_channels: ClassVar[tuple[str, ...]] = known_channels

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._outgoing: list[str] = []
        self._bars: dict[str, Refill[Bar]] = {}

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        """As Feed.shards; raises Rejected for what is no index."""
        for symbol in symbols:
            if not INDEX(symbol):
                raise Rejected(f"{symbol[:50]!r} is no volatility index: write btc_usd or eth_usd")
        return super().shards(symbols, channels)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        if CHANNEL not in self.channels:
            return [_request(BEATS, "set_heartbeat", interval=HEARTBEAT_S)]
        wanted = [f"{CHANNEL}.{symbol}" for symbol in symbols]
        return [
            _request(BEATS, "set_heartbeat", interval=HEARTBEAT_S),
            _request(SUBSCRIBED, "subscribe", channels=wanted),
        ]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            return iter(self._records(MESSAGE.decode(frame), received_ns))
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return int(VALUE.decode(MESSAGE.decode(frame).params.data).timestamp) * MILLISECOND
        except UNREADABLE:
            return 0

    def outgoing(self) -> Sequence[str]:
        frames, self._outgoing = self._outgoing, []
        return frames

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        ended = (now_ns - SETTLED_NS) // MINUTE_NS - 1  # the last minute that has ended, and settled
        fetches = []
        for symbol in sorted(self.asked) if "bars" in self.channels else ():
            refill = self._minutes(symbol, ended)
            refill.told(ended, now_ns)
            if missing := refill.due(now_ns):
                url = deribit_rows.url(symbol, missing.first * MINUTE_MS, (missing.last + 1) * MINUTE_MS - 1)
                fetches.append(Fetch(f"bars:{symbol}:{missing.first}:{missing.last}", url))
        return fetches

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        asked = TAG(tag)
        if asked is None:
            raise Rejected(f"an answer to {tag[:50]!r}, which was not asked for")
        symbol, first, last = asked[1], int(asked[2]), int(asked[3])
        bars = deribit_rows.page(symbol, body, received_ns).bars
        refill = self._minutes(symbol, first - 1)
        refill.told(last, received_ns)  # a recording has the answers alone
        passed = refill.fetched([(bar.event_ns // MINUTE_NS - 1, bar) for bar in bars], received_ns)
        return iter([*(self.connects(symbol, received_ns) if passed else []), *passed])

    def tick(self, now_ns: int) -> Iterator[Record]:
        for symbol, refill in self._bars.items():
            if passed := refill.overdue(now_ns):
                yield from [*self.connects(symbol, now_ns), *passed]

    def _records(self, message: Message, received_ns: int) -> list[Record]:
        if message.error is not None:
            raise Resubscribe("error", f"venue says: {message.error.message} ({message.error.code})")
        match message.method, message.params.type, message.id:
            case "subscription", _, _:
                return self._value(message.params, received_ns)
            case "heartbeat", "test_request", _:
                self._outgoing.append(_request(TESTED, "test"))
                return []
            case ("heartbeat", "heartbeat", _) | ("", _, 1 | 3):
                return []
            case "", _, 2:
                return self._confirm(CHANNELS.decode(message.result), received_ns)
        raise Rejected(f"neither a value nor an answer: {message.method[:50]!r} {message.params.type[:50]!r}")

    def _value(self, params: Params, received_ns: int) -> list[Record]:
        channel, _, symbol = params.channel.partition(".")
        if channel != CHANNEL or (self.asked and symbol not in self.asked) or not INDEX(symbol):
            raise Rejected(f"unknown channel {params.channel[:50]!r}")
        value = VALUE.decode(params.data)
        if value.index_name != symbol:
            raise Rejected(f"a value of {value.index_name[:50]!r} on the channel of {symbol}")
        event_ns = value.timestamp * MILLISECOND
        if abs(value.timestamp - received_ns // MILLISECOND) > DAY_MS:
            raise Rejected(f"time {value.timestamp} is more than a day from its receipt")
        if not self.recent.add((symbol, value.timestamp, value.volatility)):
            raise Repeated(f"repeated: {symbol} at {value.timestamp}")
        connects = self.connects(symbol, received_ns)
        instrument = self.connected[symbol]
        published = IndexValue(instrument, event_ns, received_ns, value.volatility, 0.0, 0.0, 0)
        return [*connects, published, Heartbeat(instrument, event_ns, received_ns, 0, 0)]

    def _confirm(self, channels: list[str], received_ns: int) -> list[Record]:
        subscribed = {channel.partition(".")[2] for channel in channels}
        if refused := sorted(self.asked - subscribed):
            raise Resubscribe("error", f"subscription refused: {', '.join(refused)}")
        symbols = sorted(self.asked or filter(INDEX, subscribed))
        return [record for symbol in symbols for record in self.connects(symbol, received_ns)]

    def _minutes(self, symbol: str, given: int) -> Refill[Bar]:
        """Its minutes; where none was given before, ``given`` stands for the last that was."""
        key = f"bars:{symbol}"
        self.recent.latest.setdefault(key, given)
        if symbol not in self._bars:
            self._bars[symbol] = Refill(self.recent.latest, key, page=500, lag_ns=LAG_NS)
        return self._bars[symbol]


def _request(number: int, method: str, **params: object) -> str:
    return encoded({"jsonrpc": "2.0", "id": number, "method": f"public/{method}", "params": params})
