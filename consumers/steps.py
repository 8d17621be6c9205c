"""Prices and sizes as whole numbers of 10^-decimals, rounded exactly to a market's steps.

A step need be no power of ten: 0.5 and 2.5 are steps. A float stands for the decimal that it prints as, so 0.1 is one
tenth. Rounding looks at that decimal and never at a quotient of floats.
"""

import math
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

Number = int | float | str | Decimal


class Steps(NamedTuple):
    """The multiples of ``step`` * 10^-``decimals``; ``decimals`` is the least number that holds them all exactly.

    >>> half = Steps.of(0.5)
    >>> half
    Steps(step=5, decimals=1)
    >>> half.down(100.7), half.up(100.7), half.nearest(100.7)
    (1005, 1010, 1005)
    >>> half.number(1005)
    100.5
    """

    step: int
    decimals: int

    @classmethod
    def of(cls, step: Number) -> "Steps":
        """The steps of a market.

        Raises:
            ValueError: the step is not above 0, or no finite number.

        """
        exact = decimal(step)
        if not exact > 0:
            raise ValueError(f"a step must be above 0, not {step}")
        decimals = max(0, -int(exact.normalize().as_tuple().exponent))
        return cls(int(exact.scaleb(decimals)), decimals)

    def down(self, value: Number) -> int:
        """The greatest multiple that is not above ``value``, scaled."""
        above, below = self._ratio(value)
        return above // below * self.step

    def up(self, value: Number) -> int:
        """The least multiple that is not below ``value``, scaled."""
        above, below = self._ratio(value)
        return -(-above // below) * self.step

    def nearest(self, value: Number) -> int:
        """The multiple closest to ``value``, scaled; the even one of two."""
        return round(Fraction(*self._ratio(value))) * self.step

    def holds(self, scaled: int, decimals: int) -> bool:
        """Whether ``scaled`` * 10^-``decimals`` is a multiple."""
        most = max(decimals, self.decimals)
        return rescaled(scaled, decimals, most) % rescaled(self.step, self.decimals, most) == 0

    def number(self, scaled: int) -> float:
        """What a scaled number stands for."""
        return unscaled(scaled, self.decimals)

    def _ratio(self, value: Number) -> tuple[int, int]:
        """How many steps a number is, as a fraction."""
        above, below = decimal(value).as_integer_ratio()
        return above * int(10**self.decimals), below * self.step


def decimal(value: Number) -> Decimal:
    """A number exactly; a float as the decimal that it prints as.

    Raises:
        ValueError: it is no finite number.

    """
    try:
        exact = Decimal(repr(float(value)) if isinstance(value, float) else value)
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is not a decimal number") from error
    if not exact.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return exact


def unscaled(scaled: int, decimals: int) -> float:
    """The float closest to ``scaled`` * 10^-``decimals``.

    >>> unscaled(1005, 1)
    100.5
    """
    return scaled / int(10**decimals)


def coarse(price: float, decimals: int, up: bool) -> int:
    """A price scaled; one between two numbers of so many decimals goes to the upper or the lower of them.

    >>> coarse(100.3, 1, True), coarse(100.31, 1, True), coarse(100.31, 1, False)
    (1003, 1004, 1003)
    """
    exact = price * int(10**decimals)
    nearest = round(exact)
    if abs(exact - nearest) < 0.001:  # what a float of a price can be off
        return nearest
    return math.ceil(exact) if up else math.floor(exact)


def rescaled(scaled: int, decimals: int, to: int) -> int:
    """The same number with ``to`` decimals.

    Raises:
        ValueError: it needs more.

    >>> rescaled(1500, 2, 1)
    150

    """
    if to >= decimals:
        return scaled * int(10 ** (to - decimals))
    number, rest = divmod(scaled, int(10 ** (decimals - to)))
    if rest:
        raise ValueError(f"{scaled} with {decimals} decimals needs more than {to}")
    return number


def rounded_up(scaled: int, decimals: int, to: int) -> int:
    """A scaled number with other decimals, rounded up where it has too many.

    >>> rounded_up(101, 1, 0), rounded_up(-101, 1, 0), rounded_up(5, 0, 2)
    (11, -10, 500)
    """
    if to >= decimals:
        return scaled * int(10 ** (to - decimals))
    return -(-scaled // int(10 ** (decimals - to)))


class Passive(NamedTuple):
    """Prices of two orders, scaled; neither trades at once, and they do not meet."""

    bid: int
    ask: int


def passive(steps: Steps, bid: Number, ask: Number, best_bid: int, best_ask: int) -> Passive:
    """Round a bid down and an ask up, then move them off the other side of the book.

    ``best_bid`` and ``best_ask`` are scaled by ``steps.decimals``; 0 where the book's side is empty. A bid of 0 or less
    means that no price is left.

    >>> passive(Steps.of(0.5), 100.2, 100.3, 1000, 1010)
    Passive(bid=1000, ask=1005)
    >>> passive(Steps.of(2.5), 103.0, 90.0, 1000, 1025)
    Passive(bid=1000, ask=1025)

    """
    low, high = steps.down(bid), steps.up(ask)
    if best_ask:
        low = min(low, (best_ask - 1) // steps.step * steps.step)
    if best_bid:
        high = max(high, (best_bid // steps.step + 1) * steps.step)
    if low >= high:
        low = high - steps.step
    return Passive(low, high)
