"""Items come out in the order of their ids, each once, with nothing lost that the venue offers again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.feed import Repeated
from producers.refill import ANSWER_NS, LAG_NS, PATIENCE_NS, TRIES, Missing, Refill


def begun(latest: int = 10, page: int = 100, capacity: int = 100) -> Refill[int]:
    return Refill({"A": latest}, "A", page, capacity)


def answer(refill: Refill[int], numbers: list[int], now_ns: int = 0) -> list[int]:
    return refill.fetched([(number, number) for number in numbers], now_ns)


def test_the_first_ever_is_passed_on_whatever_its_id() -> None:
    refill: Refill[int] = Refill({}, "A")
    assert refill.take(900, 900, 0) == [900]
    assert not refill.open


def test_what_came_before_is_refused_passed_on_or_held() -> None:
    refill = begun()
    refill.take(13, 13, 0)
    for number in (10, 9, 13):
        with pytest.raises(Repeated, match=f"A id {number}"):
            refill.take(number, number, 0)


def test_a_hole_longer_than_a_page_is_fetched_page_by_page_from_its_old_end() -> None:
    refill = begun(page=3)
    assert refill.take(18, 18, 0) == []
    assert refill.due(0) == Missing(11, 13)
    assert answer(refill, [13, 12, 11]) == [11, 12, 13]
    assert refill.due(0) == Missing(14, 16)
    assert answer(refill, [16, 15, 14]) == [14, 15, 16]
    assert refill.due(0) == Missing(17, 17)
    assert answer(refill, [17]) == [17, 18]
    assert refill.due(0) is None


def test_a_range_is_asked_for_again_when_no_answer_comes() -> None:
    refill = begun()
    refill.take(12, 12, 0)
    due = [refill.due(now_ns) for now_ns in (0, ANSWER_NS - 1, ANSWER_NS)]
    assert due == [Missing(11, 11), None, Missing(11, 11)]


def test_an_answer_that_lags_behind_is_asked_for_again() -> None:
    refill = begun()
    refill.take(13, 13, 0)
    refill.due(0)
    assert answer(refill, [11]) == [11]
    assert refill.due(0) == Missing(12, 12)
    assert answer(refill, [11]) == []
    assert [refill.due(now_ns) for now_ns in (LAG_NS - 1, LAG_NS)] == [None, Missing(12, 12)]


def test_what_the_venue_does_not_have_is_passed_over() -> None:
    refill = begun()
    refill.take(15, 15, 0)
    assert answer(refill, [13]) == []
    assert [answer(refill, [13]) for _ in range(TRIES)] == [[], [], [13]]
    assert refill.due(0) == Missing(14, 14)


def test_what_is_never_answered_is_passed_over_when_patience_ends() -> None:
    refill = begun()
    refill.take(12, 12, 0)
    assert refill.overdue(PATIENCE_NS) == []
    assert refill.overdue(PATIENCE_NS + 1) == [12]
    assert refill.take(13, 13, PATIENCE_NS + 2) == [13]


def test_what_does_not_fit_is_fetched_again() -> None:
    refill = begun(capacity=2)
    for number in (12, 13, 14, 15):
        refill.take(number, number, 0)
    assert answer(refill, [11]) == [11, 12, 13]
    assert refill.due(0) == Missing(14, 15)
    assert answer(refill, [14, 15]) == [14, 15]
    assert not refill.open


def test_the_venues_word_opens_a_hole_that_no_item_has_shown() -> None:
    refill = begun()
    refill.told(12, 0)
    assert refill.due(0) == Missing(11, 12)
    assert answer(refill, [12, 11]) == [11, 12]


def test_two_connections_pass_each_item_on_once() -> None:
    latest = {"A": 10}
    first, second = Refill[int](latest, "A"), Refill[int](latest, "A")
    assert first.take(13, 13, 0) == []
    assert second.take(11, 11, 0) == [11]
    assert second.take(12, 12, 0) == [12]
    assert first.due(0) is None
    assert first.overdue(0) == [13]
    with pytest.raises(Repeated):
        second.take(13, 13, 0)


@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(1, 5), st.integers(1, 4), st.randoms())
def test_whatever_is_dropped_comes_out_once_and_in_order(dropped: list[bool], page: int, capacity: int, chance) -> None:  # type: ignore[no-untyped-def]
    refill = begun(0, page, capacity)
    passed = refill.take(1, 1, 0)
    for number, lost in enumerate(dropped, 2):
        passed += [] if lost else refill.take(number, number, 0)
        if chance.random() < 0.5 and (missing := refill.due(0)):
            passed += answer(refill, list(range(missing.first, missing.last + 1))[::-1])
    last = len(dropped) + 1
    refill.told(last, 0)
    while missing := refill.due(0):
        passed += answer(refill, list(range(missing.first, missing.last + 1)))
    assert passed == list(range(1, last + 1))
