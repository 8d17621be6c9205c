"""GARCH(1,1) with Student-t shocks by the package ``arch``, from many starting values: slow, and sure of the maximum.

The first start is our own fit; each other one has its omega, alpha, beta and nu multiplied by 8^u, u even between -1
and 1, and is brought back to where the model is defined. The best log-likelihood counts. Draws are seeded from the
returns.
"""

import hashlib
import warnings

import numpy as np

from processors.online.garch import LEAST_NU, MOST_NU, Garch, fit, fitted
from processors.online.garch_likelihood import Floats, backcast, log_likelihood

TRIALS = 100
SPREAD = 8.0
MOST_TOGETHER = 0.999  # alpha and beta of a starting value


def search(percent: Floats, trials: int = TRIALS) -> Garch:
    """The best of our fit and of arch's from so many starting values.

    Raises:
        ImportError: arch is not installed; it is of the extra research.

    """
    from arch import arch_model  # noqa: PLC0415  an extra

    best = fit(percent)
    if best.reason:
        return best
    scale = float(np.mean(percent * percent))
    squares = percent * percent / scale
    model = arch_model(percent / scale**0.5, mean="Zero", p=1, q=1, dist="t", rescale=False)
    for start in _starts(percent, np.array([best.omega / scale, best.alpha, best.beta, best.nu]), trials):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model.fit(starting_values=start, disp="off", show_warning=False)
        parameters = [float(value) for value in found.params]
        likelihood, _ = log_likelihood(squares, backcast(squares), *parameters)
        tried = fitted(squares, scale, likelihood, *parameters)
        if not tried.reason and tried.log_likelihood > best.log_likelihood:
            best = tried
    return best


def _starts(percent: Floats, middle: Floats, trials: int) -> Floats:
    """Starting values, shape (trials, 4)."""
    seed = int.from_bytes(hashlib.blake2b(percent.tobytes(), digest_size=8).digest(), "little")
    factors = SPREAD ** np.random.default_rng(seed).uniform(-1.0, 1.0, (trials, 4))
    factors[0] = 1.0
    starts = np.maximum(middle * factors, 1e-6)
    together = starts[:, 1] + starts[:, 2]
    starts[:, 1:3] /= np.maximum(together / MOST_TOGETHER, 1.0)[:, None]
    starts[:, 3] = np.clip(starts[:, 3], LEAST_NU + 0.05, MOST_NU - 1.0)
    return np.asarray(starts)
