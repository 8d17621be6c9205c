"""A replay gives what the chain gives, wherever its input comes from and however it is cut."""

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.chain import EventChain
from processors.replay.replay import Replay, needs
from processors.replay.runs import Raw, Run, Unreadable
from processors.replay.tape import encoded
from processors.stage import stages
from processors.wiring import plan
from schemas import Clock, DeadLetter, Record
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.position import Position
from tests.processors.replay.replays import cut, replayed, rows, whole
from tests.streams import raw

STREAM = list(raw(seed=11, count=2_500))


def by_hand(stream: list[Record]) -> dict[str, list[tuple[Position, bytes]]]:
    """Position and bytes of each derived record, the chain called record by record."""
    chain, codec = EventChain(plan(stages())["ticks"]), Codec()
    made: dict[str, list[tuple[Position, bytes]]] = {}
    for offset, event in enumerate(stream):
        derived, refused = chain.on_event(event)
        letters: list[Record] = [
            DeadLetter("ticks", getattr(event, "received_ns", event.event_ns), 3, offset, refusal.by, refusal.reason,
                       event.key.encode(), codec.encode(event), len(codec.encode(event)), 0)
            for refusal in refused
        ]  # fmt: skip
        counts: dict[str, int] = {}
        for record in derived + letters:
            ordinal = counts.get(record.topic, 0)
            counts[record.topic] = ordinal + 1
            made.setdefault(record.topic, []).append((Position("ticks", 3, offset, ordinal), codec.encode(record)))
    return made


@pytest.mark.parametrize("events", [False, True], ids=["columns", "events"])
def test_derived_records_have_the_bytes_and_positions_of_a_chain_run_by_hand(events: bool) -> None:
    made: dict[str, list[tuple[Position, bytes]]] = {}
    for batch in Replay(stages(), events=events).over(cut(STREAM, random.Random(1), partition=3)):
        _, values, headers = encoded(batch, Codec())
        assert batch.partition == 3
        made.setdefault(batch.topic, []).extend(zip(map(Position.parse, headers), values, strict=True))
    assert made == by_hand(STREAM)
    assert {"buckets", "emas", "jump_losses", "calibrations", "gaps", "qualities", "dead_letters"} == set(made)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 900), st.booleans())
def test_cuts_do_not_matter(seed: int, most: int, events: bool) -> None:
    stream = STREAM[:1_200]
    assert replayed(cut(stream, random.Random(seed), most=most), events) == replayed([whole(stream)])


@settings(max_examples=5)
@given(st.integers(0, 2**32))
def test_the_order_in_which_partitions_come_does_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    parts = [cut(list(raw(seed=number, count=400)), chance, partition=number) for number in range(3)]
    mixed = [run for runs in parts for run in runs]
    want = replayed(mixed)
    queues = [list(runs) for runs in parts]
    shuffled = []
    while queues:
        queue = chance.choice(queues)
        shuffled.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    assert replayed(shuffled) == want


def test_what_could_not_be_decoded_becomes_a_dead_letter_with_its_bytes() -> None:
    run = whole([Clock(event_ns=5), Clock(event_ns=6)])
    batch = dataclasses.replace(run.batch, tables=[])
    broken = Run(batch, lambda wanted: [Raw(b"key", b"junk")] * len(wanted), [Unreadable(1, "no schema")])
    (made,) = Replay(stages()).take(broken)
    (letter,) = made.tables[0].records(made.keys)
    assert letter == DeadLetter("ticks", 6, 0, 1, "codec", "no schema", b"key", b"junk", 4, 0)
    assert made.lineage.positions() == [Position("ticks", 0, 1, 0)]


def test_letters_of_a_feed_pass_and_count_on() -> None:
    letter = DeadLetter("coinbase", 7, -1, -1, "coinbase", "junk", b"", b"x", 1, 0)
    runs = [dataclasses.replace(run, letters=[letter]) for run in cut([Clock(5), Clock(6)], random.Random(0), most=1)]
    made = rows(Replay(stages()).over(runs))
    assert [row[-7:-4] for row in made["dead_letters 0"]] == [(0, 0, 0), (0, 1, 0)]


def test_times_are_those_of_the_input() -> None:
    causes = dict(enumerate(STREAM))
    for batch in Replay(stages()).take(whole(STREAM)):
        line = batch.lineage
        for offset, exchange, received in zip(
            line.cause_offset.tolist(), line.exchange_ns.tolist(), line.received_ns.tolist(), strict=True
        ):
            cause = causes[offset]
            assert (exchange, received) == (cause.event_ns, getattr(cause, "received_ns", cause.event_ns))


def test_a_topic_that_no_stage_reads_gives_nothing() -> None:
    run = whole(STREAM[:50])
    other = Run(dataclasses.replace(run.batch, topic="calibrations"), run.raw)
    assert Replay(stages()).take(other) == []


def test_keys_that_change_from_run_to_run_are_an_error() -> None:
    machine = Replay(stages())
    machine.take(whole(STREAM[:10]))
    other = whole(STREAM[:10])
    with pytest.raises(ValueError, match="do not share their keys"):
        machine.take(Run(dataclasses.replace(other.batch, keys=Keys()), other.raw))


def test_needs_name_the_fields_that_columns_take() -> None:
    wanted = needs(plan(stages())["ticks"])
    assert {record.table for record in wanted} >= {"ticks", "heartbeats", "connects", "clocks"}
    fields = next(fields for record, fields in wanted.items() if record.table == "ticks")
    assert fields is not None
    assert {"bid", "ask", "event_ns", "received_ns", "trade_id"} <= fields
    assert "bid_size" not in fields
