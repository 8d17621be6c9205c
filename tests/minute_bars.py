"""A seeded stream of bars as feeds write them, with what they get wrong, and prompts among them."""

import random
from collections.abc import Iterator
from itertools import islice

from schemas import Bar, Prompt, Record
from tests.streams import NOON, SECOND

MINUTE = 60 * SECOND
ASSET, SOURCE = "SOL", "binance:SOLUSDT"  # in both competitions, under all rules
HALF_DAY = 720


def bar(instrument: str, minute: int, price: float = 100.0, **changed: float) -> Bar:
    """A bar of one minute, by where it begins, in which nothing moved."""
    end_ns = (minute + 1) * MINUTE
    values = {"open": price, "high": price, "low": price, "close": price, "volume": 1.0}
    told = {"quote_volume": 0.0, "trades": 0, "taker_buy_volume": 0.0}
    given = {"event_ns": end_ns, "received_ns": end_ns + SECOND, "width_ms": 60_000} | values | told | changed
    return Bar(instrument=instrument, **given)  # type: ignore[arg-type]


def prompt(state_ns: int, start_minute: int, **changed: object) -> Prompt:
    """A prompt of an hour, answered from a state."""
    given = {
        "instrument": SOURCE, "event_ns": state_ns + 10 * SECOND, "asset": ASSET, "start_ns": start_minute * MINUTE,
        "step_ms": 60_000, "length_ms": 3_600_000, "paths": 100, "origin": "http", "state_ns": state_ns, "digest": "",
        "answer_ms": 5.0,
    } | changed  # fmt: skip
    return Prompt(**given)  # type: ignore[arg-type]


def bars(seed: int, count: int, symbols: str = "cab") -> Iterator[Record]:
    """Bars of an asset for twenty minutes twice a day, among those of other instruments: late, repeated, wrong."""
    rng = random.Random(seed)
    yield from islice(_bars(rng, symbols), count)


def _bars(rng: random.Random, symbols: str) -> Iterator[Record]:
    price, first = 100.0, NOON // MINUTE - 5
    minutes = [
        half_day * HALF_DAY + hour + place for half_day in range(2_000) for hour in (0, 60) for place in range(10)
    ]
    others = dict.fromkeys(symbols, first)
    for minute in (first + each for each in minutes):
        price *= 1 + rng.gauss(0, 1e-3)
        if rng.random() > 0.03:
            yield bar(SOURCE, minute, price)
        if rng.random() < 0.05:
            yield prompt(
                (minute + 1) * MINUTE, minute + 2, paths=rng.choice((50, 100)), step_ms=rng.choice((60_000, 7_000))
            )
        for _ in range(9):
            symbol = rng.choice(symbols)
            others[symbol] += 1 + (rng.random() < 0.1) * rng.randrange(1, 9)
            changed = rng.choice(({"width_ms": 300_000}, {"high": 1e6}, {"received_ns": 0}, {"volume": 2.0}))
            behind = rng.choice((0, 0, 1, 7, 700)) if rng.random() < 0.1 else 0
            wrong = changed if rng.random() < 0.05 else {}
            yield bar(f"x:{symbol}", others[symbol] - behind, 100.0 + rng.random(), **wrong)
