"""A merger killed again and again: its log holds every record of the chosen instruments once and in order."""

import random
import time
from collections.abc import Iterator

import pytest

from infra.publisher import Publisher
from infra.settings import Settings
from processors.buckets import Buckets
from processors.chain import EventChain
from schemas import EVERY_KEY, Merge, Record
from schemas.codec import Codec
from schemas.position import Position
from tests.live import Process, read, write
from tests.merged import copies, has_log, originals
from tests.raws import every_topic
from tests.streams import raw
from tests.waiting import until

pytestmark = pytest.mark.real_broker

TOPICS = ("ticks", "depths", "buckets")
CODEC = Codec()
CHOSEN = ("x:a", "x:c")
KEYS = {key.encode() for key in (*CHOSEN, EVERY_KEY)}
KILLS = 6
SECONDS = 6.0


def repeating(settings: Settings, seed: int) -> Iterator[int]:
    """Write buckets into partition 1 as a worker that goes back to an older checkpoint now and then."""
    chance, chain = random.Random(seed), EventChain([Buckets])
    made: list[tuple[Position, Record]] = []
    for offset, event in enumerate(raw(seed, 3_000, "a")):
        made += [(Position("ticks", 1, offset, number), each) for number, each in enumerate(chain.on_event(event)[0])]
    with Publisher(settings, CODEC) as publisher:
        place = 0
        while place < len(made):
            publisher.publish(made[place][1], partition=1, position=made[place][0])
            place -= chance.randrange(20) if chance.random() < 0.02 else -1
            place = max(place, 0)
            yield place


def test_what_a_killed_merger_has_written_is_every_record_once_and_in_order(live: Settings) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    options = [f"--{name}={value}" for name, values in (("topic", TOPICS), ("instrument", CHOSEN)) for value in values]
    records = list(every_topic(seed, 2_500, "abcd"))
    buckets = repeating(live, seed)
    kills = sorted(chance.randrange(len(records) - 100) for _ in range(KILLS))
    with Process(live, "merge", *options) as merger:
        merger.wait_for("partitions taken over")  # a merger without a past begins with what is new
        for number in write(live, records, seed, SECONDS):
            for _ in range(100):
                next(buckets, None)
            if kills and number >= kills[0]:
                kills.pop(0)
                merger.wait_for("partitions taken over", KILLS - len(kills))
                time.sleep(chance.uniform(0.0, 1.0))
                merger.kill()
                merger.start()
        for _ in buckets:
            pass
        wanted = originals(live, TOPICS, KEYS)
        until(lambda: copies(live)[0] == wanted, merger.told, every_s=0.5)
        merger.stop()
    found, repeats = copies(live)
    print("repeats", repeats, "records", {log: len(each) for log, each in found.items()})
    assert not kills
    assert repeats > 0
    assert found == wanted
    assert {log.partition(":")[0] for log in found} == set(TOPICS)
    marks = [[message for message in log if not has_log(message)] for log in read(live, "merges")]
    assert all(len(found) > 1 and isinstance(CODEC.decode(found[0].value()), Merge) for found in marks)
