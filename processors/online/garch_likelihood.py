"""The log-likelihood of GARCH(1,1) and its gradient, in one pass.

    sigma^2_t = omega + alpha r^2_{t-1} + beta sigma^2_{t-1}        r^2_{-1} = sigma^2_{-1} = b

b, the backcast, is the average of the first 75 squared returns with weights 0.94^t (as the package arch begins). A
return over its sigma is standard normal, or Student's t with nu degrees of freedom, scaled to variance 1: with
c = nu - 2,

    normal   ln p = -1/2 ln(2 pi sigma^2) - r^2 / (2 sigma^2)
    t        ln p = lnGamma((nu+1)/2) - lnGamma(nu/2) - 1/2 ln(pi c sigma^2) - (nu+1)/2 ln(1 + r^2 / (c sigma^2))

Bollerslev (1986, 1987). Derivatives of sigma^2 follow the recursion that differentiating it gives.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from schemas.jit import kernel

Floats = NDArray[np.float64]

BACKCAST, FORGETTING = 75, 0.94
NORMAL = 0.0  # in the place of nu


def backcast(squares: Floats) -> float:
    """What the recursion begins with.

    >>> backcast(np.array([4.0, 4.0]))
    4.0
    """
    weights = FORGETTING ** np.arange(min(BACKCAST, len(squares)))
    return float(weights @ squares[: len(weights)] / weights.sum())


def log_likelihood(
    squares: Floats, start: float, omega: float, alpha: float, beta: float, nu: float
) -> tuple[float, Floats]:
    """The log-likelihood of squared returns and its gradient in the four parameters; nu is NORMAL or above 2.

    ``start`` is their ``backcast``.

    >>> value, gradient = log_likelihood(np.array([1.0, 1.0]), 1.0, 1.0, 0.0, 0.0, NORMAL)
    >>> round(value, 6) == round(-math.log(2 * math.pi) - 1.0, 6), float(gradient[0])
    (True, 0.0)
    """
    gradient, count = np.zeros(4), len(squares)
    if nu == NORMAL:
        logs, quotients = _normal(squares, omega, alpha, beta, start, gradient)
        return -0.5 * (count * math.log(2.0 * math.pi) + logs + quotients), gradient
    half, c = (nu + 1.0) / 2.0, nu - 2.0
    logs, inner_logs, shares = _student(squares, omega, alpha, beta, c, half, start, gradient)
    # with S = c sigma^2 + r^2: ln(1 + r^2 / (c sigma^2)) = ln S - ln c - ln sigma^2
    tails = inner_logs - count * math.log(c) - logs
    constant = math.lgamma(half) - math.lgamma(nu / 2.0) - 0.5 * math.log(math.pi * c)
    slope = 0.5 * float(digamma(half) - digamma(nu / 2.0)) - 0.5 / c
    gradient[3] = count * slope - 0.5 * tails + half / c * shares
    return count * constant - 0.5 * logs - half * tails, gradient


@kernel
def variances(squares, omega, alpha, beta, start):  # type: ignore[no-untyped-def]
    """sigma^2 of every return, and last that of the next one."""
    found = np.empty(len(squares) + 1)
    square, variance = start, start
    for index in range(len(squares)):
        variance = omega + alpha * square + beta * variance
        square = squares[index]
        found[index] = variance
    found[len(squares)] = omega + alpha * square + beta * variance
    return found


# Logarithms of CHUNK factors are taken at once, of their product: they were most of the time.
CHUNK = 16


@kernel
def _student(squares, omega, alpha, beta, c, half, start, gradient):  # type: ignore[no-untyped-def]
    by_omega, by_alpha, by_beta = 0.0, 0.0, 0.0
    logs, inner_logs, shares = 0.0, 0.0, 0.0
    product, inner_product = 1.0, 1.0
    square, variance = start, start
    total_omega, total_alpha, total_beta = 0.0, 0.0, 0.0
    for index in range(len(squares)):
        by_omega, by_alpha, by_beta = (
            1.0 + beta * by_omega,
            square + beta * by_alpha,
            variance + beta * by_beta,
        )
        variance = omega + alpha * square + beta * variance
        square = squares[index]
        inner = c * variance + square
        inverse = 1.0 / (variance * inner)
        share = square * variance * inverse  # r^2 / S
        slope = inverse * inner * (half * share - 0.5)
        total_omega += slope * by_omega
        total_alpha += slope * by_alpha
        total_beta += slope * by_beta
        shares += share
        product *= variance
        inner_product *= inner
        if index % CHUNK == CHUNK - 1:
            logs += math.log(product)
            inner_logs += math.log(inner_product)
            product, inner_product = 1.0, 1.0
    gradient[0], gradient[1], gradient[2] = total_omega, total_alpha, total_beta
    return logs + math.log(product), inner_logs + math.log(inner_product), shares


@kernel
def _normal(squares, omega, alpha, beta, start, gradient):  # type: ignore[no-untyped-def]
    by_omega, by_alpha, by_beta = 0.0, 0.0, 0.0
    logs, quotients, product = 0.0, 0.0, 1.0
    square, variance = start, start
    for index in range(len(squares)):
        by_omega, by_alpha, by_beta = (
            1.0 + beta * by_omega,
            square + beta * by_alpha,
            variance + beta * by_beta,
        )
        variance = omega + alpha * square + beta * variance
        square = squares[index]
        inverse = 1.0 / variance
        quotient = square * inverse
        slope = 0.5 * inverse * (quotient - 1.0)
        gradient[0] += slope * by_omega
        gradient[1] += slope * by_alpha
        gradient[2] += slope * by_beta
        quotients += quotient
        product *= variance
        if index % CHUNK == CHUNK - 1:
            logs += math.log(product)
            product = 1.0
    return logs + math.log(product), quotients
