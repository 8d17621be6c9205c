from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.paper import Out, Paper, PaperOptions
from schemas import (
    Clock,
    Control,
    Equity,
    Fill,
    Funding,
    Mark,
    Market,
    NetPosition,
    OrderRequest,
    OrderState,
    Record,
    Rejected,
)
from tests.market import MS, START, book, broken, trade
from tests.orders import ETH
from tests.orders import request as asked

QUIET = PaperOptions(latency_in_ms=0.0, latency_out_ms=0.0)
BOOK = book([(1000, 50), (999, 100)], [(1002, 30), (1003, 40)])
MARKET = Market(
    ETH, START, START, "open", "ETH", "USD", "", 0.5, 0.05, 0.1, 0, 0, "", "", '{"makerFeeRate":-0.0001,"x":1}'
)


def request(client_id: str = "a", action: str = "place", ms: float = 0.0, **changes: Any) -> OrderRequest:
    at = START + round(ms * MS)
    times = {"event_ns": at, "valid_until_ns": at + 1_000 * MS, "expires_ns": at + 60_000 * MS}
    return asked(client_id, action, **times | changes)


def taking(client_id: str = "a", ms: float = 0.0, **changes: Any) -> OrderRequest:
    return request(client_id, ms=ms, **{"post_only": False, "time_in_force": "IOC"} | changes)


def market_order(client_id: str = "a", ms: float = 0.0, **changes: Any) -> OrderRequest:
    return taking(client_id, ms, **{"kind": "market", "price": 0} | changes)


def after(*events: Record, options: PaperOptions = QUIET) -> tuple[Paper, list[Out]]:
    """The venue after some events, and what it said to the last one."""
    venue = Paper(ETH, options)
    said: list[Out] = []
    for event in events:
        said = list(venue.on_event(event))  # type: ignore[arg-type]
    return venue, said


def fills(said: list[Out]) -> list[tuple[str, int, int, str]]:
    return [(each.client_id, each.price, each.size, each.liquidity) for each in said if isinstance(each, Fill)]


def states(said: list[Out]) -> list[tuple[str, str, int, str]]:
    return [(each.client_id, each.status, each.filled, each.reason) for each in said if isinstance(each, OrderState)]


def test_an_order_waits_behind_what_is_displayed_at_its_price() -> None:
    waiting = request(price=1000, size=10)
    _, said = after(BOOK, waiting, trade(1000, 50))
    assert said == []
    _, said = after(BOOK, waiting, trade(1000, 50), trade(1000, 4))
    assert fills(said) == [("a", 1000, 4, "maker")]
    _, said = after(BOOK, waiting, trade(1000, 55))
    assert fills(said) == [("a", 1000, 5, "maker")]
    assert states(said) == [("a", "partly_filled", 5, "")]


def test_what_others_cancel_is_shared_by_those_ahead_and_behind() -> None:
    # 50 ahead; then 50 more come behind us; then 40 of the 100 are cancelled: 20 of them ahead of us.
    events = [
        BOOK, request(price=1000, size=10), book([(1000, 100)], [(1002, 30)], 1), book([(1000, 60)], [(1002, 30)], 2)
    ]  # fmt: skip
    assert fills(after(*events, trade(1000, 30))[1]) == []
    assert fills(after(*events, trade(1000, 31))[1]) == [("a", 1000, 1, "maker")]
    none_ahead = PaperOptions(0.0, 0.0, cancels_ahead=0.0)
    assert fills(after(*events, trade(1000, 50), options=none_ahead)[1]) == []
    assert fills(after(*events, trade(1000, 51), options=none_ahead)[1]) == [("a", 1000, 1, "maker")]


def test_a_fall_that_trades_explain_is_no_cancel() -> None:
    events = [BOOK, request(price=1000, size=10), trade(1000, 20), book([(1000, 30)], [(1002, 30)], 1)]
    assert fills(after(*events, trade(1000, 30))[1]) == []
    assert fills(after(*events, trade(1000, 31))[1]) == [("a", 1000, 1, "maker")]


def test_no_more_can_be_ahead_than_is_displayed() -> None:
    none_ahead = PaperOptions(0.0, 0.0, cancels_ahead=0.0)
    events = [BOOK, request(price=1000, size=10), book([(1000, 7)], [(1002, 30)], 1)]
    assert fills(after(*events, trade(1000, 8), options=none_ahead)[1]) == [("a", 1000, 1, "maker")]


def test_an_order_inside_the_spread_is_first() -> None:
    assert fills(after(BOOK, request(price=1001), trade(1001, 3))[1]) == [("a", 1001, 3, "maker")]


def test_a_trade_through_the_price_fills_up_to_its_size() -> None:
    assert fills(after(BOOK, request(price=1000), trade(999, 4))[1]) == [("a", 1000, 4, "maker")]
    assert fills(after(BOOK, request(price=1000), trade(999, 40))[1]) == [("a", 1000, 10, "maker")]


def test_a_trade_of_the_other_taker_side_or_at_a_worse_price_fills_nothing() -> None:
    assert fills(after(BOOK, request(price=1000), trade(1000, 90, "buy"))[1]) == []
    assert fills(after(BOOK, request(price=999), trade(1000, 90))[1]) == []


def test_a_trade_whose_side_is_not_told_is_taken_by_the_side_of_the_mid() -> None:
    assert fills(after(BOOK, request(price=1000), trade(1000, 60, ""))[1]) == [("a", 1000, 10, "maker")]
    assert fills(after(BOOK, request(price=1000), trade(1002, 60, ""))[1]) == []


def test_a_trade_between_two_prices_counts_as_the_worse_one_for_us() -> None:
    above = replace(trade(1000, 99), price=100.01)
    assert fills(after(BOOK, request(price=1000), above)[1]) == []
    below = replace(trade(1000, 55), price=99.99)
    assert fills(after(BOOK, request(price=1000), below)[1]) == [("a", 1000, 5, "maker")]


def test_better_prices_trade_first_and_one_trade_is_never_used_twice() -> None:
    orders = [request("low", price=1000), request("high", price=1001)]
    assert fills(after(BOOK, *orders, trade(1000, 13))[1]) == [("high", 1001, 10, "maker")]
    assert fills(after(BOOK, *orders, trade(1000, 63))[1]) == [("high", 1001, 10, "maker"), ("low", 1000, 3, "maker")]


def test_the_older_of_two_orders_at_a_price_trades_first() -> None:
    orders = [request("old", price=1001, size=10), request("new", price=1001, size=10)]
    assert fills(after(BOOK, *orders, trade(1001, 12))[1]) == [("old", 1001, 10, "maker"), ("new", 1001, 2, "maker")]


def test_a_level_beyond_what_is_visible_counts_as_ahead_once_it_is_in_sight() -> None:
    cut = book([(1000, 50)], [(1002, 30)], known=30)
    events = [cut, request(price=990), book([(991, 1), (990, 20)], [(1002, 30)], 1, known=30)]
    assert fills(after(*events, trade(990, 20))[1]) == []
    assert fills(after(*events, trade(990, 21))[1]) == [("a", 990, 1, "maker")]
    whole = book([(1000, 50)], [(1002, 30)])
    assert fills(after(whole, request(price=990), trade(990, 1))[1]) == [("a", 990, 1, "maker")]


def test_behind_as_many_levels_as_a_book_has_there_may_be_more_whatever_the_venue_tells() -> None:
    twenty = book([(1000 - place, 5) for place in range(20)], [(1002, 30)])
    events = [twenty, request(price=980), book([(981, 1), (980, 20)], [(1002, 30)], 1)]
    assert fills(after(*events, trade(980, 20))[1]) == []
    assert fills(after(*events, trade(980, 21))[1]) == [("a", 980, 1, "maker")]


def test_a_book_that_comes_to_an_order_fills_it_up_to_the_displayed_size() -> None:
    events = [BOOK, request(price=1001, size=10), book([(999, 5)], [(1000, 3), (1001, 4), (1002, 9)], 1)]
    assert fills(after(*events)[1]) == [("a", 1001, 3, "maker"), ("a", 1001, 4, "maker")]
    assert [each.mid for each in after(*events)[1] if isinstance(each, Fill)] == [100.1, 100.1]
    again = book([(999, 5)], [(1001, 4)], 2)
    assert fills(after(*events, again)[1]) == [("a", 1001, 3, "maker")]


def test_a_book_that_touches_an_order_fills_those_ahead_of_it_first() -> None:
    events = [BOOK, request(price=1000), book([(1000, 50)], [(1000, 3), (1001, 4)], 1)]
    assert after(*events)[1] == []


def test_a_market_order_walks_the_levels_and_ends() -> None:
    _, said = after(BOOK, market_order(size=80))
    assert fills(said) == [("a", 1002, 30, "taker"), ("a", 1003, 40, "taker")]
    assert states(said)[-1] == ("a", "cancelled", 70, "nothing more within the limit")


def test_what_was_taken_is_gone_until_the_book_is_shown_again() -> None:
    events = [BOOK, market_order(size=20), market_order("b", size=20)]
    assert fills(after(*events)[1]) == [("b", 1002, 10, "taker"), ("b", 1003, 10, "taker")]
    assert fills(after(*events, BOOK, market_order("c", size=20))[1]) == [("c", 1002, 20, "taker")]


def test_what_was_taken_stays_gone_over_a_restart() -> None:
    venue, _ = after(BOOK, market_order(size=20))
    again = Paper(ETH, QUIET)
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(venue.snapshot())))
    said = list(again.on_event(market_order("b", size=20)))
    assert fills(said) == [("b", 1002, 10, "taker"), ("b", 1003, 10, "taker")]


def test_an_order_within_its_limit_takes_and_the_rest_stays_or_ends_as_asked() -> None:
    _, said = after(BOOK, taking(price=1002, size=35))
    assert fills(said) == [("a", 1002, 30, "taker")]
    assert states(said)[-1] == ("a", "cancelled", 30, "nothing more within the limit")
    venue, said = after(BOOK, request(price=1002, size=35, post_only=False))
    assert states(said) == [("a", "partly_filled", 30, "")]
    assert fills(list(venue.on_event(trade(1002, 2)))) == [("a", 1002, 2, "maker")]


def test_a_post_only_order_that_would_trade_is_rejected() -> None:
    assert states(after(BOOK, request(price=1002))[1]) == [("a", "rejected", 0, "post_only: would trade at once")]
    assert states(after(BOOK, request(price=1001))[1]) == [("a", "open", 0, "")]


def test_an_order_never_trades_with_one_of_the_same_account() -> None:
    own = request("own", side="sell", price=1003, size=5)
    _, said = after(BOOK, own, taking(price=1003, size=80))
    assert fills(said) == [("a", 1002, 30, "taker")]
    assert states(said)[-1] == ("a", "cancelled", 30, "self_trade")
    inside = request("own", side="sell", price=1001, size=5)
    _, said = after(BOOK, inside, taking(price=1001, size=5))
    assert states(said) == [("a", "cancelled", 0, "self_trade")]
    _, said = after(BOOK, inside, request(price=1001))
    assert states(said) == [("a", "rejected", 0, "post_only: would trade with an order of the same account")]


def test_a_reduce_only_order_only_reduces() -> None:
    _, said = after(BOOK, market_order(size=5, reduce_only=True))
    assert states(said) == [("a", "rejected", 0, "reduce_only: nothing to reduce")]
    held = [BOOK, market_order("h", size=5)]
    _, said = after(*held, market_order(side="sell", size=9, reduce_only=True))
    assert fills(said) == [("a", 1000, 5, "taker")]
    assert states(said)[-1][1:3] == ("cancelled", 5)
    _, said = after(*held, request(side="sell", price=1001, size=9, reduce_only=True), trade(1001, 9, "buy"))
    assert fills(said) == [("a", 1001, 5, "maker")]
    assert states(said)[-1] == ("a", "cancelled", 5, "reduce_only")


def test_orders_expire_at_their_time() -> None:
    placed = [BOOK, request(price=1000, expires_ns=START + 5 * MS)]
    assert after(*placed, Clock(START + 4 * MS))[1] == []
    _, said = after(*placed, trade(999, 99, ms=7))
    assert states(said) == [("a", "expired", 0, "")]
    assert said[0].event_ns == START + 5 * MS
    assert fills(said) == []


def test_latency_is_between_decision_and_venue_and_between_venue_and_us() -> None:
    slow = PaperOptions(latency_in_ms=5.0, latency_out_ms=3.0)
    placed = [BOOK, request(price=1001)]
    assert after(*placed, trade(1001, 3, ms=5.0), options=slow)[1][0].event_ns == START + 8 * MS
    assert fills(after(*placed, trade(1001, 3, ms=5.0), options=slow)[1]) == []  # what is due comes after the event
    _, said = after(*placed, Clock(START + 6 * MS), trade(1001, 3, ms=9.0), options=slow)
    assert fills(said) == [("a", 1001, 3, "maker")]
    assert {each.event_ns for each in said} == {START + 12 * MS}


def test_a_trade_of_before_an_order_came_does_not_fill_it_however_late_it_is_told() -> None:
    first = [BOOK, request(price=1001, ms=5), Clock(START + 20 * MS)]
    for price in (1001, 1000):
        assert fills(after(*first, trade(price, 3, ms=4))[1]) == []
        assert fills(after(*first, trade(price, 3, ms=6))[1]) == [("a", 1001, 3, "maker")]
    queued = [BOOK, request(price=1000, ms=5), Clock(START + 20 * MS), trade(1000, 60, ms=4)]
    assert after(*queued)[1] == []
    assert fills(after(*queued, trade(1000, 4, ms=30))[1]) == [("a", 1000, 4, "maker")]


def test_a_cancel_that_is_under_way_does_not_keep_the_order_from_trading() -> None:
    slow = PaperOptions(latency_in_ms=5.0, latency_out_ms=0.0)
    events = [BOOK, request(price=1001), request("a", "cancel", 10)]
    _, said = after(*events, trade(1001, 3, ms=14), options=slow)
    assert fills(said) == [("a", 1001, 3, "maker")]
    _, said = after(*events, trade(1001, 3, ms=16), options=slow)
    assert states(said) == [("a", "cancelled", 0, "")]


def test_a_request_comes_once_however_often_it_is_delivered() -> None:
    placed = request(price=1001)
    assert after(BOOK, placed, placed)[1] == []
    assert after(BOOK, placed, trade(1001, 10), placed)[1] == []
    long_after = placed.valid_until_ns + 1
    assert after(BOOK, placed, Clock(long_after), placed)[1] == []


def test_a_strategy_that_counts_anew_is_heard() -> None:
    cancel = request("a", "cancel", 1)
    again = request("b", "cancel", 3)
    assert again.sequence == cancel.sequence
    _, said = after(BOOK, request("a", price=1000), cancel, cancel, request("b", ms=2, price=1000), again)
    assert states(said) == [("b", "cancelled", 0, "")]


def test_a_stale_request_is_refused_and_counted() -> None:
    late = Clock(START + 2_000 * MS)
    venue, said = after(BOOK, late, request(price=1001))
    assert states(said) == [
        ("a", "rejected", 0, f"stale: valid until {START + 1_000 * MS}, there at {START + 2_000 * MS}")
    ]
    assert list(venue.on_event(request("b", "cancel"))) == []
    assert venue.state.stale == 2


def test_cancel_and_cancel_all_end_orders_of_the_strategy_that_asks() -> None:
    orders = [BOOK, request("a", price=1000), request("b", price=999), request("c", price=998, strategy="other")]
    assert states(after(*orders, request("b", "cancel", sequence=9, reason="done"))[1]) == [
        ("b", "cancelled", 0, "done")
    ]
    assert [each[0] for each in states(after(*orders, request("", "cancel_all", sequence=9))[1])] == ["a", "b"]
    assert after(*orders, request("c", "cancel", sequence=9))[1] == []


def test_a_replace_takes_the_place_of_a_live_order_or_is_refused() -> None:
    _, said = after(BOOK, request("a", price=1000), request("b", "replace", replaces="a", price=1001))
    assert states(said) == [("a", "cancelled", 0, "replaced"), ("b", "open", 0, "")]
    _, said = after(BOOK, request("b", "replace", replaces="a", price=1001))
    assert states(said) == [("b", "rejected", 0, "replaces: no live order a")]
    venue, said = after(BOOK, request("a", price=1000), request("b", "replace", replaces="a", price=1002))
    assert states(said) == [("b", "rejected", 0, "post_only: would trade at once")]
    assert venue.state.exchange.find("a") is not None


@pytest.mark.parametrize("scope", ["*", ETH, "mm"])
def test_a_halt_cancels_and_refuses_until_a_reset_with_a_reason(scope: str) -> None:
    events = [BOOK, request("a", price=1000), Control(START, scope, "halt", "me", "fire")]
    assert states(after(*events)[1]) == [("a", "cancelled", 0, "halted: fire")]
    assert states(after(*events, request("b", price=1000))[1]) == [("b", "rejected", 0, "halted: fire")]
    with pytest.raises(Rejected, match="a reset without a reason"):
        after(*events, Control(START, scope, "reset", "me", ""))
    back = Control(START, scope, "reset", "me", "put out")
    assert states(after(*events, back, request("b", price=1000))[1]) == [("b", "open", 0, "")]


def test_a_halt_of_another_strategy_changes_nothing() -> None:
    assert after(BOOK, request("a", price=1000), Control(START, "other", "halt", "me", "fire"))[1] == []


def test_while_the_book_is_not_valid_nothing_trades_and_orders_stay() -> None:
    events = [BOOK, request("a", price=1000, size=10), broken(1)]
    assert after(*events, trade(990, 99, ms=2))[1] == []
    _, said = after(*events, market_order("b", ms=2))
    assert states(said) == [("b", "rejected", 0, "book: not valid")]
    assert states(after(*events, request("b", ms=2, price=999))[1]) == [("b", "open", 0, "")]
    _, said = after(*events, book([(1000, 20)], [(1002, 5)], 3), trade(1000, 21, ms=4))
    assert fills(said) == [("a", 1000, 1, "maker")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": 1003}, "price_step: 100.3 is no multiple of 0.5"),
        ({"size": 12}, "size_step: 0.12 is no multiple of 0.05"),
        ({"size": 5}, "size_least: 0.05 is less than 0.1"),
        ({"size": 0}, "size: 0"),
        ({"price": 0}, "kind: 'limit' at the price 0"),
        ({"side": ""}, "side: '' is not buy or sell"),
        ({"time_in_force": "GTC"}, "time_in_force: 'GTC' is not GTT or IOC"),
        ({"time_in_force": "IOC"}, "post_only: of an order that does not rest"),
        ({"expires_ns": START}, f"expires_ns: {START} is past"),
    ],
)
def test_an_order_that_breaks_the_rules_is_rejected(changes: dict[str, Any], reason: str) -> None:
    _, said = after(BOOK, MARKET, request(**{"price": 1000, "size": 10} | changes))
    assert states(said) == [("a", "rejected", 0, reason)]


def test_a_market_that_is_closed_takes_no_orders() -> None:
    _, said = after(BOOK, replace(MARKET, status="halted"), request(price=1000))
    assert states(said) == [("a", "rejected", 0, "market: halted")]


def test_an_action_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Rejected, match="action 'sell everything'"):
        after(BOOK, request("a", "sell everything"))


def test_fees_follow_the_options_unless_the_market_says_otherwise() -> None:
    options = PaperOptions(0.0, 0.0, maker_fee=0.0002, taker_fee=0.0005)
    (maker,) = [
        each for each in after(BOOK, request(price=1001), trade(1001, 10), options=options)[1] if isinstance(each, Fill)
    ]
    assert maker.fee == pytest.approx(100.1 * 0.1 * 0.0002)
    (taker,) = [each for each in after(BOOK, market_order(size=10), options=options)[1] if isinstance(each, Fill)]
    assert taker.fee == pytest.approx(100.2 * 0.1 * 0.0005)
    venue, said = after(BOOK, MARKET, request(price=1000), trade(999, 10), options=options)
    assert next(each.fee for each in said if isinstance(each, Fill)) == pytest.approx(-100.0 * 0.1 * 0.0001)
    again = Paper(ETH, options)
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(venue.snapshot())))
    said = [*again.on_event(request("b", ms=1, price=1000)), *again.on_event(trade(999, 10, ms=2))]
    assert next(each.fee for each in said if isinstance(each, Fill)) == pytest.approx(-100.0 * 0.1 * 0.0001)


def test_position_and_equity_follow_every_trade() -> None:
    _, said = after(BOOK, market_order(size=30))
    position, equity = said[-2:]
    assert isinstance(position, NetPosition)
    assert (position.size, position.entry_price, position.mark_price, position.cause) == (30, 100.2, 100.1, "fill")
    assert isinstance(equity, Equity)
    assert equity.unrealised == pytest.approx(-0.03)
    assert equity.fees == pytest.approx(100.2 * 0.3 * 0.00025)
    assert equity.equity == pytest.approx(equity.realised + equity.unrealised - equity.fees + equity.funding)
    _, said = after(BOOK, market_order(size=30), market_order("b", side="sell", size=10))
    assert [(each.size, each.entry_price) for each in said if isinstance(each, NetPosition)] == [(20, 100.2)]
    _, said = after(BOOK, market_order(size=30), market_order("b", side="sell", size=30))
    position, equity = said[-2:]
    assert isinstance(position, NetPosition)
    assert (position.size, position.entry_price) == (0, 0.0)
    assert isinstance(equity, Equity)
    assert (equity.realised, equity.unrealised) == (pytest.approx(-0.06), 0.0)


def test_what_is_held_is_valued_once_a_second() -> None:
    venue, _ = after(BOOK, market_order(size=30))
    said = [list(venue.on_event(book([(1010, 5)], [(1012, 5)], ms))) for ms in (10, 500, 1000, 1500, 2100)]
    assert [len(each) for each in said] == [0, 0, 1, 0, 1]
    (equity,) = said[2]
    assert isinstance(equity, Equity)
    assert equity.unrealised == pytest.approx(0.3 * (101.1 - 100.2))


def test_funding_is_paid_on_what_is_held_at_its_time() -> None:
    held = [BOOK, market_order(size=30)]
    _, (position, equity) = after(*held, Funding(ETH, START + MS, START, 0.01, 110.0))
    assert isinstance(position, NetPosition)
    assert position.cause == "funding"
    assert isinstance(equity, Equity)
    assert equity.funding == pytest.approx(-0.01 * 110.0 * 0.3)
    assert after(BOOK, Funding(ETH, START + MS, START, 0.01, 110.0))[1] == []
    by_marks = PaperOptions(0.0, 0.0, funding="marks")
    mark = Mark(ETH, START, START, 120.0, 0.0, -0.01, START + 5 * MS)
    _, (_, equity) = after(*held, mark, Clock(START + 6 * MS), options=by_marks)
    assert isinstance(equity, Equity)
    assert equity.funding == pytest.approx(0.01 * 120.0 * 0.3)
    assert equity.event_ns == START + 5 * MS
    assert after(*held, mark, Clock(START + 6 * MS), Funding(ETH, START + MS, START, 1, 1.0), options=by_marks)[1] == []


def test_a_mark_of_the_next_interval_pays_the_one_that_has_ended_at_its_own_rate() -> None:
    by_marks = PaperOptions(0.0, 0.0, funding="marks")
    held = [BOOK, market_order(size=30), Mark(ETH, START, START, 120.0, 0.0, -0.01, START + 5 * MS)]
    for at in (5, 7):
        following = Mark(ETH, START + at * MS, START, 130.0, 0.0, 0.02, START + 10 * MS)
        venue, (_, equity) = after(*held, following, options=by_marks)
        assert isinstance(equity, Equity)
        assert equity.funding == pytest.approx(0.01 * 120.0 * 0.3)
        *_, equity = venue.on_event(Clock(START + 11 * MS))
        assert isinstance(equity, Equity)
        assert equity.funding == pytest.approx(0.01 * 120.0 * 0.3 - 0.02 * 130.0 * 0.3)


def test_finer_decimals_of_book_or_request_change_no_order() -> None:
    finer = request("b", price=99_950, size=1_000, price_decimals=3, size_decimals=4)
    venue, said = after(BOOK, request("a", price=1000), finer)
    (state,) = said
    assert isinstance(state, OrderState)
    assert (state.price, state.size, state.price_decimals, state.size_decimals) == (99_950, 1_000, 3, 4)
    (fill, *_) = venue.on_event(trade(1000, 53))
    assert isinstance(fill, Fill)
    assert (fill.price, fill.size, fill.price_decimals, fill.size_decimals) == (100_000, 300, 3, 4)


@pytest.mark.parametrize(
    "options",
    [{"latency_in_ms": -1.0}, {"maker_fee": 0.5}, {"cancels_ahead": 2.0}, {"funding": "never"}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        PaperOptions(**options)
