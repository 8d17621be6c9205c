import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.policies.avellaneda_stoikov import Inputs, Terms, half_spread, liquidity, quotes
from processors.online.units import in_usd
from tests.data import reference

SMALL = st.floats(1e-6, 1e3)


def inputs(**changed):
    usual = {"mid": 100.0, "position": 0.0, "sigma": 2.0, "kappa": 1.5, "gamma": 0.1, "horizon": 1.0}
    return Inputs(**{**usual, **changed})


def test_it_equals_the_reference_of_40_digits():
    cases = reference("refs/avellaneda_stoikov_closed_form.json")["cases"]
    assert len(cases) == 34
    for case in cases:
        made = quotes(
            inputs(
                mid=case["mid"], position=case["inventory"], sigma=case["sigma"], kappa=case["k"],
                gamma=case["gamma"], horizon=case["time_left"],
            )
        )  # fmt: skip
        assert made.reservation == pytest.approx(case["reservation_price"], rel=1e-14)
        assert made.half_spread == pytest.approx(case["half_spread_seed_formula"], rel=1e-14)
        assert 2 * made.half_spread == pytest.approx(case["optimal_total_spread_paper"], rel=1e-14)
        assert (made.bid, made.ask) == pytest.approx((case["bid"], case["ask"]), rel=1e-13)


def test_it_gives_the_spread_of_the_papers_first_table():
    # Table 1 of the paper: gamma 0.1, k 1.5, sigma 2, T 1: an average spread of 1.49 over the session
    shares = [(step + 0.5) / 1000 for step in range(1000)]
    spreads = [2 * half_spread(0.1, 1.5, 2.0, share) for share in shares]
    assert sum(spreads) / len(spreads) == pytest.approx(1.49, abs=0.005)


def test_by_hand():
    # (1/0.5) ln(1 + 0.5/0.5) = 2 ln 2 = 1.386294; 1/2 0.5 0.04 10 = 0.1; 3 0.5 0.04 10 = 0.6
    made = quotes(inputs(mid=1_000.0, position=3.0, sigma=0.2, kappa=0.5, gamma=0.5, horizon=10.0))
    assert made.half_spread == pytest.approx(2 * math.log(2) + 0.1, rel=1e-15)
    assert made.reservation == pytest.approx(999.4, rel=1e-15)


def test_a_volatility_of_returns_becomes_one_of_the_price():
    # 2e-5 a root second at 3000 USD are 6 cents; over 100 s sigma^2 T is 0.36 USD^2
    assert quotes(inputs(mid=3e3, sigma=in_usd(2e-5, 3e3), gamma=1.0, horizon=100.0)).half_spread == pytest.approx(
        math.log1p(1 / 1.5) + 0.18
    )


@given(SMALL)
def test_without_risk_aversion_it_is_the_inverse_of_kappa(kappa):
    made = quotes(inputs(kappa=kappa, gamma=0.0, position=7.0))
    assert (made.reservation, made.half_spread) == (100.0, 1 / kappa)


@given(st.floats(1e-320, 1e6), st.floats(1e-9, 1e9))
def test_the_liquidity_term_is_exact_however_small_gamma_is(gamma, kappa):
    with localcontext(prec=60):
        ratio = Decimal(gamma) / Decimal(kappa)
        # 60 digits cannot hold 1 + ratio below 1e-59: the series is exact there
        exact = (1 + ratio).ln() / Decimal(gamma) if ratio > Decimal("1e-30") else (1 - ratio / 2) / Decimal(kappa)
    assert liquidity(gamma, kappa) == pytest.approx(float(exact), rel=7e-16)


@given(SMALL, SMALL, SMALL, st.floats(0, 1e3), st.floats(-1e3, 1e3))
def test_both_quotes_stand_evenly_around_the_reservation_price(kappa, gamma, sigma, horizon, position):
    made = quotes(inputs(kappa=kappa, gamma=gamma, sigma=sigma, horizon=horizon, position=position))
    lost = 1e-9 + 1e-15 * made.half_spread  # a spread of billions takes the last digits of the price
    assert made.bid + made.ask == pytest.approx(2 * made.reservation, rel=1e-9, abs=lost)
    assert made.bid < made.ask or made.half_spread < 1e-9 * abs(made.reservation)
    assert (made.reservation - 100.0) * position <= 0.0


@given(SMALL, st.floats(1.01, 100))
def test_more_liquid_flow_means_a_narrower_spread(kappa, factor):
    assert liquidity(0.1, kappa * factor) < liquidity(0.1, kappa)


def test_the_other_reading_has_the_sign_and_half_of_the_seeds_source():
    made = quotes(inputs(position=5.0, horizon=0.5), Terms(reading="origin"))
    assert made.reservation == pytest.approx(100.5)


def test_funding_moves_both_quotes_against_the_side_that_pays():
    # 0.01 % an hour of 100 USD, held for 1800 s: half a cent
    plain, moved = (
        quotes(inputs(horizon=1_800.0, sigma=0.0)),
        quotes(inputs(horizon=1_800.0, sigma=0.0, funding_rate=1e-4), Terms(funding_weight=1.0)),
    )
    assert (plain.bid - moved.bid, plain.ask - moved.ask) == pytest.approx((0.005, 0.005))


def test_a_side_whose_fills_lost_steps_back_and_the_other_stays():
    plain = quotes(inputs())
    moved = quotes(inputs(bid_markout=-0.4, ask_markout=0.2), Terms(markout_weight=0.5))
    assert (plain.bid - moved.bid, moved.ask - plain.ask) == (pytest.approx(0.2), 0.0)


def test_terms_of_weight_0_change_nothing():
    assert quotes(inputs(funding_rate=1e-3, bid_markout=-1.0)) == quotes(inputs())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mid", 0.0), ("mid", math.nan), ("kappa", 0.0), ("kappa", -1.0), ("kappa", math.inf), ("gamma", -1e-9),
        ("sigma", math.nan), ("horizon", -1.0), ("position", math.inf), ("funding_rate", math.nan),
        ("funding_interval", 0.0), ("bid_markout", math.nan),
    ],
)  # fmt: skip
def test_an_input_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be finite"):
        inputs(**{field: value})


def test_quotes_that_would_be_infinite_are_refused():
    with pytest.raises(ValueError, match="no finite quotes"):
        quotes(inputs(kappa=1e-300, gamma=1e200, sigma=1e150))
