"""What Extended says of a market over REST: how it trades, and where its mark, its index and its funding stand.

Wire format: the vendor's API documentation, ``GET /api/v1/info/markets``; the answer carries no time of its own. Rules:

- ``fundingRate`` is what longs will pay shorts at the end of the hour, ``nextFundingRate`` when that is, in ms; some
  examples of the documentation have it in seconds.
- A market that may only be reduced is halted: nothing new can be opened. An older form of the answer has no status,
  only whether a market is active.
"""

from typing import Any

import msgspec

from producers.wire import MILLISECOND, UNREADABLE, Amount, Milliseconds, Price, Rate, decoder, encoded
from schemas import Mark, Market, Rejected

URL = "https://api.starknet.extended.exchange/api/v1/info/markets"
STATUSES = {
    "ACTIVE": "open",
    "REDUCE_ONLY": "halted",
    "DISABLED": "halted",
    "PRELISTED": "listed",
    "DELISTED": "closed",
}
STEPS = ("minPriceChange", "minOrderSizeChange", "minOrderSize")
FIRST_MS = 10**11  # a smaller time is one in seconds


class Stats(msgspec.Struct, rename="camel"):
    """Where a market stands."""

    mark_price: Price
    index_price: Price
    funding_rate: Rate
    next_funding_rate: Milliseconds


class Row(msgspec.Struct, rename="camel"):
    """A market."""

    name: str
    asset_name: str
    collateral_asset_name: str
    market_stats: Stats
    trading_config: dict[str, Any]
    l2_config: dict[str, Any] = {}
    status: str = ""
    active: bool = True


class Failure(msgspec.Struct):
    """Why the venue does not answer."""

    message: str = ""
    code: Any = ""


class Answer(msgspec.Struct):
    """The venue's answer."""

    status: str
    data: list[Row] = []
    error: Failure | None = None


ANSWER = decoder(Answer)


def rows(body: bytes) -> list[Row]:
    """The markets of an answer.

    Raises:
        Rejected: it is none, or the venue refuses.

    """
    try:
        answer = ANSWER.decode(body)
    except UNREADABLE as error:
        raise Rejected(f"unreadable: {error}") from error
    if answer.status.upper() != "OK":
        failure = answer.error or Failure()
        raise Rejected(f"venue says: {answer.status[:50]} {failure.message[:200]} ({failure.code})")
    return list(answer.data)


def market(row: Row, instrument: str, received_ns: int) -> Market:
    """How it trades; what changes all the time is left out.

    Raises:
        Rejected: its status is unknown, or a step is none.

    """
    said = row.status or ("ACTIVE" if row.active else "DISABLED")
    status = STATUSES.get(said)
    if status is None:
        raise Rejected(f"{row.name[:50]} has the unknown status {said[:50]!r}")
    try:
        steps = [msgspec.convert(row.trading_config.get(name), Amount, strict=False) for name in STEPS]
    except msgspec.ValidationError as error:
        raise Rejected(f"{row.name[:50]} has a step that is none: {error}") from error
    details = {"status": said, "tradingConfig": row.trading_config, "l2Config": row.l2_config}
    return Market(
        instrument=instrument,
        event_ns=received_ns,
        received_ns=received_ns,
        status=status,
        base=row.asset_name,
        quote=row.collateral_asset_name,
        family="",
        price_step=steps[0],
        size_step=steps[1],
        size_least=steps[2],
        opens_ns=0,
        closes_ns=0,
        settles_on="",
        outcome="",
        details=encoded(details),
    )


def mark(row: Row, instrument: str, received_ns: int) -> Mark:
    """Where it stands."""
    stats = row.market_stats
    next_ms = stats.next_funding_rate * (1 if stats.next_funding_rate >= FIRST_MS else 1_000)
    prices = stats.mark_price, stats.index_price
    return Mark(instrument, received_ns, received_ns, *prices, stats.funding_rate, next_ms * MILLISECOND)
