"""Pyth: prices of crypto and equities with their uncertainty, as Hermes streams or answers them.

Wire format: hermes.pyth.network/docs, ``/v2/updates/price/stream`` (server-sent events) and
``/v2/updates/price/latest``; both need a key. Rules:

- A symbol is Pyth's own where ``IDS`` has it, else ``SYMBOL=id`` with the price feed's id in 64 hexadecimal digits.
  Equity.US.AAPL/USD is the share, Crypto.AAPLX/USD the token that stands for it and trades round the clock.
- A price is a whole number of 10^expo, a time whole seconds: several prices may have the same time. One that is neither
  later nor different is passed over. Outside its market's hours a share keeps its last price and time.
- That the source was seen is said by a Heartbeat, at most once a second for each symbol, whatever its prices do.
- Prices are fetched at the start, while the stream is silent, and all the time where ``latest`` is the channel.
- The venue ends a stream after a day. A key that may not see one of the ids gets none of them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar
from urllib.parse import urlencode

import msgspec

from producers.agenda import Agenda, Fetch
from producers.feed import Feed, Recent, Shard
from producers.wire import UNREADABLE
from schemas import Heartbeat, IndexValue, Record, Rejected

SECOND_NS = 1_000_000_000
HERMES = "https://hermes.pyth.network/v2/updates/price"
SILENCE_NS = 5 * SECOND_NS
LATEST_S, FALLBACK_S = 1.0, 5.0
IDS_EACH = 50  # of a connection: an id takes 72 characters of its address
OWN = re.compile(r"([A-Za-z0-9./_-]{1,40})=(?:0x)?([0-9a-f]{64})", re.ASCII).fullmatch

IDS = {
    "Crypto.BTC/USD": "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43",
    "Crypto.ETH/USD": "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace",
    "Crypto.SOL/USD": "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d",
    "Crypto.XRP/USD": "ec5d399846a9209f3fe5881d70aae9268c94339ff9817e8d18ff19fa05eea1c8",
    "Crypto.HYPE/USD": "4279e31cc369bbcc2faf022b382b080e32a8e689ff20fbc530d2a603eb6cd98b",
    "Crypto.XAUT/USD": "44465e17d2e9d390e70c999d5a11fda4f092847fcd2e3e5aa089d96c98a30e67",
    "Metal.XAU/USD": "765d2ba906dbc32ca17cc11f5310a89e9ee1f6420508c63861f2f8ba4ee34bb2",
    "Equity.US.AAPL/USD": "49f6b65cb1de6b10eaf75e7c03ca029c306d0357e91b5311b175084a5ad55688",
    "Equity.US.GOOGL/USD": "5a48c03e9b9cb337801073ed9d166817473697efff0d138874e0f6a33d6d5aa6",
    "Equity.US.NVDA/USD": "b1073854ed24cbc755dc527418f52b7d271f6cc967bbf8d8129112b18860a593",
    "Equity.US.SPY/USD": "19e09bb805456ada3979a7d1cbb4b6d63babc3a0f8e8a9509f68afa5c4c11cd5",
    "Equity.US.TSLA/USD": "16dad506d7db8da01c87581c87ca897a012a153557d4d578c3b9c9e1bc0632f1",
    "Crypto.AAPLX/USD": "978e6cc68a119ce066aa830017318563a9ed04ec3a0a6439010fc11296a58675",
    "Crypto.GOOGLX/USD": "b911b0329028cd0283e4259c33809d62942bd2716a58084e5f31d64c00b5424e",
    "Crypto.NVDAX/USD": "4244d07890e4610f46bbde67de8f43a4bf8b569eebe904f136b469f148503b7f",
    "Crypto.SPYX/USD": "2817b78438c769357182c04346fddaad1178c82f4048828fe0997c3c64624e14",
    "Crypto.TSLAX/USD": "47a156470288850a440df3a6ce85a55917b813a19bb5b31128a33a986566a362",
}
NAMES = {feed_id: symbol for symbol, feed_id in IDS.items()}

Digits = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,20}$")]


class PriceFields(msgspec.Struct):
    """A price and the half-width of its uncertainty, in units of 10^expo."""

    price: Digits
    conf: Digits
    expo: Annotated[int, msgspec.Meta(ge=-30, le=30)]
    publish_time: Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000)]


class Parsed(msgspec.Struct):
    """One price feed."""

    id: str
    price: PriceFields
    ema_price: PriceFields | None = None


class Update(msgspec.Struct):
    """A message of the stream, or an answer."""

    parsed: list[Parsed]


UPDATE = msgspec.json.Decoder(Update)


class Pyth(Feed):
    """Index values.

    >>> feed = Pyth()
    >>> price = '{"price":"6140993501000","conf":"3287868567","expo":-8,"publish_time":1714746101}'
    >>> frame = f'{{"parsed":[{{"id":"{IDS["Crypto.BTC/USD"]}","price":{price},"ema_price":{price}}}]}}'
    >>> for record in feed.parse(frame, 1714746102 * SECOND_NS):
    ...     print(type(record).__name__, record.instrument, getattr(record, "value", "-"))
    Connect pyth:Crypto.BTC/USD -
    Heartbeat pyth:Crypto.BTC/USD -
    IndexValue pyth:Crypto.BTC/USD 61409.93501
    """

    name: ClassVar[str] = "pyth"
    writes: ClassVar[tuple[type[Record], ...]] = (IndexValue,)
    url: ClassVar[str] = f"{HERMES}/stream"
    silence_s: ClassVar[float] = 30.0
    quiet_ms: ClassVar[int] = 10_000
    lifetime_s: ClassVar[float] = 23 * 3600.0
    bearer: ClassVar[str] = "pyth_key"
    known_channels: ClassVar[tuple[str, ...]] = ("stream", "latest")
    default_channels: ClassVar[tuple[str, ...]] = ("stream",)

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._agenda = Agenda()
        self._names = NAMES
        self._streamed_ns = 0  # when the stream last brought anything
        self._latest: dict[str, IndexValue] = {}
        self._alive_s: dict[str, int] = {}

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        starts = range(0, len(symbols), IDS_EACH)
        return [Shard(tuple(symbols[start : start + IDS_EACH]), tuple(channels)) for start in starts]

    @classmethod
    def address(cls, shard: Shard) -> str:
        return "" if "stream" not in shard.channels else f"{cls.url}?{_query(shard.symbols)}"

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        named = [identified(symbol) for symbol in symbols]
        super().subscribe([symbol for symbol, _ in named])
        self._names = {feed_id: symbol for symbol, feed_id in named}
        period_s = FALLBACK_S if "stream" in self.channels else LATEST_S
        self._agenda.add(Fetch("latest", f"{HERMES}/latest?{_query(symbols)}"), period_s)
        return []

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        streams = "stream" in self.channels and now_ns - self._streamed_ns < SILENCE_NS
        return () if streams else self._agenda.due(now_ns)

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        records = self._values(frame, received_ns)
        self._streamed_ns = received_ns
        return iter(records)

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        return iter(self._values(body, received_ns))

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            times = [each.price.publish_time for each in UPDATE.decode(frame).parsed]
        except UNREADABLE:
            return 0
        return max(times, default=0) * SECOND_NS

    def _values(self, frame: str | bytes, received_ns: int) -> list[Record]:
        try:
            update = UPDATE.decode(frame)
        except UNREADABLE as error:
            raise Rejected(f"unreadable: {error}") from error
        values = [self._value(each, received_ns) for each in update.parsed]
        records: list[Record] = []
        for symbol, value in values:
            records += self.connects(symbol, received_ns)
            if self._alive_s.get(symbol, 0) < received_ns // SECOND_NS:
                self._alive_s[symbol] = received_ns // SECOND_NS
                records.append(Heartbeat(value.instrument, received_ns, received_ns, 0, 0))
            if _is_news(value, self._latest.get(symbol)):
                self._latest[symbol] = value
                records.append(value)
        return records

    def _value(self, parsed: Parsed, received_ns: int) -> tuple[str, IndexValue]:
        symbol = self._names.get(parsed.id.removeprefix("0x"))
        if symbol is None:
            raise Rejected(f"unknown price feed {parsed.id[:70]!r}")
        price, average = parsed.price, parsed.ema_price
        value, confidence = exact(price.price, price.expo), exact(price.conf, price.expo)
        if value <= 0.0 or confidence < 0.0:
            raise Rejected(f"{symbol}: price {price.price} ± {price.conf}")
        event_ns = price.publish_time * SECOND_NS
        if event_ns > received_ns + 60 * SECOND_NS:
            raise Rejected(f"{symbol}: published at {price.publish_time}, more than a minute after its receipt")
        mean = 0.0 if average is None else exact(average.price, average.expo)
        return symbol, IndexValue(f"{self.name}:{symbol}", event_ns, received_ns, value, confidence, mean, 0)


def identified(symbol: str) -> tuple[str, str]:
    """A symbol's name and the id of its price feed.

    Raises:
        Rejected: it has none.

    >>> identified("Crypto.BTC/USD")[1][:8], identified("Crypto.PEPE/USD=" + 64 * "a")[0]
    ('e62df6c8', 'Crypto.PEPE/USD')

    """
    own = OWN(symbol)
    if own is not None:
        return own[1], own[2]
    if symbol not in IDS:
        raise Rejected(f"pyth knows no {symbol[:50]!r}: name its price feed, as {symbol[:20]}=<64 hexadecimal digits>")
    return symbol, IDS[symbol]


def exact(digits: str, expo: int) -> float:
    """A whole number of 10^expo as the nearest float.

    >>> exact("6140993501000", -8)
    61409.93501
    """
    return float(f"{digits}e{expo}")


def _is_news(value: IndexValue, known: IndexValue | None) -> bool:
    if known is None or value.event_ns != known.event_ns:
        return known is None or value.event_ns > known.event_ns
    return (value.value, value.confidence) != (known.value, known.confidence)


def _query(symbols: Sequence[str]) -> str:
    return urlencode([("ids[]", identified(symbol)[1]) for symbol in symbols] + [("parsed", "true")], safe="[]")
