"""The order book of one Polymarket token as Depth records: what it is proven by, and how it is found again.

- A book that is not known keeps the changes that come meanwhile. A ``book`` message makes them worthless; after a
  fetched book those not older than it are given again: sizes are absolute, so one that it already holds does no harm.
- A book older than what was seen before it was lost cannot be joined to what follows and is refused.
- Best prices are echoed with each change. The venue writes an empty side as 0 and 1, which are no prices: 0 here.
- The venue counts nothing: sequences are 0, and what came before a change is not said.
"""

from typing import Literal

import msgspec

from producers.feed import Resubscribe
from producers.polymarket_wire import BookMessage, Change, Level, RestBook, digest
from schemas import Depth, Rejected
from schemas.levels import packed, scaled

MOST_KEPT = 10_000


class TokenBook:
    """Of one token, on one connection."""

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.known = False
        self.sought = False  # it is being fetched
        self.min_order_size = ""
        self.neg_risk = False
        self.last_trade_price = ""
        self.tick_size = ""
        self._latest_ns = 0
        self._kept: list[Depth] = []

    def lost(self, cause: str, received_ns: int) -> Depth:
        """The record that says that nothing is known of the book."""
        self.forget()
        nothing = b""
        return Depth(
            self.instrument, received_ns, received_ns, "connect", cause, 0, 0, -1, 0, 0,
            nothing, nothing, nothing, nothing, 0, 0, False,
        )  # fmt: skip

    def forget(self) -> None:
        """Know nothing of the book."""
        self.known = False
        self._kept.clear()

    def proof(self, message: BookMessage) -> bool | None:
        """Whether the hash of a message agrees; None where that says nothing."""
        price = message.last_trade_price or self.last_trade_price
        tick_size = message.tick_size or self.tick_size
        if not (message.hash and self.min_order_size and tick_size):
            return None
        whole = RestBook(
            message.market,
            message.asset_id,
            message.timestamp,
            "",
            message.bids,
            message.asks,
            self.min_order_size,
            tick_size,
            self.neg_risk,
            price,
        )
        if digest(whole) == message.hash:
            return True
        return False if message.last_trade_price and message.tick_size else None

    def sent(self, message: BookMessage, book: Depth, verified: bool) -> Depth:
        """Take the book of a message."""
        self.known, self.sought = True, False
        self._kept.clear()
        self.tick_size = message.tick_size or self.tick_size
        self.last_trade_price = message.last_trade_price or self.last_trade_price
        self._latest_ns = max(self._latest_ns, book.event_ns)
        return msgspec.structs.replace(book, verified=verified)

    def fetched(self, answer: RestBook, book: Depth) -> list[Depth]:
        """Take a fetched book, and what has changed since.

        Raises:
            Rejected: its hash disagrees, or it is older than what was seen before; nothing has changed.

        """
        if digest(answer) != answer.hash:
            raise Rejected(f"hash {answer.hash[:50]} of the book of {self.instrument} disagrees")
        if book.event_ns < self._latest_ns:
            raise Rejected(f"book of {self.instrument} at {book.event_ns}, older than what was seen before")
        self.min_order_size, self.neg_risk = answer.min_order_size, answer.neg_risk
        self.tick_size, self.last_trade_price = answer.tick_size, answer.last_trade_price
        later = [change for change in self._kept if change.event_ns >= book.event_ns]
        self._latest_ns = max(book.event_ns, *(change.event_ns for change in later), 0)
        self._kept.clear()
        self.known, self.sought = True, False
        return [msgspec.structs.replace(book, verified=True), *later]

    def changed(self, change: Depth) -> list[Depth]:
        """Take a change: give it on, or keep it while the book is not known."""
        if self.known:
            self._latest_ns = max(self._latest_ns, change.event_ns)
            return [change]
        self._kept.append(change)
        return []

    def snapshot(self, bids: list[Level], asks: list[Level], event_ns: int, received_ns: int) -> Depth:
        """A whole book as a record.

        Raises:
            Rejected: a level is none.

        """
        return self._depth("snapshot", bids, asks, "0", "0", event_ns, received_ns)

    def delta(self, changes: list[Change], event_ns: int, received_ns: int) -> Depth:
        """Changes of one message as a record; the last of them says what the best prices are after all.

        Raises:
            Rejected: a level is none.
            Resubscribe: too many have come without a book.

        """
        if len(self._kept) >= MOST_KEPT:
            raise Resubscribe("sequence", f"{MOST_KEPT} changes of {self.instrument} without a book")
        bids = [Level(change.price, change.size) for change in changes if change.side == "BUY"]
        asks = [Level(change.price, change.size) for change in changes if change.side == "SELL"]
        last = changes[-1]
        return self._depth("delta", bids, asks, last.best_bid, last.best_ask, event_ns, received_ns)

    def _depth(
        self,
        kind: Literal["snapshot", "delta"],
        bids: list[Level],
        asks: list[Level],
        best_bid: str,
        best_ask: str,
        event_ns: int,
        received_ns: int,
    ) -> Depth:
        levels = [*bids, *asks]
        prices = scaled([*map(_price, levels), _whole(best_bid), _whole(best_ask)])
        sizes = scaled([_whole(level.size) for level in levels])
        one = 10**prices.decimals
        *at, bid, ask = prices.numbers
        if not all(0 < price < one for price in at) or not 0 <= bid <= one or not 0 <= ask <= one:
            raise Rejected(f"a price of {self.instrument} is not between 0 and 1")
        if any(size < 0 for size in sizes.numbers):
            raise Rejected(f"a size of {self.instrument} is negative")
        pairs = list(zip(at, sizes.numbers, strict=True))
        return Depth(
            self.instrument,
            event_ns,
            received_ns,
            kind,
            "",
            0,
            0,
            -1,
            prices.decimals,
            sizes.decimals,
            packed(pairs[: len(bids)]),
            packed(pairs[len(bids) :]),
            b"",
            b"",
            bid if bid < one else 0,
            ask if ask < one else 0,
            False,
        )


def _price(level: Level) -> str:
    return _whole(level.price)


def _whole(text: str) -> str:
    """A decimal with its leading zero, which the venue's documents leave out."""
    return f"0{text}" if text.startswith(".") else text
