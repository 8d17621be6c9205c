"""A jump loss in the background of any program: a thread of its own from the venue's websocket, no broker.

    worker = JumpLossWorker(fee_units=5000, on_update=print)
    worker.start_background()
    ...
    worker.stop()

It runs the pipeline's own parser and stages; a reconnect, or a stop and a new start, keeps the average. ``updates``
holds 1024 updates: a reader that comes late finds the newest, the oldest have been dropped and counted in ``dropped``.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from consumers.estimator import Estimator, JumpLossUpdate
from infra import logs, metrics
from processors.buckets import BucketOptions, Buckets
from processors.chain import EventChain
from producers.backoff import Backoff
from producers.feed import feeds
from producers.transport import Transport
from schemas import Bucket, DeadLetter, Record

QUEUE_SIZE = 1_024
OnUpdate = Callable[[JumpLossUpdate], object]
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Config:
    """Width of a bucket, and the time in which its weight in the average halves."""

    bucket_ms: int = 160
    half_life_ms: int = 4_800


class Background:
    """A thread that keeps an estimator fed and tells what it says; its input is a subclass's ``_follow``."""

    def __init__(
        self, instrument: str, fee_units: int, on_update: OnUpdate | None, half_life_ms: int,
        max_updates_per_second: float | None,
    ) -> None:  # fmt: skip
        if max_updates_per_second is not None and max_updates_per_second <= 0:
            raise ValueError(f"max_updates_per_second must be positive, not {max_updates_per_second:g}")
        self.updates: queue.Queue[JumpLossUpdate] = queue.Queue(QUEUE_SIZE)
        self.dropped = 0  # updates that no reader took in time
        self.instrument = instrument
        self.callback_errors = 0  # exceptions of on_update
        self.error: Exception | None = None  # what ended the thread before its time
        self._estimator = Estimator(instrument, fee_units, half_life_ms)
        self._on_update = on_update
        self._every_s = 1.0 / max_updates_per_second if max_updates_per_second else 0.0
        self._told = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start_background(self) -> None:
        """Start the thread; nothing to do where it runs."""
        if not self.running:
            self.error = None
            self._thread = threading.Thread(target=self._run, name="jumploss", daemon=True)
            self._begin()
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread and wait for it, except in its own callback; what is in ``updates`` stays there."""
        self._end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    shutdown = stop

    def request_jumploss(
        self, fee_units: int, settlement_time: float, time_type_seconds: bool = True
    ) -> JumpLossUpdate | None:
        """The jump loss now, under a fee and a settlement time of one's own, from the last ten minutes.

        ``time_type_seconds`` False: the settlement time is in blocks of Base. None before the first bucket.

        Raises:
            ValueError: the fee is negative or the settlement time not positive.

        """
        with self._lock:
            return self._estimator.request(fee_units, settlement_time, time_type_seconds)

    def set_settlement(self, settlement_time: float, time_type_seconds: bool = True) -> None:
        """Change the settlement time, and so the half-life, of the updates to come.

        Raises:
            ValueError: it is not positive.

        """
        with self._lock:
            self._estimator.set_settlement(settlement_time, time_type_seconds)

    def set_fee(self, fee_units: int) -> None:
        """Change the fee of the updates to come.

        Raises:
            ValueError: it is negative.

        """
        with self._lock:
            self._estimator.set_fee(fee_units)

    def _begin(self) -> None:
        """Make ready for a new thread."""
        raise NotImplementedError

    def _end(self) -> None:
        """Ask the thread to end; may be called at any time, from any thread, any number of times."""
        raise NotImplementedError

    def _follow(self) -> None:
        """Call ``_take`` with each bucket, or ``_tell`` with each update, until asked to end."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            self.error = error
            log.error("jump loss ended", error=f"{type(error).__name__}: {error}")

    def _take(self, bucket: Bucket) -> None:
        with self._lock:
            update = self._estimator.on_bucket(bucket)
        self._tell(update)

    def _tell(self, update: JumpLossUpdate) -> None:
        if update.timestamp - self._told < self._every_s:
            return
        self._told = update.timestamp
        self._queue(update)
        if self._on_update is not None:
            try:
                self._on_update(update)
            except Exception as error:
                self.callback_errors += 1
                log.warning("on_update failed", error=f"{type(error).__name__}: {error}", count=self.callback_errors)

    def _queue(self, update: JumpLossUpdate) -> None:
        while True:
            try:
                return self.updates.put_nowait(update)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self.updates.get_nowait()
                    self.dropped += 1
                    metrics.DROPPED_UPDATES.labels("jumploss").inc()


class JumpLossWorker(Background):
    """The jump loss of one product, live.

    ``fee_units`` is the oracle's fee in thousandths of a basis point. ``on_update`` is called in the worker's thread;
    what it raises is logged, counted and no harm. Every bucket gives an update, or only
    ``max_updates_per_second`` do. ``url`` takes the place of the venue's address. Late ticks and unreadable frames are
    counted in ``refused``.
    """

    def __init__(
        self,
        fee_units: int,
        on_update: OnUpdate | None = None,
        bucket_ms: int = 160,
        half_life_ms: int = 4_800,
        product: str = "ETH-USD",
        *,
        feed: str = "coinbase",
        url: str = "",
        clock_interval_ms: int = 100,
        max_updates_per_second: float | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._feed = feeds()[feed]
        instrument = f"{self._feed.name}:{product}"
        super().__init__(instrument, fee_units, on_update, half_life_ms, max_updates_per_second)
        self.refused = 0
        self._product = product
        self._url, self._clock_interval_ns, self._backoff = url, clock_interval_ms * 1_000_000, backoff
        self._chain = EventChain([Buckets], {"buckets": BucketOptions(width_ms=bucket_ms)})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = threading.Event()

    def _begin(self) -> None:
        self._ended.clear()

    def _end(self) -> None:
        self._ended.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(task.cancel)

    def _follow(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._receive())

    async def _receive(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            if not self._ended.is_set():
                transport = Transport(
                    self._feed,
                    [self._product],
                    self._emit,
                    url=self._url,
                    clock_interval_ns=self._clock_interval_ns,
                    backoff=self._backoff,
                )
                await transport.run()
        finally:
            self._loop = self._task = None

    def _emit(self, record: Record) -> None:
        if isinstance(record, DeadLetter):
            self.refused += 1
            return
        buckets, refusals = self._chain.on_event(record)
        for refusal in refusals:
            self.refused += 1
            log.warning("record refused", by=refusal.by, reason=refusal.reason)
        for bucket in buckets:
            if isinstance(bucket, Bucket):
                self._take(bucket)


def start_background(fee_units: int) -> JumpLossWorker:
    """A worker with the defaults, running."""
    return start_with_config(fee_units, Config())


def start_with_config(fee_units: int, config: Config) -> JumpLossWorker:
    """A worker, running."""
    worker = JumpLossWorker(fee_units, bucket_ms=config.bucket_ms, half_life_ms=config.half_life_ms)
    worker.start_background()
    return worker
