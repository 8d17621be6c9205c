"""Binance spot's aggregated trades: what one order traded at one price is one Trade, with the ids of its parts.

Another source than ``binance``, with ids of its own that rise by one; old ones are fetched from the host that is open
where the main one is not.
"""

from typing import ClassVar

from producers.binance import Binance, Channels
from producers.binance_rising import AggTrades
from producers.binance_streams import Page
from schemas import Record, Trade


class BinanceAgg(Binance):
    """The feed of aggregated trades.

    >>> feed = BinanceAgg()
    >>> data = '"s":"ETHUSDT","a":7,"p":"2.5","q":"4","f":20,"l":22,"T":2,"m":false,"M":true'
    >>> *_, trade = feed.parse(f'{{"stream":"ethusdt@aggTrade","data":{{{data}}}}}', 5)
    >>> trade.instrument, trade.side, trade.trade_id, trade.first_id, trade.last_id
    ('binance_agg:ETHUSDT', 'buy', 7, 20, 22)
    """

    name: ClassVar[str] = "binance_agg"
    writes: ClassVar[tuple[type[Record], ...]] = (Trade,)
    known_channels: ClassVar[tuple[str, ...]] = ("aggTrade",)
    default_channels: ClassVar[tuple[str, ...]] = ("aggTrade",)
    streams: ClassVar[Channels] = {"aggTrade": (AggTrades, Page("https://data-api.binance.vision/api/v3/aggTrades", 4))}
