from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.steps import Steps, passive, rescaled

STEPS = st.sampled_from([0.01, 0.1, 0.5, 2.5, 1, 5, 25, 0.00001, "0.25", Decimal("0.0125"), 1e-8, 100.0])
NUMBERS = st.floats(1e-6, 1e9) | st.integers(1, 10**9)


@given(STEPS, NUMBERS)
def test_rounding_is_exact(step: float, value: float) -> None:
    steps = Steps.of(step)
    exact, unit = Fraction(Decimal(repr(value))), Fraction(1, 10**steps.decimals)
    down, up, nearest = steps.down(value), steps.up(value), steps.nearest(value)
    assert down * unit <= exact < (down + steps.step) * unit
    assert (up - steps.step) * unit < exact <= up * unit
    assert nearest in (down, up)
    assert abs(nearest * unit - exact) <= Fraction(steps.step, 2) * unit
    assert all(number % steps.step == 0 for number in (down, up, nearest))


@given(STEPS, st.integers(1, 10**12))
def test_a_multiple_is_left_as_it_is_also_by_way_of_a_float(step: float, count: int) -> None:
    steps = Steps.of(step)
    number = count % 10**8 * steps.step
    assert steps.down(steps.number(number)) == steps.up(steps.number(number)) == number
    assert steps.holds(number, steps.decimals)
    assert steps.holds(number * 1000, steps.decimals + 3)
    assert not steps.holds(number * 10 + 1, steps.decimals + 1)


def test_a_float_stands_for_the_decimal_that_it_prints_as() -> None:
    assert Steps.of(0.1).down(0.3) == 3
    assert Steps.of(0.01).up(1.1) == 110
    assert Steps.of(2.5) == (25, 1)
    assert Steps.of(1e-8) == (1, 8)


@pytest.mark.parametrize("bad", [0, -0.5, float("nan"), float("inf"), "much"])
def test_a_step_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"step must be above 0|finite number|not a decimal number"):
        Steps.of(bad)


@given(STEPS, st.floats(1, 1e6), st.floats(1, 1e6), st.integers(1, 10**6), st.integers(0, 1000))
def test_quotes_never_cross_the_book_nor_each_other(
    step: float, bid: float, ask: float, best: int, spread: int
) -> None:
    steps = Steps.of(step)
    best_bid, best_ask = best, best + spread
    low, high = passive(steps, bid, ask, best_bid, best_ask)
    assert low < best_ask
    assert high > best_bid
    assert low < high
    assert low % steps.step == high % steps.step == 0


def test_quotes_that_cross_nothing_are_only_rounded_away_from_the_mid() -> None:
    assert passive(Steps.of(0.5), 99.7, 100.3, 990, 1010) == (995, 1005)
    assert passive(Steps.of(0.5), 99.7, 100.3, 0, 0) == (995, 1005)


def test_a_number_that_needs_more_decimals_is_not_cut() -> None:
    assert rescaled(15, 1, 3) == 1500
    with pytest.raises(ValueError, match="15 with 1 decimals needs more than 0"):
        rescaled(15, 1, 0)
