"""Live equals replayed, byte for byte: two workers, one killed and restarted, against the chains in process."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.live import CHAINS, Workers, wait_for, write
from tests.raws import every_topic

pytestmark = pytest.mark.real_broker


@pytest.mark.parametrize(("count", "most"), [(4, 10_000), (4, 7), (3, 300)])
def test_a_live_run_with_a_killed_worker_gives_what_the_chains_give(
    make_topics: Callable[..., Settings], tmp_path: Path, count: int, most: int
) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    settings = make_topics(partitions=count)
    records = [record for record in every_topic(seed, 1_500, "abcdefgh") if record.topic in CHAINS]
    with Workers(settings, tmp_path, max_batch=most) as workers:
        workers.start("a")
        workers.start("b")
        killed = False
        for number in write(settings, records, seed, seconds=8.0):
            if number > len(records) // 2 and not killed:
                workers.kill("a")
                workers.start("a")
                killed = True
        wait_for(settings, workers)
        assert [workers.stop("a"), workers.stop("b")] == [0, 0]
