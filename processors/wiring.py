"""Which stages run together: those whose inputs are made by each other from one source topic.

They are fused into a chain, which reads that topic's partitions and hands derived records on in process. All topics of
a chain are keyed alike, so a partition of the source holds all that a key's state depends on; what a chain derives goes
to the partition of the same number.

Chains of different sources may write one topic, as ``gaps`` is the ledger of both ticks and books: the position of a
record says which log it stems from, and positions of one log rise. Their order among each other means nothing, so no
stage of the selection may read such a topic.

A stage that reads a merged log is a chain by itself: what others write comes to it through that log alone, be they in
the selection or not. Several may read one log, each at its own place and writing the same topics, so each gives the log
a name of its own in the positions of what it makes: ``merges.paper`` is ``merges`` as ``paper`` has read it.
"""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from processors.stage import Stage, name, reads, writes

StageType = type[Stage[Any, Any]]


class WiringError(ValueError):
    """A selection of stages that cannot run."""


def plan(stages: Sequence[StageType]) -> dict[str, list[StageType]]:
    """The chains of a selection: log to stages, each stage after those that it reads from.

    A log is a source topic, or for a stage with a merged log that topic and the stage's name. The order of the
    selection does not matter.

    Raises:
        WiringError: two stages of one source write a topic, stages read each other in a circle, or a stage reads
            topics of which only some are made in the selection, or one that chains of several sources write.

    """
    fused = usual(stages)
    makers = _makers(fused)
    sources: dict[StageType, str] = {}
    chains: dict[str, list[StageType]] = {}
    for stage in _sorted(fused, makers):
        roots = {sources[maker] for topic in _topics(stage) for maker in makers.get(topic, ())}
        roots |= {topic for topic in _topics(stage) if topic not in makers}
        if len(roots) > 1:
            raise WiringError(
                f"stage {name(stage)} reads {', '.join(sorted(_topics(stage)))}, which would come from the separate "
                f"logs {', '.join(sorted(roots))}: select the stages that make them as well"
            )
        sources[stage] = roots.pop()
        chains.setdefault(sources[stage], []).append(stage)
    for topic, writers in makers.items():
        _check_writers(topic, writers, sources)
    return chains | {f"{stage.log}.{name(stage)}": [stage] for stage in stages if stage.log is not None}


def usual(stages: Iterable[StageType]) -> list[StageType]:
    """Those that read topics as they are: what runs where no stage is named."""
    return [stage for stage in stages if stage.log is None]


def source(log: str) -> str:
    """The topic that holds a log of a plan.

    >>> source("ticks"), source("merges.paper")
    ('ticks', 'merges')
    """
    return log.partition(".")[0]


def _topics(stage: StageType) -> set[str]:
    return {record.topic for record in reads(stage)}


def _makers(stages: Sequence[StageType]) -> dict[str, list[StageType]]:
    makers: dict[str, list[StageType]] = {}
    for stage in sorted(stages, key=name):
        for topic in {record.topic for record in writes(stage)}:
            makers.setdefault(topic, []).append(stage)
    return makers


def _check_writers(topic: str, writers: Sequence[StageType], sources: Mapping[StageType, str]) -> None:
    """See that at most one chain of each source writes a topic."""
    first: dict[str, StageType] = {}
    for writer in writers:
        other = first.setdefault(sources[writer], writer)
        if other is not writer:
            raise WiringError(f"topic {topic} has two writers: {name(other)} and {name(writer)}")


def _sorted(stages: Sequence[StageType], makers: Mapping[str, Sequence[StageType]]) -> list[StageType]:
    sorter: TopologicalSorter[StageType] = TopologicalSorter()
    for stage in sorted(stages, key=name):
        sorter.add(stage, *(maker for topic in sorted(_topics(stage)) for maker in makers.get(topic, ())))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise WiringError(f"stages read each other in a circle: {' -> '.join(map(name, error.args[1]))}") from error
