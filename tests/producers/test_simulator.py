"""The simulator is a function of its seed, and its market has what a market has."""

import itertools
from collections import Counter

from producers import simulator
from schemas import Connect, DeadLetter, Heartbeat, Record, Tick
from tests.producers.venue import START_NS

SYMBOLS = ["ETH-USD", "BTC-USD"]


def some(count: int, seed: int = 0) -> list[Record]:
    return list(itertools.islice(simulator.records(SYMBOLS, START_NS, seed), count))


def test_the_same_seed_gives_the_same_frames_and_another_gives_others() -> None:
    first, again, other = (list(itertools.islice(simulator.frames(SYMBOLS, START_NS, seed), 500)) for seed in (7, 7, 8))
    assert first == again != other


def test_every_frame_passes_the_parser_and_receipt_never_goes_back() -> None:
    records = some(30_000)
    assert not [record for record in records if isinstance(record, DeadLetter)]
    received = [record.received_ns for record in records if isinstance(record, Tick | Heartbeat)]
    assert received == sorted(received)
    assert {record.instrument for record in records if isinstance(record, Connect)} == {
        "simulator:ETH-USD",
        "simulator:BTC-USD",
    }


def test_there_are_bursts_quiet_stretches_jumps_and_stalls() -> None:
    ticks = [record for record in some(60_000) if isinstance(record, Tick) and record.instrument.endswith("ETH-USD")]
    waits = [(later.event_ns - earlier.event_ns) / 1e9 for earlier, later in itertools.pairwise(ticks)]
    missed = Counter(later.trade_id - earlier.trade_id for earlier, later in itertools.pairwise(ticks))
    moves = sorted(abs(later.bid / earlier.bid - 1) for earlier, later in itertools.pairwise(ticks))
    assert sum(wait < 0.003 for wait in waits) > len(waits) / 20
    assert sum(wait > 2.0 for wait in waits) > 10
    assert moves[-1] > 20 * moves[len(moves) // 2] > 0
    assert missed[1] > 0.99 * len(waits)
    assert max(missed) > 1
