"""Real days of bars through Kafka and a worker: forecast, scored and weighed as a replay does it, kill or no kill."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import Settings
from schemas import Record
from tests.live import CODEC, Workers, new, wait_for, write
from tests.minute_bars import MINUTE, prompt
from tests.processors.synth import real
from tests.waiting import until

DAYS = 3.2  # the first three warm the state up


def with_prompts(bars: list[Record]) -> list[Record]:
    """The bars of some days, and a prompt after every hundredth."""
    found: list[Record] = []
    for number, each in enumerate(bars):
        found.append(each)
        if number % 100 == 99:
            found.append(prompt(each.event_ns, each.event_ns // MINUTE + 1))
    return found


@pytest.mark.real_broker
def test_real_bars_are_forecast_and_scored_live_as_in_a_replay(
    make_topics: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_topics(partitions=1)
    records = with_prompts(list(real("SOLUSDT", DAYS)))
    with Workers(settings, tmp_path, max_batch=50) as workers:
        workers.start("a")
        assert sum(1 for _ in write(settings, records, seed=6)) > 0
        until(lambda: bool(new(settings, "forecasts")[0]), lambda: workers.told("a"), 0.2)
        workers.kill("a")
        workers.start("b")
        wait_for(settings, workers)
        workers.ready("b")
        assert workers.stop("b") == 0
    scores = [CODEC.decode(entry.value) for entry in new(settings, "forecast_scores")[0]]
    counts = Counter((score.competition, score.origin) for score in scores)  # type: ignore[attr-defined]
    assert counts[("1h", "schedule")] > 30
    assert counts[("1h", "http")] > 30
    assert all(score.crps > 0.0 for score in scores)  # type: ignore[attr-defined]
    assert len(new(settings, "expert_weights")[0]) >= 9
