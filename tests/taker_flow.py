"""A simulated market of the kind that Avellaneda and Stoikov assume: takers come by a Poisson process on each side.

How far beyond the mid each reaches is exponential with decay kappa, so a quote at distance d is filled at the rate
A exp(-kappa d). Prices are in ticks; the taker trades at the last price of the grid that it reaches, more than stands
there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from processors.online.fill_counts import SECOND
from processors.online.virtual_quotes import Levels

LEVEL_SIZE = 5.0


@dataclass(frozen=True)
class Book:
    event_ns: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True)
class Trade:
    event_ns: int
    price: float
    size: float
    taker: str


def flow(
    seed: int, seconds: float, kappa: float = 0.1, scale: float = 2.0, mid: float = 10_000.5, levels: int = 60,
    book_every: float = 0.5,
) -> Iterator[Book | Trade]:  # fmt: skip
    """Books and trades of some time in their order; scale is per second and side."""
    rng = np.random.default_rng(seed)
    bids = [(mid - 0.5 - level, LEVEL_SIZE) for level in range(levels)]
    asks = [(mid + 0.5 + level, LEVEL_SIZE) for level in range(levels)]
    events: list[Book | Trade] = [
        Book(round(time * SECOND), bids, asks) for time in np.arange(0.0, seconds, book_every)
    ]
    for taker, sign in (("buy", 1.0), ("sell", -1.0)):
        times = np.sort(rng.uniform(0.0, seconds, rng.poisson(scale * seconds)))
        for time, reach in zip(times, rng.exponential(1.0 / kappa, len(times)), strict=True):
            price = sign * np.floor(sign * mid + reach)
            if sign * (price - mid) > 0.0:
                events.append(Trade(round(time * SECOND), float(price), LEVEL_SIZE + 0.01, taker))
    yield from sorted(events, key=lambda event: event.event_ns)
