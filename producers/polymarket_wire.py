"""Messages of Polymarket's market channel, and the hash that proves a book.

Wire format: docs.polymarket.com/market-data/websocket/market-channel; fields of newer messages may be absent.

The hash of a book is the SHA-1 of compact JSON of ten fields in a fixed order, ``hash`` itself empty. The answer of
``/book`` holds all ten, so its hash is proof or disproof. A ``book`` message lacks ``min_order_size`` and ``neg_risk``,
which are the market's and known from its listing, and often ``last_trade_price``: that of the last trade seen is tried
in its place, but as the venue hashes with a trade that it announces only later (github.com/Polymarket/
py-clob-client-v2/issues/117), a hash that then disagrees says nothing.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from producers.feed import Resubscribe
from producers.wire import UNREADABLE
from schemas import Rejected
from schemas.levels import DECIMAL

Text = Annotated[str, msgspec.Meta(max_length=100)]
MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII).fullmatch


class Level(msgspec.Struct):
    """A price and the size at it."""

    price: str
    size: str


class Message(msgspec.Struct, tag_field="event_type", gc=False):
    """Base of the venue's messages, told apart by ``event_type``."""


class BookMessage(Message, tag="book"):
    """The whole book of a token."""

    market: str
    asset_id: Text
    timestamp: Text
    bids: list[Level]
    asks: list[Level]
    hash: str = ""
    tick_size: str = ""
    last_trade_price: str = ""


class Change(msgspec.Struct):
    """The new size at a price, and the best prices after it."""

    asset_id: Text
    price: str
    size: str
    side: Literal["BUY", "SELL"]
    best_bid: str = "0"
    best_ask: str = "0"


class ChangesMessage(Message, tag="price_change"):
    """Changed levels of the tokens of a market."""

    price_changes: list[Change]
    timestamp: Text


class TickSizeMessage(Message, tag="tick_size_change"):
    """Prices lie on another grid from now on."""

    asset_id: Text
    new_tick_size: str
    timestamp: Text


class TradeMessage(Message, tag="last_trade_price"):
    """A trade; ``side`` is the taker's."""

    asset_id: Text
    price: str
    size: str
    side: Literal["BUY", "SELL"]
    timestamp: Text


class BestMessage(Message, tag="best_bid_ask"):
    """The best prices, without sizes."""

    asset_id: Text


class ResolvedMessage(Message, tag="market_resolved"):
    """A market of whatever kind was decided."""

    assets_ids: list[Text]
    winning_asset_id: Text
    timestamp: Text


class NewMarketMessage(Message, tag="new_market"):
    """A market of whatever kind was listed."""

    slug: str


class RestBook(msgspec.Struct):
    """The answer of ``/book``, with all that its hash is made of."""

    market: str
    asset_id: Text
    timestamp: Text
    hash: str
    bids: list[Level]
    asks: list[Level]
    min_order_size: str
    tick_size: str
    neg_risk: bool
    last_trade_price: str


class Head(msgspec.Struct):
    """What every message has."""

    event_type: str = ""
    timestamp: str = ""


AnyMessage = (
    BookMessage | ChangesMessage | TickSizeMessage | TradeMessage | BestMessage | ResolvedMessage | NewMarketMessage
)
FRAME = msgspec.json.Decoder(AnyMessage | list[AnyMessage])
OF_BOOKS = frozenset({"book", "price_change", "tick_size_change"})
HEAD = msgspec.json.Decoder(Head | list[Head])
REST_BOOK = msgspec.json.Decoder(RestBook)


def digest(book: RestBook) -> str:
    """The hash that a book must have.

    >>> bids, asks = [Level("0.3", "100"), Level("0.4", "100")], [Level("0.6", "100"), Level("0.7", "100")]
    >>> digest(RestBook("0xaabbcc", "100", "123456789", "", bids, asks, "100", "0.01", False, "0.5"))
    '0458ea5755c9f73d64a14636fa5c36ed460ec394'
    """
    return hashlib.sha1(msgspec.json.encode(msgspec.structs.replace(book, hash="")), usedforsecurity=False).hexdigest()


def event_ns(timestamp: str, received_ns: int) -> int:
    """A message's time in ns.

    Raises:
        Rejected: it is no time, or lies more than a day ahead; a quiet book's may be long past.

    """
    if not MILLISECONDS(timestamp):
        raise Rejected(f"timestamp {timestamp[:50]!r} is not in milliseconds")
    found_ns = int(timestamp) * 1_000_000
    if found_ns > received_ns + 86_400_000_000_000:
        raise Rejected(f"timestamp {timestamp} is more than a day after its receipt")
    return found_ns


def by_token(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """The changes of each token, in their order."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.asset_id, []).append(change)
    return found


def positive(text: str) -> float:
    """A price, size or step as a number.

    Raises:
        Rejected: it is none above zero.

    """
    number = float(text) if DECIMAL(text) else 0.0
    if not 0.0 < number < math.inf:
        raise Rejected(f"{text[:50]!r} is not a number above 0")
    return number


def unreadable(frame: str | bytes, error: Exception) -> Exception:
    """What to raise for a frame that is no message as documented: Resubscribe where it may hold a change of a book."""
    try:
        head = HEAD.decode(frame)
    except UNREADABLE:
        return Resubscribe("error", f"unreadable, perhaps a change of a book: {error}")
    if OF_BOOKS & {each.event_type for each in (head if isinstance(head, list) else [head])}:
        return Resubscribe("error", f"unreadable change of a book: {error}")
    return Rejected(f"unreadable: {error}")
