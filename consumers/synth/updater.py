"""Keeps the states of some assets up to date: fetches what bars are new, hands them to the stages, saves.

Each asset goes its own way in its own thread, so that an error of one, or a venue that does not answer, holds up no
other. A state that cannot be used is told and built again from history: 72 hours, five days where a market shuts.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from consumers.synth.fetching import Place, first_minute
from consumers.synth.state import MINUTE_NS, Unusable, load, save
from consumers.synth.tracking import Tracking, parameters
from infra import logs
from infra.errors import UserError
from processors.online.synth_assets import Asset
from producers.history.web import Absent, Failure, Stopped
from schemas import Bar, Rejected

FAULTS = (Absent, Failure, Rejected, OSError, UserError)
log = logs.logger(__name__)


class Updater:
    """Updates one asset.

    ``clock`` gives ns since the epoch, ``begin_ns`` when a state built anew is to begin, ``history`` the bars that need
    not be fetched for it, from a minute to before another.
    """

    def __init__(
        self,
        folder: Path,
        asset: Asset,
        place: Place,
        clock: Callable[[], int] = time.time_ns,
        begin_ns: int | None = None,
        history: Callable[[int, int], list[Bar]] = lambda first, end: [],
    ) -> None:
        self._folder, self._asset, self._place, self._clock, self._begin_ns = folder, asset, place, clock, begin_ns
        self._history = history
        self._tracking: Tracking | None = None

    def update(self) -> int:
        """Take what bars are new; how many there were.

        Raises:
            Absent, Failure, Rejected, OSError, UserError: the state stays as it was.
            Stopped: the user wants to end.

        """
        now_ns = self._clock()
        begin = first_minute(self._asset, self._begin_ns or now_ns)
        tracking = self._tracking or self._opened(now_ns)
        kept = [] if tracking.seen_ns else self._history(begin, now_ns // MINUTE_NS)
        reached = kept[-1].event_ns if kept else tracking.seen_ns
        fetched = self._place.fetch(reached // MINUTE_NS or begin, now_ns)
        if fetched.missing:
            log.warning("minutes missing", asset=self._asset.name, count=fetched.missing)
        if not (tracking.seen_ns or kept or fetched.bars):
            raise Failure("no bars at all")
        self._tracking = None  # until the bars are saved: what could not be is opened, and fetched, again
        new = [*kept, *fetched.bars]
        self._take(tracking, new)
        if new:
            save(self._folder, tracking.kept())
        self._tracking = tracking
        return len(new)

    def _opened(self, now_ns: int) -> Tracking:
        try:
            return Tracking(self._asset, load(self._folder, self._asset, now_ns, parameters(self._asset)))
        except Unusable as error:
            log.warning("state built from history", asset=self._asset.name, reason=str(error))
            return Tracking(self._asset)

    def _take(self, tracking: Tracking, bars: Sequence[Bar]) -> None:
        for reason in tracking.take(bars):
            log.warning("bar refused", asset=self._asset.name, reason=reason)


class Updating:
    """Updates all of some assets, every ``interval_s`` or once."""

    def __init__(self, updaters: Mapping[str, Updater], interval_s: float, stopping: threading.Event) -> None:
        self._updaters, self._interval_s, self._stopping = updaters, interval_s, stopping

    def once(self) -> list[str]:
        """Update each once; the names of those that could not be."""
        with ThreadPoolExecutor(len(self._updaters)) as pool:
            done = list(pool.map(self._update, self._updaters))
        return [name for name, well in zip(self._updaters, done, strict=True) if not well]

    def run(self) -> None:
        """Go on until ``stopping`` is set, or something goes wrong that is no venue's fault."""
        with ThreadPoolExecutor(len(self._updaters)) as pool:
            futures = [pool.submit(self._keep, name) for name in self._updaters]
            wait(futures, return_when=FIRST_EXCEPTION)
            self._stopping.set()
        for future in futures:
            future.result()

    def _keep(self, name: str) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self._update(name)
            self._stopping.wait(max(self._interval_s - (time.monotonic() - began), 0.0))

    def _update(self, name: str) -> bool:
        try:
            count = self._updaters[name].update()
        except Stopped:
            return False
        except FAULTS as error:
            log.error("not updated", asset=name, reason=f"{type(error).__name__}: {error}")
            return False
        log.info("updated", asset=name, bars=count)
        return True
