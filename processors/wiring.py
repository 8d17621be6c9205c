"""Which stages run together: those whose inputs are made by each other from one source topic.

They are fused into a chain, which reads that topic's partitions and hands derived records on in process. All topics of
a chain are keyed alike, so a partition of the source holds all that a key's state depends on; what a chain derives goes
to the partition of the same number.
"""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from processors.stage import Stage, name, reads, writes

StageType = type[Stage[Any, Any]]


class WiringError(ValueError):
    """A selection of stages that cannot run."""


def plan(stages: Sequence[StageType]) -> dict[str, list[StageType]]:
    """The chains of a selection: source topic to stages, each stage after those that it reads from.

    The order of the selection does not matter.

    Raises:
        WiringError: two stages write a topic, stages read each other in a circle, or a stage reads topics of which
            only some are made in the selection.

    """
    makers = _makers(stages)
    sources: dict[StageType, str] = {}
    chains: dict[str, list[StageType]] = {}
    for stage in _sorted(stages, makers):
        roots = {sources[makers[topic]] if topic in makers else topic for topic in _topics(stage)}
        if len(roots) > 1:
            raise WiringError(
                f"stage {name(stage)} reads {', '.join(sorted(_topics(stage)))}, which would come from the separate "
                f"logs {', '.join(sorted(roots))}: select the stages that make them as well"
            )
        sources[stage] = roots.pop()
        chains.setdefault(sources[stage], []).append(stage)
    return chains


def _topics(stage: StageType) -> set[str]:
    return {record.topic for record in reads(stage)}


def _makers(stages: Sequence[StageType]) -> dict[str, StageType]:
    makers: dict[str, StageType] = {}
    for stage in stages:
        for topic in {record.topic for record in writes(stage)}:
            if makers.setdefault(topic, stage) is not stage:
                raise WiringError(f"topic {topic} has two writers: {name(makers[topic])} and {name(stage)}")
    return makers


def _sorted(stages: Sequence[StageType], makers: dict[str, StageType]) -> list[StageType]:
    sorter: TopologicalSorter[StageType] = TopologicalSorter()
    for stage in sorted(stages, key=name):
        sorter.add(stage, *(makers[topic] for topic in sorted(_topics(stage)) if topic in makers))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise WiringError(f"stages read each other in a circle: {' -> '.join(map(name, error.args[1]))}") from error
