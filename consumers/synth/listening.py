"""States from our own topics instead of venues: ``bars``, and ``volatility_states`` as workers made them.

A file then keeps no stages: where a worker runs them, it is the worker that goes on with them after a restart.
"""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from consumers.reader import Reader
from consumers.synth.state import KEPT_MINUTES, LOGGED, MINUTE_NS, Kept, Unusable, appended, load, save
from infra import logs
from infra.registry import codec
from infra.settings import Settings
from processors.online.synth_assets import Asset
from schemas import Bar, VolatilityState

MINUTE_MS = 60_000
log = logs.logger(__name__)


class Listening:
    """The states of some assets as records come."""

    def __init__(self, folder: Path, assets: Mapping[str, Asset], now_ns: int) -> None:
        self._folder = folder
        self._kept = {asset.source: _opened(folder, asset, now_ns) for asset in assets.values()}
        self._changed: set[str] = set()

    def take(self, bars: list[Bar], states: list[VolatilityState]) -> None:
        """Take records in the order of their log."""
        own: dict[str, list[Bar]] = {}
        for bar in bars:
            newest = own.get(bar.instrument, [])[-1:]
            reached = newest[0].event_ns if newest else self._kept_of(bar.instrument)
            if bar.width_ms == MINUTE_MS and bar.instrument in self._kept and bar.event_ns > reached:
                own.setdefault(bar.instrument, []).append(bar)
        for instrument, found in own.items():
            rows = appended(self._kept[instrument].rows, found)
            self._replace(instrument, rows=rows)
        for state in states:
            kept = self._kept.get(state.instrument)
            if kept is not None and state.event_ns > kept.latest.get("event_ns", 0):
                self._replace(state.instrument, latest=msgspec.structs.asdict(state))

    def save(self) -> list[str]:
        """Save what has changed; the names of assets that could not be, of which it is tried again."""
        failed: dict[str, str] = {}  # by instrument
        for instrument in sorted(self._changed):
            kept = self._kept[instrument]
            try:
                save(self._folder, kept)
            except OSError as error:
                failed[instrument] = kept.asset
                log.error("not updated", asset=kept.asset, reason=f"{type(error).__name__}: {error}")
        log.info("updated", assets=len(self._changed) - len(failed))
        self._changed = {*failed}
        return list(failed.values())

    def _kept_of(self, instrument: str) -> int:
        kept = self._kept.get(instrument)
        return kept.seen_ns if kept is not None else 0

    def _replace(self, instrument: str, **changed: object) -> None:
        self._kept[instrument] = msgspec.structs.replace(self._kept[instrument], **changed)
        self._changed.add(instrument)


def _opened(folder: Path, asset: Asset, now_ns: int) -> Kept:
    try:
        return load(folder, asset, now_ns, LOGGED)
    except Unusable as error:
        log.warning("state built from the topics", asset=asset.name, reason=str(error))
        return Kept(asset.name, asset.source, LOGGED, {}, {})


def listen(
    settings: Settings,
    folder: Path,
    assets: Mapping[str, Asset],
    interval_s: float,
    stopping: threading.Event,
    to_end: bool = False,
) -> list[str]:
    """Follow the topics until ``stopping`` is set, or to what was there; the names of assets that could not be saved.

    Raises:
        UserError: no broker answers, or a topic does not exist.

    """
    now_ns, made = time.time_ns(), codec(settings)
    listening = Listening(folder, assets, now_ns)
    since_ns = now_ns - KEPT_MINUTES * MINUTE_NS
    saved_s = time.monotonic()
    with (
        Reader(settings, made, Bar, start=since_ns, to_end=to_end) as bars,
        Reader(settings, made, VolatilityState, start="earliest", to_end=to_end) as states,
    ):
        while not stopping.is_set() and not (to_end and bars.finished and states.finished):
            listening.take([one.record for one in bars.poll()], [one.record for one in states.poll()])
            if time.monotonic() - saved_s >= interval_s:
                saved_s = time.monotonic()
                listening.save()
    return listening.save()
