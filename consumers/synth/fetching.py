"""One-minute bars of an asset from where its prices are, by what the back-fill knows of each venue.

A bar counts from ``SETTLED_NS`` after its end on, for venues' clocks are not ours. What a venue lacks is told as
minutes missing; it may come later and is asked for as long as nothing newer has come.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from consumers.synth.bars import KINDS, MINUTE_MS, MINUTE_NS, PRICES, checked, of_files
from infra.errors import UserError
from infra.settings import Settings
from processors.online.synth_assets import Asset
from producers.history.command import headers
from producers.history.series import Series, Source, Stretch, sources
from producers.history.web import Failure, Web
from schemas import Bar

SETTLED_NS = 2_000_000_000
DAY_MINUTES = 1_440
MARGIN = 60  # minutes of history more than are needed, for the first ones may be missing


class Fetched(NamedTuple):
    """Bars in the order of time, each minute once, and how many minutes before the last one lack."""

    bars: list[Bar]
    missing: int


class Place:
    """A venue and its bars of one asset.

    Raises:
        UserError: the venue's records name the asset's source otherwise.

    """

    def __init__(self, asset: Asset, source: Source, web: Web) -> None:
        feed, _, symbol = asset.source.partition(":")
        self._series: Series = source.series(symbol, KINDS[feed])
        self.web = web
        if self._series.instrument != asset.source:
            raise UserError(f"{asset.name}: source: {asset.source!r} is {self._series.instrument!r} in its records")

    def fetch(self, first: int, now_ns: int) -> Fetched:
        """The bars from minute ``first`` (since the epoch, where it begins) on that have ended.

        Raises:
            Absent, Failure, Stopped: as they say.
            Rejected: an answer is not as the venue documents it, or a bar of it is none.

        """
        end = (now_ns - SETTLED_NS) // MINUTE_NS
        if self._series.keeps_ns:
            first = max(first, (now_ns - self._series.keeps_ns) // MINUTE_NS + 1)
        found: dict[int, Bar] = {}
        for begin in range(first, end, self._series.window):
            rest: Stretch | None = Stretch(begin, min(begin + self._series.window, end), now_ns)
            while rest is not None:
                answer = self._series.answer(rest, self.web.get(self._series.fetch(rest), self._series.hosts))
                if answer.left == rest:
                    raise Failure(f"gives the same page again: {rest}")
                found |= {bar.event_ns // MINUTE_NS - 1: bar for bar in answer.records if isinstance(bar, Bar)}
                rest = answer.left
        bars = [found[minute] for minute in sorted(found) if first <= minute < end]
        if foreign := {bar.instrument for bar in bars} - {self._series.instrument}:
            raise Failure(f"instrument: {min(foreign)!r} where {self._series.instrument!r} was asked for")
        return Fetched(bars, bars[-1].event_ns // MINUTE_NS - first - len(bars) if bars else 0)


def first_minute(asset: Asset, now_ns: int, length: int = 0) -> int:
    """Where history has to begin, in minutes since the epoch, to be ``length`` minutes long; 0: so that it is warm."""
    return now_ns // MINUTE_NS - (length or asset.warm_up_minutes) - MARGIN


def kept_bars(asset: Asset, place: Path, first: int, end: int) -> list[Bar]:
    """The bars of an asset from minute ``first`` to before ``end`` that a Parquet file or folder has, each minute once.

    Raises:
        UserError: there is none of the asset, or a row is none.

    """
    frame = checked(of_files(asset, place), asset.name)
    lacking = [name for name in PRICES if name not in frame.columns]
    if lacking:
        raise UserError(f"{asset.name}: {lacking[0]}: no such column in {place}")
    rows = frame.filter(frame["minute"].is_between(first, end - 1)).unique("minute", keep="last").sort("minute")
    found = []
    for minute, first_price, high, low, close in rows.select("minute", *PRICES).iter_rows():
        end_ns = (minute + 1) * MINUTE_NS
        prices = first_price, high, low, close
        found.append(Bar(asset.source, end_ns, end_ns, MINUTE_MS, *prices, 0.0, 0.0, 0, 0.0))
    return found


def places(
    assets: Mapping[str, Asset], settings: Settings, stopping: threading.Event, via: str = "", pause_s: float = 1.0
) -> dict[str, Place]:
    """Where each asset's bars are; assets of one venue share its limits, and ``stopping`` ends all waiting.

    Raises:
        UserError: a venue needs a key that is not set.

    """
    there = sources()
    feeds = {name: asset.source.partition(":")[0] for name, asset in assets.items()}
    webs = {
        feed: Web(headers(there[feed], settings), there[feed].weights, via, pause_s)
        for feed in sorted({*feeds.values()})
    }
    for web in webs.values():
        web.stopping = stopping
    return {name: Place(assets[name], there[feed], webs[feed]) for name, feed in feeds.items()}
