"""Binance's times and stream messages, for its feeds and for the history.

Wire format: github.com/binance/binance-spot-api-docs, web-socket-streams.md, and developers.binance.com, USD-M futures
websocket market streams. Rules:

- Times come in milliseconds or microseconds since the epoch, as asked for and by the venue's defaults; the size of the
  number says which.
- A combined stream wraps each message: ``{"stream":"btcusdt@trade","data":{...}}``. Which message it is, the stream's
  name says, and whose; so each kind has a decoder of its own and a frame is decoded once.
- ``m`` says that the buyer was the maker: then the taker sold.
"""

from typing import Annotated, Generic, TypeVar

import msgspec

from producers.wire import Amount, Count, Price, Rate, Size, decoder
from schemas import Rejected

LAST_MS = (2**63 - 1) // 1_000_000  # beyond it, ns no longer fit into 64 bits
FIRST_US = 10**15
LAST_US = (2**63 - 1) // 1_000
TIMELESS = -1  # in place of a time that a message does not have

PartId = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]  # -1 where the venue has lost a trade
Data = TypeVar("Data")


class Wrapped(msgspec.Struct, Generic[Data], gc=False):
    """A message of a combined stream."""

    data: Data


class TradeEvent(msgspec.Struct, gc=False):
    """``trade``: one trade."""

    t: Count
    p: Price
    q: Size
    T: Count
    m: bool


class AggTradeEvent(msgspec.Struct, gc=False):
    """``aggTrade``: the trades of one order at one price."""

    a: Count
    p: Price
    q: Size
    f: PartId
    l: PartId  # noqa: E741
    T: Count
    m: bool


class QuoteEvent(msgspec.Struct, gc=False):
    """``bookTicker``: the best quotes; spot gives no time."""

    u: Count
    b: Price
    B: Amount
    a: Price
    A: Amount
    T: Count = TIMELESS


class DepthEvent(msgspec.Struct, gc=False):
    """``depth``: changed levels, kept as text; ``pu`` and ``T`` stand in futures only."""

    E: Count
    U: Count
    u: Count
    b: msgspec.Raw
    a: msgspec.Raw
    pu: int = -1
    T: Count = 0


class Kline(msgspec.Struct, gc=False):
    """A bar under way, or closed."""

    t: Count
    i: str
    o: Price
    c: Price
    h: Price
    l: Price  # noqa: E741
    v: Amount
    n: Count
    x: bool
    q: Amount
    V: Amount


class KlineEvent(msgspec.Struct, gc=False):
    """``kline``: the bar of this moment."""

    E: Count
    k: Kline


class MarkEvent(msgspec.Struct, gc=False):
    """``markPriceUpdate``: ``r`` and ``T`` are the next funding's rate and time, empty and 0 where there is none."""

    E: Count
    p: Price
    i: Amount
    r: str
    T: Count


class Snapshot(msgspec.Struct, rename="camel", gc=False):
    """An answer to ``depth``: the whole book; futures give its time."""

    last_update_id: Count
    bids: msgspec.Raw
    asks: msgspec.Raw
    time: Count = msgspec.field(default=0, name="T")


class Event(msgspec.Struct):
    """What the venue says of the connection itself."""

    e: str = ""


class Failure(msgspec.Struct):
    """Why a request was refused."""

    code: int = 0
    msg: str = ""


class Other(msgspec.Struct):
    """Any frame: a stream's, the answer to a request, an event of the connection."""

    stream: str = ""
    data: Event | None = None
    e: str = ""
    event: Event | None = None
    id: int | None = None
    result: None = None
    error: Failure | None = None
    code: int | None = None
    msg: str = ""


class Moments(msgspec.Struct):
    """The times in a message."""

    T: Count = 0
    E: Count = 0


SNAPSHOT = decoder(Snapshot)
OTHER = msgspec.json.Decoder(Other)
MOMENTS = msgspec.json.Decoder(Wrapped[Moments])
RATE = decoder(Rate)


def nanoseconds(stamp: int) -> int:
    """A time of the venue in ns since the epoch.

    Raises:
        Rejected: it is neither one in milliseconds nor one in microseconds.

    >>> nanoseconds(1735689600010), nanoseconds(1735689600010866)
    (1735689600010000000, 1735689600010866000)

    """
    if stamp <= LAST_MS:
        return stamp * 1_000_000
    if FIRST_US <= stamp <= LAST_US:
        return stamp * 1_000
    raise Rejected(f"time {stamp} is neither in milliseconds nor in microseconds")
