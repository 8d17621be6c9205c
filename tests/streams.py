"""Seeded streams of raw records with everything in them that a partition can hold."""

import random
from collections.abc import Iterator

from schemas import Clock, Connect, Heartbeat, Record, Tick, Trade

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
NOON = 1_764_072_000 * SECOND
CAUSES = ("start", "disconnect", "stall", "sequence", "error", "something new")


def quote(
    instrument: str, event_ns: int, mid: float = 100.0, trade_id: int = 0, received_ns: int | None = None
) -> Tick:
    """A tick of which only the mid, the times and the trade id matter."""
    return Tick(
        instrument=instrument,
        event_ns=event_ns,
        received_ns=event_ns if received_ns is None else received_ns,
        bid=mid,
        ask=mid,
        bid_size=1.0,
        ask_size=1.0,
        price=mid,
        size=1.0,
        side="buy",
        sequence=0,
        trade_id=trade_id,
    )


def raw(seed: int, count: int = 1_000, symbols: str = "cab") -> Iterator[Record]:
    """Ticks, heartbeats, connects and clocks of several instruments: late, lost, repeated, stalled for an hour."""
    rng = random.Random(seed)
    now = NOON
    trades = dict.fromkeys(symbols, 1_000)
    mids = dict.fromkeys(symbols, 100.0)
    for _ in range(count):
        now += int(rng.expovariate(1 / (60 * MILLISECOND)))
        now += (rng.random() < 0.004) * rng.randrange(1, 30) * SECOND + (rng.random() < 0.0005) * 3_600 * SECOND
        symbol, kind = rng.choice(symbols), rng.random()
        if kind < 0.02:
            trades[symbol] += 1 + (rng.random() < 0.05)
            received_ns = now + rng.randrange(50) * MILLISECOND
            yield Trade(f"x:{symbol}", now, received_ns, mids[symbol], 1.0, "sell", trades[symbol], 0, 0)
        elif kind < 0.7:
            trades[symbol] += 1 + (rng.random() < 0.01) * rng.randrange(1, 9)
            mids[symbol] *= 1 + rng.gauss(0, 1e-4)
            event_ns = now - rng.randrange(40 * MILLISECOND) - (rng.random() < 0.02) * 400 * MILLISECOND
            trade_id = trades[symbol] - (rng.random() < 0.01) * 3
            received_ns = now + rng.randrange(-5, 50) * MILLISECOND
            yield quote(f"x:{symbol}", event_ns, mids[symbol], trade_id, received_ns)
        elif kind < 0.8:
            told = trades[symbol] + (rng.random() < 0.05)
            yield Heartbeat(f"x:{symbol}", now, now + 20 * MILLISECOND, 0, told)
        elif kind < 0.81:
            yield Connect(f"x:{symbol}", now, "x", rng.choice(CAUSES), rng.choice((0, 0, 20_000)))
        else:
            yield Clock(now)
