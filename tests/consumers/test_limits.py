from typing import Any

import msgspec
import pytest

from consumers.limits import DAY, SECOND, LimitOptions, Limits, fresh
from consumers.orders import Orders
from schemas import Control, Equity, NetPosition, OrderRequest
from tests.orders import ETH, request

OPTIONS = LimitOptions(order=500.0, position=1_000.0, orders_per_s=3, loss_per_day=50.0, band_bps=100.0)


def limits(mid: float = 100.0, held: int = 0) -> Limits:
    """Limits at a mid, with so many hundredths held."""
    found = Limits(OPTIONS, fresh())
    assert found.mark(0, mid) == ""
    assert found.position(net(held)) == ""
    return found


def net(size: int) -> NetPosition:
    return NetPosition(ETH, 1, "paper", size, 2, 0.0, 0.0, "fill")


def equity(total: float, event_ns: int = 1) -> Equity:
    return Equity(ETH, event_ns, "paper", total, 0.0, 0.0, 0.0, total, 0.0)


def buy(hundredths: int, price: int = 1000, **changes: Any) -> OrderRequest:
    return request(size=hundredths, price=price, **changes)


def live(*requests: OrderRequest) -> Orders:
    orders = Orders({})
    for number, each in enumerate(requests):
        orders.ask(msgspec.structs.replace(each, client_id=str(number)))
    return orders


def test_an_order_within_all_limits_passes() -> None:
    assert limits().check(buy(500), []) == ""


def test_each_limit_refuses_with_its_reason() -> None:
    assert limits().check(buy(501), []).startswith("order: 501.0 is more than 500.0")
    assert limits().check(buy(100, 1011), []).startswith("band: 101.1 is more than 100.0 bps from 100.0")
    assert limits(held=800).check(buy(201), []).startswith("position: 1001.0 could be reached")
    assert Limits(OPTIONS, fresh()).check(buy(100), []) == "band: no mid is known"


def test_live_orders_of_the_same_side_count_as_filled() -> None:
    waiting = live(buy(400), buy(400), request(side="sell", size=400)).live()
    assert limits().check(buy(200), waiting) == ""
    assert limits().check(buy(201), waiting).startswith("position:")


def test_what_makes_the_position_smaller_passes_though_it_is_too_large() -> None:
    found = limits(held=900)
    found.mark(1, 120.0)
    assert found.check(request(side="sell", size=100, price=1200), []) == ""
    assert found.check(buy(1, 1200), []).startswith("position:")
    assert found.check(buy(100, 1200, reduce_only=True), []) == ""


def test_a_market_order_is_valued_at_the_mid() -> None:
    assert limits().check(buy(501, 0, kind="market"), []).startswith("order: 501.0")


def test_orders_are_counted_in_event_time() -> None:
    found = limits()
    said = [found.check(buy(1, event_ns=at), []) for at in (0, 1, 2, SECOND - 1, SECOND, SECOND)]
    assert said == [
        "",
        "",
        "",
        *["rate: more than 3 orders within a second"],
        "",
        "rate: more than 3 orders within a second",
    ]


def test_a_position_that_fills_made_too_large_is_a_breach_but_one_that_the_price_made_is_not() -> None:
    found = limits()
    assert found.position(net(1000)) == ""
    found.mark(1, 110.0)
    assert found.position(net(1000)) == ""
    assert found.position(net(1001)).startswith("position:")


def test_the_loss_of_a_day_counts_what_is_held() -> None:
    found = limits()
    assert found.equity(equity(0.0)) == ""
    assert found.equity(equity(10.0)) == ""
    assert found.position(net(500)) == ""
    assert found.mark(2, 92.0) == ""
    assert found.equity(equity(-30.0, 3)) == ""  # the same loss by the venue's word: not counted twice
    assert found.mark(4, 89.9) == ""
    assert found.mark(5, 87.5).startswith("loss: 52.5")


@pytest.mark.parametrize("held", [500, -500])
def test_what_the_mid_did_before_a_position_was_taken_is_no_loss_of_it(held: int) -> None:
    found = limits()
    assert found.equity(equity(0.0)) == ""
    for at, mid in enumerate((85.0, 115.0), 2):
        assert found.mark(at, mid) == ""
        assert found.position(net(held)) == ""  # the equity comes by another topic, maybe after the next book
        assert found.mark(at, mid) == ""
        assert found.position(net(0)) == ""
    assert found.position(net(held)) == ""
    assert found.mark(9, 115.0 - 10.25 * held / 500).startswith("loss: 51.25")


@pytest.mark.parametrize("before", [-400.0, 400.0])
def test_what_an_account_made_before_is_neither_lost_nor_to_be_lost_today(before: float) -> None:
    found = limits()
    assert found.equity(equity(before)) == ""
    assert found.mark(2, 101.0) == ""
    assert found.equity(equity(before - 51.0, 3)).startswith("loss: 51.0")


def test_after_a_reset_the_loss_counts_anew() -> None:
    found = limits()
    assert found.equity(equity(0.0)) == ""
    assert found.position(net(500)) == ""
    assert found.mark(2, 89.0).startswith("loss: 55.0")
    found.control(Control(3, "*", "reset", "me", "looked at it"), "mm", ETH)
    assert found.mark(4, 79.5) == ""
    assert found.mark(5, 78.5).startswith("loss: 52.5")


def test_a_new_utc_day_begins_with_what_is_there() -> None:
    found = limits()
    assert found.equity(equity(0.0)) == ""
    assert found.equity(equity(-40.0)) == ""
    assert found.equity(equity(-45.0, DAY)) == ""
    assert found.equity(equity(-94.0, DAY + 1)) == ""
    assert found.equity(equity(-96.0, DAY + 2)).startswith("loss: 51.0")


@pytest.mark.parametrize("scope", ["*", ETH])
def test_a_halt_stays_until_a_reset_that_says_why(scope: str) -> None:
    found = limits()
    control = found.halt(1, ETH, "loss: too much")
    assert (control.scope, control.action, control.by, control.reason) == (ETH, "halt", "limits", "loss: too much")
    assert found.check(buy(1), []) == "halted: loss: too much"
    found.control(Control(2, scope, "reset", "me", " "), "mm", ETH)
    for other in ("another", "mm"):
        found.control(Control(2, other, "reset", "me", "looked at it"), "mm", ETH)
    assert found.halted == "loss: too much"
    found.control(Control(3, scope, "reset", "me", "looked at it"), "mm", ETH)
    assert found.check(buy(1), []) == ""


def test_a_reset_of_an_instrument_or_an_executor_ends_no_halt_of_all() -> None:
    found = limits()
    found.control(Control(1, "*", "halt", "me", "killed"), "mm", ETH)
    found.control(Control(2, "mm", "halt", "me", "too slow"), "mm", ETH)
    for scope in ("mm", ETH):
        found.control(Control(3, scope, "reset", "me", "looked at it"), "mm", ETH)
        assert found.halted == "killed"
    found.control(Control(4, "*", "reset", "me", "looked at it"), "mm", ETH)
    assert found.halted == ""


def test_a_halt_from_outside_is_latched_too() -> None:
    found = limits()
    found.control(Control(2, "*", "halt", "kill", "stop it"), "mm", ETH)
    again = Limits(OPTIONS, msgspec.msgpack.decode(msgspec.msgpack.encode(found.watch)))
    assert again.halted == "stop it"
    found.control(Control(2, "*", "note", "me", "hello"), "mm", ETH)
    assert found.halted == "stop it"


@pytest.mark.parametrize("name", ["order", "position", "orders_per_s", "loss_per_day", "band_bps"])
def test_a_limit_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LimitOptions(**{name: 0})
