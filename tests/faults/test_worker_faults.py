"""Workers and brokers that die mid-run: nothing lost, nothing different, once re-deliveries are dropped."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.broker import ensure_topics
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from tests.live import Workers, wait_for, write
from tests.streams import raw
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.real_broker


def seeded() -> int:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    return seed


def test_four_kills_of_the_only_worker_lose_nothing(live: Settings, tmp_path: Path) -> None:
    seed = seeded()
    records = list(raw(seed, 1_500, "abcdef"))
    chance = random.Random(seed)
    kills = sorted(chance.randrange(len(records)) for _ in range(4))
    with Workers(live, tmp_path) as workers:
        workers.start("a")
        for number in write(live, records, seed, seconds=8.0):
            while kills and number > kills[0]:
                kills.pop(0)
                workers.kill("a")
                workers.start("a")
        print("re-deliveries", wait_for(live, workers))
        assert workers.stop("a") == 0


def test_a_stop_loses_nothing_and_repeats_nothing(live: Settings, tmp_path: Path) -> None:
    seed = seeded()
    records = list(raw(seed, 1_500, "abcdef"))
    with Workers(live, tmp_path) as workers:
        workers.start("a")
        workers.ready("a")
        stopped = False
        for number in write(live, records, seed, seconds=8.0):
            if number > len(records) // 2 and not stopped:
                assert workers.stop("a") == 0, workers.told("a")
                workers.start("b")
                stopped = True
        repeats = wait_for(live, workers)
        assert set(repeats.values()) == {0}


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(private_broker: LocalKafka, tmp_path: Path) -> None:
    settings = load_settings(env_file=None, brokers=private_broker.address, group="w")
    ensure_topics(settings)
    seed = seeded()
    records = list(raw(seed, 1_500, "abcdef"))
    with Workers(settings, tmp_path) as workers:
        workers.start("a")
        killed = False
        for number in write(settings, records, seed, seconds=8.0):
            if number > len(records) // 2 and not killed:
                private_broker.kill()
                time.sleep(1.0)
                private_broker.start()
                killed = True
        wait_for(settings, workers)
        assert workers.stop("a") == 0, workers.told("a")


def test_other_options_are_refused_until_reset(live: Settings, tmp_path: Path) -> None:
    seed = seeded()
    with Workers(live, tmp_path) as workers:
        workers.start("a")
        for _ in write(live, list(raw(seed, 300, "ab")), seed):
            pass
        wait_for(live, workers)
        assert workers.stop("a") == 0
        refused = workers.start("b", stages__buckets__width_ms=200)
        assert refused.wait(PATIENCE_S) == 2
        assert "stages.buckets.width_ms was 160 and is 200" in workers.told("b")
        assert "Traceback" not in workers.told("b")
        workers.start("c", "--reset", stages__buckets__width_ms=200)
        workers.wait_for("c", "state dropped")


def test_an_unknown_stage_is_a_users_mistake(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    workers = Workers(make_settings(), tmp_path)
    assert workers.start("a", "nonsense").wait(PATIENCE_S) == 2
    assert "no stage 'nonsense'" in workers.told("a")
