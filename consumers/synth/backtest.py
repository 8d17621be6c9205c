"""Forecasts at the times of prompts over some days, scored by what came.

- A forecast knows the bars that had closed ``lead`` minutes before its start: prompts come about 50 s ahead.
- The truth at a grid time is the close of the bar that begins then, as the subnet reads it; a prompt without its last
  price is not scored, nor one whose state would not be warm (processors/volatility_states.py).
- All contestants answer the same prompts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from consumers.synth.bars import Minutes
from consumers.synth.contestants import Contestant, Moment
from consumers.synth.history import History
from processors.online.crps import Floats
from processors.online.day_profile import DAY
from processors.online.reliability import pit
from processors.online.synth_assets import FEWEST_MINUTES
from processors.online.synth_rules import LEAD_MINUTES, Competition
from processors.online.synth_score import score


def truth(minutes: Minutes, start: int, competition: Competition) -> Floats:
    """The prices that a prompt is scored by; NaN where there is none.

    >>> from processors.online.synth_rules import newest
    >>> hour = newest().competition("BTC", 3600)
    >>> truth(Minutes(100, np.array([1.0, np.nan, 3.0])), 100, hour)[:4].tolist()
    [1.0, nan, 3.0, nan]
    """
    every = competition.increment_s // 60
    places = start - minutes.start + every * np.arange(competition.points)
    there = (places >= 0) & (places < len(minutes.closes))
    return np.where(there, minutes.closes[np.where(there, places, 0)], np.nan)


def prompts(history: History, first: int, last: int, every: int, competition: Competition) -> Iterator[Moment]:
    """The moments from minute ``first`` until before ``last`` that can be forecast and scored."""
    earliest = history.minutes.start + history.asset.warm_up_minutes
    seen = np.cumsum(np.isfinite(history.minutes.closes))
    for start in range(first, last, every):
        known = start - LEAD_MINUTES - 1
        if known < earliest or not np.isfinite(truth(history.minutes, start, competition)[-1]):
            continue
        index = history.at(known)
        if seen[index] - seen[index - DAY] >= FEWEST_MINUTES:  # there is a day before: the warm-up is longer
            yield Moment(start, known)


@dataclass(slots=True)
class Result:
    """What a contestant came to."""

    scores: list[float] = field(default_factory=list)
    step_pits: list[float] = field(default_factory=list)  # of the return over each increment
    end_pits: list[float] = field(default_factory=list)  # of the price at the horizon


def run(
    history: History,
    moments: list[Moment],
    competition: Competition,
    contestants: Mapping[str, Contestant],
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Result]:
    """The results of contestants at some moments."""
    results = {name: Result() for name in contestants}
    for moment in moments:
        real = truth(history.minutes, moment.start, competition)
        for name, contestant in contestants.items():
            paths = contestant(moment)
            results[name].scores.append(score(real, paths, competition))
            _look(results[name], real, paths)
        progress()
    return results


def _look(result: Result, real: Floats, paths: Floats) -> None:
    moved = np.diff(np.log(real))
    seen = np.flatnonzero(np.isfinite(moved))
    steps = np.log(paths[1:][seen] / paths[:-1][seen])
    below = (steps < moved[seen, None]).mean(axis=1) + 0.5 * (steps == moved[seen, None]).mean(axis=1)
    result.step_pits += below.tolist()
    result.end_pits.append(pit(real[-1] / real[0], paths[-1] / paths[0]))


def standard_error(scores: Floats, overlap: int) -> float:
    """The standard error of the mean of scores of which neighbours share their horizon (Newey, West 1987).

    ``overlap``: forecasts that begin within one horizon.

    >>> round(standard_error(np.array([1.0, -1.0] * 50), 1), 3)
    0.1
    """
    count = len(scores)
    away = scores - scores.mean()
    total = float(away @ away)
    for lag in range(1, min(overlap, count)):
        total += 2.0 * (1.0 - lag / overlap) * float(away[lag:] @ away[:-lag])
    return float(np.sqrt(max(total, 0.0)) / count)


def ratio(scores: Floats, others: Floats, overlap: int) -> tuple[float, float]:
    """Mean of scores over the mean of others on the same prompts, and its standard error (delta method)."""
    found = scores.mean() / others.mean()
    return float(found), standard_error(scores - found * others, overlap) / float(others.mean())
