"""Topic ``emas``: the average absolute move of a bucket, mu_J, with its standard error.

    mu <- mu + alpha (r - mu)      alpha = 1 - 2^(-width / half-life)      mu_0 = 0

Coverage is the average of 1 for a bucket in which the feed was alive and 0 for one in which it was not, with the same
weights and from 0 on: it tells how much of what the average rests on was seen.

A bucket of an outage counts as 0 like any empty one ("decay"), or the average stands still until the feed is back
("freeze"): decaying says calm while blind, freezing keeps the last known market.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from processors.online import ewma
from processors.online.rows import columns_of
from processors.stage import BatchStage, Events, Rejection
from schemas import Bucket, Ema
from schemas.columns import Keys, Table
from schemas.jit import kernel, shared


@dataclass(slots=True)
class EmaState:
    """The moments that the average and its error need."""

    mu: float = 0.0
    square: float = 0.0
    cross: float = 0.0
    before: float = 0.0
    count: int = 0
    coverage: float = 0.0


@dataclass(frozen=True, slots=True)
class EmaOptions:
    """How long the average remembers, and what it does while blind."""

    half_life_ms: int = 4_800
    outage: Literal["decay", "freeze"] = "decay"

    def __post_init__(self) -> None:
        if self.half_life_ms < 1:
            raise ValueError(f"half_life_ms must be at least 1, not {self.half_life_ms}")


class Emas(BatchStage[Bucket, Ema]):
    """Moves the share alpha of the way to each new return.

    >>> stage = Emas("kraken:ETH-USD")
    >>> bucket = Bucket(instrument="kraken:ETH-USD", event_ns=0, width_ms=160, start=100.0, last=101.0, ticks=1,
    ...                 return_percent=1.0, missed=0, stale=False, feed_age_ms=0)
    >>> [round(ema.mu_percent, 6) for ema in stage.on_event(bucket)]
    [0.02284]
    """

    Options = EmaOptions
    State = EmaState
    columns = ("event_ns", "width_ms", "return_percent", "ticks", "missed", "stale", "last", "feed_age_ms")
    options: EmaOptions
    state: EmaState

    def on_event(self, event: Bucket) -> Iterator[Ema]:
        state, half_life = self.state, self.options.half_life_ms
        weight = ewma.alpha(event.width_ms, half_life)
        if not (event.stale and event.ticks == 0 and self.options.outage == "freeze"):
            if event.missed:
                ewma.decay(state, weight, event.missed)
            ewma.update(state, weight, event.return_percent)
        cover(state, weight, event.missed, event.stale)
        yield Ema(
            instrument=self.key,
            event_ns=event.event_ns,
            half_life_ms=half_life,
            mu_percent=state.mu,
            error_percent=ewma.standard_error(state, weight),
            buckets=state.count,
            mid=event.last,
            stale=event.stale,
            feed_age_ms=event.feed_age_ms,
            coverage=state.coverage,
        )

    @classmethod
    def on_batch(
        cls, options: EmaOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        given = events.columns
        rows = _run(
            states, events.key, given["width_ms"], given["return_percent"], given["ticks"], given["missed"],
            given["stale"], options.half_life_ms, options.outage == "freeze",
        )  # fmt: skip
        columns = columns_of(rows)
        columns |= {
            "event_ns": given["event_ns"],
            "half_life_ms": np.full(len(rows), options.half_life_ms, np.int64),
            "mid": given["last"],
            "stale": given["stale"],
            "feed_age_ms": given["feed_age_ms"],
        }
        return [Table(Ema, events.cause, events.key, columns)], []


@shared
def cover(state: Any, weight: float, missed: int, stale: bool) -> None:
    """Take whether a bucket, and those missed before it, were seen."""
    if missed > 0:
        state.coverage *= (1.0 - weight) ** float(missed)
    state.coverage += weight * ((0.0 if stale else 1.0) - state.coverage)


ROW = np.dtype(
    [("mu_percent", np.float64), ("error_percent", np.float64), ("buckets", np.int64), ("coverage", np.float64)]
)


@kernel
def _run(states, keys, width_ms, value, ticks, missed, stale, half_life, freeze):  # type: ignore[no-untyped-def]
    rows = np.empty(len(keys), ROW)
    for index in range(len(keys)):
        state, row = states[keys[index]], rows[index]
        weight = ewma.alpha(float(width_ms[index]), float(half_life))
        if not (stale[index] and ticks[index] == 0 and freeze):
            if missed[index]:
                ewma.decay(state, weight, missed[index])
            ewma.update(state, weight, value[index])
        cover(state, weight, missed[index], stale[index])
        row.mu_percent, row.buckets, row.coverage = state.mu, state.count, state.coverage
        row.error_percent = ewma.standard_error(state, weight)
    return rows
