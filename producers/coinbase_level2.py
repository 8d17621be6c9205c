"""Coinbase Exchange's order book: its levels, and a Tick for each change of the best quotes.

Wire format: docs.cdp.coinbase.com/exchange/websocket-feed/channels, channels ``level2_batch`` and ``heartbeat``. Rules:

- A snapshot comes first for each product; then changes, each with the absolute size at a price, 0 removing it. Both are
  passed on as Depth with exact levels; the venue gives them no sequence.
- The changes of one message count together: between them the book may look crossed.
- A Tick is given when the price or size of a best level has changed and both sides have levels. It has no trade, so
  price, size and trade_id are 0 and side is empty. A snapshot without a time has that of its receipt.
- A change that cannot be read, or a book crossed after a message, means that the book here is not the venue's: the
  connection is given up for a new snapshot. Who finds that later asks for one of the product alone: unsubscribed and
  subscribed again, and what comes in between ignored.
- Heartbeats pass on without last_trade_id: this feed does not follow trades, so none can be missing from it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from producers.book import Book, Quote
from producers.coinbase import (
    Coinbase,
    ErrorMessage,
    HeartbeatMessage,
    Message,
    Moment,
    SubscriptionsMessage,
)
from producers.depths import depth
from producers.feed import Recent, Resubscribe
from producers.wire import UNREADABLE, encoded
from schemas import Depth, Record, Rejected, Tick


class SnapshotMessage(Message, tag="snapshot"):
    """The whole book: [price, size] by level."""

    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    time: Moment | None = None


class UpdateMessage(Message, tag="l2update"):
    """Changed levels: [side, price, size]."""

    product_id: str
    changes: list[tuple[Literal["buy", "sell"], str, str]]
    time: Moment


class Kind(msgspec.Struct):
    """The one field that says what a message is."""

    type: str


DECODER = msgspec.json.Decoder(SnapshotMessage | UpdateMessage | HeartbeatMessage | SubscriptionsMessage | ErrorMessage)
KIND = msgspec.json.Decoder(Kind)
# Messages of other channels, which a recording may hold as well; none of them changes the book.
HARMLESS = frozenset({"heartbeat", "match", "last_match", "ticker", "status"})


class CoinbaseLevel2(Coinbase):
    """The book feed; its instruments are those of the ticker feed.

    >>> feed = CoinbaseLevel2()
    >>> frame = '{"type":"snapshot","product_id":"ETH-USD","bids":[["10","1"]],"asks":[["12","2"]]}'
    >>> [type(record).__name__ for record in feed.parse(frame, 5)]
    ['Connect', 'Depth', 'Depth', 'Tick']
    >>> change = '"product_id":"ETH-USD","time":"1970-01-01T00:00:01Z","changes":[["buy","11","3"]]'
    >>> depth, tick = feed.parse(f'{{"type":"l2update",{change}}}', 6)
    >>> depth.kind, tick.bid, tick.ask
    ('delta', 11.0, 12.0)
    """

    name: ClassVar[str] = "coinbase_level2"
    writes: ClassVar[tuple[type[Record], ...]] = (Tick, Depth)
    known_channels: ClassVar[tuple[str, ...]] = ("level2_batch", "heartbeat")
    default_channels: ClassVar[tuple[str, ...]] = known_channels
    decoder: ClassVar[msgspec.json.Decoder[Message]] = DECODER

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._books: dict[str, Book] = {}
        self._quotes: dict[str, Quote | None] = {}
        self._resyncing: set[str] = set()  # products whose new snapshot has not come yet

    def resync(self, symbol: str) -> list[str]:
        self._resyncing.add(symbol)
        request = {"product_ids": [symbol], "channels": [self.channels[0]]}
        return [encoded({"type": kind} | request) for kind in ("unsubscribe", "subscribe")]

    def unreadable(self, frame: str | bytes, error: Exception) -> Exception:
        try:
            if KIND.decode(frame).type in HARMLESS:
                return super().unreadable(frame, error)
        except UNREADABLE:
            pass
        return Resubscribe("error", f"unreadable, perhaps a change of the book: {error}")

    def records(self, message: Message, received_ns: int) -> list[Record]:
        match message:
            case SnapshotMessage():
                return self._snapshot(message, received_ns)
            case UpdateMessage():
                return self._update(message, received_ns)
        return super().records(message, received_ns)

    def last_trade_id(self, beat: HeartbeatMessage) -> int:
        return 0

    def refused(self, answer: SubscriptionsMessage) -> list[str]:
        away = {f"{self.channels[0]}/{product}" for product in self._resyncing}
        return [name for name in super().refused(answer) if name not in away]

    def _snapshot(self, message: SnapshotMessage, received_ns: int) -> list[Record]:
        product = message.product_id
        instrument = f"{self.name}:{product}"
        self.known(product)
        try:
            event_ns = received_ns if message.time is None else self.check(product, message.time, received_ns)
            whole = depth(instrument, event_ns, received_ns, "snapshot", message.bids, message.asks)
        except Rejected as refusal:
            raise Resubscribe("error", f"snapshot of {product}: {refusal}") from refusal
        began: list[Record] = []
        if product not in self._books:
            began = [depth(instrument, event_ns, received_ns, "connect", cause=self.cause)]
        sides = ([(Decimal(price), float(size)) for price, size in side] for side in (message.bids, message.asks))
        self._books[product] = Book(*sides)
        self._resyncing.discard(product)
        return [*self.connects(product, received_ns), *began, whole, *self._quote(product, event_ns, received_ns)]

    def _update(self, message: UpdateMessage, received_ns: int) -> list[Record]:
        product = message.product_id
        self.known(product)
        if product in self._resyncing:
            return []
        book = self._books.get(product)
        if book is None:
            raise Resubscribe("sequence", f"change of {product} before its snapshot")
        try:
            event_ns = self.check(product, message.time, received_ns)
            bids = [(price, size) for side, price, size in message.changes if side == "buy"]
            asks = [(price, size) for side, price, size in message.changes if side == "sell"]
            changed = depth(f"{self.name}:{product}", event_ns, received_ns, "delta", bids, asks)
        except Rejected as refusal:
            raise Resubscribe("error", f"change of {product}: {refusal}") from refusal
        for price, size in bids:
            book.bids.put(Decimal(price), float(size))
        for price, size in asks:
            book.asks.put(Decimal(price), float(size))
        return [changed, *self._quote(product, event_ns, received_ns)]

    def _quote(self, product: str, event_ns: int, received_ns: int) -> list[Record]:
        quote = self._books[product].best()
        if quote is not None and quote.bid > quote.ask:
            raise Resubscribe("sequence", f"crossed: {product} best bid {quote.bid} above best ask {quote.ask}")
        if quote == self._quotes.get(product):
            return []
        self._quotes[product] = quote
        if quote is None:
            return []
        bid, bid_size, ask, ask_size = float(quote.bid), quote.bid_size, float(quote.ask), quote.ask_size
        instrument = f"{self.name}:{product}"
        return [Tick(instrument, event_ns, received_ns, bid, ask, bid_size, ask_size, 0.0, 0.0, "", 0, 0)]
