"""A seeded stream of what executors read besides the market: estimates, markets, equities and controls."""

import random
from collections.abc import Iterator

from schemas import Control, Equity, Intensity, Market, Record, Volatility
from tests.streams import MILLISECOND, NOON


def estimates(seed: int, count: int, symbols: str = "cab") -> Iterator[Record]:
    """Usable and unusable estimates, markets that halt and change their steps, losses, halts and resets."""
    rng = random.Random(seed + 1)
    now = NOON
    for number in range(count):
        now += int(rng.expovariate(1 / (60 * MILLISECOND)))
        name, kind = f"x:{rng.choice(symbols)}", rng.random()
        usable = rng.random() < 0.9
        reason = "" if usable else "returns: too few"
        if number < 3 * len(symbols):  # everything that a quote needs, for each
            name, kind = f"x:{symbols[number % len(symbols)]}", (0.1, 0.5, 0.8)[number // len(symbols)]
        if kind < 0.4:
            sigma = 1e-4 * rng.random() if usable else 0.0
            yield Volatility(
                name, now, "garch_t", sigma, sigma * 100.0, 100.0, 1_000, 500, 0.0, 0.1, 0.8, 5.0, 0.0, usable, reason
            )
        elif kind < 0.7:
            kappa = 1.0 + 9.0 * rng.random() if usable else 0.0
            yield Intensity(
                name, now, "depth", "both", kappa, kappa, kappa, 1.0, 0.9, 100, 60_000, 0.01, usable, reason
            )
        elif kind < 0.9:
            status, step = ("open", 0.01) if number < 100 or rng.random() < 0.95 else ("halted", 0.025)
            yield Market(name, now, now, status, "A", "USD", "", step, 0.001, 0.001, 0, 0, "", "", "")
        elif kind < 0.95:
            lost = 500.0 * (rng.random() < 0.1)
            yield Equity(name, now, "paper", -lost, 0.0, 0.0, 0.0, -lost, 0.0)
        elif kind < 0.97:
            yield Control(now, rng.choice(("*", name, "market_maker")), "halt", "a person", "a test")
        else:
            yield Control(now, "*", "reset", "a person", rng.choice(("a test", "")))
