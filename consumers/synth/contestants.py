"""Who forecasts: ours, and what it is compared with. Each makes paths by time and path from what a history knows.

- ``ours``: EWMA states and their anchor, Student-t shocks, market hours and the profile of the day.
- ``reference``: the subnet's reference miner: normal simple returns, the volatility that it has in its source.
- ``gaussian``: the same with the volatility of all bars that came before, which is harder to beat.
- ``student_t``: that volatility, Student-t shocks, nu by maximum likelihood once a day.
- ``bootstrap``: returns of the last days, drawn with replacement.
- ``garch_t`` stands in garch.py.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.optimize import minimize_scalar

from consumers.synth.history import History, known_wide, states
from processors.online import synth_forecast
from processors.online.crps import Floats
from processors.online.day_profile import DAY
from processors.online.ewma_variance import NORMAL
from processors.online.innovations import Shocks, mean_size, seed_of, shocks
from processors.online.synth_assets import Model
from processors.online.synth_rules import Competition
from processors.online.variance_paths import Variance, paths

MINUTE_NS = 60_000_000_000
RECENT_DAYS = 10


class Moment(NamedTuple):
    """A forecast to make: it starts at a minute, from what was known some minutes before."""

    start: int
    known: int  # the last minute whose bar is known

    def seed(self, asset: str) -> int:
        """Where the random numbers of it begin."""
        return seed_of(asset, self.start * MINUTE_NS, synth_forecast.VERSION)


class Contestant(Protocol):
    """Makes paths."""

    def __call__(self, moment: Moment) -> Any: ...


class Work:
    """The arrays that forecasts are made in, again and again."""

    def __init__(self, competition: Competition, count: int) -> None:
        self.shocks: Shocks = np.empty((competition.points - 1, count), np.float32)
        self.paths: Shocks = np.empty((competition.points, count), np.float32)
        self.even: Floats = np.ones(competition.points - 1)
        self.step_s = float(competition.increment_s)

    @property
    def step(self) -> int:
        """Minutes of a step."""
        return int(self.step_s) // 60


def ours(history: History, model: Model, work: Work) -> Contestant:
    """The model of this project."""
    states_of = states(history, model.half_life_1m, model.half_life_5m)
    steps, count = work.shocks.shape
    within = synth_forecast.Work(work.shocks, work.paths)

    def forecast(moment: Moment) -> Shocks:
        index = history.at(moment.known)
        wide = known_wide(history, index)
        known = synth_forecast.Known(
            float(history.prices[index]), float(states_of.fast[index]), float(states_of.slow[wide]),
            float(states_of.anchor[wide]), history.profile(moment.known // DAY),
        )  # fmt: skip
        start_s, step_s = moment.start * 60, int(work.step_s)
        return synth_forecast.forecast(known, history.asset, model, start_s, step_s, steps, count, within)

    return forecast


def reference(history: History, work: Work) -> Contestant:
    """The subnet's reference miner."""
    deviation = history.asset.reference_sigma * math.sqrt(work.step_s / 3_600.0)

    def forecast(moment: Moment) -> Shocks:
        shocks(moment.seed(history.asset.name), math.inf, work.shocks)
        work.paths[0] = history.prices[history.at(moment.known)]
        np.cumprod(1.0 + np.float32(deviation) * work.shocks, axis=0, out=work.paths[1:])
        work.paths[1:] *= work.paths[0]
        return work.paths

    return forecast


def constant(history: History, work: Work, nu_of: Callable[[Floats], float]) -> Contestant:
    """The volatility of all bars before, for ever; nu once a day from the returns of the last days."""
    squares = np.nan_to_num(np.diff(np.log(history.prices[:: work.step])) ** 2)
    sums = np.cumsum(squares)
    nus: dict[int, float] = {}

    def forecast(moment: Moment) -> Shocks:
        index = history.at(moment.known)
        last = max(index // work.step - 1, 0)
        day = moment.known // DAY
        if day not in nus:
            nus[day] = nu_of(recent(history, index, work.step))
        rate = float(sums[last]) / (last + 1) / work.step_s
        size = mean_size(nus[day])
        rate *= NORMAL * size * size  # the variance of normal returns of the mean size that these have
        state = Variance(rate, rate, math.inf, math.inf, math.inf, rate, 1.0, 1.0)
        shocks(moment.seed(history.asset.name), nus[day], work.shocks)
        return paths(history.prices[index], state, size, work.step_s, work.even, work.shocks, work.paths)

    return forecast


def gaussian(history: History, work: Work) -> Contestant:
    """Normal returns of historical volatility."""
    return constant(history, work, lambda _: math.inf)


def student_t(history: History, work: Work) -> Contestant:
    """Student-t returns of historical volatility."""
    return constant(history, work, likeliest_nu)


def bootstrap(history: History, work: Work) -> Contestant:
    """Returns of the last days, drawn again."""

    def forecast(moment: Moment) -> Shocks:
        index = history.at(moment.known)
        drawn = np.random.default_rng(moment.seed(history.asset.name))
        returns = recent(history, index, work.step)
        moves = drawn.choice(returns, work.shocks.shape).cumsum(axis=0)
        work.paths[0] = history.prices[index]
        work.paths[1:] = history.prices[index] * np.exp(moves)
        return work.paths

    return forecast


def recent(history: History, index: int, step: int) -> Floats:
    """Log returns over ``step`` minutes of the last days, the newest last."""
    prices = history.prices[max(index - RECENT_DAYS * DAY, 0) : index + 1]
    return np.diff(np.log(prices[(len(prices) - 1) % step :: step]))


def likeliest_nu(returns: Floats) -> float:
    """The degrees of freedom by maximum likelihood, at the variance of the returns.

    >>> sample = shocks(3, 5.0, np.empty((1, 20_000), np.float32))[0].astype(float)
    >>> 4.0 < likeliest_nu(sample) < 6.0
    True
    """
    squares = returns * returns / np.mean(returns * returns)

    def unlikely(log_excess: float) -> float:
        nu = 2.0 + math.exp(log_excess)
        norm = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu - 2)
        return -norm + (nu + 1) / 2 * float(np.log1p(squares / (nu - 2)).mean())

    found = minimize_scalar(unlikely, bounds=(math.log(0.1), math.log(100.0)), method="bounded")
    return 2.0 + math.exp(float(found.x))
