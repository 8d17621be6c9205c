"""From the scores of a prompt's responses to rewards, as the Synth subnet does it.

- A response scores what it lost to the best response of its prompt; an invalid one (-1) gets a high percentile.
- A miner's average is sum(score * weight of its asset) / sum(weights) over the prompts of a window.
- Its reward is softmax(beta * average): beta is negative, a low average earns more.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from processors.online.crps import Floats
from processors.online.synth_rules import Rules
from processors.online.synth_score import INVALID


def prompt_scores(sums: Any, rules: Rules) -> Floats | None:
    """The score of each response from its CRPS; None where no response was valid.

    >>> from processors.online.synth_rules import newest
    >>> prompt_scores([900.0, -1.0, 1000.0], newest()).round(6).tolist()
    [0.0, 95.0, 100.0]
    """
    given = np.asarray(sums, np.float64)
    valid = given[given != INVALID]
    if not len(valid):
        return None
    high = np.percentile(valid, rules.fill_percentile)
    filled = np.where(given == INVALID, high, given)
    if rules.capped:
        filled = np.minimum(filled, high)
    return np.asarray(filled - filled.min())


def rolling_average(scored: Iterable[tuple[float, float]]) -> float:
    """The average of (score, weight of the asset) over a window; prompts without a score (NaN) do not count.

    >>> rolling_average([(10.0, 1.0), (20.0, 3.0)])
    17.5
    """
    there = [(score, weight) for score, weight in scored if not math.isnan(score)]
    if not there:
        return float("inf")
    return sum(score * weight for score, weight in there) / sum(weight for _, weight in there)


def softmax(averages: Any, beta: float) -> Floats:
    """The share of each in the reward.

    >>> softmax([0.0, 0.0, 1e9], -0.1).tolist()
    [0.5, 0.5, 0.0]
    """
    scaled = beta * np.asarray(averages, np.float64)
    if not len(scaled):
        return scaled
    powers = np.exp(scaled - scaled.max())
    return np.asarray(powers / powers.sum())
