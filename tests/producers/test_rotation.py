"""The end of a connection that is foretold is no gap and no repeat; what nobody could bridge is said at once."""

import asyncio
import contextlib
import itertools
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from processors.gaps import Gaps
from producers import conversation, frames, rotation
from producers.backoff import Backoff
from producers.transport import Transport
from schemas import Connect, DeadLetter, Depth, Record, Trade
from tests.producers.streamed import INSTRUMENT, Broadcast, Numbers, shutdown
from tests.waiting import PATIENCE_S

QUICK = Backoff(base_s=0.02, cap_s=0.1, spacing_s=0.02)
Play = Callable[[Broadcast, list[Record]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "LINGER_S", 0.15)
    monkeypatch.setattr(conversation, "TICK_S", 0.05)


def run(play: Play, make: type[Numbers] = Numbers, lags_s: tuple[float, ...] = (), **options: Any) -> list[Record]:
    """The records of a feed while ``play`` does things to its venue."""

    async def both() -> list[Record]:
        records: list[Record] = []
        async with Broadcast(lags_s) as venue:
            settings: dict[str, Any] = {"url": venue.url, "fetch_url": venue.fetch_url, "clock_interval_ns": 0}
            transport = Transport(make, ["S"], records.append, backoff=QUICK, **settings, **options)
            running = asyncio.create_task(transport.run())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await until(lambda: len(trades(records)) > 20)
                    await play(venue, records)
                    assert not running.done(), running.exception()
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
        return records

    return asyncio.run(both())


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.005)


async def more(records: list[Record], count: int = 50) -> None:
    had = len(trades(records))
    await until(lambda: len(trades(records)) >= had + count)


def trades(records: list[Record]) -> list[int]:
    return [record.trade_id for record in records if isinstance(record, Trade)]


def causes(records: list[Record]) -> list[str]:
    return [record.cause for record in records if isinstance(record, Connect)]


def chain(records: list[Record]) -> list[str]:
    """The book's messages in words; deltas that carry its chain on as one."""
    words: list[str] = []
    last = -1
    for record in records:
        if not isinstance(record, Depth):
            continue
        if record.kind == "delta":
            assert last >= 0
            assert record.last_sequence > last, "a delta that was there"
            word = "deltas" if record.first_sequence <= last + 1 else "broken"
        else:
            word = record.kind if record.kind == "snapshot" else f"connect {record.cause}"
        last = record.last_sequence if record.kind != "connect" else -1
        words += [word] if words[-1:] != [word] else []
    return words


def whole(records: list[Record]) -> bool:
    """Whether every trade came once and the book's chain never broke while the feed ran."""
    numbers = trades(records)
    ledger = Gaps(INSTRUMENT)
    gaps = [gap for record in records if isinstance(record, Trade | Connect) for gap in ledger.on_event(record)]
    no_gap = numbers == list(range(numbers[0], numbers[-1] + 1)) and not gaps
    ended = ["connect start", "snapshot", "deltas", "connect disconnect"]  # the last is said when the feed is stopped
    return no_gap and causes(records) == ["start"] and chain(records) == ended


class ShortLived(Numbers):
    lifetime_s = 0.4


def test_lives_end_without_gap_or_repeat() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await until(lambda: venue.attempts >= 4)
        await more(records)

    records = run(play, ShortLived)
    assert whole(records)
    assert not [record for record in records if isinstance(record, DeadLetter)]


def test_a_notice_of_the_venue_is_followed_by_a_successor_before_the_end() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await venue.tell(shutdown())
        await until(lambda: venue.attempts == 2 and len(venue.connections) == 1)
        await more(records)

    assert whole(run(play))


@pytest.mark.parametrize("lags_s", [(0.0, 0.1), (0.1, 0.0)], ids=["heir", "old link"])
def test_it_matters_to_nobody_which_of_the_two_is_late(
    lags_s: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "LINGER_S", 1.0)  # on a slow machine the venue, and so its lag, is slower too

    async def play(venue: Broadcast, records: list[Record]) -> None:
        await venue.tell(shutdown())
        await until(lambda: venue.attempts == 2 and len(venue.connections) == 1)
        await more(records)

    assert whole(run(play, lags_s=lags_s))


def test_the_old_link_goes_on_while_its_successor_is_refused() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        venue.refusals = 6
        await venue.tell(shutdown())
        await until(lambda: venue.attempts == 8 and len(venue.connections) == 1)
        await more(records)

    assert whole(run(play))


def test_an_old_link_that_dies_before_its_successor_is_up_leaves_a_gap_that_is_told_at_once() -> None:
    told: list[list[str]] = []

    async def play(venue: Broadcast, records: list[Record]) -> None:
        venue.refusals = 1_000
        await venue.tell(shutdown())
        await until(lambda: venue.refusals < 990)
        venue.drop(0)
        await until(lambda: not venue.connections)
        await asyncio.sleep(0.1)
        told.append(chain(records))
        venue.refusals = 0
        await more(records)

    records = run(play)
    assert told == [["connect start", "snapshot", "deltas", "connect disconnect"]]
    assert causes(records) == ["start", "disconnect"]
    assert chain(records) == [*told[0], "snapshot", "deltas", "connect disconnect"]
    numbers = trades(records)
    assert numbers == sorted(set(numbers))
    assert sum(later != earlier + 1 for earlier, later in itertools.pairwise(numbers)) == 1


def test_a_successor_that_dies_while_it_takes_over_is_tried_again() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await venue.tell(shutdown())
        await until(lambda: len(venue.connections) == 2)
        venue.drop(1)
        await until(lambda: venue.attempts >= 3 and len(venue.connections) == 1)
        await more(records)

    assert whole(run(play))


def test_of_a_pair_one_may_go_at_any_time() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        for _ in range(5):
            for place in (0, 1):
                await until(lambda: len(venue.connections) == 2)
                await more(records)
                venue.drop(place)
        await more(records)

    assert whole(run(play, redundant=True))


def test_of_a_pair_both_may_not() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await until(lambda: len(venue.connections) == 2)
        await more(records)
        venue.refusals = 4
        venue.drop(0)
        venue.drop(1)
        await until(lambda: len(venue.connections) == 2)
        await more(records)

    records = run(play, redundant=True)
    assert causes(records) == ["start", "disconnect"]
    ended = ["connect disconnect", "snapshot", "deltas", "connect disconnect"]
    assert chain(records) == ["connect start", "snapshot", "deltas", *ended]
    assert trades(records) == sorted(set(trades(records)))


def test_a_pair_rotates_one_after_the_other() -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await until(lambda: venue.attempts >= 7)
        await more(records)

    assert whole(run(play, ShortLived, redundant=True))


def test_a_recording_of_several_links_replays_to_the_same_records(tmp_path: pathlib.Path) -> None:
    async def play(venue: Broadcast, records: list[Record]) -> None:
        await until(lambda: venue.attempts >= 4)
        venue.drop(0)
        await more(records)
        venue.refusals = 3
        for _ in venue.connections.copy():
            venue.drop(0)
        await more(records)
        await venue.tell(shutdown())
        await more(records)

    path = tmp_path / "day.jsonl.zst"
    with frames.Recorder(path) as recorder:
        records = run(play, ShortLived, redundant=True, recorder=recorder)
        again = run(play, ShortLived, recorder=recorder)
    assert list(frames.records(path, Numbers)) == records + again


def test_a_resync_brings_a_new_snapshot_once() -> None:
    async def both() -> list[Record]:
        records: list[Record] = []
        async with Broadcast() as venue:
            settings: dict[str, Any] = {"url": venue.url, "fetch_url": venue.fetch_url, "clock_interval_ns": 0}
            transport = Transport(Numbers, ["S"], records.append, backoff=QUICK, **settings)
            running = asyncio.create_task(transport.run())
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: "deltas" in chain(records))
                taken = next(record for record in records if isinstance(record, Depth) and record.kind == "snapshot")
                assert not transport.resync("numbers:S", taken.event_ns - 1)  # older than the snapshot
                assert not transport.resync("numbers:OTHER", taken.event_ns + 1)
                assert transport.resync("numbers:S", taken.event_ns + 1)
                assert not transport.resync("numbers:S", taken.event_ns + 2)  # so soon again
                await until(lambda: chain(records).count("snapshot") == 2)
                await more(records)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return records

    ended = ["snapshot", "deltas", "connect disconnect"]
    assert chain(asyncio.run(both())) == ["connect start", "snapshot", "deltas", *ended]
