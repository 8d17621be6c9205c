"""What a worker does with its partitions where something is not as it should be."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from faust.types import TP

from infra.broker import admin, full_name
from infra.errors import UserError
from infra.options import stage_options
from infra.publisher import Publisher
from infra.settings import Settings
from processors.buckets import Buckets
from processors.chain import EventChain
from processors.emas import Emas
from processors.live import checkpoints
from processors.live.worker import Stalled, Worker
from processors.stage import stages
from processors.wiring import plan, usual
from schemas import Bucket, Checkpoint, Record, Tick
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.position import Position, position_of
from tests.live import Workers, read
from tests.streams import raw
from tests.waiting import PATIENCE_S, until

CODEC = Codec()
TICKS = 40


def worker(settings: Settings) -> Worker:
    return Worker(settings, plan(usual(stages())), stage_options(stages(), {}), CODEC, settings.group)


def opened(settings: Settings) -> Worker:
    """A worker that holds partition 0, in a group that has a coordinator, as after a rebalance."""
    end = time.monotonic() + PATIENCE_S
    while True:
        own = worker(settings)
        try:
            own.open([source(settings)], 1)
        except KafkaException as error:
            waits = error.args[0].code() in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
            if not waits or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return own


def publish(settings: Settings, checkpoint_at: int | None = None) -> None:
    """Ticks in partition 0, and a checkpoint of it."""
    ticks = [record for record in raw(1, 400) if isinstance(record, Tick)][:TICKS]
    with Publisher(settings, CODEC) as publisher:
        for tick in ticks:
            publisher.publish(tick, partition=0)
        if checkpoint_at is not None:
            cut = opened(settings).partitions[source(settings)].cut()
            name = checkpoints.chain_name(settings.group, "ticks", 0)
            options = checkpoints.options_text(stage_options(stages(), {}))
            record = Checkpoint(name, 1, checkpoint_at, options, checkpoints.packed(cut.state))
            publisher.publish(record, partition=0)


def source(settings: Settings) -> TP:
    return TP(full_name(settings, "ticks"), 0)


@pytest.mark.real_broker
def test_a_log_that_lost_what_follows_a_checkpoint_is_refused_unless_that_is_accepted(
    make_topics: Callable[..., Settings],
) -> None:
    settings = make_topics()
    publish(settings, checkpoint_at=10)
    place = TopicPartition(*source(settings), 25)
    client = admin(settings)
    client.delete_records([place])[place].result(PATIENCE_S)
    with pytest.raises(UserError, match=r"begins at 25, the checkpoint .* is at 10: 15 records are gone.*ACCEPT_LOSS"):
        opened(settings)
    accepting = opened(settings.model_copy(update={"accept_loss": True}))
    assert accepting.partitions[source(settings)].offset == 25


@pytest.mark.real_broker
def test_a_partition_that_stands_still_ends_the_worker(make_topics: Callable[..., Settings]) -> None:
    settings = make_topics(watchdog_s=1.0)
    publish(settings)
    own = opened(settings)
    with pytest.raises(Stalled, match=rf"ticks 0 has stood at offset 0 for \d+ s with {TICKS} records to read"):
        asyncio.run(asyncio.wait_for(own.watch(), PATIENCE_S))


@pytest.mark.real_broker
def test_a_partition_that_was_read_to_its_end_may_stand_still(make_topics: Callable[..., Settings]) -> None:
    settings = make_topics(watchdog_s=0.4)
    publish(settings)
    own = opened(settings)
    own.partitions[source(settings)].offset = TICKS
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(own.watch(), 2.0))


def test_state_that_its_topic_does_not_take_is_refused_by_name() -> None:
    most = TOPICS[checkpoints.TOPIC].max_message_bytes or 0
    fits = Checkpoint("w:ticks:0", 1, 1, "{}", b"s" * (most - 2_000))
    assert len(checkpoints.encoded(fits, CODEC)) > most - 2_000
    with pytest.raises(checkpoints.CheckpointError, match=r"state of w:ticks:0 has \d+ bytes, and checkpoints takes"):
        checkpoints.encoded(Checkpoint("w:ticks:0", 1, 1, "{}", b"s" * most), CODEC)


@pytest.mark.real_broker
def test_a_chain_on_a_derived_topic_takes_what_was_written_twice_once(live: Settings, tmp_path: Path) -> None:
    chain, buckets = EventChain([Buckets]), list[tuple[Position, Record]]()
    for offset, event in enumerate(raw(2, 600, "a")):
        made = [record for record in chain.on_event(event)[0] if isinstance(record, Bucket)]
        buckets += [(Position("ticks", 0, offset, number), bucket) for number, bucket in enumerate(made)]
    with Publisher(live, CODEC) as publisher:  # as a worker that was killed and began again at an older checkpoint
        for position, bucket in [*buckets[:60], *buckets[35:]]:
            publisher.publish(bucket, partition=0, position=position)
    expected = EventChain([Emas])
    wanted = [CODEC.encode(record) for _, bucket in buckets for record in expected.on_event(bucket)[0]]
    assert len(wanted) > 100
    with Workers(live, tmp_path) as workers:
        workers.start("a", "emas")

        def all_there() -> bool:
            workers.alive()
            return len(read(live, "emas")[0]) >= len(wanted)

        until(all_there, lambda: workers.told("a"))
        assert workers.stop("a") == 0
        found = read(live, "emas")[0]
    assert [message.value() for message in found] == wanted
    positions = [position_of(message.headers(), ("emas", 0), 0) for message in found]  # type: ignore[arg-type]
    repeated = range(60, 60 + 25)  # their offsets: those records that the worker had to drop
    assert [position.topic for position in positions] == ["buckets"] * len(wanted)
    assert not {position.offset for position in positions} & set(repeated)
