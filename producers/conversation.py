"""What is said on one connection, from its first frame to its end.

- A connection that brings no frame for the feed's ``silence`` is a stall and is given up; of a feed that only
  fetches, one that brings no answer and no record.
- Records go to ``emit`` in the order of their frames and answers; while ``emit`` blocks, nothing is read, so a slow
  taker slows the venue's socket and nothing is dropped.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from infra import logs, metrics
from producers.agenda import Fetch
from producers.backoff import Backoff
from producers.feed import Feed, Resubscribe
from producers.fetching import Fetcher
from producers.keys import Keys
from producers.merging import Merge
from producers.playback import Begun, Closed, Entry, Fetched, Frame
from producers.session import Session
from producers.streams import SEND_S, Lost, Stream
from schemas import DeadLetter, Record, Tick

TICK_S = 1.0
READ_PASSES = 3  # of the event loop: read the socket, wake the receiver, parse
SPACING_S = 0.25  # between two frames that we send; five a second are the least that a venue here allows

Emit = Callable[[Record], None]
log = logs.logger(__name__)


class Recorder(Protocol):
    """Keeps what comes; see frames.Recorder."""

    def keep(self, entry: Entry) -> None: ...


class Stalled(Exception):
    """The venue has sent nothing for too long."""


class Over(Exception):
    """The feed wants a new connection; its text is the cause."""


class TakerFailed(Exception):
    """A frame could not be kept or its records not be emitted: no fault of the connection, whatever the ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclasses.dataclass(frozen=True, slots=True)
class Venue:
    """What all connections of a feed share."""

    make: type[Feed]
    emit: Emit
    fetcher: Fetcher
    keys: Keys
    url: str
    silence_s: float  # 0: what the feed says of each connection
    backoff: Backoff
    recorder: Recorder | None

    def give(self, records: Sequence[Record]) -> None:
        """Emit records, in order; raises TakerFailed."""
        try:
            for record in records:
                self.emit(record)
        except Exception as error:
            raise TakerFailed(error) from error

    def record(self, frame: Frame | Begun | Closed, received_ns: int, link: int = 0) -> None:
        """Keep something in the recording, if there is one; raises TakerFailed."""
        if self.recorder is None:
            return
        try:
            self.recorder.keep(Entry(frame, received_ns, link))
        except Exception as error:
            raise TakerFailed(error) from error


class Conversation:
    """One connection's; ``stream`` is None for a feed that only fetches.

    ``wants_heir`` is set when the venue says that it will end the connection, or after ``life_s`` where that is not 0.
    """

    def __init__(
        self,
        venue: Venue,
        session: Session,
        merge: Merge,
        number: int,
        stream: Stream | None,
        wants_heir: asyncio.Event,
        life_s: float = 0.0,
    ) -> None:
        self._venue = venue
        self._session = session
        self._merge = merge
        self._number = number
        self._stream = stream
        self._wants_heir = wants_heir
        self._life_s = life_s
        self._silence_s = venue.silence_s or session.feed.silence()
        self._began = time.monotonic()
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: asyncio.TaskGroup | None = None
        self._fetching: set[str] = set()
        self._heard_at = self._began
        self._duplicates = session.counts.duplicates
        self._frames = metrics.FRAMES.labels(venue.make.name)
        self._log = log.bind(feed=venue.make.name, link=number)

    async def run(self, requests: Sequence[str]) -> None:
        """Send the first frames, then send and receive until something ends it.

        Raises:
            Over, Stalled, Lost: the connection has come to its end.
            TakerFailed: ``emit`` raised what is its cause.

        """
        self._send_later(requests)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                if self._venue.make.ping:
                    tasks.create_task(self._ping())
                tasks.create_task(self._tick())
                tasks.create_task(self._watch())
                if self._stream is not None:
                    tasks.create_task(self._send(self._stream))
                    tasks.create_task(self._listen(self._stream))
        except BaseExceptionGroup as group:
            raise worst(group) from None
        finally:
            self._tasks = None

    def resync(self, symbol: str) -> None:
        """Ask for a new snapshot of a symbol's book; where only a new connection brings one, this one ends."""
        if self._tasks is None:
            return
        try:
            self._send_later(self._session.feed.resync(symbol))
        except Resubscribe as request:
            self._session.ended = request.cause
            self._log.info("new connection wanted", reason=request.reason)
        self._attend()

    async def _listen(self, stream: Stream) -> None:
        while True:
            frame = await stream.receive()
            received_ns = time.time_ns()
            self._frames.inc()
            self._venue.record(frame, received_ns, self._number)
            self._take(self._session.receive(frame, received_ns))
            self._heard_at = time.monotonic()

    async def _watch(self) -> None:
        """Give up a connection that brings nothing."""
        while (left_s := self._silence_left_s()) > 0.0:
            await asyncio.sleep(left_s)
            # Where the taker has blocked us so long, what came meanwhile must be read before it is called silence.
            for _ in range(READ_PASSES):
                await asyncio.sleep(0)
        raise Stalled(f"nothing for {self._silence_s} s")

    def _silence_left_s(self) -> float:
        return self._heard_at + self._silence_s - time.monotonic()

    async def _tick(self) -> None:
        """What is due by time: the feed's own records, its fetches, the end of the connection's life."""
        while True:
            due = self._session.tick(time.time_ns())
            self._take(due)
            if due and self._stream is None:
                self._heard_at = time.monotonic()
            if self._life_s and time.monotonic() - self._began > self._life_s and not self._wants_heir.is_set():
                self._log.info("connection has lived its time", life_s=self._life_s)
                self._wants_heir.set()
            for symbol in self._merge.chains.asked_of(self._number):
                self.resync(symbol)
            await asyncio.sleep(TICK_S)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._venue.make.ping_s)
            self._outbox.put_nowait(self._venue.make.ping)

    async def _send(self, stream: Stream) -> None:
        while True:
            frame = await self._outbox.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await stream.send(self._venue.keys.fill(frame))
            except TimeoutError as error:
                raise Lost(f"a frame could not be sent within {SEND_S} s") from error
            await asyncio.sleep(SPACING_S)

    async def _fetch(self, fetch: Fetch) -> None:
        body = await self._venue.fetcher.get(fetch)
        self._fetching.discard(fetch.tag)
        if body is None:
            return
        received_ns = time.time_ns()
        self._venue.record(Fetched(fetch.tag, body), received_ns, self._number)
        self._take(self._session.answer(fetch.tag, body, received_ns))
        if self._stream is None:
            self._heard_at = time.monotonic()

    def _take(self, records: Sequence[Record]) -> None:
        """Pass on what a frame, an answer or the time has brought, and do what the feed wants next."""
        if records:
            for record in records:
                if isinstance(record, DeadLetter):
                    self._refused(record)
            dropped = self._merge.dropped
            self._venue.give(self._merge.take(self._number, records))
            if self._merge.dropped != dropped:
                metrics.MERGED.labels(self._venue.make.name).inc(self._merge.dropped - dropped)
        self._attend()
        if self._session.ended:
            raise Over(self._session.ended)

    def _attend(self) -> None:
        feed = self._session.feed
        self._send_later(feed.outgoing())
        for fetch in feed.fetches(time.time_ns()):
            if fetch.tag not in self._fetching and self._tasks is not None:
                self._fetching.add(fetch.tag)
                self._tasks.create_task(self._fetch(fetch))
        if self._session.retiring and not self._wants_heir.is_set():
            self._log.info("venue retires the connection", reason=self._session.retiring)
            self._wants_heir.set()

    def _send_later(self, frames: Sequence[str]) -> None:
        for frame in frames:
            self._outbox.put_nowait(frame)

    def _refused(self, letter: DeadLetter) -> None:
        metrics.DEAD_LETTERS.labels(letter.source, letter.by).inc()
        if self._session.counts.duplicates > self._duplicates:
            self._duplicates = self._session.counts.duplicates
            metrics.DUPLICATES.labels(Tick.topic).inc()
        self._log.warning("refused", reason=letter.reason, bytes=letter.size, new_connection=self._session.ended)


def worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of what ended several tasks at once, what matters most."""
    failed, _ = group.split(TakerFailed)
    first: BaseException = group if failed is None else failed
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
