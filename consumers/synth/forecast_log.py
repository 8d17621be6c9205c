"""The chart of a forecast that stands on the topic ``forecasts``: its own bands, and closes of the topic ``bars``.

A forecast of some start is made from a minute to a day before it, and written after that; so is a bar after its end.
Of several forecasts of one start the one made last counts, of a bar that came again the first.
"""

import time
from datetime import UTC, datetime

import numpy as np

from consumers.reader import Start, read
from consumers.synth.fan import Chart
from infra.errors import UserError
from infra.registry import codec
from infra.settings import Settings
from processors.online.bands import LEVELS
from processors.online.crps import Floats
from processors.online.innovations import Shocks
from schemas import Bar, Forecast

SECOND_NS, MINUTE_NS, DAY_NS = 1_000_000_000, 60_000_000_000, 86_400_000_000_000
MINUTE_MS = 60_000


def chart_of(settings: Settings, asset: str, competition: str, start_s: int | None = None) -> Chart:
    """The chart of the forecast of a start (unix), or of the newest.

    Raises:
        UserError: no broker answers, or there is no such forecast on the topic; says which there are.

    """
    forecast = logged(settings, asset, competition, start_s)
    step_s, half_ns = forecast.step_ms // 1_000, forecast.step_ms * forecast.steps * 1_000_000 // 2
    times = forecast.start_ns // SECOND_NS + step_s * np.arange(forecast.steps + 1)
    known = closes(settings, forecast.instrument, forecast.start_ns - half_ns)
    begins = np.array(sorted(end // SECOND_NS - 60 for end in known if end <= forecast.state_ns), np.int64)
    return Chart(
        f"{asset}, {competition} from {moment(forecast.start_ns)}",
        times.astype("datetime64[s]"),
        bands_of(forecast),
        at(known, times),
        (begins.astype("datetime64[s]"), at(known, begins)),
    )


def logged(settings: Settings, asset: str, competition: str, start_s: int | None) -> Forecast:
    """The forecast of a start, or the newest: of the last day where there are any."""
    if start_s is not None:
        found = _newest(settings, asset, competition, start_s * SECOND_NS - DAY_NS, start_s)
    else:
        recent = _newest(settings, asset, competition, time.time_ns() - DAY_NS, None)
        found = recent or _newest(settings, asset, competition, "earliest", None)
    if found is None:
        raise UserError(
            f"no forecast of {asset} for {competition} on the topic {Forecast.topic}: the worker makes them"
        )
    return found


def _newest(settings: Settings, asset: str, competition: str, since: Start, start_s: int | None) -> Forecast | None:
    """The forecast made last among those written since a time, with a start that is asked for or any."""
    found: Forecast | None = None
    starts: set[int] = set()
    for received in read(settings, codec(settings), Forecast, start=since, to_end=True):
        forecast = received.record
        if (forecast.asset, forecast.competition) != (asset, competition):
            continue
        starts.add(forecast.start_ns)
        wanted = start_s is None or forecast.start_ns == start_s * SECOND_NS
        if wanted and (found is None or forecast.event_ns >= found.event_ns):
            found = forecast
    if found is None and starts:
        span = f"{moment(min(starts))} to {moment(max(starts))}"
        raise UserError(
            f"--start: no forecast of {asset} for {competition} starts then; there are {len(starts)}, {span}"
        )
    return found


def bands_of(forecast: Forecast) -> Shocks:
    """A forecast's quantiles, as points by levels.

    Raises:
        UserError: they are of other levels than a chart has.

    """
    levels = np.frombuffer(forecast.levels, "<f8").tolist()
    if levels != list(LEVELS):
        raise UserError(f"levels: {levels} in the forecast where {list(LEVELS)} were expected")
    return np.frombuffer(forecast.bands, "<f4").reshape(forecast.steps + 1, len(levels))


def closes(settings: Settings, instrument: str, since_ns: int) -> dict[int, float]:
    """The closes of an instrument's one-minute bars that end after a time, by their end."""
    found: dict[int, float] = {}
    for received in read(settings, codec(settings), Bar, start=since_ns, to_end=True):
        bar = received.record
        if bar.instrument == instrument and bar.width_ms == MINUTE_MS and bar.event_ns > since_ns:
            found.setdefault(bar.event_ns, bar.close)
    return found


def at(known: dict[int, float], begins: np.ndarray) -> Floats:
    """The closes of the minutes that begin at some times (unix); NaN where there is none.

    >>> at({120 * SECOND_NS: 7.0}, np.array([60, 61])).tolist()
    [7.0, nan]
    """
    return np.array([known.get((begin + 60) * SECOND_NS, np.nan) for begin in begins.tolist()], np.float64)


def moment(time_ns: int) -> str:
    """A time to the minute.

    >>> moment(60 * SECOND_NS)
    '1970-01-01 00:01'
    """
    return f"{datetime.fromtimestamp(time_ns // SECOND_NS, UTC):%F %H:%M}"
