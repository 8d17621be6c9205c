import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from processors.online.garch import Garch, fit, fitted, unfit
from processors.online.garch_likelihood import NORMAL, backcast, log_likelihood, variances
from processors.online.garch_search import search
from tests.data import recording, reference

BARS = "bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"


def returns(factor):
    prices = reference("refs/garch_arch_fits.json")["prices"]
    return {name: factor * np.diff(np.log(values)) for name, values in prices.items()}


def simulated(seed, count, omega=0.05, alpha=0.1, beta=0.85, nu=5.0):
    shocks = np.random.default_rng(seed).standard_t(nu, count) * math.sqrt((nu - 2) / nu)
    found, variance = np.empty(count), omega / (1 - alpha - beta)
    for index, shock in enumerate(shocks):
        found[index] = math.sqrt(variance) * shock
        variance = omega + alpha * found[index] ** 2 + beta * variance
    return found


def test_the_likelihood_equals_that_of_arch_at_the_same_parameters():
    cases = [case for case in reference("refs/garch_loglik_at_fixed_params.json")["cases"] if case["dist"] != "skewt"]
    series = returns(1_000)
    assert len(cases) == 18
    for case in cases:
        squares = series[case["series"]] ** 2
        omega, alpha, beta, *nu = case["params"]
        value, _ = log_likelihood(squares, backcast(squares), omega, alpha, beta, nu[0] if nu else NORMAL)
        assert value == pytest.approx(case["loglikelihood"], rel=1e-12)
        found = np.sqrt(variances(squares, omega, alpha, beta, backcast(squares)))
        assert found[[0, -2]] == pytest.approx([case["cond_vol_first"], case["cond_vol_last"]], rel=1e-12)


@settings(max_examples=40)
@given(
    st.integers(0, 99), st.floats(0.01, 1.0), st.floats(0.0, 0.4), st.floats(0.0, 0.59),
    st.one_of(st.just(NORMAL), st.floats(2.1, 50.0)),
)  # fmt: skip
def test_the_gradient_is_that_of_the_likelihood(seed, omega, alpha, beta, nu):
    squares = simulated(seed, 150) ** 2
    at = np.array([omega, alpha, beta, nu])
    _, gradient = log_likelihood(squares, backcast(squares), *at)
    for index in range(3 if nu == NORMAL else 4):
        step = np.zeros(4)
        step[index] = 1e-6 * max(at[index], 0.1)
        up, down = (log_likelihood(squares, backcast(squares), *(at + way))[0] for way in (step, -step))
        assert gradient[index] == pytest.approx((up - down) / (2 * step[index]), rel=1e-4, abs=1e-3)


def test_the_likelihood_is_the_sum_of_scipys_densities():
    percent = simulated(1, 200)
    sigmas = np.sqrt(variances(percent**2, 0.1, 0.2, 0.6, backcast(percent**2))[:-1])
    unit = math.sqrt((6.0 - 2.0) / 6.0)
    expected = stats.t.logpdf(percent, 6.0, scale=sigmas * unit).sum()
    assert log_likelihood(percent**2, backcast(percent**2), 0.1, 0.2, 0.6, 6.0)[0] == pytest.approx(expected, rel=1e-12)
    assert log_likelihood(percent**2, backcast(percent**2), 0.1, 0.2, 0.6, NORMAL)[0] == pytest.approx(
        stats.norm.logpdf(percent, scale=sigmas).sum(), rel=1e-12
    )


@pytest.mark.parametrize("dist", ["normal", "t"])
def test_the_fit_is_as_likely_as_that_of_arch_on_the_reference_series(dist):
    fits = [one for one in reference("refs/garch_arch_fits.json")["fits"]
            if one["mean"] == "Zero" and one["dist"] == dist]  # fmt: skip
    series = returns(1_000)
    assert len(fits) == 3
    for one in fits:
        found = fit(series[one["series"]], student=dist == "t")
        assert found.log_likelihood >= one["loglikelihood"] - 1e-4 * abs(one["loglikelihood"])
        ahead = one["forecast_var_1to5"][0]
        assert found.variance == pytest.approx(ahead, rel=0.01)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT"])
def test_the_fit_is_as_likely_as_that_of_arch_on_real_bars(symbol):
    arch = pytest.importorskip("arch")
    bars = pl.read_parquet(recording(BARS)).filter(pl.col("symbol") == symbol).sort("ts")
    percent = 100 * np.diff(np.log(bars["close"].to_numpy()[20_000:22_501]))
    theirs = arch.arch_model(10 * percent, mean="Zero", p=1, q=1, dist="t", rescale=False).fit(
        disp="off", show_warning=False
    )
    expected = theirs.loglikelihood + len(percent) * math.log(10)
    assert fit(percent).log_likelihood >= expected - 1e-4 * abs(expected)


def test_the_parameters_of_a_simulation_are_found_again():
    found = fit(simulated(4, 20_000))
    assert (found.alpha, found.beta, found.nu) == pytest.approx((0.1, 0.85, 5.0), rel=0.15)


def test_a_warm_start_ends_where_a_cold_one_does():
    percent = simulated(5, 3_000)
    earlier, cold = fit(percent[:-20]), fit(percent)
    assert fit(percent, warm=earlier).log_likelihood == pytest.approx(cold.log_likelihood, abs=1e-4)


def test_a_warm_start_of_the_other_kind_is_not_used():
    percent = simulated(5, 500)
    assert fit(percent, student=False, warm=fit(percent)) == fit(percent, student=False)


@given(st.sampled_from([1e-4, 1e-2, 1e3]))
def test_the_scale_of_the_returns_does_not_matter(factor):
    percent = simulated(6, 600)
    plain, scaled = fit(percent), fit(factor * percent)
    assert scaled.variance == pytest.approx(factor**2 * plain.variance, rel=1e-4)
    assert (scaled.alpha, scaled.nu) == pytest.approx((plain.alpha, plain.nu), rel=1e-3)


def test_the_filter_equals_the_recursion_over_all_returns():
    percent = simulated(7, 800)
    model = fit(percent[:500])
    streamed = model
    for one in percent[500:]:
        streamed = streamed.after(one)
    squares = percent**2
    whole = variances(squares, model.omega, model.alpha, model.beta, backcast(squares))
    assert streamed.variance == pytest.approx(whole[-1], rel=1e-12)


@pytest.mark.parametrize(
    ("percent", "reason"),
    [
        (np.ones(99), "99 returns, 100 are needed"),
        (np.zeros(500), "does not move"),
        (np.array([0.0] * 499 + [1.0]), "50% are needed"),
        (np.array([1.0] * 200 + [math.nan]), "not finite"),
    ],
)
def test_what_cannot_be_fitted_has_a_reason_and_no_figure(percent, reason):
    assert reason in unfit(percent)
    for student in (True, False):
        assert fit(percent, student) == Garch(reason=unfit(percent))


def test_tails_without_a_variance_are_told():
    assert "nu goes to 2" in fit(np.random.default_rng(1).standard_t(1.2, 3_000)).reason


def test_a_model_whose_variance_is_not_that_of_the_returns_is_refused():
    squares = simulated(1, 500) ** 2
    scale = float(squares.mean())
    found = fitted(squares / scale, scale, -1.0, 30.0, 0.05, 0.5, 4.0)
    assert found == Garch(reason=found.reason)
    assert "times that of the returns" in found.reason


def test_the_search_is_no_worse_than_our_fit_and_always_the_same():
    pytest.importorskip("arch")
    percent = returns(100)["SOLUSDT_1m"]
    found = search(percent, trials=6)
    assert found.log_likelihood >= fit(percent).log_likelihood
    assert found == search(percent, trials=6)
    assert found.nu == pytest.approx(3.526, rel=0.02)
