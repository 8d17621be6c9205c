"""What a forecast of Synth and its score cost: 1,000 paths of a day beside arch's, CRPS beside properscoring's.

All on one core, in turns. arch simulates GARCH(1,1) with Student-t shocks from fixed parameters, the work nearest to
ours that a library does; both sides end with prices. properscoring runs in the peers' venv (bench/contestants/crps.py):
with numpy alone it compares all pairs, with numba it sorts as we do, so that little is left to win there.
"""

import json
import math
import statistics
import subprocess
import time
from typing import Any

import numpy as np
from arch import arch_model

from bench.pipeline import install_peers
from bench.race import PEERS, ROOT
from processors.online.innovations import mean_size, shocks
from processors.online.synth_rules import PATHS, newest
from processors.online.variance_paths import Variance, paths

LONGEST_MS = 10.0
AGAINST_ARCH = 10.0
AGAINST_PROPERSCORING = 20.0
DAY = newest().competition("BTC", 86_400)
STEPS = DAY.points - 1


def main(runs: int) -> bool:
    """Print ms and ratios; whether all targets were reached."""
    title = f"synth, ms for {PATHS} paths of {DAY.points}"
    print(f"\n{title:42}{'theirs':>12}{'ours':>8}{'ratio':>8}")
    theirs, ours, ratio = _paths(runs)
    _print("paths: arch, GARCH-t simulation", theirs, ours, ratio)
    reached = ours <= LONGEST_MS and ratio >= AGAINST_ARCH
    install_peers()
    command = [str(PEERS), "-m", "bench.contestants.crps", str(runs)]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for way, *figures in map(json.loads, lines):
        _print(f"score: properscoring with {way}", *figures)
        reached &= figures[2] >= AGAINST_PROPERSCORING
    return reached


def _print(title: str, theirs: float, ours: float, ratio: float) -> None:
    print(f"{title:42}{theirs:12,.2f}{ours:8.2f}{ratio:8.1f}")


def _paths(runs: int) -> tuple[float, float, float]:
    generator = np.random.default_rng(1)
    model = arch_model(generator.standard_t(4, 2_880), mean="Zero", p=1, q=1, dist="t", rescale=False)
    fixed = model.fix([0.02, 0.05, 0.93, 4.0])
    noise, out = np.empty((STEPS, PATHS), np.float32), np.empty((DAY.points, PATHS), np.float32)
    state = Variance(1e-8, 2e-8, 3_600.0, 86_400.0, 28_800.0, 1.5e-8, 0.8, 0.8)
    even = np.ones(STEPS)

    def theirs() -> Any:
        found: Any = fixed.forecast(horizon=STEPS, method="simulation", simulations=PATHS)
        return 50_000 * np.exp(found.simulations.values[-1].cumsum(axis=1) / 1_000)

    def ours(seed: int) -> Any:
        return paths(50_000.0, state, mean_size(4.0), float(DAY.increment_s), even, shocks(seed, 4.0, noise), out)

    turns = []
    for turn in range(10 * runs + 1):
        began = time.thread_time()
        theirs()
        between = time.thread_time()
        for seed in range(10):
            ours(10 * turn + seed)
        turns.append(((between - began) * 1_000, (time.thread_time() - between) * 100))
    slow, quick = (statistics.median(turn[side] for turn in turns[1:]) for side in (0, 1))
    assert math.isfinite(float(out.sum()))
    return slow, quick, statistics.median(turn[0] / turn[1] for turn in turns[1:])
