"""The websocket shell that runs any feed: connect, subscribe, receive, and do it again when that ends.

- A connection that brings no frame for the feed's ``silence_s`` is a stall and is given up.
- Between two attempts lies a wait drawn from [0, min(cap, base * 2^failures)] seconds: exponential backoff with full
  jitter. ``failures`` starts again only after a connection that lived ``steady_s``; and attempts begin at least
  ``spacing_s`` apart whatever was drawn, for a venue that accepts and drops would otherwise be hammered.
- A venue that says stop (HTTP 403, 418, 429) is left alone for a cap's length or for what Retry-After asks.
- Records go to ``emit`` in the order of their frames; while ``emit`` blocks, nothing is read, so a slow taker slows
  the venue's socket and nothing is dropped.
- Clocks run through outages. One is stamped, then what the socket holds already is read, then the clock is emitted:
  ticks that came before it stand before it.
"""

import asyncio
import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from infra import logs, metrics
from producers.clock import Clocks
from producers.feed import Feed
from producers.session import Counts, Session
from schemas import DeadLetter, Record, Tick

SUBSCRIBE_S = 5.0  # Coinbase drops a connection that has not subscribed by then
MAX_FRAME_BYTES = 16 * 1024 * 1024
STOP_STATUSES = frozenset({403, 418, 429})
LONGEST_REST_S = 3600.0
READ_PASSES = 3  # of the event loop: read the socket, wake the receiver, parse

Emit = Callable[[Record], None]
log = logs.logger(__name__)


class Recorder(Protocol):
    """Keeps frames as they come; see frames.Recorder."""

    def frame(self, frame: str | bytes, received_ns: int) -> None: ...
    def connect(self, received_ns: int, cause: str) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before connecting again, in seconds."""

    base_s: float = 1.0
    cap_s: float = 60.0
    steady_s: float = 30.0
    spacing_s: float = 1.0

    def wait_s(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Full jitter: anything from nothing to the exponential bound; ``chance`` draws from [0, 1).

        >>> [Backoff().wait_s(failures, lambda: 0.5) for failures in (0, 1, 5, 900)]
        [0.5, 1.0, 16.0, 30.0]
        """
        return chance() * min(self.cap_s, self.base_s * 2.0 ** min(failures, 30))


class Stalled(Exception):
    """The venue has sent nothing for too long."""


class TakerFailed(Exception):
    """A frame could not be kept or its records not be emitted: no fault of the connection, whatever its type."""


class Transport:
    """Runs one feed until it is cancelled.

    ``emit`` is called in the loop's thread with each Tick, Heartbeat, Connect, Clock and DeadLetter, in order. It may
    block to slow the feed; what it raises ends ``run``. ``counts`` may be read at any time. ``url`` overrides the
    feed's; ``clock_interval_ns`` 0 means no clocks.
    """

    def __init__(
        self,
        make: type[Feed],
        symbols: Sequence[str],
        emit: Emit,
        *,
        url: str = "",
        clock_interval_ns: int = 100_000_000,
        silence_s: float | None = None,
        backoff: Backoff | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.session = Session(make, symbols)
        self._emit = emit
        self._url = url or make.url
        self._silence_s = make.silence_s if silence_s is None else silence_s
        self._clocks = Clocks(clock_interval_ns) if clock_interval_ns else None
        self._backoff = Backoff() if backoff is None else backoff
        self._recorder = recorder
        self._failures = 0
        self._duplicates = 0
        self._live_since: float | None = None
        self._frames = metrics.FRAMES.labels(make.name)
        self._log = log.bind(feed=make.name)

    @property
    def counts(self) -> Counts:
        """What was met so far."""
        return self.session.counts

    async def run(self) -> None:
        """Connect and receive until cancelled; on the way out the connection is closed properly.

        Raises:
            InvalidURI: the address is none.
            Exception: what ``emit`` raised.

        """
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._clocks is not None:
                    tasks.create_task(self._tell_time(self._clocks))
                tasks.create_task(self._keep_connected())
        except BaseExceptionGroup as group:
            first = group.exceptions[0]
            raise (first.__cause__ if isinstance(first, TakerFailed) and first.__cause__ else first) from None

    async def _keep_connected(self) -> None:
        while True:
            began = time.monotonic()
            rest_s = await self._attempt()
            lived_s = 0.0 if self._live_since is None else time.monotonic() - self._live_since
            self._live_since = None
            self._failures = 0 if lived_s >= self._backoff.steady_s else self._failures + 1
            wait_s = rest_s if rest_s is not None else self._backoff.wait_s(self._failures)
            await asyncio.sleep(max(wait_s, began + self._backoff.spacing_s - time.monotonic()))

    async def _attempt(self) -> float | None:
        """One connection from start to end; the rest that the venue asked for in seconds, or None."""
        rest_s, cause = None, "disconnect"
        try:
            cause = await self._converse()
        except InvalidURI:
            raise
        except Stalled:
            cause = "stall"
        except InvalidStatus as refusal:
            rest_s = self._rest_s(refusal)
            self._log.warning("refused", status=refusal.response.status_code, rest_s=rest_s)
        except (OSError, EOFError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            self._log.warning("connection lost", error=f"{type(error).__name__}: {error}")
        self.session.close(cause)
        metrics.CONNECTED.labels(self.session.feed.name).set(0)
        metrics.RECONNECTS.labels(self.session.feed.name, cause).inc()
        self._log.info("disconnected", cause=cause, failures=self._failures, **dataclasses.asdict(self.counts))
        return rest_s

    def _rest_s(self, refusal: InvalidStatus) -> float | None:
        """How long to leave alone a venue that says stop; None for any other refusal."""
        if refusal.response.status_code not in STOP_STATUSES:
            return None
        shortest = self._backoff.cap_s * random.uniform(0.5, 1.0)
        with contextlib.suppress(ValueError):
            return min(max(shortest, float(refusal.response.headers.get("Retry-After", ""))), LONGEST_REST_S)
        return shortest

    async def _converse(self) -> str:
        """Subscribe and receive until the feed wants a new connection; its cause."""
        async with connect(
            self._url, max_size=MAX_FRAME_BYTES, max_queue=(1024, 256), open_timeout=10, close_timeout=1
        ) as socket:
            self._live_since = time.monotonic()
            try:
                return await self._receive(socket)
            finally:  # left by an exception, the library would tell the venue of an error that is none of its
                await socket.close()

    async def _receive(self, socket: ClientConnection) -> str:
        requests = self.session.open()
        if self._recorder is not None:
            self._recorder.connect(time.time_ns(), self.session.cause)
        async with asyncio.timeout(SUBSCRIBE_S):
            for request in requests:
                await socket.send(request)
        metrics.CONNECTED.labels(self.session.feed.name).set(1)
        self._log.info("connected", url=self._url, connections=self.counts.connections)
        while not self.session.ended:
            frame = await self._frame(socket)
            try:
                self._take(frame)
            except Exception as error:
                raise TakerFailed from error
        return self.session.ended

    async def _frame(self, socket: ClientConnection) -> str | bytes:
        # The wait begins anew once emit has returned, so a slow taker is never mistaken for a silent venue.
        waiting = asyncio.timeout(self._silence_s)
        try:
            async with waiting:
                return await socket.recv()
        except TimeoutError as error:
            if waiting.expired():
                raise Stalled(f"no frame for {self._silence_s} s") from error
            raise

    def _take(self, frame: str | bytes) -> None:
        received_ns = time.time_ns()
        self._frames.inc()
        if self._recorder is not None:
            self._recorder.frame(frame, received_ns)
        for record in self.session.receive(frame, received_ns):
            if isinstance(record, DeadLetter):
                self._refused(record)
            self._emit(record)

    def _refused(self, letter: DeadLetter) -> None:
        metrics.DEAD_LETTERS.labels(letter.source, letter.by).inc()
        if self.counts.duplicates > self._duplicates:
            self._duplicates = self.counts.duplicates
            metrics.DUPLICATES.labels(Tick.topic).inc()
        self._log.warning("frame refused", reason=letter.reason, bytes=letter.size, new_connection=self.session.ended)

    async def _tell_time(self, clocks: Clocks) -> None:
        while True:
            now_ns = time.time_ns()
            await asyncio.sleep((clocks.interval_ns - now_ns % clocks.interval_ns) / 1e9)
            due = clocks.latest(time.time_ns())
            if due is None:
                continue
            for _ in range(READ_PASSES):
                await asyncio.sleep(0)
            self._emit(due)
