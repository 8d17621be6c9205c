"""What is wanted in the book: on the market's grid, never through the other side, never beyond the bounds."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.policies.avellaneda_stoikov import Inputs, Terms, quotes
from consumers.policies.quoting import Grid, Rooms, Sizes, Touch, wanted
from processors.online.units import Base, PerUsd, Seconds, Usd, UsdPerRootSecond

STEPS = (0.5, 0.25, 2.5, 0.1, 0.01, 5.0, 1.0)


def inputs(mid: float = 100.0, position: float = 0.0, sigma: float = 0.1, kappa: float = 1.5) -> Inputs:
    return Inputs(
        Usd(mid), Base(position), UsdPerRootSecond(sigma), PerUsd(kappa), PerUsd(0.1), Seconds(60.0)
    )  # fmt: skip


@given(
    step=st.sampled_from(STEPS),
    decimals=st.integers(0, 4),
    bid=st.integers(1, 10**7),
    spread=st.integers(0, 1_000),
    position=st.floats(-50.0, 50.0),
    sigma=st.floats(0.0, 5.0),
    kappa=st.floats(0.01, 100.0),
    rooms=st.tuples(st.integers(-50, 200), st.integers(-50, 200)),
)
def test_orders_never_cross_nor_leave_the_grid_nor_the_rooms(
    step: float, decimals: int, bid: int, spread: int, position: float, sigma: float, kappa: float,
    rooms: tuple[int, int],
) -> None:  # fmt: skip
    grid = Grid.of(step, 0.1, 0.2)
    touch = Touch(bid, bid + spread, decimals)
    unit = 10**decimals
    made = wanted(
        inputs((2 * bid + spread) / 2 / unit, position, sigma, kappa), Terms(), 0.0, grid, touch, 60, Rooms(*rooms)
    )
    scale = Fraction(1, 10**grid.price.decimals)
    if made.bid:
        assert made.bid.price * scale < Fraction(touch.ask, unit)
        assert made.bid.price % grid.price.step == 0
        assert grid.least <= made.bid.size <= min(60, rooms[0])
    if made.ask:
        assert made.ask.price * scale > Fraction(touch.bid, unit)
        assert made.ask.price % grid.price.step == 0
        assert grid.least <= made.ask.size <= min(60, rooms[1])
    if made.bid and made.ask:
        assert made.bid.price < made.ask.price


@given(position=st.floats(-10.0, 10.0), sigma=st.floats(0.0, 1.0))
def test_rounding_never_makes_a_quote_better_than_the_policys(position: float, sigma: float) -> None:
    state = inputs(1_000.0, position, sigma)
    made = wanted(state, Terms(), 0.0, Grid.of(0.5, 0.1, 0.1), Touch(9_995, 10_005, 1), 10, Rooms(10, 10))
    wished = quotes(state)
    assert made.bid is not None
    assert made.ask is not None
    assert made.bid.price / 10 <= wished.bid or made.bid.price == made.ask.price - 5
    assert made.ask.price / 10 >= wished.ask


def test_a_least_half_spread_holds_both_sides_away() -> None:
    made = wanted(inputs(kappa=1e6), Terms(), 50.0, Grid.of(0.01, 0.1, 0.1), Touch(9_999, 10_001, 2), 10, Rooms(10, 10))
    assert made.bid is not None
    assert made.ask is not None
    assert (made.bid.price, made.ask.price) == (9_950, 10_050)


def test_sizes_are_rounded_down_to_the_grid() -> None:
    grid = Grid.of(0.5, 0.25, 0.3)
    assert (grid.least, Sizes.of(1.1, 2.6, grid)) == (50, (100, 250))
    made = wanted(inputs(), Terms(), 0.0, grid, Touch(9_990, 10_010, 2), 100, Rooms(60, 49))
    assert made.bid is not None
    assert (made.bid.size, made.ask) == (50, None)


def test_a_bid_that_would_be_no_price_is_left_out() -> None:
    made = wanted(inputs(1.0, 0.0, 1.0), Terms(), 0.0, Grid.of(0.5, 0.1, 0.1), Touch(9, 11, 1), 10, Rooms(10, 10))
    assert made.bid is None


@pytest.mark.parametrize("steps", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0)])
def test_a_grid_without_steps_is_refused(steps: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Grid.of(*steps)
