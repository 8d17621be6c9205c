import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.online.levels import NOTHING, Levels, Unusable
from processors.online.order_book import CUT_AT, OrderBook

Side = dict[int, int]  # size by price
LARGEST = 2**63 - 1
CHANGES = st.lists(
    st.lists(st.tuples(st.integers(1, 250), st.sampled_from([0, 0, 1, 7, 9])), min_size=1, max_size=8), max_size=40
)


def flat(levels: list[tuple[int, int]]) -> np.ndarray:
    return np.array(levels, np.int64).reshape(-1)


def levels(bids: list[tuple[int, int]], asks: list[tuple[int, int]], decimals: tuple[int, int] = (0, 0)) -> Levels:
    return Levels(*decimals, flat(bids), flat(asks))


def held(book: OrderBook, side: int) -> list[tuple[int, int]]:
    """A side's levels, best first."""
    keys, sizes = book.sides[side, :, : book.counts()[side]].tolist()
    return [(abs(key), size) for key, size in zip(keys, sizes, strict=True)][::-1]


@settings(max_examples=300)
@given(
    start=st.sets(st.integers(1, 250), max_size=250),
    changes=CHANGES,
    limit=st.sampled_from([3, 10, 120, 1_000]),
    side=st.sampled_from([0, 1]),
    cut=st.booleans(),
    restarts=st.sets(st.integers(0, 40), max_size=4),
)
def test_what_a_book_holds_are_always_the_venues_best_levels_without_a_hole(
    start: set[int], changes: list[list[tuple[int, int]]], limit: int, side: int, cut: bool, restarts: set[int]
) -> None:
    venue: Side = {price: 1 + price % 5 for price in start}
    first = sorted(venue.items(), reverse=side == 0)
    shown = first[:CUT_AT] if cut else first
    book = OrderBook(limit, levels(shown, []) if side == 0 else levels([], shown))
    whole = len(shown) == len(first) and (len(shown) == 0 or len(shown) % CUT_AT > 0)
    for number, changed in enumerate(changes):
        for price, size in changed:
            venue[price] = size
            if not size:
                del venue[price]
        book.apply(levels(changed, []) if side == 0 else levels([], changed))
        truth = sorted(venue.items(), reverse=side == 0)
        ours = held(book, side)
        assert ours == truth[: len(ours)]
        assert len(ours) <= limit
        assert ours == truth or not (whole and limit == 1_000)
        if number in restarts:
            book = OrderBook.restored(limit, book.snapshot())
            assert held(book, side) == ours


@given(
    st.lists(st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST)), max_size=30, unique_by=lambda level: level[0])
)
def test_a_snapshot_holds_any_numbers(bids: list[tuple[int, int]]) -> None:
    book = OrderBook(1_000, levels(bids, []))
    again = OrderBook.restored(1_000, book.snapshot())
    assert held(again, 0) == held(book, 0) == sorted(bids, reverse=True)
    assert again.agrees(book)


def test_a_book_that_does_not_fit_with_more_decimals_stays_as_it_is() -> None:
    book = OrderBook(10, levels([(LARGEST // 10, 5)], []))
    with pytest.raises(Unusable, match="do not fit into 64 bits"):
        book.refine(2, 0)
    assert (held(book, 0), book.price_decimals) == ([(LARGEST // 10, 5)], 0)
    book.refine(1, 0)
    assert held(book, 0) == [(LARGEST // 10 * 10, 5)]


@pytest.mark.parametrize("decimals", [(19, 0), (0, 19), (31, 0), (0, -1)])
def test_decimals_that_no_number_can_have_are_refused(decimals: tuple[int, int]) -> None:
    with pytest.raises(Unusable):
        OrderBook(10, levels([(99, 5)], [])).apply(levels([(1, 1)], [], decimals))


def test_a_change_that_no_size_can_have_made_is_wrong_and_does_not_wrap_around() -> None:
    for change in (-(2**63), LARGEST, -LARGEST):
        book = OrderBook(10, levels([(99, 5)], []))
        with pytest.raises(Unusable):
            book.apply(Levels(0, 0, flat([(99, LARGEST)]), NOTHING, np.array([change]), NOTHING))


def test_books_agree_as_far_as_both_are_known() -> None:
    bids = [(1_000 - number, 1) for number in range(150)]
    whole, cut = OrderBook(1_000, levels(bids, [])), OrderBook(1_000, levels(bids[:CUT_AT], []))
    assert whole.agrees(cut)
    assert cut.agrees(whole)
    whole.apply(levels([(901, 0)], []))
    assert not whole.agrees(cut)
    whole.apply(levels([(901, 1), (900, 8)], []))
    assert cut.agrees(whole)
