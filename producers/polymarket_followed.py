"""The outcome tokens that one connection to Polymarket follows: what is known of each, who joins and who leaves."""

import collections

import msgspec

from producers.polymarket_books import TokenBook
from producers.polymarket_listing import AFTER_S, SECOND_NS
from producers.polymarket_markets import GammaMarket
from producers.wire import encoded
from schemas import Market

OVER = 1_000  # tokens that have left and may still come in late frames


class Followed:
    """Tokens with their books and, where they were listed, their markets.

    >>> followed = Followed("polymarket")
    >>> followed.join("12", GammaMarket("slug", "0x1", "", "", None, order_min_size=5.0))
    >>> followed.outgoing()
    ['{"type":"market","assets_ids":["12"],"custom_feature_enabled":true}']
    >>> followed.join("34", GammaMarket("slug", "0x1", "", "", None))
    >>> followed.outgoing()
    ['{"operation":"subscribe","assets_ids":["34"]}']
    """

    def __init__(self, feed: str) -> None:
        self.books: dict[str, TokenBook] = {}
        self.markets: dict[str, Market] = {}
        self.over: collections.deque[str] = collections.deque(maxlen=OVER)
        self._feed = feed
        self._joining: list[str] = []
        self._leaving: list[str] = []
        self._subscribed = False

    def follow(self, token: str) -> TokenBook:
        """The book of a token, from now on."""
        return self.books.setdefault(token, TokenBook(f"{self._feed}:{token}"))

    def join(self, token: str, market: GammaMarket) -> None:
        """Follow a token that was listed, and subscribe to it."""
        if token in self.markets or token in self._joining:
            return
        book = self.follow(token)
        book.min_order_size, book.neg_risk = f"{market.order_min_size:g}", market.neg_risk
        self._joining.append(token)

    def leave(self, token: str) -> None:
        """Forget a token and unsubscribe from it."""
        del self.markets[token], self.books[token]
        self.over.append(token)
        self._leaving.append(token)

    def late(self, now_ns: int) -> list[str]:
        """Tokens whose windows have ended so long ago that nothing more is to be expected."""
        return [token for token, market in self.markets.items() if market.closes_ns + AFTER_S * SECOND_NS < now_ns]

    def news(self, market: Market) -> list[Market]:
        """A market where it says something new; of the tick size the channel knows more than the listing."""
        token = market.instrument.partition(":")[2]
        tick_size, known = self.books[token].tick_size, self.markets.get(token)
        if tick_size:
            market = msgspec.structs.replace(market, price_step=float(tick_size))
        if known is not None and at(known, market.event_ns, market.received_ns) == market:
            return []
        self.markets[token] = market
        return [market]

    def outgoing(self) -> list[str]:
        """Frames that subscribe to who has joined and unsubscribe from who has left, once."""
        joining, leaving, self._joining, self._leaving = self._joining, self._leaving, [], []
        frames: list[str] = []
        if joining and not self._subscribed:
            frames.append(encoded({"type": "market", "assets_ids": joining, "custom_feature_enabled": True}))
            self._subscribed = True
        elif joining:
            frames.append(encoded({"operation": "subscribe", "assets_ids": joining}))
        if leaving:
            frames.append(encoded({"operation": "unsubscribe", "assets_ids": leaving}))
        return frames


def at(market: Market, event_ns: int, received_ns: int, **changes: str) -> Market:
    """A market as it is said again at another time."""
    return msgspec.structs.replace(market, event_ns=event_ns, received_ns=received_ns, **changes)
