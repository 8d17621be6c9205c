"""A market maker over a recorded market: the same stages as live, the paper venue in place of a venue."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from consumers.backtest.loop import steps
from consumers.backtest.measure import Measure
from infra.options import stage_options
from processors.stage import name, stages
from processors.wiring import StageType
from producers.clock import Clocks
from schemas import Clock, Record

NAMES = ("volatilities", "intensities", "market_maker", "paper")
CLOCK_NS = 500_000_000
Told = Callable[[Record, list[Record]], None]
Options = Mapping[str, Mapping[str, Any]]  # plain values by stage and option, as settings give them


def parts() -> tuple[StageType, ...]:
    """The stages that trade: estimators, the market maker and the paper venue."""
    there = {name(stage): stage for stage in stages()}
    return tuple(there[part] for part in NAMES)


def run(records: Iterable[Record], options: Options, told: Told | None = None, clock_ns: int = CLOCK_NS) -> Measure:
    """Trade on a recorded market on paper; ``told`` hears of each event of the merged log and what followed.

    Raises:
        UserError: an option is unknown or wrong.

    """
    measure = Measure()
    given = stage_options(stages(), options)
    for step in steps(clocked(records, clock_ns), parts(), given):
        measure.event(step.event, step.derived)
        for rejection in step.refused:
            measure.refused[f"{rejection.by}: {rejection.reason}"] += 1
        if told is not None:
            told(step.event, step.derived)
    measure.finish()
    return measure


def clocked(records: Iterable[Record], clock_ns: int) -> Iterator[Record]:
    """Records with clocks put in by event time, unless they bring their own."""
    clocks, own = Clocks(clock_ns), False
    for record in records:
        own |= isinstance(record, Clock)
        if not own:
            yield from clocks.until(record.event_ns)
        yield record


def changed(options: Options, changes: Options) -> dict[str, dict[str, Any]]:
    """Options with some of them changed.

    >>> changed({"paper": {"maker_fee": 0.0}}, {"paper": {"taker_fee": 0.1}, "market_maker": {"gamma": 1.0}})
    {'paper': {'maker_fee': 0.0, 'taker_fee': 0.1}, 'market_maker': {'gamma': 1.0}}
    """
    return {stage: {**options.get(stage, {}), **changes.get(stage, {})} for stage in [*options, *changes]}
