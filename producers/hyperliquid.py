"""Hyperliquid: a coin's closed minutes, its trades, and the best levels of its book.

Wire format: hyperliquid.gitbook.io, API, websocket: subscriptions ``candle``, ``trades`` and ``l2Book``. Rules:

- A symbol is the venue's coin: ``BTC``, ``@107``, ``xyz:GOLD``; the instrument is ``hyperliquid:`` and all of it.
- ``side`` is the taker's: B bought, A sold. A trade's ``tid`` is a hash, which orders nothing: trade_id is 0. A
  subscription begins with the latest trades, so a repeat is told by coin, time and tid. Trades are not offered again.
- ``l2Book`` is the whole of what the venue shows of a book, each time: snapshots without a sequence.
- Minutes are followed in hyperliquid_candles.py; those missed are fetched from ``candleSnapshot``.
- A sign of life is a coin's book, at most one a second, at the venue's time; where no books are asked for, the answer
  to our ping. The venue closes a connection on which it has sent nothing for a minute.
- A book more than a day from its receipt is a broken clock; trades may be older, but not newer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

from producers import hyperliquid_rows
from producers.agenda import Fetch
from producers.depths import depth
from producers.feed import Feed, Recent, Repeated, Resubscribe
from producers.hyperliquid_candles import INTERVAL, Candles
from producers.hyperliquid_rows import Candle
from producers.wire import (
    MILLISECOND,
    MINUTE_MS,
    UNREADABLE,
    Count,
    Milliseconds,
    Price,
    decoder,
    encoded,
)
from schemas import Bar, Depth, Heartbeat, Record, Rejected, Trade

GREETING = "Websocket connection established."
COIN = re.compile(r"[A-Za-z0-9@#][A-Za-z0-9:/_-]{0,39}", re.ASCII).fullmatch
DAY_MS = 86_400_000
SECOND_MS = 1_000


class Fill(msgspec.Struct, gc=False):
    """A trade."""

    coin: str
    side: Literal["A", "B"]
    px: Price
    sz: Annotated[float, msgspec.Meta(gt=0.0, lt=1e18)]
    time: Milliseconds
    tid: Count


class Level(msgspec.Struct, gc=False):
    """A level of a book, its numbers as the venue writes them."""

    px: str
    sz: str


class Levels(msgspec.Struct, gc=False):
    """A book: bids and asks, best first."""

    coin: str
    time: Milliseconds
    levels: tuple[list[Level], list[Level]]


class Subscription(msgspec.Struct):
    """What was subscribed to."""

    type: str
    coin: str = ""


class Confirmation(msgspec.Struct):
    """The answer to a subscription."""

    subscription: Subscription


class Timed(msgspec.Struct):
    """The venue's time, where a message holds one thing."""

    time: Milliseconds


class Message(msgspec.Struct, gc=False):
    """Whatever the venue sends."""

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


MESSAGE = decoder(Message)
FILLS = decoder(list[Fill])
LEVELS = decoder(Levels)
CANDLES = decoder(Candle | list[Candle])
CONFIRMATION = decoder(Confirmation)
ERROR = decoder(str)
TIMED = decoder(Timed)


class Hyperliquid(Feed):
    """The feed of all that.

    >>> feed = Hyperliquid()
    >>> feed.subscribe(["xyz:GOLD"])[0]
    '{"method":"subscribe","subscription":{"type":"candle","coin":"xyz:GOLD","interval":"1m"}}'
    >>> fill = '{"coin":"xyz:GOLD","side":"A","px":"4100.5","sz":"0.2","time":1000,"tid":7}'
    >>> connect, trade = feed.parse(f'{{"channel":"trades","data":[{fill}]}}', 1_000_000_000)
    >>> trade.instrument, trade.side, trade.price
    ('hyperliquid:xyz:GOLD', 'sell', 4100.5)
    """

    name: ClassVar[str] = "hyperliquid"
    writes: ClassVar[tuple[type[Record], ...]] = (Bar, Trade, Depth)
    url: ClassVar[str] = "wss://api.hyperliquid.xyz/ws"
    silence_s: ClassVar[float] = 35.0
    quiet_ms: ClassVar[int] = 35_000
    ping: ClassVar[str] = '{"method":"ping"}'
    ping_s: ClassVar[float] = 15.0
    known_channels: ClassVar[tuple[str, ...]] = ("candle", "trades", "l2Book")
    default_channels: ClassVar[tuple[str, ...]] = known_channels

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._candles: dict[str, Candles] = {}
        self._books: dict[str, int] = {}  # venue's time of a coin's last book, in ms
        self._beats: dict[str, int] = {}  # and of its last Heartbeat

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        widths = {"candle": {"interval": INTERVAL}}
        wanted = [{"type": name, "coin": coin} | widths.get(name, {}) for name in self.channels for coin in symbols]
        return [encoded({"method": "subscribe", "subscription": subscription}) for subscription in wanted]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        if frame in (GREETING, GREETING.encode()):
            return iter(())
        try:
            return iter(self._records(MESSAGE.decode(frame), received_ns))
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            return int(TIMED.decode(MESSAGE.decode(frame).data).time) * MILLISECOND
        except UNREADABLE:
            return 0

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        missing = ((coin, candles.due(now_ns)) for coin, candles in self._candles.items())
        return [
            Fetch(
                f"candles:{coin}",
                hyperliquid_rows.URL,
                hyperliquid_rows.request(coin, wanted.first * MINUTE_MS, (wanted.last + 1) * MINUTE_MS - 1),
                weight=20 + (wanted.last - wanted.first) // 60,
            )
            for coin, wanted in missing
            if wanted is not None
        ]

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        kind, _, coin = tag.partition(":")
        if kind != "candles" or coin not in self._candles:
            raise Rejected(f"an answer to {tag[:50]!r}, which was not asked for")
        bars = hyperliquid_rows.bars(body, received_ns)
        if any((bar.instrument, bar.width_ms) != (f"{self.name}:{coin}", MINUTE_MS) for bar in bars):
            raise Rejected(f"candles that are not minutes of {coin}")
        return iter(self._candles[coin].fetched(bars, received_ns))

    def tick(self, now_ns: int) -> Iterator[Record]:
        for candles in self._candles.values():
            yield from candles.overdue(now_ns)

    def _records(self, message: Message, received_ns: int) -> list[Record]:
        match message.channel:
            case "trades":
                return self._trades(FILLS.decode(message.data), received_ns)
            case "l2Book":
                return self._book(LEVELS.decode(message.data), received_ns)
            case "candle":
                found = CANDLES.decode(message.data)
                return self._closed(found if isinstance(found, list) else [found], received_ns)
            case "subscriptionResponse":
                coin = CONFIRMATION.decode(message.data).subscription.coin
                self._check(coin)
                return self._connects([coin], received_ns)
            case "pong":
                beating = () if "l2Book" in self.channels else self.connected.values()
                return [Heartbeat(instrument, received_ns, received_ns, 0, 0) for instrument in beating]
            case "error":
                raise Resubscribe("error", f"venue says: {ERROR.decode(message.data)[:200]}")
        raise Rejected(f"unknown channel {message.channel[:50]!r}")

    def _trades(self, fills: list[Fill], received_ns: int) -> list[Record]:
        for fill in fills:
            self._check(fill.coin)
            if fill.time - received_ns // MILLISECOND > DAY_MS:
                raise Rejected(f"time {fill.time} is more than a day after its receipt")
        new = [fill for fill in fills if self.recent.add((fill.coin, fill.time, fill.tid))]
        if fills and not new:
            raise Repeated(f"repeated: {len(fills)} trades of {fills[0].coin}")
        trades = [
            Trade(
                f"{self.name}:{fill.coin}",
                fill.time * MILLISECOND,
                received_ns,
                fill.px,
                fill.sz,
                "buy" if fill.side == "B" else "sell",
                0,
                0,
                0,
            )
            for fill in new
        ]
        return [*self._connects(dict.fromkeys(fill.coin for fill in new), received_ns), *trades]

    def _book(self, book: Levels, received_ns: int) -> list[Record]:
        coin = book.coin
        self._check(coin)
        if abs(book.time - received_ns // MILLISECOND) > DAY_MS:
            raise Rejected(f"time {book.time} is more than a day from its receipt")
        if book.time <= self._books.get(coin, -1):
            raise Repeated(f"repeated: the book of {coin} at {book.time}")
        bids, asks = ([(level.px, level.sz) for level in side] for side in book.levels)
        instrument, event_ns = f"{self.name}:{coin}", book.time * MILLISECOND
        whole = depth(instrument, event_ns, received_ns, "snapshot", bids, asks)
        began = [] if coin in self._books else [depth(instrument, event_ns, received_ns, "connect", cause=self.cause)]
        self._books[coin] = book.time
        records = [*self._connects([coin], received_ns), *began, whole]
        if book.time - self._beats.get(coin, 0) >= SECOND_MS:
            self._beats[coin] = book.time
            records.append(Heartbeat(instrument, event_ns, received_ns, 0, 0))
        if "candle" not in self.channels:
            return records
        return [*records, *self._minutes(coin).passed(book.time, received_ns)]

    def _closed(self, listed: list[Candle], received_ns: int) -> list[Record]:
        """The venue documents a list of candles and sends one."""
        minutes = {candle.s: self._candles.get(candle.s) or self._begun(candle.s) for candle in listed}
        for candle in listed:
            self._check(candle.s)
            if abs(candle.t - received_ns // MILLISECOND) > DAY_MS:
                raise Rejected(f"time {candle.t} is more than a day from its receipt")
            minutes[candle.s].check(candle)
        self._candles |= minutes
        rising = sorted(listed, key=lambda candle: candle.t)
        bars = [bar for candle in rising for bar in minutes[candle.s].take(candle, received_ns)]
        return [*self._connects(minutes, received_ns), *bars]

    def _minutes(self, coin: str) -> Candles:
        if coin not in self._candles:
            self._candles[coin] = self._begun(coin)
        return self._candles[coin]

    def _begun(self, coin: str) -> Candles:
        return Candles(self.recent.latest, f"candle:{coin}")

    def _check(self, coin: str) -> None:
        if (self.asked and coin not in self.asked) or not COIN(coin):
            raise Rejected(f"unknown coin {coin[:50]!r}")

    def _connects(self, coins: Iterable[str], received_ns: int) -> list[Record]:
        return [record for coin in coins for record in self.connects(coin, received_ns)]
