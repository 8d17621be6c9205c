"""Polymarket's markets as Gamma lists them, as Market records of their outcome tokens.

Wire format: docs.polymarket.com, Gamma API, ``/events`` and ``/markets``. Rules:

- ``clobTokenIds``, ``outcomes`` and ``outcomePrices`` are JSON inside JSON. A token belongs to the outcome in its
  place; what an outcome means is told by its label alone.
- A market is open while it accepts orders, halted while it does not, closed, and resolved once the venue says so and
  one of its two outcomes is worth 1 and the other nothing.
- What decides it stands in ``resolutionSource``, else in ``description``; the duration of its window says nothing.
- Volumes, prices and other figures that change by the minute are left out: a record means that something changed.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from producers.wire import UNREADABLE, Amount
from schemas import Market, Rejected

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUOTE = "pUSD"
SIZE_STEP = 0.01  # docs.polymarket.com: sizes have two decimals at every tick size

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class GammaMarket(msgspec.Struct, rename="camel"):
    """A market; what the venue leaves out it does not know yet."""

    slug: str
    condition_id: str
    clob_token_ids: str
    outcomes: str
    end_date: Moment
    outcome_prices: str | None = None
    start_date: Moment | None = None
    event_start_time: Moment | None = None
    question: str | None = None
    description: str | None = None
    resolution_source: str | None = None
    accepting_orders: bool = False
    closed: bool = False
    neg_risk: bool = False
    uma_resolution_status: str | None = None
    order_price_min_tick_size: Amount = 0.0
    order_min_size: Amount = 0.0
    fees_enabled: bool = False
    fee_type: str | None = None
    fee_schedule: dict[str, Any] | None = None
    rewards_min_size: Amount = 0.0
    rewards_max_spread: Amount = 0.0


class GammaEvent(msgspec.Struct):
    """An event and its markets."""

    markets: list[GammaMarket] = []


EVENTS = msgspec.json.Decoder(list[GammaEvent])
MARKETS = msgspec.json.Decoder(list[GammaMarket])
TEXTS = msgspec.json.Decoder(list[str])


def of_events(body: bytes) -> list[GammaMarket]:
    """The markets of an answer to ``/events``.

    Raises:
        Rejected: it is none.

    """
    try:
        return [market for event in EVENTS.decode(body) for market in event.markets]
    except UNREADABLE as error:
        raise Rejected(f"unreadable list of events: {error}") from error


def of_markets(body: bytes) -> list[GammaMarket]:
    """The markets of an answer to ``/markets``.

    Raises:
        Rejected: it is none.

    """
    try:
        return MARKETS.decode(body)
    except UNREADABLE as error:
        raise Rejected(f"unreadable list of markets: {error}") from error


def outcomes(market: GammaMarket) -> dict[str, str]:
    """The label of each token's outcome.

    Raises:
        Rejected: tokens and outcomes do not match.

    >>> ids, labels = '["12","34"]', '["Up","Down"]'
    >>> outcomes(GammaMarket("slug", "0x1", ids, labels, EPOCH))
    {'12': 'Up', '34': 'Down'}

    """
    tokens, labels = texts("clobTokenIds", market.clob_token_ids), texts("outcomes", market.outcomes)
    if not len(tokens) == len(labels) == len(set(tokens)) == len(set(labels)) == 2:
        raise Rejected(f"{market.slug[:100]}: tokens {tokens} do not match outcomes {labels}")
    if not all(map(is_token, tokens)):
        raise Rejected(f"{market.slug[:100]}: {tokens} are no tokens")
    return dict(zip(tokens, labels, strict=True))


def is_token(text: str) -> bool:
    """Whether a text can be the id of an outcome token."""
    return text.isascii() and text.isdigit() and len(text) < 100


def texts(field: str, inner: str) -> list[str]:
    """The list in a field that is JSON again.

    Raises:
        Rejected: it is none.

    """
    try:
        return TEXTS.decode(inner)
    except UNREADABLE as error:
        raise Rejected(f"{field} {inner[:100]!r} is no list of texts in JSON") from error


def records(market: GammaMarket, feed: str, received_ns: int) -> dict[str, Market]:
    """The record of each token.

    Raises:
        Rejected: the market is malformed.

    """
    labels = outcomes(market)
    worth = texts("outcomePrices", market.outcome_prices or "[]")
    resolved = market.closed and market.uma_resolution_status == "resolved" and sorted(worth) == ["0", "1"]
    status = "resolved" if resolved else "closed" if market.closed else "open" if market.accepting_orders else "halted"
    results = ["won" if price == "1" else "lost" for price in worth] if resolved else [""] * len(labels)
    opens = market.event_start_time or market.start_date
    details = msgspec.json.encode(
        {
            "slug": market.slug,
            "question": market.question,
            "description": market.description,
            "feesEnabled": market.fees_enabled,
            "feeType": market.fee_type,
            "feeSchedule": market.fee_schedule,
            "negRisk": market.neg_risk,
            "rewardsMinSize": market.rewards_min_size,
            "rewardsMaxSpread": market.rewards_max_spread,
        },
        order="deterministic",
    ).decode()
    return {
        token: Market(
            f"{feed}:{token}",
            received_ns,
            received_ns,
            status,
            label,
            QUOTE,
            market.condition_id,
            market.order_price_min_tick_size,
            SIZE_STEP,
            market.order_min_size,
            0 if opens is None else nanoseconds(opens),
            nanoseconds(market.end_date),
            market.resolution_source or market.description or "",
            result,
            details,
        )
        for (token, label), result in zip(labels.items(), results, strict=True)
    }


def nanoseconds(moment: datetime) -> int:
    """A moment as ns since the epoch.

    Raises:
        Rejected: it lies before that, or too far ahead for 64 bits.

    """
    found = (moment - EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 <= found < 2**63:
        raise Rejected(f"a market at {moment.isoformat()}")
    return found
