"""The shell around a feed: records into Kafka until they end or the process is told to stop.

A publisher whose memory is full makes ``publish`` wait; the feed reads nothing meanwhile, which slows the venue's
socket. What was handed over is confirmed before the process ends, whatever ended it but a failure to deliver.
"""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from infra import logs, metrics
from infra.publisher import Publisher
from producers.clock import Clocks
from producers.transport import Transport
from schemas import DeadLetter, Record, Rejected
from schemas.letters import dead_letter

POLL_S = 0.25
SLOW_S = 0.05  # publishing takes microseconds; this long means that it had to wait for room
SIGNALS = (signal.SIGINT, signal.SIGTERM)
log = logs.logger(__name__)


class Outlet:
    """Hands records to a publisher and counts what waiting for it costs the feed."""

    def __init__(self, publisher: Publisher, feed: str) -> None:
        self.waits = 0
        self._publisher = publisher
        self._feed = feed
        self._slowed = metrics.SLOWED.labels(feed)

    def __call__(self, record: Record) -> None:
        """Publish a record, as a dead letter where it breaks its schema; a Clock goes into every partition."""
        began = time.perf_counter()
        try:
            self._publisher.publish(record)
        except Rejected as refusal:
            log.error("the feed made a record that is none", feed=self._feed, record=record, reason=str(refusal))
            metrics.DEAD_LETTERS.labels(self._feed, "codec").inc()
            payload = repr(record).encode()
            self._publisher.publish(dead_letter(self._feed, "codec", str(refusal), payload, time.time_ns()))
        waited_s = time.perf_counter() - began
        if waited_s > SLOW_S:
            self.waits += 1
            self._slowed.inc(waited_s)
            log.warning("no room to publish, feed slowed", waited_s=round(waited_s, 3), waits=self.waits)


async def live(transport: Transport, publisher: Publisher, seconds: float | None = None) -> None:
    """Run a feed until SIGINT, SIGTERM or for some seconds, then flush.

    Raises:
        PublishError: a record was not delivered.

    """
    running = asyncio.gather(transport.run(), _serve_deliveries(publisher))
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, running.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(running, seconds)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        running.cancel()
    publisher.flush()


async def _serve_deliveries(publisher: Publisher) -> None:
    while True:
        await asyncio.sleep(POLL_S)
        publisher.poll()


def play(records: Iterable[Record], publisher: Publisher, feed: str) -> int:
    """Publish records until they end, or SIGINT or SIGTERM comes; then flush. How many went out.

    Raises:
        PublishError: a record was not delivered.

    """
    outlet, count = Outlet(publisher, feed), 0
    with stoppable() as stopped:
        polled = time.monotonic()
        for record in records:
            if stopped():
                break
            if isinstance(record, DeadLetter):
                metrics.DEAD_LETTERS.labels(record.source, record.by).inc()
            outlet(record)
            count += 1
            if time.monotonic() - polled > POLL_S:
                publisher.poll()
                polled = time.monotonic()
    publisher.flush()
    return count


def tell_time(publisher: Publisher, interval_ns: int) -> None:
    """Publish clocks until SIGINT or SIGTERM, then flush.

    Raises:
        PublishError: a clock was not delivered.

    """
    clocks = Clocks(interval_ns)
    with stoppable() as stopped:
        while not stopped():
            if (due := clocks.latest(time.time_ns())) is not None:
                publisher.publish(due)
                publisher.poll()
            time.sleep((interval_ns - time.time_ns() % interval_ns) / 1e9)
    publisher.flush()


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Within it, SIGINT and SIGTERM end nothing but make the given function true."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
