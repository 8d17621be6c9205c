"""GARCH(1,1) fitted by maximum likelihood, with normal or Student-t shocks, and carried on from return to return.

Returns are in percent. The fit works on returns over their root mean square, so that the scale of a market does not
matter, and in coordinates in which everything is allowed, by the logistic function L:

    ln omega    alpha + beta = L(x)    alpha / (alpha + beta) = L(y)    1 / nu between 1/500 and 1/2.05 by L(z)

SLSQP with the exact gradient (garch_likelihood) begins from the best of a small grid, or from an earlier fit alone
(``warm``), which is near where it ends up after a few more returns. The coordinates are turned and stretched first so
that the likelihood curves alike in all directions, which the optimiser takes for granted: half as many steps.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from processors.online.garch_likelihood import NORMAL, Floats, backcast, log_likelihood, variances

LEAST_RETURNS = 100
LEAST_NU, MOST_NU = 2.05, 500.0
LEAST_MOVING = 0.5  # share of returns that are not 0: with fewer, the likelihood is greatest where all variance is gone
MOST_OFF = 5.0  # times that a model's mean variance may lie above or below that of the returns
OMEGAS = (-25.0, 12.0)  # logarithms; within, no product of the likelihood overflows
GRID = [(0.1, 0.8), (0.1, 0.95), (0.05, 0.98)]  # alpha and alpha + beta
FIRST_NU = 5.0
SAMPLE = 700  # newest returns, which are enough to find where to begin and how the likelihood curves there
ACCURACY = 1e-4  # of the log-likelihood
PROBE = 1e-4  # how far the curvature is looked for
FLATTEST = 1e-3  # of the sharpest curvature


class Garch(NamedTuple):
    """A fit, in squared percent per step; nu is 0 for normal shocks. All 0 where ``reason`` says why there is none."""

    omega: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    nu: float = NORMAL
    log_likelihood: float = 0.0
    variance: float = 0.0  # forecast of the next return's
    reason: str = ""

    def after(self, percent: float) -> "Garch":
        """The same model one return later.

        >>> Garch(0.1, 0.05, 0.9, variance=2.0).after(2.0).variance
        2.1
        """
        return self._replace(variance=self.omega + self.alpha * percent * percent + self.beta * self.variance)


def fit(percent: Floats, student: bool = True, warm: Garch | None = None) -> Garch:
    """The most likely parameters for returns in percent, oldest first.

    >>> shocks = np.random.default_rng(3).standard_normal(4_000)
    >>> found, variance = [], 1.0
    >>> for shock in shocks:
    ...     found.append(math.sqrt(variance) * shock)
    ...     variance = 0.05 + 0.10 * found[-1] ** 2 + 0.85 * variance
    >>> model = fit(np.array(found), student=False)
    >>> round(model.omega, 1), round(model.alpha, 1), round(model.beta, 1)
    (0.1, 0.1, 0.8)
    """
    reason = unfit(percent)
    if reason:
        return Garch(reason=reason)
    scale = float(np.mean(percent * percent))
    squares = percent * percent / scale
    start, sample = backcast(squares), squares[-SAMPLE:]
    known = warm is not None and not warm.reason and (warm.nu != NORMAL) == student
    first = _coordinates(warm._replace(omega=warm.omega / scale)) if known and warm else _best_of_grid(sample, student)
    turn = _turned(first, sample) * math.sqrt(len(sample) / len(squares))

    def descent(at: Floats) -> tuple[float, Floats]:
        value, gradient = _descent(first + turn @ at, squares, start)
        return value, gradient @ turn

    found = minimize(descent, np.zeros(len(first)), jac=True, method="SLSQP", options={"ftol": ACCURACY})
    return fitted(squares, scale, -float(found.fun), *_parameters(first + turn @ found.x))


def fitted(
    squares: Floats, scale: float, likelihood: float, omega: float, alpha: float, beta: float, nu: float
) -> Garch:
    """A model of squared returns over their mean ``scale`` as one of the returns, or why it is of no use."""
    if not math.isfinite(likelihood):
        return Garch(reason="the likelihood has no maximum")
    if nu != NORMAL and nu < LEAST_NU + 1e-3:
        return Garch(reason="the tails are too heavy for a variance: nu goes to 2")
    found = variances(squares, omega, alpha, beta, backcast(squares))
    ahead, off = float(found[-1]), float(found[:-1].mean())  # the squares' mean is 1
    if not 1.0 / MOST_OFF <= off <= MOST_OFF:
        return Garch(reason=f"the model's variance is {off:.2g} times that of the returns")
    whole = likelihood - 0.5 * len(squares) * math.log(scale)
    return Garch(omega * scale, alpha, beta, nu, whole, ahead * scale)


def unfit(percent: Floats) -> str:
    """Why no model can be fitted to these returns; empty where one can.

    >>> unfit(np.zeros(500))
    'the price does not move'
    """
    if len(percent) < LEAST_RETURNS:
        return f"{len(percent)} returns, {LEAST_RETURNS} are needed"
    if not np.isfinite(percent).all():
        return "a return is not finite"
    moving = float(np.mean(percent != 0.0))
    if moving == 0.0:
        return "the price does not move"
    return f"{moving:.0%} of the returns are not 0, {LEAST_MOVING:.0%} are needed" if moving < LEAST_MOVING else ""


def _best_of_grid(squares: Floats, student: bool) -> Floats:
    start = backcast(squares)
    nu = FIRST_NU if student else NORMAL
    models = [Garch(1.0 - together, alpha, together - alpha, nu) for alpha, together in GRID]
    return _coordinates(max(models, key=lambda model: log_likelihood(squares, start, *model[:4])[0]))


def _coordinates(model: Garch) -> Floats:
    together = model.alpha + model.beta
    found = [math.log(model.omega), _logit(together), _logit(model.alpha / together if together > 0.0 else 0.5)]
    if model.nu != NORMAL:
        found.append(_logit((1.0 / model.nu - 1.0 / MOST_NU) / NU_RANGE))
    return np.array(found)


LEAST_LOG_OMEGA = -30.0  # of squares with mean 1: variances of it, multiplied by the chunk, are still above 0
NU_RANGE = 1.0 / LEAST_NU - 1.0 / MOST_NU


def _parameters(at: Floats) -> tuple[float, float, float, float]:
    """omega, alpha, beta and nu."""
    together, share = _logistic(at[1]), _logistic(at[2])
    nu = 1.0 / (1.0 / MOST_NU + NU_RANGE * _logistic(at[3])) if len(at) == 4 else NORMAL
    return math.exp(min(max(at[0], LEAST_LOG_OMEGA), 50.0)), together * share, together * (1.0 - share), nu


def _descent(at: Floats, squares: Floats, start: float) -> tuple[float, Floats]:
    """What is made least, and its gradient in the coordinates."""
    omega, alpha, beta, nu = _parameters(at)
    value, (by_omega, by_alpha, by_beta, by_nu) = log_likelihood(squares, start, omega, alpha, beta, nu)
    together, share = alpha + beta, _logistic(at[2])
    gradient = [
        by_omega * omega,
        (by_alpha * share + by_beta * (1.0 - share)) * together * (1.0 - together),
        together * (by_alpha - by_beta) * share * (1.0 - share),
    ]
    if nu != NORMAL:
        part = _logistic(at[3])
        gradient.append(-by_nu * nu * nu * NU_RANGE * part * (1.0 - part))
    return -value, -np.array(gradient)


def _turned(at: Floats, squares: Floats) -> Floats:
    """Directions, as columns, in which the likelihood curves by 1; by differences of the gradient."""
    start = backcast(squares)
    _, here = _descent(at, squares, start)
    steps = PROBE * np.eye(len(at))
    bent = np.array([(_descent(at + step, squares, start)[1] - here) / PROBE for step in steps])
    curvature, directions = np.linalg.eigh((bent + bent.T) / 2.0)
    size = np.abs(curvature)
    return np.asarray(directions / np.sqrt(np.maximum(size, FLATTEST * size.max())))


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -500.0 else 0.0


def _logit(share: float) -> float:
    inside = min(max(share, 1e-6), 1.0 - 1e-6)
    return math.log(inside / (1.0 - inside))
