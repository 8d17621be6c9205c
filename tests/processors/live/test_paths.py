"""A partition's chain gives the same by events and by columns, and while it changes from one to the other."""

import random

import pytest

from processors.live.encoding import Columns, Encoded
from processors.live.paths import LONG, SHORT_RUNS, Paths
from processors.stage import stages
from processors.wiring import plan
from schemas.codec import Codec
from tests.live import POISON
from tests.streams import raw

CODEC = Codec()
CHAIN = plan(stages())["ticks"]


def log(seed: int) -> list[bytes | None]:
    chance = random.Random(seed)
    values: list[bytes | None] = []
    for record in raw(seed, 1_500):
        values.append(CODEC.encode(record))
        if chance.random() < 0.02:
            values.append(chance.choice(POISON))
    return values


def given(values: list[bytes | None], sizes: list[int]) -> tuple[list[object], list[object]]:
    """All that runs of some sizes, over and over, give: derived records and refusals, with their offsets."""
    paths, derived, refusals = Paths(CHAIN, {}, CODEC), list[object](), list[object]()
    start, turn = 0, 0
    while start < len(values):
        run = values[start : start + sizes[turn % len(sizes)]]
        made = paths.take(run)
        derived += rows(made.derived, start) if made.derived else []
        refusals += [(start + cause, by, reason) for cause, by, reason in made.refusals]
        start, turn = start + len(run), turn + 1
    return sorted(derived, key=repr), refusals


def rows(derived: Encoded, start: int) -> list[tuple[str, int, int, bytes, bytes]]:
    if isinstance(derived, Columns):
        columns = derived.values.to_list(), derived.keys.to_list(), derived.causes.tolist(), derived.ordinals.tolist()
    else:
        columns = derived[1:]
    topics = [topic for topic, count in derived.segments for _ in range(count)]
    return [
        (topic, start + cause, ordinal, key, value)
        for topic, value, key, cause, ordinal in zip(topics, *columns, strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_runs_of_any_size_give_the_same(seed: int) -> None:
    values = log(seed)
    single = given(values, [1])
    assert single[0]
    assert single[1]
    assert given(values, [LONG]) == single
    assert given(values, [7, LONG, 3]) == single
    assert given(values, [LONG] + [2] * (2 * SHORT_RUNS)) == single
