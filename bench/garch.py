"""What a GARCH(1,1) fit with Student-t shocks costs beside arch's, on 5,000 one-minute returns, on one core, in turns.

Cold is a fit from nothing, warm one from the fit of the returns before the last five, as a stream makes it. All three
reach the same log-likelihood; that is checked.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from arch import arch_model

from processors.online.garch import fit

COUNT = 5_000
AGAINST_ARCH = 20.0
SERIES = 5


def main(runs: int) -> bool:
    """Print ms and ratios; whether the target was reached."""
    title = f"GARCH-t of {COUNT:,} returns, ms"
    print(f"\n{title:42}{'arch':>12}{'ours':>8}{'ratio':>8}")
    cold, warm = [], []
    for turn in range(SERIES * runs + 1):
        percent = _returns(turn)
        earlier = fit(percent[:-5])
        slow, theirs = _timed(lambda percent=percent: _arch(percent))
        quick, ours = _timed(lambda percent=percent: fit(percent))
        again, _ = _timed(lambda percent=percent, earlier=earlier: fit(percent, warm=earlier))
        assert ours.log_likelihood >= theirs - 1e-4 * abs(theirs)
        cold.append((slow, quick))
        warm.append((slow, again))
    reached = _print("cold", cold[1:]) >= AGAINST_ARCH
    _print("warm", warm[1:])
    return reached


def _print(title: str, turns: list[tuple[float, float]]) -> float:
    slow, quick = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
    ratio = statistics.median(turn[0] / turn[1] for turn in turns)
    print(f"{title:42}{slow:12,.2f}{quick:8.2f}{ratio:8.1f}")
    return ratio


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of the calling thread, the best of three, and what came of it."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        made = work()
        times.append((time.thread_time() - began) * 1_000)
    return min(times), made


def _arch(percent: Any) -> float:
    """The log-likelihood; arch wants returns of a size near 1."""
    model = arch_model(percent * 10.0, mean="Zero", p=1, q=1, dist="t", rescale=False)
    return float(model.fit(disp="off", show_warning=False).loglikelihood) + len(percent) * math.log(10.0)


def _returns(seed: int) -> Any:
    """Returns like those of a minute of BTC, in percent."""
    generator = np.random.default_rng(seed)
    shocks = generator.standard_t(4.0, COUNT) / math.sqrt(2.0)
    found, variance = np.empty(COUNT), 0.004
    for index in range(COUNT):
        found[index] = math.sqrt(variance) * shocks[index]
        variance = 0.0001 + 0.09 * found[index] ** 2 + 0.885 * variance
    return found
