"""Binance spot: trades, best quotes, order books and bars of many symbols on one connection.

Wire format: github.com/binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md; binance_streams.py says
what becomes of it. Rules:

- A connection takes 1024 streams and five messages a second, so a few requests name all of them. Symbols are lower case
  there and upper case everywhere else. The venue confirms a symbol that it does not have like any other.
- It ends a connection after a day, and says so beforehand with ``serverShutdown`` when it does earlier.
- Times are asked for in microseconds, on the streams and over REST, as the venue's archive has them.
- Old trades are fetched from the main host only, books and bars from the one that is open where the other is not.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from producers.agenda import Fetch
from producers.binance_rising import Klines, Trades
from producers.binance_streams import Depths, Page, Quotes, Stream
from producers.binance_wire import MOMENTS, OTHER, Other, nanoseconds
from producers.feed import Feed, Recent, Resubscribe, Retire, Shard
from producers.wire import UNREADABLE, encoded
from schemas import Bar, Depth, Record, Rejected, Tick, Trade

STREAMS_MOST = 1_024  # on a connection
REQUEST_MOST = 256  # streams in one request
ROUTES_MOST = 4 * STREAMS_MOST
SELDOM = {"trade", "aggTrade", "funding", "taker_volume"}  # channels that may bring nothing for minutes
SELDOM_S = 900.0
LOOK_NS = 100_000_000
SYMBOL = re.compile(r"[\w.-]{1,40}").fullmatch

Route = tuple[Callable[[str | bytes], Any], Callable[[Any, int], list[Record]], Stream]  # decode, take, whose they are
Channels = dict[str, tuple[type[Stream], Page]]  # what a channel's messages become, and where more of them are


class Binance(Feed):
    """The feed of the streams named in ``known_channels``.

    >>> feed = Binance(channels=["trade"])
    >>> feed.subscribe(["ETHUSDT"])
    ['{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}']
    >>> [record.cause for record in feed.parse('{"result":null,"id":1}', 5)]
    ['start']
    >>> trade = '"e":"trade","E":3,"s":"ETHUSDT","t":7,"p":"2.5","q":"4","T":2,"m":true,"M":true'
    >>> for record in feed.parse(f'{{"stream":"ethusdt@trade","data":{{{trade}}}}}', 5):
    ...     print(record)
    Trade(instrument='binance:ETHUSDT', event_ns=2000000, received_ns=5, price=2.5, size=4.0, side='sell', \
trade_id=7, first_id=7, last_id=7)
    """

    name: ClassVar[str] = "binance"
    writes: ClassVar[tuple[type[Record], ...]] = (Trade, Tick, Depth, Bar)
    url: ClassVar[str] = "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"
    silence_s: ClassVar[float] = 60.0
    lifetime_s: ClassVar[float] = 84_600.0
    headers: ClassVar[dict[str, str]] = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    known_channels: ClassVar[tuple[str, ...]] = ("trade", "bookTicker", "depth@100ms", "kline_1s", "kline_1m")
    default_channels: ClassVar[tuple[str, ...]] = ("trade", "bookTicker")
    shared_sequences: ClassVar[bool] = True
    streams: ClassVar[Channels] = {
        "trade": (Trades, Page("https://api.binance.com/api/v3/historicalTrades", 25)),
        "bookTicker": (Quotes, Page("", 0)),
        "depth@100ms": (Depths, Page("https://data-api.binance.vision/api/v3/depth?limit=5000", 250)),
        "kline_1s": (Klines, Page("https://data-api.binance.vision/api/v3/klines", 2)),
        "kline_1m": (Klines, Page("https://data-api.binance.vision/api/v3/klines", 2)),
    }

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._requests: dict[int, list[str]] = {}  # symbols by the request that names them
        self.opened: dict[str, Stream] = {}  # by name
        self._routes: dict[str | bytes, Route] = {}  # by what frames begin with, up to the first comma
        self._wanting: dict[str, Stream] = {}  # streams that want something fetched
        self._look_ns = 0  # when to look again at what they want: there may be hundreds

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        most = STREAMS_MOST // max(len(channels), 1)
        return [Shard(tuple(symbols[at : at + most]), tuple(channels)) for at in range(0, len(symbols), most)]

    def silence(self) -> float:
        return self.silence_s if set(self.channels) - SELDOM else SELDOM_S

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        named = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        super().subscribe(named)
        sent = [channel for channel in self.channels if not self.streams[channel][0].polled]
        most = REQUEST_MOST // max(len(sent), 1)
        chunks = [named[at : at + most] for at in range(0, len(named), most)] if sent else []
        self._requests = dict(enumerate(chunks, 1))
        for symbol in named:
            for channel in self.channels:
                self.stream(f"{symbol.lower()}@{channel}")
        return [
            encoded(
                {
                    "method": "SUBSCRIBE",
                    "params": [f"{symbol.lower()}@{channel}" for symbol in chunk for channel in sent],
                    "id": number,
                }
            )
            for number, chunk in self._requests.items()
        ]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        head = frame.partition(",")[0] if isinstance(frame, str) else frame.partition(b",")[0]
        route = self._routes.get(head)
        try:
            if route is None:
                other = OTHER.decode(frame)
                if other.data is None or other.data.e == "serverShutdown":
                    return iter(self._notice(other, received_ns))
                route = self._route(other.stream, head)
            decode, take, stream = route
            event = decode(frame).data
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error
        records = take(event, received_ns)
        return iter(records if stream.begun and not stream.wants else self._after(stream, records, received_ns))

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            data = MOMENTS.decode(frame).data
            return nanoseconds(data.E or data.T)
        except (*UNREADABLE, Rejected):
            return 0

    def connects(self, symbol: str, received_ns: int) -> list[Record]:
        if symbol in self.connected:
            return []
        (record,) = super().connects(symbol, received_ns)
        quiet_ms = int(1_000 * self.silence())
        return [msgspec.structs.replace(record, quiet_ms=quiet_ms), *self._begun(symbol, received_ns)]

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        if not self._wanting or now_ns < self._look_ns:
            return ()
        self._look_ns = now_ns + LOOK_NS
        self._wanting = {name: stream for name, stream in self._wanting.items() if stream.wants}
        due = (stream.due(now_ns) for stream in self._wanting.values())
        return [fetch for fetch in due if fetch is not None]

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        stream = self.stream(tag)
        self._look_ns = 0
        return iter(self._after(stream, stream.answer(body, received_ns), received_ns))

    def tick(self, now_ns: int) -> Iterator[Record]:
        for stream in list(self._wanting.values()):
            yield from stream.overdue(now_ns)

    def resync(self, symbol: str) -> list[str]:
        for stream in self.opened.values():
            if isinstance(stream, Depths) and stream.symbol == symbol.upper():
                stream.lose()
                self._wanting[stream.name] = stream
                self._look_ns = 0
        return []

    def stream(self, name: str) -> Stream:
        """The stream of that name.

        Raises:
            Rejected: it was not asked for, or cannot be one.

        """
        symbol, _, channel = name.partition("@")
        kind = self.streams.get(channel)
        if kind is None or symbol != symbol.lower() or not SYMBOL(symbol):
            raise Rejected(f"unknown stream {name[:50]!r}")
        if self.asked and (symbol.upper() not in self.asked or channel not in self.channels):
            raise Rejected(f"stream {name[:50]!r} was not asked for")
        stream = self.opened.get(name)
        if stream is None:
            make, page = kind
            stream = make(name, f"{self.name}:{symbol.upper()}", page, self.recent.latest, self.cause)
            self.opened[name] = stream
        return stream

    def _route(self, name: str, head: str | bytes) -> Route:
        """Where frames with a certain head go, which is kept if it is the head that all frames of the stream have."""
        stream = self.stream(name)
        route = stream.decode, stream.take, stream
        if len(self._routes) < ROUTES_MOST and head in (f'{{"stream":"{name}"', f'{{"stream":"{name}"'.encode()):
            self._routes[head] = route
        return route

    def _after(self, stream: Stream, records: list[Record], received_ns: int) -> list[Record]:
        """Records of a stream after what must come before its symbol's first."""
        if stream.wants and stream.name not in self._wanting:
            self._wanting[stream.name] = stream
            self._look_ns = 0
        if not stream.begun:
            records = [*self.connects(stream.symbol, received_ns), *records]
            stream.begun = True
        return records

    def _begun(self, symbol: str, received_ns: int) -> Iterator[Record]:
        """What says of a symbol's books that nothing is known yet."""
        for channel in self.channels:
            stream = self.stream(f"{symbol.lower()}@{channel}") if channel.startswith("depth") else None
            if isinstance(stream, Depths):
                yield from stream.begin(received_ns)

    def _notice(self, other: Other, received_ns: int) -> list[Record]:
        """What the venue says of the connection itself."""
        if "serverShutdown" in (other.e, other.event and other.event.e, other.data and other.data.e):
            raise Retire("the venue announces that the server will shut down")
        if other.error is not None or other.code is not None:
            code, reason = (other.error.code, other.error.msg) if other.error is not None else (other.code, other.msg)
            raise Resubscribe("error", f"venue says: {code}: {reason}")
        if other.id not in self._requests:
            raise Rejected("neither a stream's message nor the answer to a request")
        symbols = self._requests[other.id]
        return [record for symbol in symbols for record in self.connects(symbol, received_ns)]
