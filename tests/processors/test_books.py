import subprocess
import sys
from typing import Any

import msgspec
import pytest

from processors.books import BookOptions, Books
from processors.chain import EventChain
from schemas import Book, Depth, Gap, Record, Rejected, Resync, Top
from schemas.levels import packed, packed_changes, unpacked
from tests.data import ROOT
from tests.streams import MILLISECOND, NOON, SECOND

ETH = "x:ETH-USD"
BIDS, ASKS = [(99, 5), (98, 7), (97, 1)], [(101, 2), (102, 4), (103, 9)]
Levels = list[tuple[int, int]]


def depth(kind: str, at_ms: float, bids: Levels = (), asks: Levels = (), **changed: Any) -> Depth:  # type: ignore[assignment]
    fields = {
        "instrument": ETH,
        "event_ns": NOON + int(at_ms * MILLISECOND),
        "received_ns": NOON + int(at_ms * MILLISECOND),
        "kind": kind,
        "cause": "",
        "first_sequence": 0,
        "last_sequence": 0,
        "previous_sequence": -1,
        "price_decimals": 0,
        "size_decimals": 0,
        "bids": packed(bids),
        "asks": packed(asks),
        "bid_changes": b"",
        "ask_changes": b"",
        "best_bid": 0,
        "best_ask": 0,
        "verified": False,
    }
    return Depth(**(fields | changed))


def snapshot(at_ms: float = 0, last: int = 10, bids: Levels = BIDS, asks: Levels = ASKS, **changed: Any) -> Depth:
    return depth("snapshot", at_ms, bids, asks, **({"first_sequence": last, "last_sequence": last} | changed))


def delta(at_ms: float, first: int, last: int, bids: Levels = (), asks: Levels = (), **changed: Any) -> Depth:  # type: ignore[assignment]
    return depth("delta", at_ms, bids, asks, **({"first_sequence": first, "last_sequence": last} | changed))


def connect(at_ms: float, cause: str) -> Depth:
    return depth("connect", at_ms, cause=cause)


class Run:
    """A stage and what it said of each event."""

    def __init__(self, *events: Depth, **options: Any) -> None:
        self.stage = Books(ETH, BookOptions(**({"book_every_ms": 1} | options)))
        self.said: list[list[Record]] = [list(self.stage.on_event(event)) for event in events]

    def last(self, kind: type[Record]) -> list[Any]:
        """Records of a kind that the last event has given."""
        return [record for record in self.said[-1] if isinstance(record, kind)]

    def all(self, kind: type[Record]) -> list[Any]:
        return [record for said in self.said for record in said if isinstance(record, kind)]

    def levels(self) -> tuple[Levels, Levels]:
        """The levels of the last Book."""
        book = self.all(Book)[-1]
        bids, asks = ([(price, size) for price, size in unpacked(side).tolist()] for side in (book.bids, book.asks))
        return bids, asks


def broken_by(cause: str, run: Run) -> None:
    """The last event, and no other, has broken the book for this cause."""
    assert [len(said) for said in run.said[1:-1] if any(isinstance(record, Gap) for record in said)] == []
    (top,), (book,), (gap,), (resync,) = (run.last(kind) for kind in (Top, Book, Gap, Resync))
    assert (top.valid, top.bid, top.bid_size, top.ask, top.ask_size) == (False, 0, 0, 0, 0)
    assert (book.valid, book.bids, book.asks) == (False, b"", b"")
    assert book.reason.startswith(f"{cause}: ")
    assert (gap.cause, gap.to_ns, gap.recovered, resync.cause) == (cause, 0, False, cause)


def test_a_snapshot_begins_a_book_and_a_delta_changes_it() -> None:
    run = Run(snapshot(), delta(1, 11, 12, bids=[(99, 0), (96, 3)], asks=[(100, 6)]))
    assert run.levels() == ([(98, 7), (97, 1), (96, 3)], [(100, 6), (101, 2), (102, 4), (103, 9)])
    first, second = run.all(Top)
    assert (first.bid, first.bid_size, first.ask, first.ask_size) == (99.0, 5.0, 101.0, 2.0)
    assert (second.bid, second.ask, second.sequence, second.verified_ns) == (98.0, 100.0, 12, NOON + MILLISECOND)
    assert second.imbalance == pytest.approx(1 / 13)


def test_levels_of_a_snapshot_may_come_in_any_order() -> None:
    assert Run(snapshot(bids=BIDS[::-1], asks=ASKS[::-1])).levels() == (BIDS, ASKS)


def test_a_book_may_be_locked() -> None:
    assert Run(snapshot(), delta(1, 11, 11, bids=[(101, 1)])).all(Top)[-1].valid


@pytest.mark.parametrize(
    ("cause", "event"),
    [
        ("sequence", delta(1, 12, 12, bids=[(99, 4)])),
        ("sequence", delta(1, 12, 13, bids=[(99, 4)], previous_sequence=11)),
        ("crossed", delta(1, 11, 11, bids=[(102, 1)])),
        ("echo", delta(1, 11, 11, bids=[(99, 4)], best_bid=98)),
        ("echo", delta(1, 11, 11, asks=[(101, 0)], best_ask=101)),
        ("change", delta(1, 11, 11, bids=[(99, 4)], bid_changes=packed_changes([-2]))),
        ("change", delta(1, 11, 11, asks=[(104, 4)], ask_changes=packed_changes([3]))),
        ("error", delta(1, 11, 11, bids=[(99, -4)])),
        ("error", delta(1, 11, 11, bids=[(0, 4)])),
        ("error", delta(1, 11, 11, bids=[(2**61, 1)], price_decimals=0, asks=[(1010, 1)])),
        ("error", depth("delta", 1, first_sequence=11, last_sequence=11, bids=packed([(99, 4)])[:-1])),
        ("error", delta(1, 11, 11, bids=[(99, 4)], bid_changes=packed([(99, -1)]))),
        ("error", delta(1, 11, 11, bids=[(99, 4)], size_decimals=-1)),
        ("error", delta(1, 11, 11, bids=[(99, 4)], size_decimals=25)),
        ("error", depth("rumour", 1)),
        ("error", snapshot(1, 11, bids=[(99, 1), (99, 2)])),
        ("crossed", snapshot(1, 12, bids=[(101, 1)], asks=[(100, 1)])),
    ],
)
def test_a_proof_that_fails_takes_the_book_back_at_once(cause: str, event: Depth) -> None:
    fine = snapshot(price_decimals=1 if 2**61 in unpacked(event.bids[: len(event.bids) // 16 * 16]) else 0)
    broken_by(cause, Run(fine, event))


def test_a_lost_update_breaks_only_its_own_symbol() -> None:
    chain = EventChain([Books])
    for kind, at in (("snapshot", 1), ("delta", 2), ("delta", 3), ("delta", 4)):
        for symbol in ("x:a", "x:b"):
            if (symbol, at) == ("x:b", 3):
                continue  # lost
            event = snapshot(at, at) if kind == "snapshot" else delta(at, at, at, bids=[(99, at)])
            made, refused = chain.on_event(msgspec.structs.replace(event, instrument=symbol))
            broken = (symbol, at) == ("x:b", 4)
            assert [record.key for record in made if isinstance(record, Resync)] == ["x:b"] * broken
            assert [record.valid for record in made if isinstance(record, Top)] == [not broken]
            assert not refused


def test_what_is_expected_and_seen_stands_in_the_ledger() -> None:
    (gap,) = Run(snapshot(), delta(1, 11, 12), delta(2, 15, 16)).last(Gap)
    assert (gap.feed, gap.from_ns, gap.expected, gap.seen) == ("x", NOON + MILLISECOND, 13, 15)


def test_nothing_is_said_of_a_broken_book_until_a_snapshot_mends_it_and_closes_the_gap() -> None:
    run = Run(snapshot(), delta(1, 12, 12), delta(2, 13, 13), delta(3, 14, 14), snapshot(4, 14), delta(5, 15, 15))
    assert run.said[2] == run.said[3] == []
    assert sorted(type(record).__name__ for record in run.said[4]) == ["Book", "Gap", "Top"]
    assert run.all(Top)[-1].valid
    opened, closed = run.all(Gap)
    assert (opened.cause, opened.from_ns) == (closed.cause, closed.from_ns) == ("sequence", NOON)
    assert (closed.to_ns, closed.expected, closed.seen, closed.recovered) == (NOON + 4 * MILLISECOND, 11, 14, False)
    assert run.all(Top)[-1].verified_ns == NOON + 4 * MILLISECOND


def test_a_snapshot_is_asked_for_again_while_none_comes() -> None:
    at = (1, 2, 9_999, 10_001, 20_000, 20_001)
    run = Run(snapshot(), *(delta(ms, 12 + number, 12 + number) for number, ms in enumerate(at)))
    assert [bool(said) for said in run.said[1:]] == [True, False, False, True, False, True]
    assert len(run.all(Resync)) == 3


def test_a_log_that_begins_in_the_middle_asks_for_a_snapshot_and_has_no_gap() -> None:
    run = Run(delta(1, 12, 12), delta(2, 13, 13), snapshot(3, 13))
    assert [type(record) for record in run.said[0]] == [Resync]
    assert run.all(Gap) == []
    assert run.all(Top)[-1].valid


def test_the_first_connect_of_all_is_no_gap() -> None:
    assert Run(connect(0, "start"), snapshot(1)).all(Gap) == []


def test_a_connect_takes_the_book_back_until_its_snapshot() -> None:
    run = Run(snapshot(), delta(1, 11, 11, bids=[(99, 4)]), connect(5, "disconnect"), snapshot(9, 20))
    opened, closed = run.all(Gap)
    assert [book.reason for book in run.all(Book)] == ["", "", "disconnect", ""]
    assert (opened.cause, opened.from_ns, opened.to_ns) == ("disconnect", NOON + MILLISECOND, 0)
    assert (closed.cause, closed.to_ns, closed.recovered) == ("disconnect", NOON + 9 * MILLISECOND, False)
    assert run.all(Resync) == []


@pytest.mark.parametrize(("last", "recovered"), [(11, True), (12, False)])
def test_nothing_was_missed_where_the_snapshot_is_as_old_as_what_was_held(last: int, recovered: bool) -> None:
    run = Run(snapshot(), delta(1, 11, 11, bids=[(99, 4)]), connect(5, "disconnect"), snapshot(9, last))
    assert [gap.recovered for gap in run.all(Gap)] == [False, recovered]


def test_a_snapshot_at_the_point_reached_proves_the_book() -> None:
    changed = [(99, 4), *BIDS[1:]]
    run = Run(snapshot(), delta(1, 11, 11, bids=[(99, 4)]), snapshot(9, 11, bids=changed))
    assert run.all(Gap) == []
    assert run.stage.state.verified_ns == NOON + 9 * MILLISECOND


@pytest.mark.parametrize("last", [11, 12])
def test_one_wrong_level_that_a_snapshot_shows_is_a_closed_row_and_is_mended(last: int) -> None:
    run = Run(snapshot(), delta(1, 11, 11, bids=[(99, 4)]), snapshot(9, last, bids=[(99, 4), (98, 7), (97, 2)]))
    (gap,) = run.all(Gap)
    assert (gap.cause, gap.from_ns, gap.to_ns) == ("snapshot", NOON, NOON + 9 * MILLISECOND)
    assert run.levels()[0] == [(99, 4), (98, 7), (97, 2)]
    assert run.all(Top)[-1].valid


def test_a_snapshot_ahead_of_the_chain_shows_what_was_not_seen() -> None:
    (gap,) = Run(snapshot(), delta(1, 11, 12), snapshot(2, 20)).all(Gap)
    assert (gap.cause, gap.expected, gap.seen, gap.to_ns) == ("sequence", 13, 20, NOON + 2 * MILLISECOND)


def test_a_quiet_venue_that_counts_messages_sends_the_same_snapshot_again() -> None:
    run = Run(snapshot(), snapshot(2, 11), snapshot(4, 12))
    assert run.all(Gap) == []
    assert run.stage.state.verified_ns == NOON + 4 * MILLISECOND


def test_an_older_snapshot_and_a_repeated_delta_change_nothing() -> None:
    again = delta(1, 11, 12, bids=[(99, 4)])
    run = Run(snapshot(), again, again, snapshot(2, 11), delta(3, 13, 13, bids=[(99, 3)]))
    assert run.said[2] == run.said[3] == []
    assert run.all(Top)[-1].bid_size == 3.0


def test_the_first_linked_delta_only_reaches_over_the_snapshot_and_the_next_must_follow_it() -> None:
    first = delta(1, 8, 14, bids=[(99, 4)], previous_sequence=7)
    broken_by("sequence", Run(snapshot(), first, delta(2, 15, 16, previous_sequence=13)))
    assert Run(snapshot(), first, delta(2, 22, 23, previous_sequence=14)).all(Gap) == []


def test_only_snapshots_echoes_and_checksums_prove_a_venue_without_ids() -> None:
    whole = snapshot(0, 0)
    for proof in ({"best_bid": 99}, {"best_ask": 101}, {"verified": True}):
        assert Run(whole, delta(1, 0, 0, bids=[(97, 9)], **proof)).stage.state.verified_ns == NOON + MILLISECOND
    assert Run(whole, delta(1, 0, 0, bids=[(97, 9)])).stage.state.verified_ns == NOON


def test_decimals_only_grow_and_the_same_price_stays_the_same_top() -> None:
    finer = delta(1, 11, 11, bids=[(9_650, 12)], price_decimals=2, size_decimals=1)
    run = Run(snapshot(), finer, delta(2, 12, 12, bids=[(98, 6)]))
    book = run.all(Book)[-1]
    assert (book.price_decimals, book.size_decimals) == (2, 1)
    assert run.levels()[0] == [(9_900, 50), (9_800, 60), (9_700, 10), (9_650, 12)]
    assert len(run.all(Top)) == 1
    again = Run(snapshot(), finer, connect(2, "stall"), snapshot(3, 20))
    assert again.levels()[0] == [(9_900, 50), (9_800, 70), (9_700, 10)]


def test_what_cannot_be_read_is_refused_while_no_book_is_held() -> None:
    stage = Books(ETH)
    before = stage.snapshot()
    for event in (depth("rumour", 0), snapshot(bids=[(99, -1)]), snapshot(bids=[(102, 1)])):
        with pytest.raises(Rejected):
            list(stage.on_event(event))
    assert stage.snapshot() == before


def wide(count: int, best: int = 10_000) -> tuple[Levels, Levels]:
    return [(best - number, 1) for number in range(count)], [(best + 1 + number, 1) for number in range(count)]


def test_beyond_a_snapshot_that_was_cut_nothing_is_claimed() -> None:
    bids, asks = wide(100)
    beyond = delta(1, 11, 11, bids=[(9_000, 5)])
    assert Run(snapshot(bids=bids, asks=asks), beyond).stage.state.book.counts() == (100, 100)
    bids, asks = wide(99)
    assert Run(snapshot(bids=bids, asks=asks), beyond).stage.state.book.counts() == (100, 99)


def test_a_new_snapshot_is_asked_for_before_the_market_leaves_the_old_one() -> None:
    bids, asks = wide(100)
    taken = [delta(number, 10 + number, 10 + number, bids=[(bids[number - 1][0], 0)]) for number in range(1, 101)]
    run = Run(snapshot(bids=bids, asks=asks), *taken)
    asked = next(number for number, said in enumerate(run.said) if any(isinstance(record, Resync) for record in said))
    assert asked == 76
    assert all(top.valid for top in run.all(Top)[:-1])
    assert [gap.cause for gap in run.all(Gap)] == ["horizon"]
    assert len(run.all(Resync)) == 2
    assert not run.all(Top)[-1].valid
    mended = Run(snapshot(bids=bids, asks=asks), *taken[:80], snapshot(90, 95, bids=bids[80:], asks=asks))
    assert mended.stage.state.valid
    assert len(mended.all(Resync)) == 1
    assert [(gap.cause, gap.expected, gap.seen) for gap in mended.all(Gap)] == [("horizon", 91, 95)]


def test_a_side_keeps_its_best_levels_and_forgets_the_worst() -> None:
    bids, asks = wide(150)
    run = Run(snapshot(bids=bids, asks=asks), delta(1, 11, 12, asks=[(10_000, 3)], bids=[(10_000, 0)]), levels=100)
    book = run.stage.state.book
    assert book.counts() == (99, 100)
    assert book.best() == (9_999, 1, 10_000, 3)
    more = delta(2, 13, 13, asks=[(10_100, 8), (10_200, 8)], bids=[(9_700, 1)])
    list(run.stage.on_event(more))
    assert book.counts() == (99, 100)


def test_a_book_comes_once_in_a_stretch_and_its_last_state_with_the_next_event() -> None:
    events = [
        snapshot(0),
        *(delta(ms, ms, ms, bids=[(99, 100 + ms)]) for ms in range(11, 15)),
        delta(120, 15, 15),
        delta(300, 16, 16),
    ]
    run = Run(*events, book_every_ms=100)
    assert [(book.event_ns - NOON) // MILLISECOND for book in run.all(Book)] == [0, 120]
    assert run.levels()[0][0] == (99, 114)
    assert len(run.all(Top)) == 5


def test_a_level_far_from_the_best_tells_no_book() -> None:
    bids, asks = wide(50)
    run = Run(
        snapshot(bids=bids, asks=asks), delta(1, 11, 11, bids=[bids[20]]), delta(2, 12, 12, bids=[(bids[20][0], 9)])
    )
    assert len(run.all(Book)) == 1
    assert len(Run(snapshot(bids=bids, asks=asks), delta(1, 11, 11, bids=[(bids[19][0], 9)])).all(Book)) == 2


def test_depth_is_counted_up_to_its_distance_from_the_mid() -> None:
    bids, asks = [(9_999, 2), (9_990, 1), (9_989, 5)], [(10_001, 3), (10_010, 4), (10_011, 7)]
    (book,) = Run(snapshot(bids=bids, asks=asks), depth_bps=10.0).all(Book)
    assert (book.bid_depth, book.ask_depth) == (2 * 9_999 + 9_990, 3 * 10_001 + 4 * 10_010)
    assert book.imbalance == pytest.approx((8 - 14) / 22)


def test_options_that_make_no_sense_are_refused_by_name() -> None:
    for wrong, told in (
        ({"levels": 5}, "levels"),
        ({"book_every_ms": 0}, "book_every_ms"),
        ({"depth_bps": 0}, "depth_bps"),
    ):
        with pytest.raises(ValueError, match=told):
            BookOptions(**wrong)
    assert BookOptions().ask_every_ms * MILLISECOND == 10 * SECOND


def test_once_warm_nothing_is_compiled_for_an_event() -> None:
    code = """
import random
from processors.books import Books
from processors.online import ladder
from schemas import Rejected
from tests.book_venue import STYLES, Venue

def compiled():
    return {name: len(item.signatures) for name, item in vars(ladder).items() if hasattr(item, "signatures")}

Books.warm()
before = compiled()
for style in STYLES:
    venue, stage = Venue("x:a", random.Random(1), style), Books("x:a")
    for event in [venue.snapshot(1), *(venue.delta(number) for number in range(2, 40))]:
        assert list(stage.on_event(event)) is not None
        snapshot, stage = stage.snapshot(), Books("x:a")
        stage.restore(snapshot)
assert compiled() == before, (before, compiled())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
