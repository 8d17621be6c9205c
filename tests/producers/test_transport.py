"""The websocket shell against a venue on this machine that drops, stalls, repeats, reorders, refuses and sends junk."""

import asyncio
import contextlib
import itertools
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidURI

from producers import frames
from producers.backoff import Backoff
from producers.coinbase import Coinbase
from producers.coinbase_level2 import CoinbaseLevel2
from producers.feed import Feed
from producers.simulator import timestamp
from producers.transport import Transport
from schemas import Clock, Connect, DeadLetter, Depth, Heartbeat, Record, Tick
from tests.loopback import Close, Drop, Loopback, Pause, Refuse, Script
from tests.producers import venue
from tests.producers.running import QUICK
from tests.waiting import PATIENCE_S, until_true

CONFIRMED = venue.subscriptions("ETH-USD")


def ticker(trade_id: int, **fields: Any) -> str:
    return venue.ticker(trade_id, **{"time": timestamp(time.time_ns())} | fields)


def heartbeat(last_trade_id: int) -> str:
    return json.dumps(json.loads(venue.heartbeat(last_trade_id)) | {"time": timestamp(time.time_ns())})


def run(script: Script, until: Callable[[list[Record]], bool], **options: Any) -> tuple[list[Record], Loopback]:
    """The records of a feed run against a script until they suffice."""
    return asyncio.run(_run(script, until, **options))


async def _run(
    script: Script, until: Callable[[list[Record]], bool], make: type[Feed] = Coinbase, **options: Any
) -> tuple[list[Record], Loopback]:
    records: list[Record] = []
    async with Loopback(script) as loopback:
        settings: dict[str, Any] = {"backoff": QUICK, "clock_interval_ns": 0, "url": loopback.url} | options
        transport = Transport(make, ["ETH-USD"], records.append, **settings)
        running = asyncio.create_task(transport.run())
        try:
            await until_true(lambda: until(records), running)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    return records, loopback


def told(records: list[Record]) -> list[str]:
    """What came, in a word each: a connect's cause, a trade's id, a refusal's reason."""
    words = []
    for record in records:
        match record:
            case Connect():
                words.append(record.cause)
            case Tick():
                words.append(str(record.trade_id))
            case DeadLetter():
                words.append(record.reason)
            case _:
                words.append(type(record).__name__)
    return words


def trade(trade_id: int) -> Callable[[list[Record]], bool]:
    return lambda records: any(isinstance(record, Tick) and record.trade_id == trade_id for record in records)


def test_it_subscribes_at_once_and_passes_on_what_comes() -> None:
    records, loopback = run([[CONFIRMED, ticker(1), heartbeat(1), ticker(2)]], trade(2))
    assert told(records) == ["start", "1", "Heartbeat", "2"]
    assert loopback.requests == [Coinbase().subscribe(["ETH-USD"])]


def test_a_connection_that_ends_in_mid_message_comes_again_and_nothing_is_taken_twice() -> None:
    script: Script = [[CONFIRMED, ticker(1), ticker(2), Drop(ticker(3))], [CONFIRMED, ticker(2), ticker(5)]]
    records, loopback = run(script, trade(5))
    assert told(records) == ["start", "1", "2", "disconnect", "repeated: ETH-USD sequence 1006 trade_id 2", "5"]
    assert len(loopback.attempts) == 2


def test_a_proper_close_comes_again_too() -> None:
    records, _ = run([[CONFIRMED, ticker(1), Close()], [CONFIRMED, ticker(2)]], trade(2))
    assert told(records) == ["start", "1", "disconnect", "2"]


def test_a_silent_venue_is_given_up_as_a_stall() -> None:
    began = time.monotonic()
    records, _ = run([[CONFIRMED, ticker(1)], [CONFIRMED, ticker(2)]], trade(2), silence_s=0.6)
    assert told(records) == ["start", "1", "stall", "2"]
    assert 0.6 <= time.monotonic() - began < Coinbase.silence_s


def test_heartbeats_are_enough_to_be_no_stall() -> None:
    beats = [action for _ in range(13) for action in (heartbeat(1), Pause(0.1))]
    records, loopback = run([[CONFIRMED, *beats, ticker(2)]], trade(2), silence_s=1.0)
    assert told(records)[0] == "start"
    assert len(loopback.attempts) == 1


def test_repeated_reordered_and_junk_frames_pass_or_are_refused_and_the_stream_goes_on() -> None:
    first, second, third = ticker(1), ticker(2), ticker(3)
    script: Script = [[CONFIRMED, second, first, first, "{junk", b"\xff\x00", ticker(9, best_bid="NaN"), third]]
    records, loopback = run(script, trade(3))
    words = told(records)
    assert words[:4] == ["start", "2", "1", "repeated: ETH-USD sequence 1003 trade_id 1"]
    assert [word.split(":")[0] for word in words[4:6]] == ["unreadable", "unreadable"]
    assert words[6:] == ["best_bid 'NaN' is not a non-negative number", "3"]
    letters = [record for record in records if isinstance(record, DeadLetter)]
    assert [letter.payload for letter in letters[1:3]] == [b"{junk", b"\xff\x00"]
    assert len(loopback.attempts) == 1


def test_a_message_of_5_megabytes_is_refused_with_its_first_4_and_the_stream_goes_on() -> None:
    junk = "x" * 5_000_000
    records, loopback = run([[CONFIRMED, junk, ticker(1)]], trade(1))
    (letter,) = (record for record in records if isinstance(record, DeadLetter))
    assert (letter.size, len(letter.payload)) == (5_000_000, 4 * 1024 * 1024)
    assert told(records)[-1] == "1"
    assert len(loopback.attempts) == 1


def test_a_venue_that_accepts_and_drops_sees_no_more_than_one_attempt_a_second() -> None:
    class Impatient(Backoff):  # the luckiest draws there can be
        def wait_s(self, failures: int, chance: Callable[[], float] = lambda: 0.0) -> float:
            return 0.0

    async def attempts() -> list[float]:
        async with Loopback([[Drop()]]) as loopback:
            options: dict[str, Any] = {"url": loopback.url, "clock_interval_ns": 0, "backoff": Impatient()}
            transport = Transport(Coinbase, ["ETH-USD"], lambda record: None, **options)
            running = asyncio.create_task(transport.run())
            await until_true(lambda: len(loopback.attempts) == 4, running)
            running.cancel()
            return loopback.attempts

    began = asyncio.run(attempts())
    # A second apart for us; the venue may hear of one later than of the next.
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(began))


def test_the_wait_grows_while_connections_die_young_and_starts_again_after_a_steady_one() -> None:
    bounds: list[float] = []

    class Watched(Backoff):
        def wait_s(self, failures: int, chance: Callable[[], float] = lambda: 0.0) -> float:
            bounds.append(super().wait_s(failures, lambda: 1.0))
            return 0.0

    steady = [CONFIRMED, *(action for _ in range(4) for action in (heartbeat(1), Pause(0.3))), Drop()]
    script: Script = [[Drop()], [Drop()], Refuse(503), steady, [Drop()], [CONFIRMED, ticker(1)]]
    records, _ = run(script, trade(1), backoff=Watched(base_s=1.0, cap_s=6.0, steady_s=1.0, spacing_s=0.01))
    assert bounds == [2.0, 4.0, 6.0, 1.0, 2.0]
    assert told(records)[-2:] == ["disconnect", "1"]


@pytest.mark.parametrize("status", [403, 418, 429])
def test_a_venue_that_says_stop_is_left_alone_for_long(status: int) -> None:
    script: Script = [Refuse(status), [CONFIRMED, ticker(1)]]
    records, loopback = run(script, trade(1), backoff=Backoff(base_s=0.001, cap_s=0.8, spacing_s=0.0))
    assert loopback.attempts[1] - loopback.attempts[0] >= 0.4
    assert told(records) == ["start", "1"]


def test_retry_after_is_obeyed() -> None:
    script: Script = [Refuse(429, retry_after="1"), [CONFIRMED, ticker(1)]]
    _, loopback = run(script, trade(1))
    assert loopback.attempts[1] - loopback.attempts[0] >= 1.0


def test_an_error_message_of_the_venue_brings_a_new_connection() -> None:
    error = json.dumps({"type": "error", "message": "slow consumer"})
    records, _ = run([[CONFIRMED, ticker(1), error, ticker(8)], [CONFIRMED, ticker(2)]], trade(2))
    assert told(records) == ["start", "1", "venue says: slow consumer: ", "error", "2"]


def test_the_cause_is_that_of_the_last_connection_that_brought_anything() -> None:
    script: Script = [[CONFIRMED, ticker(1)], [Drop()], Refuse(500), [CONFIRMED, ticker(2)]]
    records, _ = run(script, trade(2), silence_s=0.6)
    assert told(records) == ["start", "1", "stall", "2"]


def test_a_book_that_breaks_is_taken_anew() -> None:
    def book(bid: str) -> str:
        levels = {"bids": [[bid, "1"]], "asks": [["10.1", "1"]]}
        return json.dumps({"type": "snapshot", "product_id": "ETH-USD"} | levels)

    crossing = {"type": "l2update", "product_id": "ETH-USD", "changes": [["buy", "10.2", "1"]]}
    crossed = json.dumps(crossing | {"time": timestamp(time.time_ns())})
    records, _ = run(
        [[book("10.0"), crossed], [book("9.9")]],
        lambda records: sum(isinstance(record, Tick) for record in records) == 2,
        make=CoinbaseLevel2,
    )
    records = [record for record in records if not isinstance(record, Depth)]
    assert told(records)[0] == "start"
    assert told(records)[2].startswith("crossed: ETH-USD")
    assert told(records)[3] == "sequence"
    assert [(record.bid, record.ask) for record in records if isinstance(record, Tick)] == [(10.0, 10.1), (9.9, 10.1)]


def test_clocks_run_through_outages_and_stand_after_what_had_come() -> None:
    script: Script = [[CONFIRMED, ticker(1), Drop()], Refuse(503), [CONFIRMED, ticker(2)]]
    began_ns = time.time_ns()
    records, _ = run(
        script,
        lambda records: trade(2)(records) and sum(isinstance(record, Clock) for record in records) > 40,
        clock_interval_ns=10_000_000,
    )
    clocks = [record.event_ns for record in records if isinstance(record, Clock)]
    assert clocks == sorted(set(clocks))
    assert all(clock % 10_000_000 == 0 and clock > began_ns - 10_000_000 for clock in clocks)
    latest = 0
    for record in records:
        if isinstance(record, Clock):
            latest = record.event_ns
        elif isinstance(record, Tick):
            assert record.received_ns >= latest


def test_an_emit_that_blocks_loses_nothing_and_is_no_stall() -> None:
    taken: list[int] = []

    def slow(record: Record) -> None:
        if isinstance(record, Tick):
            time.sleep(0.004)
            taken.append(record.trade_id)

    async def all_of_them() -> int:
        async with Loopback([[CONFIRMED, *map(ticker, range(500))]]) as loopback:
            options: dict[str, Any] = {"url": loopback.url, "silence_s": 0.5, "clock_interval_ns": 0, "backoff": QUICK}
            transport = Transport(Coinbase, ["ETH-USD"], slow, **options)
            running = asyncio.create_task(transport.run())
            await until_true(lambda: len(taken) == 500, running)
            running.cancel()
            return len(loopback.attempts)

    assert asyncio.run(all_of_them()) == 1
    assert taken == list(range(500))


@pytest.mark.parametrize("error", [LookupError, OSError, TimeoutError])
def test_what_emit_raises_ends_the_run_and_is_not_taken_for_a_lost_connection(error: type[Exception]) -> None:
    def broken(_record: Record) -> None:
        raise error("no room at all")

    async def attempt() -> None:
        async with Loopback([[CONFIRMED]]) as loopback:
            transport = Transport(Coinbase, ["ETH-USD"], broken, url=loopback.url, clock_interval_ns=0)
            await asyncio.wait_for(transport.run(), PATIENCE_S)

    with pytest.raises(error, match="no room"):
        asyncio.run(attempt())


def test_an_address_that_is_none_is_said_at_once() -> None:
    transport = Transport(Coinbase, ["ETH-USD"], lambda record: None, url="nonsense")
    with pytest.raises(InvalidURI, match="nonsense"):
        asyncio.run(transport.run())


def test_cancelling_closes_the_connection_in_order() -> None:
    async def ended() -> int | None:
        async with Loopback([[CONFIRMED, ticker(1)]]) as loopback:
            seen = asyncio.Event()
            emit: Callable[[Record], None] = lambda record: seen.set()  # noqa: E731
            running = asyncio.create_task(Transport(Coinbase, ["ETH-USD"], emit, url=loopback.url).run())
            await asyncio.wait_for(seen.wait(), PATIENCE_S)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await until_true(lambda: bool(loopback.closes))
            return loopback.closes[0]

    assert asyncio.run(ended()) == 1000


def test_a_kept_recording_replays_to_the_same_records(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "day.jsonl.zst"
    script: Script = [
        [CONFIRMED, ticker(1), "{junk", heartbeat(1), Drop(ticker(2))],
        [Drop()],
        [ticker(1), ticker(3)],
        [CONFIRMED, ticker(4)],
    ]
    with frames.Recorder(path) as recorder:
        records, _ = run(script, trade(4), recorder=recorder, silence_s=0.3)
    assert list(frames.records(path, Coinbase)) == records
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "disconnect", "stall"]
    assert any(isinstance(record, Heartbeat) for record in records)
