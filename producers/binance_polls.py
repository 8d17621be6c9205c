"""What Binance's futures give over REST only: settled funding rates, and what takers bought and sold.

Each is asked for every five minutes, a minute after the interval's end, so that the venue has it ready. Asked for is
what has come since the last answer, at the start as much as a page holds: an outage of ours is filled up, as far as the
venue's 30 days of taker volumes reach. Rows that were passed on before are left out; each answer is a Heartbeat.
"""

from collections.abc import Sequence
from typing import ClassVar

from producers.agenda import Fetch
from producers.binance_rows import fundings, taker_volumes
from producers.binance_streams import Page, Stream
from schemas import Heartbeat, Record

PERIOD_NS = 300_000_000_000
LAG_NS = 60_000_000_000


class Poll(Stream):
    """Rows of one symbol that come every ``every_ns`` at most; a page holds ``most`` of them."""

    polled: ClassVar[bool] = True
    every_ns: ClassVar[int]
    most: ClassVar[int]

    def __init__(self, name: str, instrument: str, page: Page, latest: dict[str, int], cause: str = "start") -> None:
        super().__init__(name, instrument, page, latest, cause)
        self._due_ns = 0

    def due(self, now_ns: int) -> Fetch | None:
        if now_ns < self._due_ns:
            return None
        self._due_ns = (now_ns - LAG_NS) // PERIOD_NS * PERIOD_NS + PERIOD_NS + LAG_NS
        limit = min(self.most, (now_ns - self._latest.get(self.name, 0)) // self.every_ns + 2)
        url = f"{self._page.url}symbol={self.symbol}&limit={limit}"
        return Fetch(self.name, url, weight=self._page.weight)

    def answer(self, body: bytes, received_ns: int) -> list[Record]:
        latest = self._latest.get(self.name, 0)
        new = [row for row in self.rows(body, received_ns) if row.event_ns > latest]
        new.sort(key=lambda row: row.event_ns)
        if new:
            self._latest[self.name] = new[-1].event_ns
        return [Heartbeat(self._instrument, received_ns, received_ns, 0, 0), *new]

    def rows(self, body: bytes, received_ns: int) -> Sequence[Record]:
        """The records of an answer."""
        raise NotImplementedError


class Fundings(Poll):
    """Settled rates, at most one an hour."""

    every_ns: ClassVar[int] = 3_600_000_000_000
    most: ClassVar[int] = 100

    def rows(self, body: bytes, received_ns: int) -> Sequence[Record]:
        return fundings(self._instrument, body, received_ns)


class TakerVolumes(Poll):
    """Volumes of five minutes."""

    every_ns: ClassVar[int] = PERIOD_NS
    most: ClassVar[int] = 500

    def rows(self, body: bytes, received_ns: int) -> Sequence[Record]:
        return taker_volumes(self._instrument, "5m", body, received_ns)
