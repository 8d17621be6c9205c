"""Several links seen as one: every trade once, every book's chain without a break while any link holds it."""

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.chains import Chains, connect, skips
from producers.merging import Merge
from schemas import Bar, Connect, DeadLetter, Depth, Heartbeat, Mark, Market, Record, Tick, Trade
from schemas.levels import packed, unpacked

INSTRUMENT = "v:S"


def trade(number: int, received_ns: int = 0) -> Trade:
    return Trade(INSTRUMENT, number, received_ns, 1.0, 2.0, "buy", number, number, number)


def tick(sequence: int, trade_id: int, bid: float = 1.0, received_ns: int = 0) -> Tick:
    return Tick(INSTRUMENT, 5, received_ns, bid, 2.0, 1.0, 1.0, 0.0, 0.0, "", sequence, trade_id)


def deal(size: float, received_ns: int) -> Trade:
    return Trade(INSTRUMENT, 5, received_ns, 1.0, size, "buy", 0, 0, 0)


def begun(cause: str = "start", instrument: str = INSTRUMENT) -> Connect:
    return Connect(instrument, 0, "v", cause)


def depth(kind: str, first: int, last: int, previous: int = -1, cause: str = "", levels: bytes = b"") -> Depth:
    return Depth(INSTRUMENT, last, last, kind, cause, first, last, previous, 0, 0, levels, b"", b"", b"", 0, 0, False)


def merged(events: Sequence[tuple[int, Record]], shared: bool = True) -> list[Record]:
    """What comes of records by link, both links being open from the start."""
    merge = Merge(shared)
    merge.open(0)
    merge.open(1)
    return [record for link, record in events for record in merge.take(link, [record])]


def test_one_link_passes_as_it_is_repeats_included() -> None:
    merge = Merge()
    merge.open(0)
    records = [begun(), trade(1), trade(1), depth("delta", 5, 6), tick(0, 0), tick(0, 0)]
    assert merge.take(0, records) == records


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 12)), max_size=40))
def test_of_two_links_each_trade_comes_once_and_in_the_order_of_its_first_coming(events: list[tuple[int, int]]) -> None:
    seen = [number for number, _ in itertools.groupby(sorted({number for _, number in events}))]
    once = [(link, number) for place, (link, number) in enumerate(events) if (link, number) not in events[:place]]
    found = merged([(link, trade(number, place)) for place, (link, number) in enumerate(once)])
    numbers = [record.trade_id for record in found if isinstance(record, Trade)]
    assert numbers == list(dict.fromkeys(number for _, number in once))
    assert sorted(numbers) == seen


@given(st.integers(1, 20), st.integers(1, 30), st.lists(st.integers(0, 1), min_size=80, max_size=80), st.booleans())
def test_trades_keep_the_order_of_their_ids_whichever_link_is_ahead(
    end: int, begin: int, turns: list[int], dies: bool
) -> None:
    left = {0: list(range(1, end if dies else 41)), 1: list(range(begin, 41))}
    merge = Merge()
    merge.open(0)
    found = merge.take(0, [begun(), *map(trade, left[0][:1])])
    left[0] = left[0][1:]
    merge.open(1)
    found += merge.take(1, [begun()])
    for link in [*turns, *[0] * 40]:
        if left[link]:
            found += merge.take(link, [trade(left[link].pop(0))])
    if dies:
        found += merge.close(0, "disconnect", 99)
    for number in left[1]:
        found += merge.take(1, [trade(number)])
    numbers = [record.trade_id for record in found if isinstance(record, Trade)]
    assert numbers == sorted({*range(1, end if dies else 41), *range(begin, 41)})


@pytest.mark.parametrize(
    ("first", "again", "other"),
    [
        (tick(7, 3), tick(7, 3, bid=1.5), tick(8, 3)),
        (tick(0, 0), tick(0, 0, received_ns=9), tick(0, 0, bid=1.5)),
        (
            Bar("v:S", 60, 61, 60, 1.0, 2.0, 0.5, 1.5, 9.0, 0.0, 3, 0.0),
            Bar("v:S", 60, 65, 60, 1.0, 2.0, 0.5, 1.5, 9.5, 0.0, 4, 0.0),
            Bar("v:S", 60, 61, 300, 1.0, 2.0, 0.5, 1.5, 9.0, 0.0, 3, 0.0),
        ),
        (deal(2.0, received_ns=1), deal(2.0, received_ns=2), deal(3.0, received_ns=1)),
        (Mark("v:S", 5, 6, 1.0, 1.0, 0.0, 9), Mark("v:S", 5, 7, 1.0, 1.0, 0.0, 9), Mark("v:S", 6, 6, 1.0, 1.0, 0.0, 9)),
    ],
    ids=["tick", "quote", "bar", "trade without an id", "mark"],
)
def test_what_makes_a_record_the_same(first: Record, again: Record, other: Record) -> None:
    assert merged([(0, first), (1, again), (1, other), (0, other)]) == [first, other]


def test_heartbeats_and_dead_letters_pass_from_every_link() -> None:
    beat, letter = Heartbeat(INSTRUMENT, 1, 1, 1, 1), DeadLetter("v", 1, -1, -1, "v", "why", b"", b"", 0, 0)
    assert merged([(0, beat), (1, beat), (0, letter), (1, letter)]) == [beat, beat, letter, letter]


def test_heartbeats_of_a_link_that_is_ahead_wait_for_its_trades() -> None:
    ahead, level = Heartbeat(INSTRUMENT, 1, 1, 1, 9), Heartbeat(INSTRUMENT, 1, 1, 1, 7)
    events: list[tuple[int, Record]] = [
        (0, begun()),
        (0, trade(7)),
        (1, begun()),
        (1, trade(9)),
        (1, ahead),
        (0, level),
    ]
    assert merged([*events, (0, trade(8)), (1, ahead)]) == [begun(), trade(7), level, trade(8), trade(9), ahead]


def test_memory_is_bounded() -> None:
    merge = Merge(capacity=100)
    merge.open(0)
    merge.open(1)
    for number in range(10_000):
        merge.take(number % 2, [trade(number)])
    assert len(merge._seen) == len(merge._order) == 100


def test_a_connect_passes_when_nothing_has_the_instrument_and_tells_what_ended_the_last_that_had() -> None:
    merge = Merge()
    merge.open(0)
    merge.open(1)
    assert merge.take(0, [begun()]) == [begun()]
    assert merge.take(1, [begun("stall")]) == []
    assert merge.close(0, "disconnect", 9) == []  # the other goes on
    assert merge.take(0, [begun("disconnect")]) == []
    merge.close(0, "error", 10)
    merge.close(1, "stall", 11)
    assert merge.take(0, [begun("error")]) == [begun("stall")]


def test_a_connect_that_says_anew_how_much_silence_is_normal_passes_once() -> None:
    silent = msgspec.structs.replace(begun(), quiet_ms=2**40)
    assert merged([(0, begun()), (1, begun()), (0, silent), (1, silent)]) == [begun(), silent]


def test_what_is_covered_can_be_handed_over_and_quiet_instruments_go_along() -> None:
    merge = Merge()
    merge.open(0)
    merge.take(0, [begun(), begun(instrument="v:QUIET")])
    merge.open(1)
    merge.take(1, [begun()])
    assert not merge.covers(0, 1)
    merge.hand_over(0, 1)
    assert merge.covers(0, 1)
    merge.close(0, "disconnect", 9)
    quiet = msgspec.structs.replace(trade(7), instrument="v:QUIET")
    assert merge.take(1, [begun(instrument="v:QUIET"), quiet]) == [quiet]


def test_a_resolved_market_is_forgotten() -> None:
    merge = Merge()
    merge.open(0)
    merge.take(0, [begun(), depth("snapshot", 1, 1)])
    names = ("resolved", "Up", "", "", 0.0, 0.0, 0.0, 0, 0, "", "won", "")
    merge.take(0, [Market(INSTRUMENT, 1, 1, *names)])
    assert merge.close(0, "disconnect", 9) == []


# Books. A venue counts updates from 1; update n sets level n % 5 to n. A link's messages hold runs of updates.


def book(updates: range) -> bytes:
    return packed([(number % 5, number) for number in updates])


def snapshot(upto: int) -> Depth:
    return depth("snapshot", upto, upto, levels=book(range(max(upto - 4, 1), upto + 1)))


def delta(first: int, last: int) -> Depth:
    return depth("delta", first, last, levels=book(range(first, last + 1)))


def applied(records: Sequence[Record]) -> tuple[dict[int, int], int, int]:
    """The book that a naive reader makes of records, how far it has come, and how often it knew nothing."""
    levels: dict[int, int] = {}
    last, breaks = -1, 0
    for record in records:
        assert isinstance(record, Depth)
        match record.kind:
            case "connect":
                levels, last, breaks = {}, -1, breaks + 1
                continue
            case "snapshot":
                levels = {}
            case "delta":
                assert last >= 0
                assert not skips(last, record)
                assert record.last_sequence > last
        levels |= dict(unpacked(record.bids).tolist())
        last = record.last_sequence
    return levels, last, breaks


@st.composite
def runs(draw: st.DrawFn, begin: int, end: int) -> list[Depth]:
    """The messages of one link from a snapshot on: the venue's updates, cut anywhere."""
    cuts = sorted({*draw(st.lists(st.integers(begin + 1, end), max_size=12)), end})
    firsts = [begin + 1, *(cut + 1 for cut in cuts[:-1])]
    return [snapshot(begin), *(delta(first, last) for first, last in zip(firsts, cuts, strict=True) if first <= last)]


@given(st.data())
def test_the_chain_goes_on_over_the_end_of_a_link_wherever_the_other_stands(data: st.DataObject) -> None:
    old = data.draw(runs(data.draw(st.integers(0, 10)), data.draw(st.integers(20, 40))))
    heir = data.draw(runs(data.draw(st.integers(0, 45)), 50))
    merge = Merge(shared_sequences=True)
    merge.open(0)
    found = merge.take(0, [depth("connect", 0, 0, cause="start")])
    merge.open(1)
    found += merge.take(0, old[:1])
    left = {0: old[1:], 1: heir}
    began = False
    while left[0]:
        link = data.draw(st.integers(0, 1)) if left[1] else 0
        began = began or link == 1
        found += merge.take(link, [left[link].pop(0)])
        covered = merge.covers(0, 1)
        assert not covered or began
    found += merge.close(0, "disconnect", 99)
    for message in left[1]:
        found += merge.take(1, [message])
    levels, last, breaks = applied(found)
    assert last == 50
    assert levels == {number % 5: number for number in range(46, 51)}
    assert breaks == 1 + (not began)


def test_the_last_link_of_a_book_says_so_at_once_when_it_ends() -> None:
    merge = Merge(shared_sequences=True)
    merge.open(0)
    merge.take(0, [begun(), depth("connect", 0, 0, cause="start"), snapshot(5)])
    assert merge.close(0, "stall", 99) == [connect(INSTRUMENT, "stall", 99)]
    assert merge.close(0, "stall", 100) == []
    assert merge.take(0, [depth("connect", 0, 0, cause="start")]) == [depth("connect", 0, 0, cause="stall")]


def test_a_link_that_skips_leaves_the_chain_to_the_other_and_needs_a_snapshot() -> None:
    chains = Chains(shared=True)
    for link in (0, 1):
        chains.take(link, snapshot(5), True)
    assert chains.take(0, delta(8, 9), True) == []
    assert (chains.asked_of(1), chains.asked_of(0), chains.asked_of(0)) == ([], ["S"], [])
    assert chains.take(1, delta(6, 9), True) == [delta(6, 9)]
    assert chains.take(0, delta(10, 11), True) == []
    assert chains.take(0, snapshot(9), True) == []
    assert chains.take(0, delta(10, 12), True) == [delta(10, 12)]


def test_a_skip_of_the_only_link_passes_for_the_book_stage_to_see() -> None:
    chains = Chains(shared=True)
    chains.take(0, snapshot(5), True)
    assert chains.take(0, delta(8, 9), True) == [delta(8, 9)]


def test_a_book_found_wrong_begins_anew_with_the_next_snapshot_of_any_link() -> None:
    chains = Chains(shared=True)
    for link in (0, 1):
        chains.take(link, snapshot(5), True)
    chains.broken(INSTRUMENT)
    assert chains.take(0, delta(6, 7), True) == []
    assert chains.take(1, snapshot(8), True) == [snapshot(8)]
    assert chains.take(0, delta(8, 9), True) == []
    assert chains.snapshot_ns(INSTRUMENT) == 8


def test_where_each_connection_counts_for_itself_the_newest_snapshot_leads_and_its_end_asks_the_other() -> None:
    found = merged(
        [
            (0, depth("connect", 0, 0, cause="start")),
            (0, depth("snapshot", 1, 1)),
            (0, depth("delta", 2, 2, 1)),
            (1, depth("connect", 0, 0, cause="start")),
            (0, depth("delta", 3, 3, 2)),
            (1, depth("snapshot", 1, 1)),
            (0, depth("delta", 4, 4, 3)),
            (1, depth("delta", 2, 2, 1)),
        ],
        shared=False,
    )
    assert [(record.kind, record.last_sequence) for record in found if isinstance(record, Depth)] == [
        ("connect", 0), ("snapshot", 1), ("delta", 2), ("delta", 3), ("snapshot", 1), ("delta", 2),
    ]  # fmt: skip
    chains = Chains(shared=False)
    for link in (0, 1):
        chains.take(link, depth("connect", 0, 0), True)
        chains.take(link, depth("snapshot", 1, 1), True)
    assert chains.covers(0, 1)
    assert not chains.covers(1, 0)
    assert chains.close(1, "stall", 9) == [connect(INSTRUMENT, "stall", 9)]
    assert chains.asked_of(0) == ["S"]
    assert chains.take(0, depth("delta", 2, 2, 1), True) == []
    assert chains.take(0, depth("snapshot", 2, 2), True) == [depth("snapshot", 2, 2)]
