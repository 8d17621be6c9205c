"""What a market maker wants to have in the book: the quotes of a policy as orders that a market takes.

The bid is rounded down and the ask up to the market's price step, then both are moved off the other side of the book,
so that neither would trade at once. A side whose order would carry the position beyond its bound is made smaller, down
to the market's least order, and then left out; so is one whose price would be outside the band that limits allow: after
a jump a quote may be that wide, which is no fault.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from consumers.limits import within_band
from consumers.policies.avellaneda_stoikov import Inputs, Quotes, Terms, quotes
from consumers.steps import Steps, passive

BASIS_POINT = 1e-4


class Target(NamedTuple):
    """An order that is wanted: price and size in the scaled numbers of the market's steps."""

    price: int
    size: int


class Grid(NamedTuple):
    """How a market trades.

    >>> Grid.of(0.5, 0.001, 0.002)
    Grid(price=Steps(step=5, decimals=1), size=Steps(step=1, decimals=3), least=2)
    """

    price: Steps
    size: Steps
    least: int  # smallest order, scaled as sizes are

    @classmethod
    def of(cls, price_step: float, size_step: float, size_least: float) -> "Grid":
        """The grid of a Market record.

        Raises:
            ValueError: a step is not above 0.

        """
        size = Steps.of(size_step)
        return cls(Steps.of(price_step), size, max(size.up(size_least), size.step))


class Touch(NamedTuple):
    """The best prices of a book, scaled by ``decimals``."""

    bid: int
    ask: int
    decimals: int

    def on(self, decimals: int) -> tuple[int, int]:
        """Both with other decimals: what they lose, they lose outwards, so that what clears them clears the book.

        >>> Touch(10049, 10051, 2).on(1)
        (1004, 1006)
        """
        if decimals >= self.decimals:
            factor = 10 ** (decimals - self.decimals)
            return self.bid * factor, self.ask * factor
        divisor = 10 ** (self.decimals - decimals)
        return self.bid // divisor, -(-self.ask // divisor)


class Sizes(NamedTuple):
    """How much is quoted, scaled by the grid: of one order, and of the position that orders may lead to."""

    order: int
    inventory: int

    @classmethod
    def of(cls, order: float, inventory: float, grid: Grid) -> "Sizes":
        """The sizes of base units, rounded down."""
        return cls(grid.size.down(order), grid.size.down(inventory))


class Rooms(NamedTuple):
    """How much may be bought and sold before the position's bounds, scaled by the grid."""

    bid: int
    ask: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Both sides, None for one that is left out, and the quotes that they were made from."""

    bid: Target | None
    ask: Target | None
    quotes: Quotes
    beyond: bool = False  # both prices are outside the band


def wanted(
    inputs: Inputs,
    terms: Terms,
    least_half_spread_bps: float,
    grid: Grid,
    touch: Touch,
    order: int,
    rooms: Rooms,
    band_bps: float = math.inf,
) -> Wanted:
    """The orders wanted for a state of the market and of the position.

    ``order`` is the size of one order, scaled by the grid; no price is further from the mid than ``band_bps``.

    Raises:
        ValueError: no finite quotes follow from the inputs.

    >>> from processors.online.units import Base, PerUsd, Seconds, Usd, UsdPerRootSecond
    >>> state = Inputs(Usd(100.0), Base(0.0), UsdPerRootSecond(0.1), PerUsd(1.5), PerUsd(0.1), Seconds(60.0))
    >>> made = wanted(state, Terms(), 0.0, Grid.of(0.5, 0.1, 0.1), Touch(9995, 10005, 2), 10, Rooms(5, 25))
    >>> made.bid, made.ask
    (Target(price=990, size=5), Target(price=1010, size=10))

    """
    made = quotes(inputs, terms)
    least = least_half_spread_bps * BASIS_POINT * inputs.mid
    bid = min(made.bid, made.reservation - least)
    ask = max(made.ask, made.reservation + least)
    prices = passive(grid.price, bid, ask, *touch.on(grid.price.decimals))
    near = [within_band(grid.price.number(price), inputs.mid, band_bps) for price in prices]
    return Wanted(
        _target(prices.bid, min(order, rooms.bid), grid) if near[0] else None,
        _target(prices.ask, min(order, rooms.ask), grid) if near[1] else None,
        made,
        not any(near),
    )


def _target(price: int, size: int, grid: Grid) -> Target | None:
    size = size // grid.size.step * grid.size.step
    return Target(price, size) if price > 0 and size >= grid.least else None
