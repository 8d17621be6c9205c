"""A jump loss whose fee and half-life may change while it runs: the stages ``emas`` and ``jump_losses`` over buckets.

The buckets of the last ten minutes are kept, so that a new half-life counts at once and as if it had always been set:
the average is made again from what is kept. It starts from 0 there as it does anywhere, so a half-life of more than
about a minute is known too low, by the share 2^(-kept time / half-life).
"""

from collections import deque
from dataclasses import dataclass, replace

from processors.emas import EmaOptions, Emas
from processors.jump_losses import JumpLosses, JumpLossOptions
from processors.online.jump_loss import half_life_seconds
from schemas import Bucket, JumpLoss

KEPT = 3_750  # buckets: ten minutes of 160 ms


@dataclass(frozen=True, slots=True)
class JumpLossUpdate:
    """The jump loss after a bucket; percentages are of notional."""

    timestamp: float  # end of the bucket, seconds since the epoch
    mu_j_percent: float
    jl_percent: float
    f_percent: float
    bucket_count: int
    stale: bool = False  # the feed is silent: calm is not what this means
    feed_age_ms: int = 0
    low_percent: float = 0.0  # ends of the confidence interval of the jump loss
    high_percent: float = 0.0

    @property
    def timestamp_ms(self) -> int:
        """End of the bucket, ms since the epoch."""
        return round(self.timestamp * 1000)

    def __str__(self) -> str:
        return (
            f"JL(simple,no-clamp): μ_J={self.mu_j_percent:.6f}% F={self.f_percent:.6f}% "
            f"JL={self.jl_percent:.6f}% buckets={self.bucket_count}"
        )


class Estimator:
    """Takes buckets of one instrument, gives updates.

    >>> estimator = Estimator("kraken:ETH-USD", fee_units=5000)
    >>> bucket = Bucket(instrument="kraken:ETH-USD", event_ns=160_000_000, width_ms=160, start=100.0, last=101.0,
    ...                 ticks=1, return_percent=1.0, missed=0, stale=False, feed_age_ms=0)
    >>> print(estimator.on_bucket(bucket))
    JL(simple,no-clamp): μ_J=0.022840% F=0.050000% JL=0.011420% buckets=1
    >>> print(estimator.request(5000, settlement_time=2, time_type_seconds=True))
    JL(simple,no-clamp): μ_J=0.104975% F=0.050000% JL=0.079975% buckets=1
    """

    def __init__(self, instrument: str, fee_units: int, half_life_ms: int = 4_800, kept: int = KEPT) -> None:
        self.instrument = instrument
        self.kept: deque[Bucket] = deque(maxlen=kept)
        self._emas = Emas(instrument, EmaOptions(half_life_ms))
        self._losses = JumpLosses(instrument, JumpLossOptions(fee_units))

    @property
    def half_life_ms(self) -> int:
        """Time in which a return's weight halves."""
        return self._emas.options.half_life_ms

    def on_bucket(self, bucket: Bucket) -> JumpLossUpdate:
        """Take a bucket."""
        self.kept.append(bucket)
        return _update(_last(self._emas, self._losses, bucket))

    def set_fee(self, fee_units: int) -> None:
        """Change the fee, in thousandths of a basis point, from the next update on."""
        self._losses = JumpLosses(self.instrument, JumpLossOptions(fee_units))

    def set_settlement(self, settlement_time: float, time_type_seconds: bool = True) -> None:
        """Change the half-life to half a settlement time; a time in blocks is one of Base's."""
        count = self._emas.state.count
        self._emas = self._over_kept(settlement_time, time_type_seconds)
        self._emas.state.count = count

    def request(self, fee_units: int, settlement_time: float, time_type_seconds: bool = True) -> JumpLossUpdate | None:
        """The jump loss now under another fee and settlement time, from the kept buckets; None before the first one."""
        losses = JumpLosses(self.instrument, JumpLossOptions(fee_units))
        if not self.kept:
            return None
        *before, last = self.kept
        emas = self._over_kept(settlement_time, time_type_seconds, before)
        return _update(_last(emas, losses, last))

    def _over_kept(self, time: float, in_seconds: bool, buckets: list[Bucket] | None = None) -> Emas:
        emas = Emas(self.instrument, replace(self._emas.options, half_life_ms=half_life_ms(time, in_seconds)))
        for bucket in self.kept if buckets is None else buckets:
            for _ in emas.on_event(bucket):
                pass
        return emas


def half_life_ms(settlement_time: float, time_type_seconds: bool) -> int:
    """Half a settlement time in ms; a settlement time in blocks is one of Base's.

    >>> half_life_ms(12, True), half_life_ms(8, False)
    (6000, 8000)

    Raises:
        ValueError: it is not positive and finite.

    """
    if not 0.0 < settlement_time < 1e9:
        raise ValueError(f"settlement time must be positive, not {settlement_time:g}")
    return max(1, round(1000.0 * half_life_seconds(settlement_time, time_type_seconds)))


def _last(emas: Emas, losses: JumpLosses, bucket: Bucket) -> JumpLoss:
    (average,) = emas.on_event(bucket)
    (loss,) = losses.on_event(average)
    return loss


def _update(loss: JumpLoss) -> JumpLossUpdate:
    return JumpLossUpdate(
        timestamp=loss.event_ns / 1e9,
        mu_j_percent=loss.mu_percent,
        jl_percent=loss.jump_loss_percent,
        f_percent=loss.fee_percent,
        bucket_count=loss.buckets,
        stale=loss.stale,
        feed_age_ms=loss.feed_age_ms,
        low_percent=loss.low_percent,
        high_percent=loss.high_percent,
    )
