"""The shell that runs any feed: its shards side by side, each kept connected, their records into one ``emit``.

- Clocks run through outages. One is stamped, then what the sockets hold already is read, then the clock is emitted:
  ticks that came before it stand before it.
- A shard that fails in a way nobody foresaw begins again after a while; the others do not notice. Only what ``emit``
  raises, or an address that is none, ends all.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

from websockets.exceptions import InvalidURI

from infra import logs, metrics
from infra.errors import UserError
from producers.backoff import Backoff
from producers.clock import Clocks
from producers.conversation import READ_PASSES, Emit, Recorder, TakerFailed, Venue, worst
from producers.feed import Feed
from producers.fetching import Fetcher
from producers.keys import Keys
from producers.link import Place
from producers.merging import Merge
from producers.playback import Begun
from producers.rotation import Rotation
from producers.session import Counts, Session
from schemas import Rejected

RESYNC_S = 5.0  # between two new snapshots of a symbol
log = logs.logger(__name__)


class Transport:
    """Runs one feed until it is cancelled.

    ``emit`` is called in the loop's thread with each record, in order. It may block to slow the feed; what it raises
    ends ``run``. ``counts`` may be read at any time. ``url`` and ``fetch_url`` replace the venue's addresses for
    streams and requests; ``clock_interval_ns`` 0 means no clocks. ``redundant`` keeps two links to each shard.
    """

    def __init__(
        self,
        make: type[Feed],
        symbols: Sequence[str],
        emit: Emit,
        *,
        channels: Sequence[str] = (),
        redundant: bool = False,
        keys: Keys | None = None,
        url: str = "",
        fetch_url: str = "",
        clock_interval_ns: int = 100_000_000,
        silence_s: float = 0.0,
        backoff: Backoff | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Prepare; UserError where the feed knows no such symbol, or needs a secret that is not set."""
        backoff = Backoff() if backoff is None else backoff
        keys = Keys({}) if keys is None else keys
        try:
            shards = make.shards(symbols, tuple(channels) or make.default_channels)
            for shard in shards:
                keys.check(make, make(channels=shard.channels).subscribe(shard.symbols))
        except Rejected as refusal:
            raise UserError(str(refusal)) from None
        self._fetcher = Fetcher(make.name, keys.headers(make), base_url=fetch_url, backoff=backoff)
        self._venue = Venue(make, emit, self._fetcher, keys, url, silence_s, backoff, recorder)
        self._clocks = Clocks(clock_interval_ns) if clock_interval_ns else None
        self._counts = Counts()
        metrics.CONNECTED.labels(make.name)  # 0 until there is a connection
        self._places = [Place(shard, number, Merge(make.shared_sequences)) for number, shard in enumerate(shards)]
        numbers = itertools.count()
        self._rotations = [
            Rotation(
                self._venue,
                Session(make, place.shard.symbols, place.shard.channels, self._counts),
                place,
                numbers,
                make.lifetime_s / (1 + half),
            )
            for place in self._places
            for half in range(2 if redundant else 1)
        ]
        self._asked_at: dict[str, float] = {}

    @property
    def counts(self) -> Counts:
        """What was met so far."""
        return self._counts

    async def run(self) -> None:
        """Keep connected until cancelled; on the way out the connections are closed properly.

        Raises:
            InvalidURI: the address is none.
            Exception: what ``emit`` raised.

        """
        self._venue.record(Begun(self._venue.make.name), time.time_ns())
        try:
            async with self._fetcher, asyncio.TaskGroup() as tasks:
                if self._clocks is not None:
                    tasks.create_task(self._tell_time(self._clocks))
                for rotation in self._rotations:
                    tasks.create_task(self._keep_running(rotation))
        except BaseExceptionGroup as group:
            first = worst(group)
            raise (first.error if isinstance(first, TakerFailed) else first) from None

    def resync(self, instrument: str, event_ns: int) -> bool:
        """Ask for a new snapshot of a book that was found wrong at some event time; whether that was still of use.

        It is not where a newer snapshot has come since, or one was asked for just now.
        """
        symbol = instrument.removeprefix(f"{self._venue.make.name}:")
        now = time.monotonic()
        places = [place for place in self._places if event_ns >= place.merge.chains.snapshot_ns(instrument) > 0]
        if not places or now - self._asked_at.get(instrument, -RESYNC_S) < RESYNC_S:
            return False
        self._asked_at[instrument] = now
        for place in places:
            place.merge.chains.broken(instrument)
        for rotation in self._rotations:
            if rotation.place in places:
                for link in rotation.links:
                    link.resync(symbol)
        metrics.RESYNCS.labels(self._venue.make.name).inc()
        log.info("new snapshot asked for", instrument=instrument, event_ns=event_ns)
        return True

    async def _keep_running(self, rotation: Rotation) -> None:
        while True:
            try:
                await rotation.run()
            except (TakerFailed, InvalidURI):
                raise
            except Exception:
                log.exception("a shard failed", feed=self._venue.make.name)
                await asyncio.sleep(self._venue.backoff.cap_s)

    async def _tell_time(self, clocks: Clocks) -> None:
        while True:
            now_ns = time.time_ns()
            await asyncio.sleep((clocks.interval_ns - now_ns % clocks.interval_ns) / 1e9)
            due = clocks.latest(time.time_ns())
            if due is None:
                continue
            for _ in range(READ_PASSES):
                await asyncio.sleep(0)
            self._venue.give([due])
