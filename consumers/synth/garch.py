"""GARCH(1,1) with Student-t shocks by ``arch``, fitted once a day on the last days; of the extra ``research``."""

import warnings
from typing import Any

import numpy as np

from consumers.synth.contestants import Contestant, Moment, Work, recent
from consumers.synth.history import History
from processors.online.day_profile import DAY

PERCENT = 1_000.0  # arch wants returns of about this size


def garch_t(history: History, work: Work) -> Contestant:
    """A contestant.

    Raises:
        ImportError: arch is not installed.

    """
    from arch import arch_model  # noqa: PLC0415  an extra

    fitted: dict[int, Any] = {}

    def forecast(moment: Moment) -> Any:
        index, day = history.at(moment.known), moment.known // DAY
        model = arch_model(recent(history, index, work.step) * PERCENT, mean="Zero", p=1, q=1, dist="t", rescale=False)
        if day not in fitted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted[day] = model.fit(disp="off", show_warning=False).params
        steps, count = work.shocks.shape
        drawn = np.random.default_rng(moment.seed(history.asset.name))
        found: Any = model.fix(fitted[day]).forecast(
            horizon=steps, method="simulation", simulations=count,
            rng=lambda size: drawn.standard_t(fitted[day]["nu"], size) * unit(fitted[day]["nu"]),
        )  # fmt: skip
        moves = found.simulations.values[-1].T / PERCENT
        work.paths[0] = history.prices[index]
        work.paths[1:] = history.prices[index] * np.exp(moves.cumsum(axis=0))
        return work.paths

    return forecast


def unit(nu: float) -> float:
    """What makes a Student-t number one of unit variance."""
    return float(np.sqrt((nu - 2.0) / nu))
