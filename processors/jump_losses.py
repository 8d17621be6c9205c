"""Topic ``jump_losses``: what a price jump is expected to cost under an oracle fee (processors/online/jump_loss.py).

The jump loss rises with mu and has no step, so the ends of mu's confidence interval, mu -+ z error and not below 0,
give the ends of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from processors.online.jump_loss import fee_percent, jump_loss
from processors.online.rows import columns_of
from processors.stage import BatchStage, Events, Rejection
from schemas import Ema, JumpLoss
from schemas.columns import Keys, Table
from schemas.jit import kernel, shared


@dataclass(slots=True)
class JumpLossState:
    """Nothing: each average gives its jump loss by itself."""


@dataclass(frozen=True, slots=True)
class JumpLossOptions:
    """The oracle's fee, and how wide the interval is."""

    fee_units: int = 5_000  # thousandths of a basis point
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.fee_units < 0:
            raise ValueError(f"fee_units must not be negative, not {self.fee_units}")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence must lie between 0 and 1, not {self.confidence}")

    @property
    def quantile(self) -> float:
        """Half the interval's width in standard errors."""
        return float(ndtri(0.5 + self.confidence / 2.0))


@shared
def interval(mu: float, error: float, fee: float, quantile: float) -> tuple[float, float, float, float, float]:
    """Jump loss, the ends of its interval and the ends of mu's, all in percent."""
    low = max(mu - quantile * error, 0.0)
    high = mu + quantile * error
    return jump_loss(mu, fee), jump_loss(low, fee), jump_loss(high, fee), low, high


class JumpLosses(BatchStage[Ema, JumpLoss]):
    """Turns each average into a jump loss.

    >>> stage = JumpLosses("kraken:ETH-USD")
    >>> ema = Ema(instrument="kraken:ETH-USD", event_ns=0, half_life_ms=4800, mu_percent=0.08, error_percent=0.0,
    ...           buckets=9, mid=100.0, stale=False, feed_age_ms=0)
    >>> [round(loss.jump_loss_percent, 12) for loss in stage.on_event(ema)]
    [0.055]
    """

    Options = JumpLossOptions
    State = JumpLossState
    columns = (
        "event_ns",
        "half_life_ms",
        "mu_percent",
        "error_percent",
        "buckets",
        "mid",
        "stale",
        "feed_age_ms",
        "coverage",
    )
    options: JumpLossOptions

    def __init__(self, key: str, options: JumpLossOptions | None = None) -> None:
        super().__init__(key, options)
        self.fee, self.quantile = fee_percent(self.options.fee_units), self.options.quantile

    def on_event(self, event: Ema) -> Iterator[JumpLoss]:
        loss, low, high, mu_low, mu_high = interval(event.mu_percent, event.error_percent, self.fee, self.quantile)
        yield JumpLoss(
            instrument=self.key,
            event_ns=event.event_ns,
            fee_units=self.options.fee_units,
            fee_percent=self.fee,
            settlement_ms=2 * event.half_life_ms,
            mu_percent=event.mu_percent,
            jump_loss_percent=loss,
            low_percent=low,
            high_percent=high,
            mu_low_percent=mu_low,
            mu_high_percent=mu_high,
            buckets=event.buckets,
            mid=event.mid,
            stale=event.stale,
            feed_age_ms=event.feed_age_ms,
            coverage=event.coverage,
        )

    @classmethod
    def on_batch(
        cls, options: JumpLossOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        fee, given = fee_percent(options.fee_units), events.columns
        rows = _run(given["mu_percent"], given["error_percent"], fee, options.quantile)
        columns = columns_of(rows)
        columns |= {name: given[name] for name in cls.columns if name not in ("half_life_ms", "error_percent")}
        columns |= {
            "fee_units": np.full(len(rows), options.fee_units, np.int64),
            "fee_percent": np.full(len(rows), fee),
            "settlement_ms": 2 * given["half_life_ms"],
        }
        return [Table(JumpLoss, events.cause, events.key, columns)], []


ROW = np.dtype(
    [
        (name, np.float64)
        for name in ("jump_loss_percent", "low_percent", "high_percent", "mu_low_percent", "mu_high_percent")
    ]
)


@kernel
def _run(mu, error, fee, quantile):  # type: ignore[no-untyped-def]
    rows = np.empty(len(mu), ROW)
    for index in range(len(mu)):
        row = rows[index]
        row.jump_loss_percent, row.low_percent, row.high_percent, row.mu_low_percent, row.mu_high_percent = interval(
            mu[index], error[index], fee, quantile
        )
    return rows
