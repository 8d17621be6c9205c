"""Prompts and responses: what is sent passes the validator's rules, and what does not is told by its field."""

import math
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.synth_response import Prompt, characters, error_of, error_of_price, passes_both, prompt, response

NOW = datetime(2026, 11, 21, 11, 59, tzinfo=UTC).timestamp()
ASKED = {
    "name": "BTC", "start_time": "2026-11-21T12:00:00+00:00", "time_increment": 300, "time_length": 86_400,
    "num_simulations": 1_000, "now_s": NOW,
}  # fmt: skip
SMALL = Prompt("BTC", 1_795_262_400, 300, 600, 2)
PATHS = [[97_352.614159, 97_352.614159], [97_360.020001, 97_000.0], [0.523456749, 123_456_789.0]]


def test_a_prompt_says_what_is_wanted():
    found = prompt(**ASKED)
    assert found == Prompt("BTC", 1_795_262_400, 300, 86_400, 1_000)
    assert found.points == 289


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_increment", 0), ("time_increment", -300), ("time_increment", 7), ("time_increment", 300.0),
        ("time_increment", True), ("time_length", 0), ("num_simulations", 0), ("num_simulations", 10**9),
        ("start_time", "2026-11-21T11:58:59+00:00"), ("start_time", "2026-11-21T12:00:00"), ("start_time", "soon"),
        ("start_time", None),
    ],
)  # fmt: skip
def test_a_field_that_makes_no_sense_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field}: "):
        prompt(**{**ASKED, field: value})


def test_an_unknown_asset_is_named():
    with pytest.raises(ValueError, match=r"^asset: 'DOGE'"):
        prompt(**{**ASKED, "name": "DOGE"})


def test_a_response_is_what_the_validator_wants():
    found = response(SMALL, PATHS)
    assert found[:2] == [1_795_262_400, 300]
    assert found[2] == [97_352.614, 97_360.02, 0.5234567]
    assert error_of(found, SMALL) is None


@given(st.lists(st.floats(1e-6, 9.9e6), min_size=6, max_size=6))
def test_prices_pass_both_rules_of_digits(prices):
    found = response(SMALL, np.reshape(prices, (3, 2)))
    assert error_of(found, SMALL) is None
    assert all(error_of_price(price) is None for path in found[2:] for price in path)
    if min(prices) > 1e-3:
        assert passes_both(found[2:])
    for place, path in enumerate(found[2:]):
        assert path == pytest.approx([prices[place], prices[2 + place], prices[4 + place]], rel=1e-7, abs=0.6e-7)


@given(st.floats(1e-37, 1e37))
def test_any_price_of_a_float32_passes_todays_rule_and_stays_positive(price):
    found = response(SMALL._replace(length_s=300, paths=1), [[price], [1.0]])[2][0]
    assert found > 0
    assert error_of_price(found) is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_not_sent(wrong):
    with pytest.raises(ValueError, match="paths"):
        response(SMALL, [[1.0, 1.0], [1.0, wrong], [1.0, 1.0]])


def test_paths_of_another_shape_are_not_sent():
    with pytest.raises(ValueError, match="paths"):
        response(SMALL, [[1.0, 1.0]])


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (0, 1_795_262_401, "start_time"), (0, 1_795_262_400.0, "start_time"), (1, 60, "time_increment"),
        (2, [1.0, 1.0], "path"), (2, (1.0, 1.0, 1.0), "path"), (2, [1.0, 1.0, True], "price"),
        (2, [1.0, 1.0, math.nan], "price"), (2, [1.0, 1.0, 1e39], "price"), (2, [1.0, 1.0, 1e-46], "price"),
        (2, [1.0, 1.0, 123_456.789], "price"), (2, [1.0, 1.0, "2"], "price"),
    ],
)  # fmt: skip
def test_the_check_names_what_the_validator_would_refuse(place, value, field):
    given_ = response(SMALL, PATHS)
    given_[place] = value
    assert error_of(given_, SMALL).startswith(f"{field}: ")


def test_the_check_counts_paths_and_knows_no_response():
    assert error_of(response(SMALL, PATHS)[:-1], SMALL).startswith("num_simulations")
    for nothing in (None, [], "text", [1]):
        assert error_of(nothing, SMALL).startswith("response")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=0))
def test_the_range_is_that_of_a_float32(price):
    stored = struct.unpack("<f", struct.pack("<f", price))[0]
    assert (error_of_price(price) or "").endswith("beyond a float32") is (stored == 0.0 and price != 0.0)


def test_the_rule_of_before_counts_zeros_in_front():
    assert characters(0.52345679) == 9
    assert not passes_both([[0.52345679]])
    assert passes_both([[0.5234567]])


PRICES = st.floats(1e-16, 1e16) | st.sampled_from([0.0, 1.0, 0.52345679, 1e-40, -2.5, 97_352.614])


@given(st.lists(PRICES, min_size=6, max_size=6))
def test_prices_looked_at_together_are_judged_as_each_alone(prices):
    given_ = [1_795_262_400, 300, prices[:3], prices[3:]]
    expected = next((error for price in prices if (error := error_of_price(price))), None)
    assert error_of(given_, SMALL) == expected


@pytest.mark.parametrize("wrong", [True, False, "1", None, [1.0], 10**400])
def test_what_is_no_number_is_found_among_numbers(wrong):
    assert error_of([1_795_262_400, 300, [1.0, 2.0, 3.0], [1.0, wrong, 3.0]], SMALL).startswith("price: ")


def test_whole_numbers_are_prices():
    assert error_of([1_795_262_400, 300, [1, 2, 3], [97_352, 2, 12_345_678]], SMALL) is None
