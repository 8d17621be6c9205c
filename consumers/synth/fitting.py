"""The model's parameters by CRPS on past days.

Nelder-Mead over the logarithms of half-lives, blend and nu - 2, and the log odds of weights. Every try sees the same
prompts and the same random numbers, so that the score is a smooth function of the parameters.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from consumers.synth.backtest import truth
from consumers.synth.contestants import Moment, Work, ours
from consumers.synth.history import History
from processors.online.crps import Floats
from processors.online.synth_assets import Model
from processors.online.synth_rules import Competition
from processors.online.synth_score import score

PATHS = 256
LOW = Model(2.0, 12.0, 2.2, 5.0, 0.02, 0.02)
HIGH = Model(1_440.0, 2_880.0, 30.0, 10_080.0, 0.98, 0.98)


class Fit(NamedTuple):
    """What a search found."""

    model: Model
    before: float  # mean CRPS with the parameters that it began with
    after: float
    tries: int


def mean_score(history: History, moments: list[Moment], competition: Competition, model: Model, count: int) -> float:
    """The mean CRPS of a model."""
    forecast = ours(history, model, Work(competition, count))
    each = [
        score(truth(history.minutes, moment.start, competition), forecast(moment), competition) for moment in moments
    ]
    return float(np.mean(each))


def fit(
    history: History,
    moments: list[Moment],
    competition: Competition,
    begin: Model,
    tries: int = 80,
) -> Fit:
    """Look for the parameters of the lowest mean CRPS."""
    low, high = coded(LOW), coded(HIGH)

    def worth(code: Floats) -> float:
        return mean_score(history, moments, competition, decoded(np.clip(code, low, high)), PATHS)

    start = np.clip(coded(begin), low, high)
    corners = np.vstack([start, start + np.eye(len(start))])
    before = worth(start)
    options: Any = {"maxfev": tries, "xatol": 0.02, "fatol": 1e-4 * before, "initial_simplex": corners}
    found = minimize(worth, start, method="Nelder-Mead", options=options)
    return Fit(decoded(np.clip(found.x, low, high)), before, float(found.fun), int(found.nfev))


def coded(model: Model) -> Floats:
    """Parameters as numbers without bounds."""
    weights = np.array([model.fast_weight, model.slow_weight])
    others = np.array([model.half_life_1m, model.half_life_5m, model.nu - 2.0, model.blend])
    return np.log([*others, *weights / (1.0 - weights)])


def decoded(code: Floats) -> Model:
    """Parameters from such numbers, as many digits as they are worth.

    >>> decoded(coded(Model(60.0, 288.0, 4.0, 480.0, 0.8, 0.7)))
    Model(half_life_1m=60.0, half_life_5m=288.0, nu=4.0, blend=480.0, fast_weight=0.8, slow_weight=0.7)
    """
    fast, slow, nu, blend, *odds = (math.exp(value) for value in code)
    weights = (each / (1.0 + each) for each in odds)
    return Model(*(float(f"{value:.4g}") for value in (fast, slow, nu + 2.0, blend, *weights)))
