"""EsoF, the esoteric factors: the sky and the calendar as a feed without a venue.

What it gives is computed from time alone (see esof_sky.py), on every quarter of an hour, which all sessions begin and
end on. Rules:

- Each Ephemeris is given once, when its moment has come, and the one before that at the start. Those of the next day
  are computed ahead, one a second, so that none is late.
- After a pause those missed are given too, up to a day of them.
- A Heartbeat a minute says that the feed lives.
- The sky is the same for every symbol: one instrument, EARTH, is enough.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from producers.esof_sky import ephemeris
from producers.feed import Feed, Recent
from schemas import Ephemeris, Heartbeat, Record

MINUTE_NS = 60_000_000_000
GRID_NS = 15 * MINUTE_NS
AHEAD = 96  # moments: a day


class Esof(Feed):
    """Ephemerides.

    >>> feed = Esof()
    >>> feed.subscribe(["EARTH"])
    []
    >>> [type(record).__name__ for record in feed.tick(GRID_NS + 1)]
    ['Connect', 'Heartbeat', 'Ephemeris']
    >>> [(type(record).__name__, record.event_ns // MINUTE_NS) for record in feed.tick(3 * GRID_NS)]
    [('Heartbeat', 45), ('Ephemeris', 30), ('Ephemeris', 45)]
    """

    name: ClassVar[str] = "esof"
    writes: ClassVar[tuple[type[Record], ...]] = (Ephemeris,)
    silence_s: ClassVar[float] = 300.0
    quiet_ms: ClassVar[int] = 120_000

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._minute = -1
        self._computed_ns = 0

    def tick(self, now_ns: int) -> Iterator[Record]:
        records: list[Record] = []
        due_ns = now_ns - now_ns % GRID_NS
        for symbol in sorted(self.asked):
            records += self.connects(symbol, now_ns)
            if now_ns // MINUTE_NS > self._minute:
                records.append(Heartbeat(self.connected[symbol], now_ns, now_ns, 0, 0))
            first_ns = max(self.recent.latest.get(symbol, due_ns - GRID_NS) + GRID_NS, due_ns - (AHEAD - 1) * GRID_NS)
            for at_ns in range(first_ns, due_ns + 1, GRID_NS):
                records.append(ephemeris(self.connected[symbol], at_ns))
                self.recent.latest[symbol] = at_ns
            self._computed_ns = max(self._computed_ns, due_ns)
            if self._computed_ns < due_ns + AHEAD * GRID_NS:
                self._computed_ns += GRID_NS
                ephemeris(self.connected[symbol], self._computed_ns)
        self._minute = now_ns // MINUTE_NS
        return iter(records)
