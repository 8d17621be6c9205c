"""The market maker: both sides at once, never beyond what it may, and withdrawn with a reason where it cannot know."""

from typing import Any

import msgspec
import pytest

from consumers.limits import LimitOptions
from consumers.market_maker import MarketMaker
from consumers.policies.making import MakerOptions
from schemas import Control, Mark, OrderRequest, Record, Rejected
from schemas.levels import packed
from tests.consumers.maker import (
    NAME,
    answer,
    book,
    clock,
    equity,
    feed,
    fill,
    intensity,
    market,
    net_position,
    options,
    quotes,
    quoting,
    ready,
    requests,
    volatility,
)
from tests.streams import MILLISECOND, NOON


def actions(made: list[Any]) -> list[tuple[str, str]]:
    return [(request.action, request.side) for request in requests(made)]


def reasons(made: list[Any]) -> list[str]:
    return [quote.reason for quote in quotes(made)]


def control(action: str, scope: str = "*", reason: str = "because", at: int = 0) -> Control:
    return Control(NOON + at * MILLISECOND, scope, action, "a person", reason)


def test_both_sides_are_placed_at_once_around_the_reservation_price() -> None:
    made = feed(ready(), [book()])
    bid, ask = requests(made)
    (quote,) = quotes(made)
    assert (bid.side, ask.side, bid.action, ask.action) == ("buy", "sell", "place", "place")
    assert (bid.price, ask.price, bid.size, ask.size) == (29_995, 30_015, 10, 10)
    assert (bid.post_only, bid.time_in_force) == (True, "GTT")
    assert quote.half_spread == pytest.approx(100 * 0.0066445427 + 0.5 * 0.01 * (1e-4 * 3_000.5) ** 2 * 10, rel=1e-6)
    assert (quote.quoting, quote.reservation, quote.bid, quote.ask) == (True, 3_000.5, 2_999.5, 3_001.5)


def test_requests_of_the_same_decision_have_the_same_ids_and_of_another_start_others() -> None:
    first, again = (requests(feed(ready(), [book()])) for _ in range(2))
    later = MarketMaker(NAME, options())
    moved = requests(feed(later, [clock(-500), clock(), market(), volatility(), intensity(), book()]))
    assert [request.client_id for request in first] == [request.client_id for request in again]
    assert not {request.client_id for request in first} & {request.client_id for request in moved}


def test_nothing_is_asked_twice_while_the_venue_is_silent() -> None:
    stage = ready()
    feed(stage, [book()])
    assert requests(feed(stage, [book(900, 30_100, 30_110)])) == []


def test_an_order_stays_while_the_price_wanted_is_near_it() -> None:
    stage, *_ = quoting(requote_ticks=4)
    assert requests(feed(stage, [book(900, 30_005, 30_015)])) == []
    assert actions(feed(stage, [book(1_000, 30_020, 30_030)])) == [("replace", "buy"), ("replace", "sell")]


def test_a_side_rests_between_two_changes() -> None:
    stage, *_ = quoting(requote_every_ms=700)
    assert requests(feed(stage, [book(600, 30_100, 30_110)])) == []
    assert len(requests(feed(stage, [book(700, 30_100, 30_110)]))) == 2


def test_a_venue_that_cannot_replace_is_asked_to_cancel_and_then_to_place() -> None:
    stage, bid, _ = quoting(replace=False)
    made = feed(stage, [book(600, 30_100, 30_110)])
    assert actions(made) == [("cancel", ""), ("cancel", "")]
    assert requests(made)[0].client_id == bid.client_id
    assert actions(feed(stage, [answer(bid, "cancelled", 600)])) == [("place", "buy")]


def test_a_fill_moves_the_position_and_the_quotes_away_from_it() -> None:
    stage, bid, _ = quoting(gamma=5.0, horizon_s=1.0, inventory=1.0)
    made = feed(stage, [fill(bid, 10, at=10), answer(bid, "filled", 10, filled=10), book(700)])
    quote = quotes(made)[-1]
    assert quote.inventory == 0.1
    assert quote.reservation == pytest.approx(3_000.5 - 0.1 * 5.0 * (1e-4 * 3_000.5) ** 2)


def test_a_side_is_made_smaller_and_left_out_at_the_bound() -> None:
    stage, _, _ = quoting()
    made = feed(stage, [net_position(20), book(900)])
    assert quotes(made)[-1].bid_size == 0.05
    made = feed(stage, [net_position(24), book(1_800)])
    assert (quotes(made)[-1].bid, quotes(made)[-1].bid_size) == (0.0, 0.0)
    assert quotes(made)[-1].ask_size == 0.1


def test_quotes_wider_than_the_price_band_are_withdrawn_and_halt_nothing() -> None:
    stage, bid, ask = quoting()
    made = feed(stage, [volatility(900, sigma=0.02), book(900)])
    assert actions(made) == [("cancel", ""), ("cancel", "")]
    assert reasons(made) == ["quotes wider than the price band"]
    feed(stage, [answer(bid, "cancelled", 900), answer(ask, "cancelled", 900)])
    made = feed(stage, [volatility(1_800), book(1_800)])
    assert actions(made) == [("place", "buy"), ("place", "sell")]


def test_a_side_outside_the_price_band_is_left_out_and_the_other_stays() -> None:
    stage = ready(inventory=5.0, limits=LimitOptions(position=1e6))
    bid, ask = requests(feed(stage, [net_position(400), book()]))
    feed(stage, [answer(bid), answer(ask)])
    made = feed(stage, [volatility(900, sigma=5e-3), book(900)])  # the reservation price falls by 90
    gone, *others = requests(made)
    assert (gone.action, gone.client_id, gone.reason) == ("cancel", bid.client_id, "outside the price band")
    assert [request.side for request in others] == ["sell"]
    assert (quotes(made)[-1].bid, quotes(made)[-1].ask > 0.0) == (0.0, True)


def test_a_fill_that_only_the_order_state_tells_of_counts_against_the_bound() -> None:
    stage, bid, _ = quoting(inventory=0.1)
    made = feed(stage, [answer(bid, "cancelled", 10, filled=10), book(1_100)])
    assert ("place", "buy") not in actions(made)
    assert quotes(made)[-1].bid == 0.0
    made = feed(stage, [fill(bid, 10, at=20), book(2_900)])
    assert quotes(made)[-1].inventory == 0.1


def test_a_fill_told_twice_counts_once() -> None:
    stage, bid, _ = quoting()
    feed(stage, [fill(bid, 4), fill(bid, 4), fill(bid, 1, number=2)])
    assert stage.state.position == 5


def test_a_fill_that_comes_before_an_older_word_on_the_position_still_counts() -> None:
    stage, bid, _ = quoting()
    feed(stage, [fill(bid, 4, 1, at=20), fill(bid, 3, 2, at=40), net_position(4, at=30)])
    assert stage.state.position == 4 + 3
    feed(stage, [clock(120_000), net_position(5, at=25)])
    assert stage.state.position == 5


def test_the_venues_word_on_the_position_replaces_the_sum_of_the_fills_and_is_told() -> None:
    stage, bid, _ = quoting()
    made = feed(stage, [fill(bid, 4, at=10), net_position(7, at=20), fill(bid, 1, number=2, at=15)])
    assert "position reconciled by the venue" in reasons(made)
    assert stage.state.position == 7
    assert quotes(made)[-1].inventory == 0.07
    assert net_position(1, cause="fill").cause != "reconciled"
    feed(stage, [net_position(1, at=30, cause="fill")])
    assert stage.state.position == 7


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([book(valid=False, reason="sequence: 9 comes after 7", bids=b"", asks=b"")], "book invalid: sequence"),
        ([book(bid=30_020, ask=30_010)], "book crossed"),
        ([book(bids=b"")], "book one-sided"),
        ([book(bids=packed([(0, 5)]))], "book without a price"),
        ([clock(6_000)], "book stale"),
        ([book(9_000)], "clock skew: the venue's time is ahead of the clock"),
        (
            [volatility(usable=False, reason="51 returns, 100 are needed")],
            "volatility not usable: # returns, # are needed",
        ),
        ([volatility(sigma=0.0)], "volatility not usable: it is 0"),
        ([intensity(usable=False, reason="no trades")], "intensity not usable: no trades"),
        ([intensity(kappa=0.0)], "intensity not usable: it is 0"),
        ([clock(120_100), book(120_100), intensity(120_000)], "volatility stale"),
        ([clock(120_100), book(120_100), volatility(120_000)], "intensity stale"),
        ([market(status="halted")], "market halted"),
        ([market(step=0.1)], "steps changed"),
        ([market(price_step=0.0)], "market without steps"),
        ([control("halt", reason="lunch")], "halted: lunch"),
    ],
)
def test_what_cannot_be_known_withdraws_both_quotes_with_the_reason(events: list[Record], reason: str) -> None:
    stage, bid, ask = quoting()
    made = feed(stage, events)
    assert {request.client_id for request in requests(made)} == {bid.client_id, ask.client_id}
    assert {request.action for request in requests(made)} == {"cancel"}
    quote = quotes(made)[-1]
    assert (quote.quoting, quote.reason) == (False, reason)
    assert (quote.bid, quote.ask, quote.reservation, quote.half_spread) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [(0, "no clock yet"), (1, "no market"), (2, "no volatility"), (3, "no intensity"), (4, "no book")],
)
def test_nothing_is_quoted_before_everything_is_known(missing: int, reason: str) -> None:
    events = [clock(), market(), volatility(), intensity(), book()]
    del events[missing]
    made = feed(MarketMaker(NAME, options()), events)
    assert requests(made) == []
    assert reasons(made)[-1] == reason


def test_a_reason_is_told_once_and_quotes_come_back_when_it_is_gone() -> None:
    stage, bid, ask = quoting()
    crossed = feed(stage, [book(at, 30_020, 30_010) for at in range(100, 900, 100)])
    assert reasons(crossed)[-1] == "book crossed"
    assert len(quotes(crossed)) == 1
    gone = [answer(bid, "cancelled", 950), answer(ask, "cancelled", 950)]
    assert actions(feed(stage, [*gone, book(1_000)])) == [("place", "buy"), ("place", "sell")]


def test_new_steps_are_used_once_no_order_of_the_old_ones_is_out() -> None:
    stage, bid, ask = quoting()
    feed(stage, [market(step=0.1)])
    made = feed(stage, [answer(bid, "cancelled", 100), answer(ask, "cancelled", 100), book(700)])
    prices = {request.side: request.price for request in requests(made)}
    assert prices == {"buy": 29_998, "sell": 30_012}


def test_an_unknown_order_withdraws_the_quotes_until_it_is_known() -> None:
    stage, bid, ask = quoting()
    made = feed(stage, [answer(bid, "unknown", 100)])
    assert reasons(made) == ["order of unknown state"]
    assert {request.client_id for request in requests(made)} == {bid.client_id, ask.client_id}
    gone = [answer(bid, "cancelled", 200), answer(ask, "cancelled", 200)]
    assert actions(feed(stage, [*gone, book(700)])) == [("place", "buy"), ("place", "sell")]


def test_an_unanswered_order_is_asked_to_go_again_and_again() -> None:
    stage = ready(answer_ms=1_000, book_age_ms=60_000)
    bid, ask = requests(feed(stage, [book()]))
    feed(stage, [answer(ask)])
    made = feed(stage, [clock(1_100)])
    assert reasons(made) == ["order unanswered"]
    assert [request.client_id for request in requests(made)] == [bid.client_id, ask.client_id]
    assert requests(feed(stage, [clock(2_000)])) == []
    again = requests(feed(stage, [clock(2_200)]))
    assert [(request.action, request.client_id) for request in again] == [
        ("cancel", bid.client_id),
        ("cancel", ask.client_id),
    ]


def test_a_fill_is_an_answer_though_it_comes_before_the_order_state() -> None:
    stage = ready(answer_ms=1_000, book_age_ms=60_000)
    bid, ask = requests(feed(stage, [book()]))
    feed(stage, [answer(ask), fill(bid, 1, at=5), answer(bid), answer(bid, "partly_filled", 5, filled=1)])
    assert requests(feed(stage, [clock(1_100)])) == []
    assert stage.state.asked == {}


@pytest.mark.parametrize("fill_first", [True, False])
def test_nothing_is_remembered_of_an_order_that_took_anothers_place_and_is_filled(fill_first: bool) -> None:
    stage, bid, ask = quoting()
    new, other = requests(feed(stage, [book(600, 30_100, 30_110)]))
    feed(stage, [answer(old, "cancelled", 600) for old in (bid, ask)] + [answer(new), answer(other)])
    words = [fill(new, 10, at=10), answer(new, "filled", 10, filled=10)]
    feed(stage, words if fill_first else reversed(words))
    assert new.client_id not in stage.state.replacing
    assert stage.state.asked == {}


def test_a_rejected_replacement_leaves_the_old_order_which_is_tried_again_later() -> None:
    stage, bid, _ = quoting()
    new = requests(feed(stage, [book(600, 30_100, 30_110)]))[0]
    assert (new.action, new.replaces) == ("replace", bid.client_id)
    made = feed(stage, [answer(new, "rejected", reason="balance")])
    assert reasons(made) == ["rejected by the venue"]
    made = feed(stage, [clock(1_700)])
    assert ("cancel", "") not in actions(made)


def test_rejects_in_a_row_wait_longer_each_time_and_at_last_halt() -> None:
    stage = ready(rejects_most=3, backoff_ms=1_000, requote_every_ms=100)
    at, waits = 0, []
    halts: list[Control] = []
    made = feed(stage, [book()])
    while not halts and at < 20_000:
        bid, ask = requests(made)[:2]
        words = [answer(bid, "rejected", 10, reason="1140 balance"), answer(ask, "cancelled", 10)]
        halts = [record for record in feed(stage, words) if isinstance(record, Control)]
        began = at
        while not halts and at < 20_000:
            at += 100
            made = feed(stage, [clock(at), book(at)])
            if requests(made):
                waits.append(at - began)
                break
    assert waits == [1_100, 2_100]
    (halt,) = halts
    assert (halt.action, halt.scope, halt.reason) == ("halt", NAME, "rejects: 3 in a row")


def test_orders_that_would_have_crossed_are_no_fault() -> None:
    stage = ready(rejects_most=1)
    bid, ask = requests(feed(stage, [book()]))
    made = feed(stage, [answer(ask), answer(bid, "rejected", reason="post_only: would trade at once")])
    assert made == []
    assert actions(feed(stage, [book(500)])) == [("place", "buy")]


def test_a_loss_cancels_everything_and_halts_until_reset_with_a_reason() -> None:
    stage, *_ = quoting(limits=LimitOptions(loss_per_day=10.0))
    made = feed(stage, [equity(0.0, 10), equity(-11.0, 20)])
    assert [request.action for request in requests(made)] == ["cancel_all"]
    (halt,) = [record for record in made if isinstance(record, Control)]
    assert halt.action == "halt"
    assert halt.reason.startswith("loss")
    assert requests(feed(stage, [halt, book(900), equity(-12.0, 950)])) == []
    with pytest.raises(Rejected, match="without a reason"):
        feed(stage, [control("reset", reason=" ")])
    restored = MarketMaker(NAME, stage.options)
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stage.snapshot())))
    assert restored.state.limits["halted"]
    made = feed(restored, [control("reset", at=1_000)])
    assert reasons(made)[0] != "halted"


def test_an_order_beyond_a_limit_is_never_sent() -> None:
    stage = ready(limits=LimitOptions(order=10.0))
    made = feed(stage, [book()])
    assert [type(record).__name__ for record in made][:2] == ["OrderRequest", "Control"]
    assert requests(made)[0].action == "cancel_all"
    sequences = [request.sequence for request in requests(made)]
    assert sequences == list(range(1, len(sequences) + 1))


def test_an_order_that_ended_long_ago_is_forgotten() -> None:
    stage, bid, ask = quoting(answer_ms=100, book_age_ms=60_000)
    feed(stage, [answer(bid, "filled", 10, filled=10), fill(bid, 10, at=20), answer(ask, "filled", 10, filled=10)])
    feed(stage, [clock(1_000)])
    assert bid.client_id not in stage.state.orders
    assert ask.client_id in stage.state.orders, "its fill is still to come"


def test_a_fill_of_an_order_that_was_forgotten_counts_and_is_no_order_to_be_changed() -> None:
    stage, bid, _ = quoting(answer_ms=100, book_age_ms=60_000)
    (new,) = requests(feed(stage, [answer(bid, "cancelled", 10), clock(1_000)]))
    feed(stage, [answer(new), fill(bid, 4, at=20)])
    assert stage.state.position == 4
    made = requests(feed(stage, [book(2_000, 30_050, 30_060)]))
    assert [(request.action, request.side) for request in made] == [("replace", "buy"), ("replace", "sell")]
    assert made[0].replaces == new.client_id
    feed(stage, [clock(3_000)])
    assert bid.client_id not in stage.state.orders


def test_an_order_that_outlives_many_others_ends_as_any() -> None:
    often = LimitOptions(orders_per_s=1_000)
    stage, bid, ask = quoting(requote_every_ms=0, answer_ms=60_000, inventory=1.0, limits=often)
    for number in range(1, 90):
        middle = 30_005 + 100 * (number % 2)
        moved = [made for made in requests(feed(stage, [book(number, middle - 5, middle + 5)])) if made.side == "buy"]
        for new in moved:
            bid = (feed(stage, [answer(bid, "cancelled"), answer(new)]), new)[1]
    feed(stage, [answer(ask, "cancelled", 1_000)])
    assert stage.state.orders[ask.client_id]["status"] == "cancelled"


def test_a_halt_for_somebody_else_is_none_of_ours() -> None:
    stage, *_ = quoting()
    assert feed(stage, [control("halt", scope="x:BTC-USD"), control("note")]) == []


@pytest.mark.parametrize("given", [{"enabled": False}, {"instruments": "x:BTC-USD, x:SOL-USD"}])
def test_what_is_not_to_be_quoted_is_not(given: dict[str, Any]) -> None:
    assert requests(feed(ready(**given), [book()])) == []


def test_funding_and_markouts_move_the_quotes_when_asked_to() -> None:
    mark = Mark(NAME, NOON, NOON, 3_000.0, 3_000.0, 0.001, 0)
    plain, moved = (quotes(feed(ready(funding_weight=weight), [mark, book()]))[-1] for weight in (0.0, 1.0))
    assert moved.reservation == pytest.approx(plain.reservation - 0.001 * 3_000.5 * 10 / 3_600)
    stage, bid, _ = quoting(markout_weight=1.0, markout_fills=1, markout_ms=1_000)
    feed(stage, [fill(bid, 10, at=10), answer(bid, "filled", 10, filled=10), book(600, 29_900, 29_910), clock(1_100)])
    assert stage.state.markouts == [-10.0, 0.0]
    assert quotes(feed(stage, [book(2_000, 29_900, 29_910)]))[-1].bid == 2_979.5


def test_a_fill_that_names_no_mid_is_judged_from_the_books() -> None:
    stage, bid, _ = quoting(markout_fills=1, markout_ms=1_000)
    gone = msgspec.structs.replace(fill(bid, 10, at=10), mid=0.0)
    feed(stage, [gone, answer(bid, "filled", 10, filled=10), book(1_100, 29_900, 29_910)])
    assert stage.state.markouts == [-10.0, 0.0]


def test_a_book_or_market_that_cannot_be_read_is_refused_and_changes_nothing() -> None:
    stage, *_ = quoting()
    before = stage.snapshot()
    for broken in (book(bids=b"123"), market(step=-0.5)):
        with pytest.raises(Rejected):
            feed(stage, [broken])
    assert stage.snapshot() == before


def test_requests_carry_a_time_to_live_and_the_hash_of_all_settings() -> None:
    (bid, *_) = requests(feed(ready(request_ttl_ms=300, order_life_ms=9_000), [book()]))
    assert bid.valid_until_ns - bid.event_ns == 300 * MILLISECOND
    assert bid.expires_ns - bid.event_ns == 9_000 * MILLISECOND
    hashes = {options(gamma=gamma).configuration() for gamma in (0.1, 0.1, 0.2)}
    assert len(hashes) == 2
    assert bid.configuration == options(request_ttl_ms=300, order_life_ms=9_000).configuration()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"horizon_s": float("nan")}, "horizon_s"),
        ({"requote_ticks": -1}, "requote_ticks"),
        ({"kappa_method": "simple"}, "kappa_method"),
        ({"sigma_method": "guess"}, "sigma_method"),
        ({"kappa_side": "left"}, "kappa_side"),
        ({"refill_share": 1.5}, "refill_share"),
        ({"reading": "mine"}, "reading"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        MakerOptions(**given)


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    events: list[Record] = [clock(), market(), volatility(), intensity(), book(), book(700, 30_050, 30_060)]
    whole: list[OrderRequest] = feed(MarketMaker(NAME, options()), events)
    for cut in range(len(events)):
        first = MarketMaker(NAME, options())
        made = feed(first, events[:cut])
        second = MarketMaker(NAME, options())
        second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
        assert made + feed(second, events[cut:]) == whole
