"""A Synth prompt and the response to it: made, and checked as the validator checks.

    [start as unix seconds, increment, path 1, path 2, ...]    each path of length / increment + 1 prices

Prices are rounded so that they pass today's rule of digits and the one before 2026-07-16:

- today: at most 8 significant digits, finite, in the range of a float32, a number and not a bool;
- before: at most 8 digit characters, zeros in front of a fraction included, so that below 1 there are 7 places.
  No price of 10^7 or more passes it.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from processors.online.synth_assets import asset

DIGITS = 8
MOST_PATHS = 10_000
MOST_PRICES = 3_000_000  # of a response: 10,000 paths of a day in steps of five minutes
LONGEST_S = 7 * 86_400
EXACT = 22  # the largest power of ten that a float64 holds exactly
POWERS = 10.0 ** np.arange(EXACT + 1)
SURE = (1e-14, 1e14)  # where the arithmetic of digits is exact, and far within a float32
FLOAT32_MOST = float(np.finfo(np.float32).max)
FLOAT32_LEAST = 2.0**-150  # half of the smallest float32: what is below reads back as zero


class Prompt(NamedTuple):
    """What a validator asks for."""

    asset: str
    start_s: int  # unix
    increment_s: int
    length_s: int
    paths: int

    @property
    def points(self) -> int:
        """Values in a path."""
        return self.length_s // self.increment_s + 1


def prompt(
    name: str, start_time: str, time_increment: int, time_length: int, num_simulations: int, now_s: float
) -> Prompt:
    """A prompt from the fields of a request.

    >>> prompt("BTC", "2026-11-21T12:00:00+00:00", 300, 86400, 1000, now_s=0).points
    289

    Raises:
        ValueError: a field that makes no sense, by its name.

    """
    asset(name)
    for field, value in (
        ("time_increment", time_increment), ("time_length", time_length), ("num_simulations", num_simulations),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise ValueError(f"{field}: {value!r} is not a positive whole number")
    if time_length % time_increment:
        raise ValueError(f"time_increment: {time_increment} does not divide time_length {time_length}")
    if time_length > LONGEST_S:
        raise ValueError(f"time_length: {time_length} is more than {LONGEST_S}")
    if num_simulations > MOST_PATHS:
        raise ValueError(f"num_simulations: {num_simulations} is more than {MOST_PATHS}")
    if num_simulations * (time_length // time_increment + 1) > MOST_PRICES:
        raise ValueError(f"num_simulations: {num_simulations} paths of that length are more than {MOST_PRICES} prices")
    begins_s = start_s(start_time)
    if begins_s < now_s:
        raise ValueError(f"start_time: {start_time} is in the past")
    return Prompt(name, begins_s, time_increment, time_length, num_simulations)


def start_s(start_time: str) -> int:
    """The start of a request, unix.

    Raises:
        ValueError: it is no time, or in no time zone.

    """
    try:
        start = datetime.fromisoformat(start_time)
    except (TypeError, ValueError):
        raise ValueError(f"start_time: {start_time!r} is no time in ISO 8601") from None
    if start.tzinfo is None:
        raise ValueError(f"start_time: {start_time!r} has no time zone")
    return int(start.timestamp())


def response(asked: Prompt, paths: Any) -> list[Any]:
    """The response of prices by time and path.

    >>> response(Prompt("BTC", 0, 300, 300, 2), [[97352.614159, 1.0], [0.523456749, 2.0]])
    [0, 300, [97352.614, 0.5234567], [1.0, 2.0]]
    """
    given = np.asarray(paths, np.float64)
    if given.shape != (asked.points, asked.paths):
        raise ValueError(f"paths: {given.shape} where {(asked.points, asked.paths)} was asked")
    if not (np.isfinite(given).all() and given.min() > 0.0):
        raise ValueError("paths: a price is not positive and finite")
    return [asked.start_s, asked.increment_s, *rounded(given).T.tolist()]


def rounded(prices: Any) -> Any:
    """Prices with as many digits as both rules allow; what would be zero then keeps the 8 digits of today's rule.

    Each is a whole number over, or times, a power of ten that is exact, so it is the float that its digits stand for;
    where the power is not, digits make it.
    """
    given = np.asarray(prices, np.float64)
    places = DIGITS - 1 - np.maximum(_exponents(given), 0)
    up, down = _powers(places)
    found = np.round(given * up / down) * down / up
    for place in np.flatnonzero((found == 0.0) | (places < -EXACT)):
        found.flat[place] = float(f"{given.flat[place]:.{DIGITS - 1}e}")
    return found


def _exponents(prices: Any) -> Any:
    """The power of ten that each price begins with."""
    return np.floor(np.log10(prices)).astype(np.int64)


def _powers(places: Any) -> tuple[Any, Any]:
    """What to multiply by, and what to divide by, to have so many places before the point."""
    return POWERS[np.clip(places, 0, EXACT)], POWERS[np.clip(-places, 0, EXACT)]


def error_of(given: Any, asked: Prompt) -> str | None:
    """What the validator would find wrong with a response first; None where it is right."""
    if not isinstance(given, list | tuple) or len(given) < 2:
        return "response: is no list, or an empty one"
    start_s, increment_s, paths = given[0], given[1], given[2:]
    if not isinstance(start_s, int) or start_s != asked.start_s:
        return f"start_time: {start_s!r} where {asked.start_s} was asked"
    if not isinstance(increment_s, int) or increment_s != asked.increment_s:
        return f"time_increment: {increment_s!r} where {asked.increment_s} was asked"
    if len(paths) != asked.paths:
        return f"num_simulations: {len(paths)} paths where {asked.paths} were asked"
    for path in paths:
        if not isinstance(path, list):
            return f"path: {type(path).__name__} is no list"
        if len(path) != asked.points:
            return f"path: {len(path)} points where {asked.points} were asked"
    return next((error for price in _doubtful(paths) if (error := error_of_price(price))), None)


def _doubtful(paths: Sequence[list[Any]]) -> Iterator[Any]:
    """The prices that are not seen to be right all at once; 0 and 1 are among them, which may have been bools."""
    try:
        prices = np.asarray(paths)
    except ValueError:  # a point that is a list
        prices = np.empty(0)
    if prices.dtype.kind not in "if" or prices.ndim != 2:
        yield from (price for path in paths for price in path)
        return
    right = (prices >= SURE[0]) & (prices <= SURE[1]) & (prices != 1)
    sure = np.where(right, prices, 2.0)
    up, down = _powers(DIGITS - 1 - _exponents(sure))
    digits = np.round(sure * up / down)
    right &= (digits < 10**DIGITS) & (digits * down / up == sure)
    for path, point in np.argwhere(~right):
        yield paths[path][point]


def error_of_price(price: Any) -> str | None:
    """What is wrong with one price by today's rule.

    >>> error_of_price(0.52345679), error_of_price(123456.789)
    (None, 'price: 123456.789 has more than 8 significant digits')
    """
    if isinstance(price, bool) or not isinstance(price, int | float):
        return f"price: {price!r} is no number"
    if isinstance(price, float) and not math.isfinite(price):
        return f"price: {price} is not finite"
    if abs(price) > FLOAT32_MOST or (price and abs(price) <= FLOAT32_LEAST):
        return f"price: {price} is beyond a float32"
    if float(f"{float(price):.{DIGITS - 1}e}") != price:
        return f"price: {price} has more than {DIGITS} significant digits"
    return None


def characters(price: float) -> int:
    """Digit characters of a price, as validators counted them before 2026-07-16.

    >>> characters(0.52345679), characters(0.5234568)
    (9, 8)
    """
    return sum(character.isdigit() for character in str(price))


def passes_both(paths: Sequence[Sequence[float]]) -> bool:
    """Whether every price passes today's rule and the one before."""
    return all(error_of_price(price) is None and characters(price) <= DIGITS for path in paths for price in path)
