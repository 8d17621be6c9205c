"""Executors live, with kill -9 of the merger and of their workers, equal a replay of the merged log, byte for byte."""

import contextlib
import functools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from consumers.merging.merger import MARKET, ORDERS
from infra.broker import consumer_config, full_name
from infra.publisher import Publisher
from infra.settings import Settings
from processors.books import Books
from processors.chain import EventChain
from processors.replay.replay import Replay
from processors.replay.sources.kafka import Reading
from processors.replay.tape import encoded
from processors.stage import Stage, name, stages, writes
from schemas import Depth, Record
from schemas.codec import Codec
from schemas.position import Position
from tests.live import Entry, Process, Workers, bounds, new
from tests.merged import copies
from tests.raws import every_topic
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.real_broker

Executor = type[Stage[Any, Any]]
EXECUTORS: list[Executor] = [stage for stage in stages() if stage.log is not None]
CODEC = Codec()
SECONDS = 16.0


def market(seed: int, count: int) -> Iterator[tuple[Record, Position | None]]:
    """What executors read of the market: raw records, and books with their causes."""
    books = EventChain([Books])
    for offset, event in enumerate(every_topic(seed, count, "abcd")):
        if isinstance(event, Depth):
            made = [record for record in books.on_event(event)[0] if record.topic == "books"]
            yield from ((book, Position("depths", 0, offset, number)) for number, book in enumerate(made))
        else:
            yield event, None


def write(settings: Settings, seed: int) -> Iterator[None]:
    """Write a market in some seconds; yields now and then."""
    records = list(market(seed, 1_200))
    began = time.monotonic()
    with Publisher(settings, CODEC) as publisher:
        for number, (record, position) in enumerate(records):
            publisher.publish(record, position=position)
            if number % 50 == 0:
                publisher.poll()
                time.sleep(max(0.0, began + SECONDS * number / len(records) - time.monotonic()))
                yield


def replayed(settings: Settings, stage: Executor, events: bool) -> dict[str, list[Entry]]:
    """What an executor makes of the merged log in process."""
    machine = Replay([stage], events=events)
    found: dict[str, list[Entry]] = {}
    for batch in machine.over(Reading(settings, CODEC, "merges").runs()):
        rows = zip(*encoded(batch, CODEC), strict=True)
        found.setdefault(batch.topic, []).extend(Entry(batch.partition, at, key, value) for key, value, at in rows)
    return {topic: sorted(entries, key=lambda entry: entry.partition) for topic, entries in found.items()}


def live(settings: Settings, stage: Executor) -> dict[str, list[Entry]]:
    """What an executor's workers have written, without repeats."""
    own = f"merges.{name(stage)}:".encode()
    topics = {record.topic for record in writes(stage)} | {"dead_letters"}
    entries = {
        topic: [entry for entry in new(settings, topic)[0] if entry.position.startswith(own)] for topic in topics
    }
    return {topic: found for topic, found in entries.items() if found}


def settled(settings: Settings, workers: Workers) -> None:
    """Wait until the merger and the executors have taken all that there is, their own records included."""
    readers: dict[str, Sequence[str]] = {f"{settings.group}.{name(stage)}": ("merges",) for stage in EXECUTORS}
    readers[f"{settings.group}-merge"] = (*MARKET, *ORDERS)
    before: list[int] = [-1]
    now: list[int] = [0]
    end = time.monotonic() + PATIENCE_S
    with contextlib.ExitStack() as closing:
        clients = {group: Consumer(consumer_config(settings, group)) for group in readers}
        for client in clients.values():
            closing.callback(client.close)
        while before != now or any(now):
            assert time.monotonic() < end, f"still to be read: {now}"
            time.sleep(1.0)
            workers.alive()
            before, now = now, [lag(settings, client, readers[group]) for group, client in clients.items()]
            if before != now:
                end = time.monotonic() + PATIENCE_S


def lag(settings: Settings, client: Consumer, topics: Sequence[str]) -> int:
    """How many records of some topics a group has not committed."""
    places = [TopicPartition(full_name(settings, topic), place) for topic in topics for place in range(4)]
    committed = client.committed(places, timeout=60.0)
    ends = [bounds(client, place)[1] for place in places]
    return sum(end - max(place.offset, 0) for place, end in zip(committed, ends, strict=True))


def test_executors_decide_live_what_the_merged_log_says(make_topics: Callable[..., Settings], tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    settings = make_topics()
    names = [name(stage) for stage in EXECUTORS]
    with Process(settings, "merge") as merger, Workers(settings, tmp_path) as workers:
        merger.wait_for("partitions taken over")

        def again(executor: str) -> None:
            workers.kill(executor)
            workers.start(executor, executor)

        def merge_again() -> None:
            merger.kill()
            merger.start()

        for executor in names:
            workers.start(executor, executor)
        for executor in names:
            workers.ready(executor)
        faults: list[Callable[[], None]] = [
            merge_again,
            merge_again,
            *(functools.partial(again, executor) for executor in names),
        ]
        chance.shuffle(faults)
        due = sorted(chance.uniform(1.0, SECONDS - 2.0) for _ in faults)
        began = time.monotonic()
        for _ in write(settings, seed):
            if due and time.monotonic() - began > due[0]:
                due.pop(0)
                faults.pop()()
        settled(settings, workers)
        assert not faults
        assert [workers.stop(executor) for executor in names] == [0] * len(names)
        merger.stop()
    repeats = copies(settings)[1]
    print("repeats in the merged log", repeats)
    for stage in EXECUTORS:
        found = live(settings, stage)
        print(name(stage), {topic: len(entries) for topic, entries in found.items()})
        assert found
        for events in (True, False):
            assert replayed(settings, stage, events) == found
