"""The outcome of a forecast: PIT and coverage by their definitions, and a share of what may be missing."""

import numpy as np
import pytest

from processors.online.synth_outcome import outcome
from processors.online.synth_rules import newest
from processors.online.synth_score import INVALID, score

HOUR = newest().competition("BTC", 3_600)


def sample(count=400):
    generator = np.random.default_rng(4)
    moves = generator.normal(0, 1e-3, (60, count + 1)).cumsum(axis=0)
    walks = 100.0 * np.exp(np.vstack([np.zeros(count + 1), moves]))
    return walks[:, 0], walks[:, 1:].astype(np.float32)


def test_an_outcome_is_what_its_parts_say():
    real, paths = sample()
    real[[7, 20]] = np.nan
    found = outcome(real, paths, HOUR)
    assert found.crps == score(real, paths, HOUR) == pytest.approx(sum(part.score for part in found.parts))
    assert found.steps == 58
    assert np.flatnonzero(np.isnan(found.pits)).tolist() == [6, 19]
    below = [(paths[step] < real[step]).mean() for step in range(1, 61) if np.isfinite(real[step])]
    assert found.pits[np.isfinite(found.pits)] == pytest.approx(below)
    assert found.pit == found.pits[-1]
    assert found.covered[1] == pytest.approx(np.mean(np.abs(np.array(below) - 0.5) <= 0.45))


def test_a_path_that_reaches_zero_has_no_score():
    real, paths = sample()
    paths[3, 5] = 0.0
    found = outcome(real, paths, HOUR)
    assert (found.crps, found.parts, found.steps) == (INVALID, [], 60)
