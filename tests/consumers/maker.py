"""A market maker's inputs with defaults, of which a test overrides what it is about."""

from collections.abc import Iterable
from typing import Any

from consumers.market_maker import MarketMaker
from consumers.policies.making import STRATEGY, MakerOptions
from schemas import (
    Book,
    Clock,
    Equity,
    Fill,
    Intensity,
    Market,
    NetPosition,
    OrderRequest,
    OrderState,
    Quote,
    Record,
    Volatility,
)
from schemas.levels import packed
from tests.streams import MILLISECOND, NOON

NAME = "x:ETH-USD"
OPTIONS: dict[str, Any] = {"gamma": 0.01, "horizon_s": 10.0, "order_size": 0.1, "inventory": 0.25}


def options(**given: Any) -> MakerOptions:
    return MakerOptions(**(OPTIONS | given))


def clock(at: int = 0) -> Clock:
    """``at`` is ms after noon, here and below."""
    return Clock(NOON + at * MILLISECOND)


def market(at: int = 0, step: float = 0.5, **given: Any) -> Market:
    fields: dict[str, Any] = {"status": "open", "price_step": step, "size_step": 0.01, "size_least": 0.02} | given
    return Market(
        instrument=NAME, event_ns=NOON + at * MILLISECOND, received_ns=0, base="ETH", quote="USD", family="",
        opens_ns=0, closes_ns=0, settles_on="", outcome="", details="", **fields,
    )  # fmt: skip


def book(at: int = 0, bid: int = 3_000_0, ask: int = 3_001_0, **given: Any) -> Book:
    """Prices have one decimal, sizes two."""
    fields: dict[str, Any] = {
        "valid": True, "reason": "", "bids": packed([(bid, 500), (bid - 5, 900)]),
        "asks": packed([(ask, 500), (ask + 5, 900)]),
    } | given  # fmt: skip
    return Book(
        instrument=NAME, event_ns=NOON + at * MILLISECOND, verified_ns=0, sequence=7, price_decimals=1,
        size_decimals=2, bid_levels=2, ask_levels=2, imbalance=0.0, bid_depth=1.0, ask_depth=1.0, depth_bps=10.0,
        **fields,
    )  # fmt: skip


def volatility(at: int = 0, sigma: float = 1e-4, **given: Any) -> Volatility:
    fields: dict[str, Any] = {"method": "garch_t", "usable": True, "reason": ""} | given
    return Volatility(
        instrument=NAME, event_ns=NOON + at * MILLISECOND, sigma=sigma, sigma_quote=sigma * 3_000.0, mid=3_000.0,
        step_ms=1_000, returns=500, omega=0.0, alpha=0.0, beta=0.0, nu=5.0, log_likelihood=0.0, **fields,
    )  # fmt: skip


def intensity(at: int = 0, kappa: float = 1.5, **given: Any) -> Intensity:
    fields: dict[str, Any] = {"method": "depth", "side": "both", "usable": True, "reason": ""} | given
    return Intensity(
        instrument=NAME, event_ns=NOON + at * MILLISECOND, kappa=kappa, kappa_low=kappa, kappa_high=kappa, scale=1.0,
        r_squared=0.9, trades=100, window_ms=60_000, price_step=0.5, **fields,
    )  # fmt: skip


def answer(request: OrderRequest, status: str = "open", at: int = 0, **given: Any) -> OrderState:
    """The venue's word on a request."""
    fields: dict[str, Any] = {"filled": 0, "reason": "", "client_id": request.client_id} | given
    return OrderState(
        instrument=NAME, event_ns=request.event_ns + at * MILLISECOND, strategy=STRATEGY, venue="paper",
        venue_id="v", status=status, side=request.side, price=request.price, size=request.size,
        price_decimals=request.price_decimals, size_decimals=request.size_decimals, post_only=True,
        reduce_only=False, expires_ns=request.expires_ns, **fields,
    )  # fmt: skip


def fill(request: OrderRequest, size: int, number: int = 1, at: int = 0) -> Fill:
    return Fill(
        instrument=NAME, event_ns=request.event_ns + at * MILLISECOND, strategy=STRATEGY, venue="paper",
        client_id=request.client_id, venue_id="v", fill_id=f"f{number}", side=request.side, price=request.price,
        size=size, price_decimals=request.price_decimals, size_decimals=request.size_decimals, fee=0.0,
        liquidity="maker", mid=3_000.5,
    )  # fmt: skip


def net_position(size: int, at: int = 0, cause: str = "reconciled") -> NetPosition:
    return NetPosition(NAME, NOON + at * MILLISECOND, "paper", size, 2, 3_000.0, 3_000.0, cause)


def equity(value: float, at: int = 0) -> Equity:
    return Equity(NAME, NOON + at * MILLISECOND, "paper", value, 0.0, 0.0, 0.0, value, 0.0)


def feed(stage: MarketMaker, events: Iterable[Record]) -> list[Any]:
    """All that events cause."""
    return [made for event in events for made in stage.on_event(event)]  # type: ignore[arg-type]


def ready(**given: Any) -> MarketMaker:
    """A maker that lacks nothing but a book."""
    stage = MarketMaker(NAME, options(**given))
    feed(stage, [clock(), market(), volatility(), intensity()])
    return stage


def quoting(**given: Any) -> tuple[MarketMaker, OrderRequest, OrderRequest]:
    """A maker whose bid and ask are open, and the two requests."""
    stage = ready(**given)
    bid, ask = requests(feed(stage, [book()]))
    feed(stage, [answer(bid), answer(ask)])
    return stage, bid, ask


def requests(made: Iterable[Any]) -> list[OrderRequest]:
    return [record for record in made if isinstance(record, OrderRequest)]


def quotes(made: Iterable[Any]) -> list[Quote]:
    return [record for record in made if isinstance(record, Quote)]
