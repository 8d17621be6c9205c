"""A jump loss in the background from Kafka: what the workers have derived, at a fee and a half-life of one's own.

At the workers' own half-life it follows the topic ``jump_losses``, whose average has all of the past in it. At another
one it follows ``buckets``, after reading the last ten minutes of them.
"""

import threading
import time

from consumers.estimator import JumpLossUpdate
from consumers.jumploss import Background, OnUpdate
from consumers.reader import Reader
from infra.registry import codec
from infra.settings import Settings
from processors.online.jump_loss import fee_percent, jump_loss
from schemas import Bucket, JumpLoss

READS = (Bucket, JumpLoss)
BACKFILL_NS = 605_000_000_000


class KafkaJumpLoss(Background):
    """The jump loss of one instrument, from a broker; ``set_settlement`` may be called at any time."""

    def __init__(
        self,
        settings: Settings,
        fee_units: int,
        on_update: OnUpdate | None = None,
        instrument: str = "coinbase:ETH-USD",
        *,
        max_updates_per_second: float | None = None,
    ) -> None:
        super().__init__(instrument, fee_units, on_update, 4_800, max_updates_per_second)
        self._settings = settings
        self._fee_units = fee_units
        self._dynamic = False
        self._ended = threading.Event()
        self._live_ns = 0  # what was published from then on is told

    def set_settlement(self, settlement_time: float, time_type_seconds: bool = True) -> None:
        super().set_settlement(settlement_time, time_type_seconds)
        self._dynamic = True

    def set_fee(self, fee_units: int) -> None:
        super().set_fee(fee_units)
        self._fee_units = fee_units

    def _begin(self) -> None:
        self._ended.clear()
        self._live_ns = time.time_ns()

    def _end(self) -> None:
        self._ended.set()

    def _follow(self) -> None:
        reader = Reader(self._settings, codec(self._settings), READS, start=self._live_ns - BACKFILL_NS)
        with reader:
            while not self._ended.is_set():
                for received in reader.poll(0.1):
                    record = received.record
                    if record.key != self.instrument:
                        continue
                    live = received.times is None or received.times.produced_ns >= self._live_ns
                    if isinstance(record, Bucket):
                        self._on_bucket(record, live and self._dynamic)
                    elif isinstance(record, JumpLoss) and live and not self._dynamic:
                        self._tell(self._priced(record))

    def _on_bucket(self, bucket: Bucket, tell: bool) -> None:
        with self._lock:
            update = self._estimator.on_bucket(bucket)
        if tell:
            self._tell(update)

    def _priced(self, loss: JumpLoss) -> JumpLossUpdate:
        """A derived record under our fee."""
        fee = fee_percent(self._fee_units)
        return JumpLossUpdate(
            timestamp=loss.event_ns / 1e9,
            mu_j_percent=loss.mu_percent,
            jl_percent=jump_loss(loss.mu_percent, fee),
            f_percent=fee,
            bucket_count=loss.buckets,
            stale=loss.stale,
            feed_age_ms=loss.feed_age_ms,
            low_percent=jump_loss(loss.mu_low_percent, fee),
            high_percent=jump_loss(loss.mu_high_percent, fee),
        )
