"""Binance USD-M futures: mark prices and funding, taker volumes, and what spot has.

Wire format: developers.binance.com, USD-M futures, websocket market streams and REST market data. Rules:

- Since 2026 books and best quotes are on one address and the other streams on another, so they never share a
  connection. What is only fetched goes with the other streams, or without any websocket where none is asked for.
- Messages carry the venue's time of the event itself, ``T``; a book's diffs name the one before.
- A mark price comes each second and shows that the symbol is alive; so does each answer to what is fetched.
"""

from collections.abc import Sequence
from typing import ClassVar

from producers.agenda import Fetch
from producers.binance import Binance, Channels
from producers.binance_polls import Fundings, TakerVolumes
from producers.binance_rising import AggTrades, Klines
from producers.binance_streams import ChainedDepths, Marks, Page, Quotes, Stream
from producers.feed import Recent, Shard
from schemas import Bar, Depth, Funding, Mark, Record, TakerVolume, Tick, Trade

PUBLIC = ("bookTicker", "depth@100ms")
POLLED = ("funding", "taker_volume")
REST = "https://fapi.binance.com"
SECOND_NS = 1_000_000_000


class BinanceFutures(Binance):
    """The feed of the streams and rows named in ``known_channels``.

    >>> for shard in BinanceFutures.shards(["BTCUSDT"], ["markPrice@1s", "bookTicker", "funding"]):
    ...     print(BinanceFutures.address(shard), shard.channels)
    wss://fstream.binance.com/public/stream ('bookTicker',)
    wss://fstream.binance.com/market/stream ('markPrice@1s', 'funding')
    >>> mark = '"e":"markPriceUpdate","E":2,"s":"BTCUSDT","p":"10","i":"11","P":"9","r":"0.0001","T":28800000'
    >>> connect, mark, beat = BinanceFutures().parse(f'{{"stream":"btcusdt@markPrice@1s","data":{{{mark}}}}}', 5)
    >>> mark.mark_price, mark.index_price, mark.funding_rate
    (10.0, 11.0, 0.0001)
    """

    name: ClassVar[str] = "binance_futures"
    writes: ClassVar[tuple[type[Record], ...]] = (Mark, Trade, Tick, Depth, Bar, Funding, TakerVolume)
    url: ClassVar[str] = "wss://fstream.binance.com"
    headers: ClassVar[dict[str, str]] = {}
    known_channels: ClassVar[tuple[str, ...]] = ("markPrice@1s", "aggTrade", "kline_1m", *PUBLIC, *POLLED)
    default_channels: ClassVar[tuple[str, ...]] = ("markPrice@1s", *POLLED)
    streams: ClassVar[Channels] = {
        "markPrice@1s": (Marks, Page("", 0)),
        "aggTrade": (AggTrades, Page(f"{REST}/fapi/v1/aggTrades", 20)),
        "kline_1m": (Klines, Page(f"{REST}/fapi/v1/klines", 5)),
        "bookTicker": (Quotes, Page("", 0)),
        "depth@100ms": (ChainedDepths, Page(f"{REST}/fapi/v1/depth?limit=1000", 20)),
        "funding": (Fundings, Page(f"{REST}/fapi/v1/fundingRate?", 1)),
        "taker_volume": (TakerVolumes, Page(f"{REST}/futures/data/takerlongshortRatio?period=5m&", 1)),
    }

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._polls: list[Stream] = []
        self._looked_ns = 0

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        public = [channel for channel in channels if channel in PUBLIC]
        others = [channel for channel in channels if channel not in PUBLIC]
        found: list[Shard] = []
        for group in (public, others):
            found += super().shards(symbols, group) if group else []
        return found

    @classmethod
    def address(cls, shard: Shard) -> str:
        if all(channel in POLLED for channel in shard.channels):
            return ""
        return f"{cls.url}/public/stream" if shard.channels[0] in PUBLIC else f"{cls.url}/market/stream"

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        frames = super().subscribe(symbols)
        self._polls = [stream for stream in self.opened.values() if stream.polled]
        return frames

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        found = list(super().fetches(now_ns))
        if now_ns >= self._looked_ns + SECOND_NS:
            self._looked_ns = now_ns
            found += [fetch for poll in self._polls if (fetch := poll.due(now_ns)) is not None]
        return found
