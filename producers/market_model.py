"""A seeded market of many instruments: what the simulator sends, without a venue's format.

Every instrument's log mid moves by a share of a common factor, the tide, and by a walk of its own, so that without
jumps the returns of two instruments in calm correlate by ``CORRELATION``. Log volatilities, the tide's and each
instrument's, follow mean-reverting walks: calm and storm cluster. Now and then one instrument jumps, rarely all at
once. Trades come in a Poisson stream whose rate rises with volatility, with bursts within milliseconds and quiet
stretches of seconds. Around each mid stands a ladder of levels on a grid of cents.
"""

import dataclasses
import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

SECOND_NS = 1_000_000_000
MIDS = {"BTC-USD": 95_000.0, "ETH-USD": 3_000.0, "SOL-USD": 140.0}
VOLATILITY = 6e-5  # of the log mid, per square root of a second
CORRELATION = 0.5
CLUSTER_S, CLUSTER_SIZE = 60.0, 0.8  # how long storms last, and how strong: of the log volatility
JUMP_RATE, JUMP_SIZE = 1 / 90, 0.0015  # of one instrument, a second; standard deviation of the log mid
FLOOD_RATE, FLOOD_SIZE = 1 / 900, 0.003  # of all at once
BURST_RATE, QUIET_RATE = 1 / 20, 1 / 60  # a second
LEVELS = 10  # of each side of the ladder
GRID_NS = 20_000_000  # of the tide


@dataclasses.dataclass(slots=True)
class Cluster:
    """A log volatility: an Ornstein-Uhlenbeck process."""

    value: float = 0.0

    def step(self, chance: Random, elapsed_s: float) -> float:
        """Move by some time; the volatility's factor now."""
        pull = math.exp(-elapsed_s / CLUSTER_S)
        self.value = self.value * pull + CLUSTER_SIZE * math.sqrt(1 - pull * pull) * chance.gauss(0, 1)
        return math.exp(self.value)


@dataclasses.dataclass(slots=True)
class Tide:
    """The factor common to all instruments: a log price that moves on a fixed grid of time.

    >>> tide = Tide(Random(1), start_ns=0)
    >>> tide.at(SECOND_NS) == tide.at(SECOND_NS) != tide.at(2 * SECOND_NS)
    True
    """

    chance: Random
    start_ns: int
    level: float = 0.0
    cluster: Cluster = dataclasses.field(default_factory=Cluster)
    cell: int = 0  # cells of the grid that have passed since the start

    def at(self, now_ns: int) -> float:
        """Its level now; time must not go back."""
        width_s = GRID_NS / SECOND_NS
        spread = VOLATILITY * math.sqrt(CORRELATION * width_s)
        while self.cell < (now_ns - self.start_ns) // GRID_NS:
            self.cell += 1
            self.level += spread * self.cluster.step(self.chance, width_s) * self.chance.gauss(0, 1)
            if self.chance.random() < FLOOD_RATE * width_s:
                self.level += self.chance.gauss(0, FLOOD_SIZE)
        return self.level


class Deal(NamedTuple):
    """A trade, and the best quotes after it; prices in cents."""

    bid: int
    ask: int
    bid_size: float
    ask_size: float
    side: str
    size: float

    @property
    def price(self) -> int:
        """Where it was struck: at the quote that its taker met."""
        return self.ask if self.side == "buy" else self.bid


@dataclasses.dataclass(slots=True)
class Instrument:
    """One instrument."""

    chance: Random
    tide: Tide
    mid: float
    rate: float  # trades a second in calm
    cluster: Cluster = dataclasses.field(default_factory=Cluster)
    tide_seen: float | None = None
    moved_ns: int = 0
    quiet_until_ns: int = 0
    burst_left: int = 0
    bids: dict[int, float] = dataclasses.field(default_factory=dict)  # ladder: size by cents
    asks: dict[int, float] = dataclasses.field(default_factory=dict)

    def next_ns(self, now_ns: int) -> int:
        """When the next trade comes."""
        if self.burst_left > 0:
            self.burst_left -= 1
            return now_ns + self.chance.randrange(50_000, 3_000_000)
        rate = self.rate * math.exp(0.7 * self.cluster.value)
        return max(now_ns, self.quiet_until_ns) + 1 + int(self.chance.expovariate(rate) * SECOND_NS)

    def trade(self, now_ns: int) -> Deal:
        """The trade that comes now."""
        self._move(now_ns)
        draw = self.chance
        spread = draw.choice((1, 1, 1, 2, 5))
        bid = max(1, round(self.mid * 100 - spread / 2))
        side = draw.choice(("buy", "sell"))
        sizes = draw.lognormvariate(-1.0, 1.0), draw.lognormvariate(-1.0, 1.0)
        return Deal(bid, bid + spread, *sizes, side, draw.lognormvariate(-3.0, 1.5))

    def ladder(self, deal: Deal) -> tuple[dict[int, float], dict[int, float]]:
        """Levels of both sides that a trade has changed, 0 for those that are gone."""
        bids = self._side(self.bids, {deal.bid - step for step in range(LEVELS)}, deal.bid, deal.bid_size)
        asks = self._side(self.asks, {deal.ask + step for step in range(LEVELS)}, deal.ask, deal.ask_size)
        return bids, asks

    def _side(self, held: dict[int, float], wanted: set[int], best: int, size: float) -> dict[int, float]:
        changed = {price: 0.0 for price in held if price not in wanted}
        for price in changed:
            del held[price]
        for price in sorted(wanted):
            if price == best or price not in held:
                changed[price] = held[price] = size if price == best else self.chance.lognormvariate(0.0, 1.0)
        return {price: amount for price, amount in changed.items() if price > 0}

    def _move(self, now_ns: int) -> None:
        draw = self.chance
        tide = self.tide.at(now_ns)
        elapsed_s = (now_ns - self.moved_ns) / SECOND_NS if self.moved_ns else 0.0
        move = 0.0 if self.tide_seen is None else tide - self.tide_seen
        spread = VOLATILITY * math.sqrt((1 - CORRELATION) * elapsed_s)
        move += spread * self.cluster.step(draw, elapsed_s) * draw.gauss(0, 1)
        if draw.random() < JUMP_RATE * elapsed_s:
            move += draw.gauss(0, JUMP_SIZE)
        self.mid = max(1.0, self.mid * math.exp(max(-0.2, min(0.2, move))))
        if draw.random() < BURST_RATE * elapsed_s:
            self.burst_left = draw.randrange(10, 60)
        if draw.random() < QUIET_RATE * elapsed_s:
            self.quiet_until_ns = now_ns + draw.randrange(2 * SECOND_NS, 12 * SECOND_NS)
        self.tide_seen, self.moved_ns = tide, now_ns


def market(symbols: Sequence[str], start_ns: int, seed: int, rate: float) -> list[Instrument]:
    """The instruments of some symbols; each depends on the seed, its own name and the tide only."""
    tide = Tide(Random(f"{seed}/tide"), start_ns)
    found = []
    for symbol in symbols:
        chance = Random(f"{seed}/{symbol}")
        mid = MIDS[symbol] if symbol in MIDS else round(chance.lognormvariate(4.0, 1.5) + 1.0, 2)
        found.append(Instrument(chance, tide, mid, rate))
    return found
