"""What every stage must keep, whatever it computes; stages are found by looking into the folders."""

import functools
import random
from collections import defaultdict, deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.chain import BatchChain, EventChain
from processors.stage import Rejection, Stage, name, reads, stages, writes
from processors.wiring import plan, source
from schemas import EVERY_KEY, RECORDS, Record, Rejected
from schemas.columns import tables
from tests.raws import every_topic

STAGES = stages()
CHAINS = list(plan(STAGES).values())
each_stage = pytest.mark.parametrize("stage", STAGES, ids=name)
each_chain = pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: name(chain[0]))
Caused = list[tuple[int, Record]]


def plain(snapshot: Any) -> Any:
    """A snapshot as a checkpoint gives it back."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot))


@functools.cache
def merged(seed: int, count: int) -> list[Record]:
    """A stream run through every chain, as a merged log holds it: what a stage makes comes back to all of them."""
    log: list[Record] = []
    chains = [(source(name), EventChain(chain)) for name, chain in plan(STAGES).items()]
    for raw in every_topic(seed, count):
        coming: deque[Record] = deque([raw])
        while coming:
            event = coming.popleft()
            log.append(event)
            for topic, chain in chains:
                if topic in (event.topic, "merges"):
                    coming += chain.on_event(event)[0]
    return log


def inputs(stage: type[Stage[Any, Any]], count: int = 1_500) -> list[Record]:
    """All that a stage reads, out of a stream run through every chain."""
    return [event for event in merged(5, count) if isinstance(event, reads(stage))]


def stream(chain: list[type[Stage[Any, Any]]], seed: int, count: int) -> list[Record]:
    """What a chain may meet."""
    return list(every_topic(seed, count)) if chain[0].log is None else merged(seed, count)


class Keyed:
    """A stage's instances by key, as a runtime keeps them."""

    def __init__(self, stage: type[Stage[Any, Any]]) -> None:
        self.stage = stage
        self.instances: dict[str, Stage[Any, Any]] = {}

    def on_event(self, event: Record) -> list[Any]:
        keys = sorted(self.instances) if event.key == EVERY_KEY else [event.key]
        made: list[Any] = []
        for key in keys:
            instance = self.instances.setdefault(key, self.instances.get(key) or self.stage(key))
            try:
                made += instance.on_event(event)
            except Rejected as rejected:
                made.append(str(rejected))
        return made

    def restarted(self) -> "Keyed":
        fresh = Keyed(self.stage)
        for key, instance in self.instances.items():
            fresh.instances[key] = self.stage(key)
            fresh.instances[key].restore(plain(instance.snapshot()))
        return fresh


def run(stage: type[Stage[Any, Any]], events: list[Record]) -> list[Any]:
    keyed = Keyed(stage)
    return [made for event in events for made in keyed.on_event(event)]


@each_stage
def test_a_stage_lives_in_the_file_of_its_topic_or_is_an_executor(stage: type[Stage[Any, Any]]) -> None:
    if stage.__module__.startswith("processors."):
        assert name(stage) in {record.topic for record in writes(stage)}
    else:
        assert stage.log is not None
    assert all(record in RECORDS.values() for record in (*reads(stage), *writes(stage)))


@each_stage
def test_the_same_events_give_the_same_records_of_the_declared_types(stage: type[Stage[Any, Any]]) -> None:
    events = inputs(stage)
    made = run(stage, events)
    assert made == run(stage, events)
    types = {type(record) for record in made} - {str}
    assert types == set(writes(stage)) or (stage.log is not None and types <= set(writes(stage)))


@each_stage
def test_a_restart_anywhere_changes_nothing(stage: type[Stage[Any, Any]]) -> None:
    events = inputs(stage, 400)
    whole = run(stage, events)
    keyed, made = Keyed(stage), []
    for event in events:
        made += keyed.on_event(event)
        keyed = keyed.restarted()
    assert made == whole


@each_stage
def test_a_key_does_not_depend_on_its_neighbours(stage: type[Stage[Any, Any]]) -> None:
    events = inputs(stage)
    for key in {event.key for event in events} - {EVERY_KEY}:
        alone = run(stage, [event for event in events if event.key in (key, EVERY_KEY)])
        together = [made for made in run(stage, events) if not isinstance(made, str) and made.key == key]
        assert [made for made in alone if not isinstance(made, str) and made.key == key] == together


@each_stage
def test_memory_stops_growing(stage: type[Stage[Any, Any]]) -> None:
    events = inputs(stage, 4_000)
    keyed, sizes = Keyed(stage), []
    for event in events:
        keyed.on_event(event)
        sizes.append(sum(len(msgspec.msgpack.encode(instance.snapshot())) for instance in keyed.instances.values()))
    assert max(sizes[len(sizes) // 2 :]) <= 1.2 * max(sizes[: len(sizes) // 2])


def by_events(chain: list[type[Stage[Any, Any]]], events: list[Record]) -> tuple[dict[type, Caused], list[Rejection]]:
    running, made, refused = EventChain(chain), defaultdict(list), []
    for cause, event in enumerate(events):
        records, rejections = running.on_event(event)
        for record in records:
            made[type(record)].append((cause, record))
        refused += [rejection._replace(cause=cause) for rejection in rejections]
    return dict(made), refused


def by_batches(
    chain: list[type[Stage[Any, Any]]], events: list[Record], sizes: list[int], restarts: random.Random
) -> tuple[dict[type, Caused], list[Rejection]]:
    running, made, refused, start = BatchChain(chain), defaultdict(list), [], 0
    while start < len(events):
        size = sizes[start % len(sizes)]
        batch = tables(enumerate(events[start : start + size]), running.keys)
        results, rejections = running.on_batch(batch)
        for table in results:
            causes = (start + table.cause).tolist()
            made[table.record] += zip(causes, table.records(running.keys), strict=True)
        refused += [rejection._replace(cause=start + rejection.cause) for rejection in rejections]
        start += size
        if restarts.random() < 0.3:
            snapshot, running = plain(running.snapshot()), BatchChain(chain)
            running.restore(snapshot)
    return dict(made), sorted(refused, key=lambda rejection: rejection.cause)


@each_chain
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.sampled_from([1, 2, 3, 10, 100, 700]), min_size=1, max_size=7),
)
def test_batches_give_what_events_give_however_they_are_cut(
    chain: list[type[Stage[Any, Any]]], seed: int, sizes: list[int]
) -> None:
    events = stream(chain, seed, 600)
    assert by_batches(chain, events, sizes, random.Random(seed)) == by_events(chain, events)


@each_chain
def test_either_kind_of_chain_goes_on_from_the_others_snapshot(chain: list[type[Stage[Any, Any]]]) -> None:
    events = stream(chain, 3, 1_000)[:1_500]
    whole, _ = by_events(chain, events)
    first = BatchChain(chain)
    first.on_batch(tables(enumerate(events[:500]), first.keys))
    second = EventChain(chain)
    second.restore(plain(first.snapshot()))
    made: dict[type, Caused] = defaultdict(list)
    for cause, event in enumerate(events[500:], 500):
        for record in second.on_event(event)[0]:
            made[type(record)].append((cause, record))
    assert dict(made) == {kind: late for kind, all_of in whole.items() if (late := [x for x in all_of if x[0] >= 500])}
