"""Bands are numpy's quantiles."""

import numpy as np
import pytest

from processors.online.bands import LEVELS, bands


@pytest.mark.parametrize("count", [1, 2, 7, 1_000])
def test_bands_are_quantiles_whatever_the_number_of_paths(count):
    paths = np.random.default_rng(1).lognormal(size=(13, count)).astype(np.float32)
    assert bands(paths) == pytest.approx(np.quantile(paths, LEVELS, axis=1).T, rel=1e-5)


def test_paths_are_left_as_they_are():
    paths = np.array([[3.0, 1.0, 2.0]], np.float32)
    bands(paths)
    assert paths.tolist() == [[3.0, 1.0, 2.0]]
