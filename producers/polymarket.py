"""Polymarket: the markets of a series as they come and go, and the books and trades of their outcome tokens.

Wire format: docs.polymarket.com, market channel of the CLOB and Gamma API; see polymarket_wire.py and
polymarket_markets.py. Rules:

- A symbol is a series, as ``btc-updown-5m``, or one market's slug. Its instrument says by a Heartbeat that the listing
  was seen; each outcome token is an instrument of its own, ``polymarket:<token>``.
- Its markets are found as polymarket_listing.py says, and followed until they are resolved or their end is long past.
- A Market is given when something has changed. Tokens found later join on the open connection; those that are over
  leave it: a last Connect says that silence is normal from then on, and what still comes of them is ignored.
- A book whose hash disagrees is dropped at once and fetched, whose hash must agree; so it is when the tick size
  changes, or changes come without a book. One whose hash says nothing is given as not verified.
- Frames that may hold a change of a book and cannot be read end the connection.
- ``best_bid_ask`` is not used: each change already echoes the best prices, in an order that is certain.
- The side of a trade is taken for the taker's: the documents do not say, and other readers of the channel do the same.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from producers import polymarket_listing as listing
from producers import polymarket_markets as gamma
from producers import polymarket_wire as wire
from producers.agenda import Agenda, Fetch
from producers.feed import Feed, Recent, Resubscribe, Shard
from producers.polymarket_books import TokenBook
from producers.polymarket_followed import Followed, at
from producers.polymarket_windows import series
from producers.wire import UNREADABLE
from schemas import Connect, Depth, Heartbeat, Market, Record, Rejected, Trade

BOOK = "https://clob.polymarket.com/book?token_id="
SYMBOLS_EACH = 10  # of a connection: with what has just ended they have less than 200 tokens
LISTING_S, BOOK_S = 15.0, 2.0
FOR_EVER_MS = 100 * 365 * 86_400_000
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"  # others may be answered 403
PONG, NOTHING_NEW = "PONG", "NO NEW ASSETS"

Step = Callable[[], list[Record]]


class Polymarket(Feed):
    """Markets, books and trades.

    >>> feed = Polymarket()
    >>> levels = '"bids":[{"price":"0.4","size":"10"}],"asks":[{"price":"0.6","size":"5"}]'
    >>> frame = f'{{"event_type":"book","market":"0x1","asset_id":"77","timestamp":"1000",{levels}}}'
    >>> for record in feed.parse(frame, 2_000_000_000):
    ...     print(type(record).__name__, record.instrument, record.event_ns)
    Connect polymarket:77 2000000000
    Depth polymarket:77 2000000000
    Depth polymarket:77 1000000000
    """

    name: ClassVar[str] = "polymarket"
    writes: ClassVar[tuple[type[Record], ...]] = (Market, Depth, Trade)
    url: ClassVar[str] = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    silence_s: ClassVar[float] = 30.0
    quiet_ms: ClassVar[int] = 60_000
    ping: ClassVar[str] = "PING"
    ping_s: ClassVar[float] = 10.0
    headers: ClassVar[dict[str, str]] = {"User-Agent": BROWSER}

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._agenda = Agenda()
        self._followed = Followed(self.name)

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        """As Feed.shards; Rejected where a symbol is neither a series nor a slug, or lacks its year."""
        for symbol in symbols:
            listing.check(symbol)
        starts = range(0, len(symbols), SYMBOLS_EACH)
        return [Shard(tuple(symbols[start : start + SYMBOLS_EACH]), tuple(channels)) for start in starts]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        self._list(symbols)
        return []

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        due = [fetch._replace(url=fetch.url or listing.url(fetch.tag, now_ns)) for fetch in self._agenda.due(now_ns)]
        return [fetch for fetch in due if fetch.url]

    def outgoing(self) -> Sequence[str]:
        return self._followed.outgoing()

    def resync(self, symbol: str) -> list[str]:
        book = self._followed.books.get(symbol)
        if book is not None:
            book.forget()
            self._fetch(symbol)
        return []

    def connects(self, symbol: str, received_ns: int) -> list[Record]:
        records = super().connects(symbol, received_ns)
        if records and symbol in self._followed.books:
            records.append(self._followed.books[symbol].lost(self.cause, received_ns))
        return records

    def sent_ns(self, frame: str | bytes) -> int:
        try:
            head = wire.HEAD.decode(frame)
        except UNREADABLE:
            return 0
        timestamp = (head[0].timestamp if head else "") if isinstance(head, list) else head.timestamp
        return int(timestamp) * 1_000_000 if wire.MILLISECONDS(timestamp) else 0

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        text = frame[:100] if isinstance(frame, str) else frame[:100].decode("utf-8", "replace")
        if text == PONG:
            return iter(self._alive(received_ns))
        if text == NOTHING_NEW:
            return iter(())
        if text[:1] not in ("{", "["):
            raise Rejected(f"not JSON: {text!r}")
        try:
            decoded = wire.FRAME.decode(frame)
        except UNREADABLE as error:
            raise wire.unreadable(frame, error) from error
        # Every message is checked before the first is taken.
        messages = decoded if isinstance(decoded, list) else [decoded]
        steps = [step for message in messages for step in self._steps(message, received_ns)]
        return iter([record for step in steps for record in step()])

    def _steps(self, message: wire.AnyMessage, received_ns: int) -> list[Step]:
        match message:
            case wire.BookMessage():
                return self._book(message, received_ns)
            case wire.ChangesMessage():
                return self._changes(message, received_ns)
            case wire.TickSizeMessage():
                return self._tick_size(message, received_ns)
            case wire.TradeMessage():
                return self._trade(message, received_ns)
            case wire.ResolvedMessage():
                return self._resolved(message, received_ns)
            case wire.NewMarketMessage():
                wanted = [symbol for symbol in self.asked if listing.wants(symbol, message.slug, received_ns)]
                return [functools.partial(self._list, wanted)]
        return []

    def _book(self, message: wire.BookMessage, received_ns: int) -> list[Step]:
        book = self._of(message.asset_id)
        if book is None:
            return []
        try:
            event_ns = wire.event_ns(message.timestamp, received_ns)
            if message.tick_size:
                wire.positive(message.tick_size)
            depth = book.snapshot(message.bids, message.asks, event_ns, received_ns)
        except Rejected as refusal:
            raise Resubscribe("error", f"book of {message.asset_id}: {refusal}") from refusal
        return [functools.partial(self._take_book, book, message, depth)]

    def _take_book(self, book: TokenBook, message: wire.BookMessage, depth: Depth) -> list[Record]:
        token = message.asset_id
        records = self.connects(token, depth.received_ns)
        proof = book.proof(message)
        if proof is False:
            return [*records, self._lose(token, depth.received_ns)]
        self._agenda.remove(f"book:{token}")
        return [*records, book.sent(message, depth, proof is True)]

    def _changes(self, message: wire.ChangesMessage, received_ns: int) -> list[Step]:
        grouped = wire.by_token(message.price_changes)
        books = {token: book for token in grouped if (book := self._of(token, any_of=len(grouped) > 1)) is not None}
        try:
            event_ns = wire.event_ns(message.timestamp, received_ns)
            depths = {token: book.delta(grouped[token], event_ns, received_ns) for token, book in books.items()}
        except Rejected as refusal:
            raise Resubscribe("error", f"change of {', '.join(grouped)}: {refusal}") from refusal
        return [functools.partial(self._take_change, token, books[token], depth) for token, depth in depths.items()]

    def _take_change(self, token: str, book: TokenBook, depth: Depth) -> list[Record]:
        if not book.known:
            self._fetch(token)
        return [*self.connects(token, depth.received_ns), *book.changed(depth)]

    def _tick_size(self, message: wire.TickSizeMessage, received_ns: int) -> list[Step]:
        if self._of(message.asset_id) is None:
            return []
        event_ns = wire.event_ns(message.timestamp, received_ns)
        wire.positive(message.new_tick_size)
        return [functools.partial(self._take_tick_size, message, event_ns, received_ns)]

    def _take_tick_size(self, message: wire.TickSizeMessage, event_ns: int, received_ns: int) -> list[Record]:
        token = message.asset_id
        records = [*self.connects(token, received_ns), self._lose(token, received_ns)]
        self._followed.books[token].tick_size = message.new_tick_size
        market = self._followed.markets.get(token)
        return records if market is None else [*records, *self._followed.news(at(market, event_ns, received_ns))]

    def _trade(self, message: wire.TradeMessage, received_ns: int) -> list[Step]:
        book = self._of(message.asset_id)
        if book is None:
            return []
        event_ns = wire.event_ns(message.timestamp, received_ns)
        price, size = wire.positive(message.price), wire.positive(message.size)
        trade = Trade(book.instrument, event_ns, received_ns, price, size, message.side.lower(), 0, 0, 0)
        return [functools.partial(self._take_trade, message, book, trade)]

    def _take_trade(self, message: wire.TradeMessage, book: TokenBook, trade: Trade) -> list[Record]:
        book.last_trade_price = message.price
        return [*self.connects(message.asset_id, trade.received_ns), trade]

    def _resolved(self, message: wire.ResolvedMessage, received_ns: int) -> list[Step]:
        event_ns = wire.event_ns(message.timestamp, received_ns)
        known = [token for token in message.assets_ids if token in self._followed.markets]
        return [functools.partial(self._take_result, token, message, event_ns, received_ns) for token in known]

    def _take_result(self, token: str, message: wire.ResolvedMessage, event_ns: int, received_ns: int) -> list[Record]:
        outcome = "won" if token == message.winning_asset_id else "lost"
        market = at(self._followed.markets[token], event_ns, received_ns, status="resolved", outcome=outcome)
        news = self._followed.news(market)
        return [*self._end(token, received_ns), *news]

    def _of(self, token: str, any_of: bool = False) -> TokenBook | None:
        """The book of a token that is followed; None of one that was, or of one of several; else Rejected."""
        book = self._followed.books.get(token)
        if book is not None or token in self._followed.over or (self.asked and any_of):
            return book
        if self.asked or not gamma.is_token(token):
            raise Rejected(f"unknown token {token[:100]!r}")
        return self._followed.follow(token)

    def _alive(self, received_ns: int) -> list[Record]:
        return [
            Heartbeat(book.instrument, received_ns, received_ns, 0, 0)
            for token, book in self._followed.books.items()
            if token in self.connected
        ]

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        kind, _, symbol = tag.partition(":")
        if kind == "book":
            return iter(self._fetched(symbol, body, received_ns))
        if kind not in listing.KINDS:
            raise Rejected(f"an answer to {tag[:50]!r}, which was not asked for")
        found = listing.chosen(symbol, body, self._followed.markets, received_ns)
        if kind == "open" and not found and not (self._followed.over and series(symbol) is None):
            raise Rejected(f"no market that {symbol[:100]} wants is listed and open")
        return iter(self._listed(symbol, found, received_ns))

    def _listed(self, symbol: str, markets: list[gamma.GammaMarket], received_ns: int) -> list[Record]:
        news = [(market, gamma.records(market, self.name, received_ns)) for market in markets]
        records = self.connects(symbol, received_ns)
        records.append(Heartbeat(self.connected[symbol], received_ns, received_ns, 0, 0))
        for market, tokens in news:
            for token, record in tokens.items():
                if token in self._followed.over:
                    continue
                self._followed.join(token, market)
                records += self.connects(token, received_ns)
                news_of = self._followed.news(record)
                records += [*(self._end(token, received_ns) if record.status == "resolved" else ()), *news_of]
        for token in self._followed.late(received_ns):
            records += self._end(token, received_ns)
        return records

    def _end(self, token: str, received_ns: int) -> list[Record]:
        """Let a token go; the last that is said of its channel is that it will be silent."""
        self._agenda.remove(f"book:{token}")
        self._followed.leave(token)
        return [Connect(self.connected.pop(token), received_ns, self.name, self.cause, FOR_EVER_MS)]

    def _fetched(self, token: str, body: bytes, received_ns: int) -> list[Record]:
        book = self._followed.books.get(token)
        if book is None or book.known:
            return []
        try:
            found = wire.REST_BOOK.decode(body)
        except UNREADABLE as error:
            raise Rejected(f"unreadable book: {error}") from error
        if found.asset_id != token:
            raise Rejected(f"the book of {found.asset_id[:100]}, where that of {token} was wanted")
        event_ns = wire.event_ns(found.timestamp, received_ns)
        depths = book.fetched(found, book.snapshot(found.bids, found.asks, event_ns, received_ns))
        self._agenda.remove(f"book:{token}")
        return [*self.connects(token, received_ns), *depths]

    def _lose(self, token: str, received_ns: int) -> Record:
        self._fetch(token)
        return self._followed.books[token].lost("sequence", received_ns)

    def _fetch(self, token: str) -> None:
        book = self._followed.books[token]
        if not book.sought:
            book.sought = True
            self._agenda.add(Fetch(f"book:{token}", BOOK + token), BOOK_S)

    def _list(self, symbols: Sequence[str]) -> list[Record]:
        for symbol in symbols:
            for kind in listing.KINDS:
                self._agenda.add(Fetch(f"{kind}:{symbol}", ""), LISTING_S)
        return []
