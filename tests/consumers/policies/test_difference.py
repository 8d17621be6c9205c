"""The plan for one side: carried out, it leaves what is wanted and nothing else."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.orders import Order
from consumers.policies.difference import NOTHING, Plan, Thresholds, difference
from consumers.policies.quoting import Grid, Target

GRID = Grid.of(0.5, 0.1, 0.1)
SECOND = 10**9
NOW = 100 * SECOND


def thresholds(**given: Any) -> Thresholds:
    fields: dict[str, Any] = {
        "ticks": 1, "bps": 0.0, "every_ms": 0, "refill_share": 0.5, "renew_ms": 1_000, "replace": True,
    } | given  # fmt: skip
    return Thresholds(**fields)


def order(name: str = "a", price: int = 1_000, size: int = 10, **given: Any) -> Order:
    fields: dict[str, Any] = {
        "client_id": name, "venue_id": "", "strategy": "s", "status": "open", "side": "buy", "price": price,
        "size": size, "filled": 0, "price_decimals": 1, "size_decimals": 1, "post_only": True, "reduce_only": False,
        "expires_ns": NOW + 60 * SECOND, "changed_ns": 0, "leaving": False, "traded": 0, "fills": [], "reason": "",
    } | given  # fmt: skip
    return cast(Order, fields)


def plan(target: Target | None, *live: Order, room: int = 100, changed_ns: int = 0, **given: Any) -> Plan:
    return difference(target, live, room, GRID, thresholds(**given), NOW, changed_ns)


def carried_out(given: Plan, live: list[Order]) -> list[tuple[int, int]]:
    """Price and what is left of each order once the venue has done what was asked for."""
    gone = {*given.cancel, *([given.replace[0]] if given.replace else [])}
    left = [(each["price"], each["size"] - each["filled"]) for each in live if each["client_id"] not in gone]
    return left + [tuple(new) for new in (given.replace and given.replace[1], given.place) if new]  # type: ignore[misc]


WANTED = Target(1_000, 10)


@pytest.mark.parametrize(
    ("expected", "target", "live"),
    [
        (Plan(place=WANTED), WANTED, []),
        (NOTHING, WANTED, [order()]),
        (Plan(("a",)), None, [order()]),
        (NOTHING, None, []),
        (Plan(replace=("a", Target(1_005, 10))), Target(1_005, 10), [order()]),
        (Plan(("a", "b")), WANTED, [order("a"), order("b"), order("c")]),
        (NOTHING, WANTED, [order(status="requested", price=900)]),
        (NOTHING, WANTED, [order(leaving=True, price=900)]),
        (Plan(("b",)), None, [order("a", leaving=True), order("b", status="requested")]),
        (NOTHING, WANTED, [order(filled=5)]),
        (Plan(replace=("a", WANTED)), WANTED, [order(filled=6)]),
        (Plan(replace=("a", WANTED)), WANTED, [order(expires_ns=NOW + SECOND)]),
        (NOTHING, WANTED, [order(expires_ns=0)]),
    ],
)
def test_the_plan_of_a_side(expected: Plan, target: Target | None, live: list[Order]) -> None:
    assert plan(target, *live) == expected


def test_a_price_is_near_below_the_greater_of_both_thresholds() -> None:
    assert plan(Target(1_005, 10), order(), ticks=2) == NOTHING
    assert plan(Target(1_010, 10), order(), ticks=2) == Plan(replace=("a", Target(1_010, 10)))
    assert plan(Target(1_010, 10), order(), bps=150.0) == NOTHING
    assert plan(Target(1_015, 10), order(), bps=150.0).replace is not None


def test_an_order_at_the_price_wanted_stays_whatever_the_thresholds() -> None:
    assert plan(WANTED, order(), ticks=0) == NOTHING
    assert plan(WANTED, order(price=10_000, price_decimals=2), ticks=0) == NOTHING
    assert plan(Target(1_005, 10), order(), ticks=0).replace is not None


def test_a_side_rests_after_a_change_but_an_order_that_must_go_goes() -> None:
    resting = {"every_ms": 500, "changed_ns": NOW - 400_000_000}
    assert plan(Target(1_005, 10), order(), **resting) == NOTHING
    assert plan(WANTED, **resting) == NOTHING
    assert plan(None, order(), **resting) == Plan(("a",))
    assert plan(Target(1_000, 4), order(), room=4, **resting) == Plan(("a",))


def test_without_room_for_both_the_old_order_goes_first() -> None:
    assert plan(Target(1_005, 10), order(), room=19) == Plan(("a",))
    assert plan(Target(1_005, 10), order(), room=20) == Plan(replace=("a", Target(1_005, 10)))
    assert plan(Target(1_005, 10), order(), replace=False) == Plan(("a",))


ORDERS = st.builds(
    order,
    price=st.integers(190, 210).map(lambda ticks: ticks * 5),
    size=st.integers(1, 30),
    leaving=st.booleans(),
    status=st.sampled_from(("requested", "accepted", "open")),
)
TARGETS = st.one_of(
    st.none(), st.builds(Target, st.integers(190, 210).map(lambda ticks: ticks * 5), st.integers(1, 20))
)


@given(target=TARGETS, live=st.lists(ORDERS, max_size=3), room=st.integers(20, 60), replace=st.booleans())
def test_plans_carried_out_lead_to_what_is_wanted(
    target: Target | None, live: list[Order], room: int, replace: bool
) -> None:
    live = [cast(Order, {**each, "client_id": str(place)}) for place, each in enumerate(live)]
    for turn in range(6):
        made = plan(target, *live, room=room, replace=replace)
        after = carried_out(made, [each for each in live if not each["leaving"]])
        reachable = sum(each["size"] for each in live) + sum(
            new.size for new in (made.replace and made.replace[1], made.place) if new
        )
        assert not (made.place or made.replace) or reachable <= room
        live = [order(f"{turn}{place}", price, left) for place, (price, left) in enumerate(after)]
    if target is None:
        assert live == []
    else:
        ((price, left),) = [(each["price"], each["size"]) for each in live]
        assert price == target.price
        assert target.size / 2 <= left <= room
