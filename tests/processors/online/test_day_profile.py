import numpy as np
import pytest

from processors.online.day_profile import DAY, SLOTS, DayProfile

THURSDAY = 0


def returns(seed, deviation=1e-3):
    return np.random.default_rng(seed).normal(size=DAY) * deviation


def profile(days, of):
    found = DayProfile()
    for day in range(days):
        found.update(day, of(day))
    return found.multipliers()


def test_days_that_are_alike_give_ones():
    assert profile(60, returns) == pytest.approx(np.ones((2, SLOTS)), abs=0.15)


def test_a_lively_hour_is_found_with_its_neighbours():
    def lively(day):
        moves = returns(day)
        moves[14 * 60 : 16 * 60] *= 2
        return moves

    found = profile(60, lively)[0]
    assert found[30] / found[10] == pytest.approx(3.5, abs=0.6)
    assert found[28] < found[30]


def test_weekends_have_a_profile_of_their_own():
    def quiet(day):
        return returns(day, 5e-4 if (day + 3) % 7 >= 5 else 1e-3)

    working, weekend = profile(70, quiet)
    assert weekend.mean() / working.mean() == pytest.approx(0.25, abs=0.08)


def test_little_known_means_little_changed():
    def wild(day):
        moves = returns(day)
        moves[:60] *= 10
        return moves

    assert profile(1, wild)[0].max() < profile(30, wild)[0].max()


def test_missing_minutes_say_nothing():
    def holed(day):
        moves = returns(day)
        moves[::2] = np.nan
        return moves

    assert profile(60, holed) == pytest.approx(np.ones((2, SLOTS)), abs=0.2)


def test_the_unit_of_returns_does_not_matter():
    assert profile(10, lambda day: 7 * returns(day)) == pytest.approx(profile(10, returns))


def test_a_day_has_1440_minutes():
    with pytest.raises(ValueError, match="1440"):
        DayProfile().update(THURSDAY, np.zeros(1_439))
