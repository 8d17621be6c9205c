from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.orders import ENDED_KEPT, FINAL, LEGAL, Orders, client_id, remaining
from schemas import Fill, OrderRequest, OrderState
from tests.orders import fill, request, state


def after(*words: OrderRequest | OrderState | Fill) -> Orders:
    orders = Orders({})
    for word in words:
        if isinstance(word, OrderRequest):
            orders.ask(word)
        elif isinstance(word, OrderState):
            orders.tell(word)
        else:
            orders.fill(word)
    return orders


def outcome(orders: Orders, client_id: str = "a") -> tuple[str, int, int]:
    order = orders.of(client_id)
    assert order is not None
    return order["status"], order["filled"], order["size"]


def test_an_order_goes_from_asked_for_to_filled() -> None:
    orders = after(request())
    assert outcome(orders) == ("requested", 0, 10)
    seen = [outcome(orders)[0] for word in ("accepted", "open") if orders.tell(state(word))]
    assert seen == ["accepted", "open"]
    assert orders.fill(fill(4, "f1"))
    assert outcome(orders) == ("partly_filled", 4, 10)
    assert orders.fill(fill(6, "f2"))
    assert outcome(orders) == ("filled", 10, 10)
    assert orders.live() == []


WORDS = [state("accepted"), state("open"), state("partly_filled", 4), fill(4, "f1"), fill(6, "f2"), state("filled", 10)]


@pytest.mark.parametrize("asked", [True, False])
def test_words_in_any_order_and_any_number_of_times_end_alike(asked: bool) -> None:
    for words in permutations(WORDS):
        first = [request()] if asked else []
        assert outcome(after(*first, *words, *words)) == ("filled", 10, 10)


@given(st.permutations([state("open"), fill(3, "f1"), fill(2, "f2"), state("cancelled", 5)]), st.data())
def test_a_cancel_that_races_fills_ends_with_what_was_filled(words: list[Any], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(words)))
    assert outcome(after(request(), *words, *again)) == ("cancelled", 5, 10)


def test_a_cancelled_order_that_was_wholly_filled_before_is_filled() -> None:
    assert outcome(after(request(), state("cancelled"), fill(10))) == ("filled", 10, 10)


def test_a_fill_before_any_state_makes_it_partly_filled_and_a_late_open_does_not_undo_it() -> None:
    orders = after(request(), fill(4))
    assert outcome(orders) == ("partly_filled", 4, 10)
    assert not orders.tell(state("open"))
    assert outcome(orders) == ("partly_filled", 4, 10)


def test_an_order_that_only_a_fill_has_told_of_learns_its_size_later() -> None:
    orders = after(fill(4))
    assert outcome(orders) == ("partly_filled", 4, 0)
    assert orders.tell(state("open"))
    assert outcome(orders) == ("partly_filled", 4, 10)


def test_an_unknown_order_takes_the_next_word_but_none_from_before() -> None:
    orders = after(request(), state("open", event_ns=5), state("unknown", event_ns=9))
    assert not orders.tell(state("open", event_ns=5))
    assert orders.tell(state("open", event_ns=10))
    assert outcome(orders)[0] == "open"


def test_a_replace_leaves_the_old_order_to_the_venue_and_expects_the_new_one() -> None:
    orders = after(request("a"), state("open"), request("b", "replace", replaces="a"))
    assert [(order["client_id"], order["status"], order["leaving"]) for order in orders.live()] == [
        ("a", "open", True),
        ("b", "requested", False),
    ]


def test_cancel_all_marks_every_live_order_once() -> None:
    orders = after(request("a"), request("b"), request("c"), state("filled", 10, "c"))
    assert orders.ask(request("", "cancel_all"))
    assert [order["leaving"] for order in orders.live()] == [True, True]
    assert not orders.ask(request("", "cancel_all"))


def test_a_repeated_request_changes_nothing() -> None:
    orders = after(request(), state("open"), fill(4))
    before = msgspec.msgpack.encode(orders.rows)
    assert not orders.ask(request())
    assert msgspec.msgpack.encode(orders.rows) == before


def test_sizes_with_other_decimals_are_the_same_sizes() -> None:
    orders = after(request(), fill(4000, "f1", size_decimals=5), state("partly_filled", 4))
    order = orders.of("a")
    assert order is not None
    assert (order["size"], order["filled"], remaining(order)) == (10_000, 4_000, 6_000)


def test_live_orders_are_kept_and_ended_ones_forgotten_at_last() -> None:
    orders = after(request("first"))
    for number in range(ENDED_KEPT + 50):
        orders.ask(request(str(number)))
        orders.tell(state("cancelled", client_id=str(number)))
    assert len(orders.rows) <= ENDED_KEPT + 1
    assert orders.of("first") is not None
    assert orders.of(str(ENDED_KEPT + 49)) is not None


def test_the_order_that_ended_first_is_forgotten_first_however_old_the_others_are() -> None:
    orders = after(request("old"))
    for number in range(ENDED_KEPT + 6):
        orders.ask(request(str(number)))
        orders.tell(state("cancelled", client_id=str(number), event_ns=10 + number))
    assert orders.tell(state("cancelled", 5, "old", event_ns=100))
    assert orders.of("old") is not None, "the fill of its 5 is still to come"
    assert orders.of("6") is None
    assert orders.of("7") is not None
    assert orders.tell(state("cancelled", 0, "late", event_ns=3))
    assert orders.of("late") is not None, "who told of it looks at it"


def test_orders_go_on_from_their_plain_values() -> None:
    orders = after(request(), fill(4, "f1"))
    restored = Orders(msgspec.msgpack.decode(msgspec.msgpack.encode(orders.rows)))
    assert not restored.fill(fill(4, "f1"))
    assert restored.fill(fill(6, "f2"))
    assert outcome(restored) == ("filled", 10, 10)


def test_no_status_leads_back() -> None:
    for status, following in LEGAL.items():
        assert status not in following
        if status in FINAL:
            assert following <= {"filled"}


def test_ids_differ_in_each_part_and_repeat_for_the_same_decision() -> None:
    parts = [("s", "i", "c", 1, 0), ("t", "i", "c", 1, 0), ("s", "j", "c", 1, 0), ("s", "i", "d", 1, 0)]
    parts += [("s", "i", "c", 2, 0), ("s", "i", "c", 1, 1), ("si", "", "c", 1, 0), ("s", "i", "c1", 1, 0)]
    assert len({client_id(*part) for part in parts}) == len(parts)
    assert client_id(*parts[0]) == client_id(*parts[0])
