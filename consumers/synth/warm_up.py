"""The bars that stages on topics warm up with: fetched as the updater does, and written onto the topic ``bars``.

- Stages refuse a bar that comes after a later one of its instrument. So only bars newer than the newest one on the log
  are written, those of all assets in the order of time, and doing it again writes what has come since.
- Like all that is back-filled, a bar counts as received when it ended.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from consumers.reader import read
from consumers.synth.fetching import Place
from consumers.synth.state import MINUTE_NS
from infra import logs
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from processors.online.synth_assets import Asset
from schemas import Bar

MINUTE_MS = 60_000
log = logs.logger(__name__)


def fetched(asset: Asset, place: Place, history: Callable[[int, int], list[Bar]], first: int, now_ns: int) -> list[Bar]:
    """The bars of an asset from minute ``first`` on: those of ``history``, then what the venue has after them.

    Raises:
        Absent, Failure, Stopped, Rejected, UserError: as the venue and the history say.

    """
    kept = history(first, now_ns // MINUTE_NS)
    found = place.fetch(kept[-1].event_ns // MINUTE_NS if kept else first, now_ns)
    if found.missing:
        log.warning("minutes missing", asset=asset.name, count=found.missing)
    return [*kept, *found.bars]


def on_log(settings: Settings, since_ns: int) -> dict[str, set[int]]:
    """When the one-minute bars end that were written after a time, by instrument; a live bar is written after its end.

    Raises:
        UserError: no broker answers, or the topic does not exist.

    """
    ends: dict[str, set[int]] = {}
    for received in read(settings, codec(settings), Bar, start=since_ns, to_end=True):
        bar = received.record
        if bar.width_ms == MINUTE_MS:
            ends.setdefault(bar.instrument, set()).add(bar.event_ns)
    return ends


class Choice(NamedTuple):
    """Bars to write, how many of the others the log holds, and how many come too late for it."""

    bars: list[Bar]
    held: int
    late: int


def newer(bars: Iterable[Bar], ends: set[int]) -> Choice:
    """Choose the bars that an instrument's log can still take; ``ends`` are those of the bars that it holds.

    >>> bars = [Bar("kraken:ETH-USD", end, end, 60_000, 9.0, 9.0, 9.0, 9.0, 0.0, 0.0, 0, 0.0) for end in (1, 2, 3, 4)]
    >>> chosen, held, late = newer(bars, {1, 3})
    >>> [bar.event_ns for bar in chosen], held, late
    ([4], 2, 1)
    """
    newest = max(ends, default=0)
    before = [bar.event_ns for bar in bars if bar.event_ns <= newest]
    held = len(ends.intersection(before))
    return Choice([bar for bar in bars if bar.event_ns > newest], held, len(before) - held)


def write(settings: Settings, bars: Iterable[Bar]) -> None:
    """Write bars in the order of time.

    Raises:
        PublishError: the broker has not taken them all.

    """
    with Publisher(settings, codec(settings)) as publisher:
        for bar in sorted(bars, key=lambda bar: (bar.event_ns, bar.instrument)):
            publisher.publish(bar)
