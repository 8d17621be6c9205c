"""The score of a full prompt of Synth, ours and properscoring's ensemble CRPS as the subnet uses it, in turns.

Prints a line of JSON for each of properscoring's two ways: ``numba``, which it takes where numba is installed, and
``numpy``, which it takes elsewhere; ms a prompt of both sides, and the median ratio of a turn. The subnet takes its
returns with numpy and calls ``crps_ensemble`` step by step. Both must come to the same score.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import properscoring._crps as theirs
from properscoring._gufuncs import _crps_ensemble_gufunc

from processors.online.synth_rules import PATHS, Competition, newest
from processors.online.synth_score import score

DAY = newest().competition("BTC", 86_400)
WAYS: dict[str, tuple[Any, int]] = {  # and prompts in a turn
    "numba": (_crps_ensemble_gufunc, 20),
    "numpy": (theirs._crps_ensemble_vectorized, 1),
}


def as_the_subnet_does(real: Any, paths: Any, competition: Competition) -> float:
    """The sum over intervals and steps of paths that stand as rows."""
    total = 0.0
    for name, seconds in competition.intervals.items():
        every, absolute = seconds // competition.increment_s, name.endswith("_abs")
        simulated, came = _changes(paths, every, absolute), _changes(real.reshape(1, -1), every, absolute)[0]
        scores = np.array([theirs.crps_ensemble(came[step], simulated[:, step]) for step in range(len(came))])
        total += float((scores / real[-1] * 10_000 if absolute else scores).sum())
    return total


def _changes(prices: Any, every: int, absolute: bool) -> Any:
    points = prices[:, ::every]
    return points[:, 1:] if absolute else np.diff(points, axis=1) / points[:, :-1] * 10_000


def timed(function: Callable[[], object], count: int) -> float:
    """Milliseconds of one call, on the processor."""
    began = time.thread_time()
    for _ in range(count):
        function()
    return (time.thread_time() - began) / count * 1_000


def main(runs: int) -> None:
    """Take turns, the first of which does not count."""
    generator = np.random.default_rng(1)
    rows = 50_000 * np.exp(generator.normal(0, 1e-3, (PATHS, DAY.points)).cumsum(axis=1))
    real = 50_000 * np.exp(generator.normal(0, 1e-3, DAY.points).cumsum())
    for name, (way, count) in WAYS.items():
        theirs._crps_ensemble_core = way
        np.testing.assert_allclose(score(real, rows.T, DAY), as_the_subnet_does(real, rows, DAY), rtol=1e-9)
        turns = [
            (
                timed(lambda: as_the_subnet_does(real, rows, DAY), count),
                timed(lambda: score(real, rows.T, DAY), 20),
            )
            for _ in range(runs + 1)
        ][1:]
        slow, quick = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
        print(json.dumps([name, slow, quick, statistics.median(turn[0] / turn[1] for turn in turns)]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
