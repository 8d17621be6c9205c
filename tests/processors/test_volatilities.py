import math

import msgspec
import numpy as np
import pytest

from processors.online.garch import fit
from processors.online.garch_likelihood import backcast, variances
from processors.volatilities import INVALID, SILENT, Volatilities, VolatilityOptions
from schemas import Top

KEY = "x:A"
SECONDS = {"step_ms": 1_000, "window": 1_800, "refit_every": 60}
SECOND = 10**9


def top(time, mid, valid=True):
    return Top(KEY, round(time * SECOND), valid, 0, mid if valid else 0.0, 1.0, mid if valid else 0.0, 1.0, 0.0, 0)


def walk(seed, count, sigma=2e-4):
    moves = np.random.default_rng(seed).standard_t(4, count) / math.sqrt(2) * sigma
    return (100.0 * np.exp(np.cumsum(moves))).tolist()


def run(events, **options):
    stage = Volatilities(KEY, VolatilityOptions(**{**SECONDS, **options}))
    return [made for event in events for made in stage.on_event(event)], stage


def test_simple_is_the_root_mean_square_of_the_windows_returns():
    mids = walk(1, 400)
    said, _ = run([top(second, mid) for second, mid in enumerate(mids)], method="simple", window=150)
    moves = np.diff(np.log(mids))
    for found in said[160::60]:
        last = found.event_ns // SECOND  # the mid of the step before this border
        assert found.usable
        assert found.sigma == pytest.approx(math.sqrt(np.mean(moves[last - 151 : last - 1] ** 2)), rel=1e-9)
        assert found.sigma_quote == found.sigma * found.mid


def test_sigma_is_per_root_second_whatever_the_step():
    mids = walk(2, 4_000)
    events = [top(second, mid) for second, mid in enumerate(mids)]
    fine, _ = run(events, method="simple", window=3_000)
    coarse, _ = run(events, method="simple", window=300, step_ms=10_000)
    assert coarse[-1].sigma == pytest.approx(fine[-1].sigma, rel=0.15)


@pytest.mark.parametrize(("method", "student"), [("garch", False), ("garch_t", True)])
def test_garch_is_fitted_to_the_window_and_carried_on_between_fits(method, student):
    mids = walk(3, 700)
    said, _ = run([top(second, mid) for second, mid in enumerate(mids)], method=method, window=500, refit_every=10_000)
    percent = 100 * np.diff(np.log(mids))
    model = fit(percent[:100], student)
    squares = percent[: len(percent) - 1] ** 2  # the last mid's step is still open
    ahead = variances(squares, model.omega, model.alpha, model.beta, backcast(squares[:100]))[-1]
    assert said[-1].returns == 100
    assert (said[-1].omega, said[-1].nu) == pytest.approx((model.omega, model.nu), rel=1e-6)
    assert said[-1].sigma == pytest.approx(math.sqrt(ahead) / 100, rel=1e-6)


def test_it_is_fitted_anew_after_so_many_returns_and_always_the_same():
    events = [top(second, mid) for second, mid in enumerate(walk(4, 600))]
    said, _ = run(events, refit_every=50)
    fits = {(found.omega, found.returns) for found in said if found.usable}
    assert len(fits) == 10
    assert said == run(events, refit_every=50)[0]


def test_a_restart_in_the_middle_of_a_window_changes_nothing():
    events = [top(second, mid) for second, mid in enumerate(walk(5, 400))]
    whole, _ = run(events, window=200)
    first, stage = run(events[:333], window=200)
    fresh = Volatilities(KEY, VolatilityOptions(step_ms=1_000, window=200, refit_every=60))
    fresh.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stage.snapshot())))
    assert first + [made for event in events[333:] for made in fresh.on_event(event)] == whole


def test_no_return_spans_a_book_that_is_not_valid():
    jump = [top(second, 100.0 if second < 150 else 200.0, valid=second != 150) for second in range(400)]
    said, _ = run(jump, method="simple")
    reasons = [found.reason for found in said]
    assert reasons.count(INVALID) == 1
    assert said[-1].reason == "the price does not move"  # the jump from 100 to 200 was not seen as a return
    told = said[reasons.index(INVALID)]
    assert (told.usable, told.sigma, told.sigma_quote) == (False, 0.0, 0.0)


def test_quiet_steps_count_as_zero_and_a_long_silence_breaks():
    mids = walk(6, 200)
    events = [top(second, mid) for second, mid in enumerate(mids)]
    _, stage = run([*events, top(210, 100.0), top(211, 100.0)])
    assert stage.state.percent[199:209] == [0.0] * 10
    assert stage.state.percent[209] == pytest.approx(100 * math.log(100 / mids[-1]))
    said, stage = run([*events, top(500, 300.0)])
    assert said[-1].reason == SILENT
    assert stage.state.count == 198


def test_a_price_that_does_not_move_has_no_volatility():
    said, _ = run([top(second, 100.0) for second in range(300)])
    assert not any(found.usable for found in said)
    assert said[-1].reason == "the price does not move"
    assert said[50].reason == "51 returns, 100 are needed"


def test_a_forecast_that_has_vanished_is_not_usable():
    # after a lively time the price stands still for longer than the model expects
    events = [top(second, mid) for second, mid in enumerate(walk(8, 400))]
    _, stage = run(events, refit_every=10_000)
    stage.state.model[0], stage.state.model[1], stage.state.model[2] = 0.0, 0.05, 0.5
    said = [made for second in range(400, 430) for made in stage.on_event(top(second, events[-1].bid))]
    assert said[0].usable
    assert not said[-1].usable
    assert said[-1].sigma == 0.0
    assert "of the window's variance" in said[-1].reason


def test_arch_from_scattered_starts_is_at_least_as_likely_as_ours():
    pytest.importorskip("arch")
    events = [top(second, mid) for second, mid in enumerate(walk(7, 400))]
    settings = {"refit_every": 10_000, "trials": 3}
    (theirs, _), (ours, _) = run(events, method="arch", **settings), run(events, **settings)
    assert theirs[-1].log_likelihood >= ours[-1].log_likelihood


@pytest.mark.parametrize(
    ("options", "name"),
    [({"method": "best"}, "method"), ({"window": 99}, "window"), ({"step_ms": 0}, "step_ms"),
     ({"refit_every": 0}, "refit_every"), ({"silence_ms": 500}, "silence_ms")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_by_name(options, name):
    with pytest.raises(ValueError, match=name):
        VolatilityOptions(**options)
