"""The market maker's settings, and all that it knows between two events."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from consumers.limits import LimitOptions, Watch, fresh
from consumers.orders import Order
from consumers.policies.avellaneda_stoikov import Terms
from consumers.policies.difference import Thresholds

STRATEGY = "market_maker"

# Options that must be above 0, and those that may be 0.
ABOVE = (
    *("gamma", "horizon_s", "order_size", "inventory", "funding_interval_s", "markout_ms", "markout_fills"),
    *("order_life_ms", "request_ttl_ms", "answer_ms", "report_every_ms", "book_age_ms", "sigma_age_ms", "kappa_age_ms"),
    *("skew_ms", "backoff_ms", "backoff_most_ms", "rejects_most"),
)
FROM_0 = ("least_half_spread_bps", "requote_ticks", "requote_bps", "requote_every_ms")
KAPPAS = ("simple", "virtual", "depth", "bayes")
SIGMAS = ("simple", "garch", "garch_t", "arch")
SIDES = ("ask", "bid", "both")


@dataclass(frozen=True, slots=True)
class MakerOptions:
    """What is quoted, how, and when not."""

    enabled: bool = True  # False: nothing is quoted; the market is only watched
    instruments: str = ""  # quoted, separated by commas; empty: all that the merged log holds

    gamma: float = 0.1  # risk aversion, 1/quote currency
    horizon_s: float = 60.0  # T
    order_size: float = 0.01  # base units
    inventory: float = 0.05  # largest position either way, base units
    kappa_method: str = "depth"
    kappa_side: str = "both"
    sigma_method: str = "garch_t"
    least_half_spread_bps: float = 0.0
    reading: str = "paper"  # of the reservation price; see policies/avellaneda_stoikov.py
    funding_weight: float = 0.0  # 0: the funding rate does not move quotes
    funding_interval_s: float = 3_600.0
    markout_weight: float = 0.0  # 0: markouts do not widen quotes
    markout_ms: int = 5_000  # after a fill
    markout_fills: int = 20  # that the average goes back, about

    requote_ticks: int = 1
    requote_bps: float = 0.2
    requote_every_ms: int = 500
    refill_share: float = 0.5  # of a wanted size; an order with less left is renewed
    replace: bool = True  # False: cancel, then place
    order_life_ms: int = 60_000
    request_ttl_ms: int = 2_000
    answer_ms: int = 5_000  # after which a request counts as unanswered
    report_every_ms: int = 1_000  # between two Quotes where nothing is asked for

    book_age_ms: int = 5_000
    sigma_age_ms: int = 120_000
    kappa_age_ms: int = 120_000
    skew_ms: int = 5_000  # by which a venue's time may run ahead of the clock
    backoff_ms: int = 1_000  # after a reject; doubles with each one more in a row
    backoff_most_ms: int = 60_000
    rejects_most: int = 10  # in a row; then halt

    limits: LimitOptions = field(default_factory=LimitOptions)

    def __post_init__(self) -> None:
        for name in (*ABOVE, *FROM_0):
            value = getattr(self, name)
            least = name in FROM_0
            if not (math.isfinite(value) and (value >= 0 if least else value > 0)):
                raise ValueError(f"{name} must be {'at least' if least else 'above'} 0, not {value}")
        if not 0.0 <= self.refill_share <= 1.0:
            raise ValueError(f"refill_share must lie between 0 and 1, not {self.refill_share}")
        for name, known in (("kappa_method", KAPPAS), ("kappa_side", SIDES), ("sigma_method", SIGMAS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.kappa_method == "simple":
            raise ValueError("kappa_method simple counts trades a second, which is no kappa: choose another")
        self.terms()

    def terms(self) -> Terms:
        """What else moves the quotes."""
        return Terms(self.reading, self.funding_weight, self.markout_weight)  # type: ignore[arg-type]

    def thresholds(self) -> Thresholds:
        """When an order is worth changing."""
        return Thresholds(
            self.requote_ticks, self.requote_bps, self.requote_every_ms, self.refill_share, self.order_life_ms // 5,
            self.replace,
        )  # fmt: skip

    def quotes_instrument(self, instrument: str) -> bool:
        """Whether an instrument is quoted."""
        return not self.instruments or instrument in {name.strip() for name in self.instruments.split(",")}

    def configuration(self) -> str:
        """Hash of all settings: decisions under the same settings carry the same."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class MakerState:
    """What is known of one instrument, in plain values."""

    began_ns: int = 0  # event time of the first event: tells the orders of a fresh start from those of an earlier one
    clock_ns: int = 0
    now_ns: int = 0  # the latest event time taken

    status: str = ""  # of the market
    steps: list[float] = field(default_factory=list)  # price step, size step, least size: as quoted with
    told_steps: list[float] = field(default_factory=list)  # as last told by the venue

    book_ns: int = 0
    book_sequence: int = 0
    book_reason: str = "no book"  # why it cannot be used; empty where it can
    best_bid: int = 0
    best_ask: int = 0
    book_decimals: int = 0

    sigma: float = 0.0  # of log returns, per square root of a second
    sigma_ns: int = 0
    sigma_reason: str = "no volatility"
    kappa: float = 0.0
    kappa_ns: int = 0
    kappa_reason: str = "no intensity"
    funding_rate: float = 0.0

    position: int = 0
    position_decimals: int = 0
    fills: list[list[int]] = field(default_factory=list)  # of late: event time, change of the position, its decimals
    reconciled_ns: int = 0  # of the venue's last word on the position; fills up to it are in it
    reconciled: bool = False  # that word has yet to be told of
    orders: dict[str, Order] = field(default_factory=dict)
    asked: dict[str, list[int]] = field(default_factory=dict)  # unanswered: when we first and last asked for an order
    replacing: dict[str, str] = field(default_factory=dict)  # a new order's id: that of the one it takes the place of

    requests: int = 0  # sequence of the last one
    quotes: int = 0
    changed: list[int] = field(default_factory=lambda: [0, 0])  # when bid and ask were last changed
    rejects: int = 0  # in a row
    retry_ns: int = 0
    said: list[Any] = field(default_factory=list)  # of the last Quote
    said_ns: int = 0

    waiting: list[list[Any]] = field(default_factory=list)  # markouts
    markouts: list[float] = field(default_factory=lambda: [0.0, 0.0])
    limits: Watch = field(default_factory=fresh)
