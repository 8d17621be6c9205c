"""One symbol's order book at Binance as Depth records: the venue's diffs joined to a snapshot that is fetched.

Rules: github.com/binance/binance-spot-api-docs, web-socket-streams.md, how to manage a local order book, and
developers.binance.com for the same of USD-M futures.

- Diffs are held back until a snapshot joins them; of those that it covers nothing is passed on. A snapshot older than
  the first diff held back is useless, and another is wanted a second later.
- Spot: a diff follows if its first update id is at most one above the last passed on. Futures count for all symbols at
  once, so there ``pu``, the id that the diff before ended with, must be no later than the last passed on.
- A diff that does not follow breaks the chain: a Depth of kind connect says so at once, and a new snapshot is wanted.
- A delta's ``previous_sequence`` is -1 in spot, which does not say it; in futures it is the last passed on.
"""

import collections

import msgspec

from producers.binance_wire import SNAPSHOT, DepthEvent, nanoseconds
from producers.wire import UNREADABLE
from schemas import Depth, Record, Rejected

HELD_MOST = 200  # twenty seconds' diffs; older ones are forgotten, for the snapshot to come is newer
AGAIN_NS = 30_000_000_000  # after a snapshot that never came
LATER_NS = 1_000_000_000  # after one that was too old


class Book:
    """The chain of one symbol on one connection."""

    def __init__(self, instrument: str, cause: str, chained: bool = False) -> None:
        """Begin a connection, after ``cause`` ended the one before; ``chained`` diffs carry ``pu``."""
        # Its kernels take half a second to load, which only feeds with books are to pay for.
        from schemas.level_texts import Reader  # noqa: PLC0415

        self.live = False  # diffs are passed on as they come
        self._sides = Reader().sides
        self._instrument = instrument
        self._chained = chained
        self._last = -1  # update id passed on; -1 while a snapshot is missing
        self._held: collections.deque[Depth] = collections.deque(maxlen=HELD_MOST)
        self._cause = cause  # why nothing is known, as long as no record has said so; "" then
        self._due_ns = 0

    def begin(self, received_ns: int) -> list[Record]:
        """What says that nothing is known from here on, once."""
        cause, self._cause = self._cause, ""
        return [connect(self._instrument, cause, received_ns)] if cause else []

    def take(self, event: DepthEvent, event_ns: int, received_ns: int) -> list[Record]:
        """What follows from a diff.

        Raises:
            Rejected: its levels cannot be read.

        """
        first, last, before = event.U, event.u, event.pu if self._chained else -1
        if first > last or (self._chained and not 0 <= before < last):
            raise Rejected(f"update ids {first} to {last} after {before}")
        follows = before <= self._last if self._chained else first <= self._last + 1
        if self.live and follows:
            if last <= self._last:
                return []
            before = self._last if self._chained else -1
        price_decimals, size_decimals, bids, asks = self._sides(event.b, event.a)
        delta = Depth(
            self._instrument, event_ns, received_ns, "delta", "", first, last, before,
            price_decimals, size_decimals, bids, asks, b"", b"", 0, 0, False,
        )  # fmt: skip
        if self.live and follows:
            self._last = last
            return [delta]
        return self._hold(delta)

    def due(self, now_ns: int) -> bool:
        """A snapshot must be fetched now; said once until it is due again."""
        if self.live or now_ns < self._due_ns or not (self._held or self._cause):
            return False
        self._due_ns = now_ns + AGAIN_NS
        return True

    def answer(self, body: bytes, received_ns: int) -> list[Record]:
        """What follows from a snapshot.

        Raises:
            Rejected: it cannot be read.

        """
        if self.live:
            return []
        snapshot = self._snapshot(body, received_ns)
        while self._held and self._held[0].last_sequence <= snapshot.last_sequence:
            self._held.popleft()
        if self._held and not self._follows(self._held[0], snapshot.last_sequence):
            self._due_ns = received_ns + LATER_NS
            return []
        records: list[Record] = [*self.begin(received_ns), snapshot]
        self._last, self.live = snapshot.last_sequence, True
        for delta in self._held:
            chained = self._chained and delta.previous_sequence != self._last
            records.append(msgspec.structs.replace(delta, previous_sequence=self._last) if chained else delta)
            self._last = delta.last_sequence
        self._held.clear()
        return records

    def lose(self) -> None:
        """The book no longer holds: begin anew with the next snapshot."""
        self.live, self._last, self._cause = False, -1, "sequence"
        self._due_ns = 0
        self._held.clear()

    def _hold(self, delta: Depth) -> list[Record]:
        """Keep a diff until a snapshot joins it; a chain that it breaks is given up."""
        if self.live:
            self.lose()
        elif self._held and not self._follows(delta, self._held[-1].last_sequence):
            self._held.clear()
        self._held.append(delta)
        return self.begin(delta.received_ns)

    def _follows(self, delta: Depth, last: int) -> bool:
        return delta.previous_sequence <= last if self._chained else delta.first_sequence <= last + 1

    def _snapshot(self, body: bytes, received_ns: int) -> Depth:
        try:
            found = SNAPSHOT.decode(body)
        except UNREADABLE as error:
            raise Rejected(f"unreadable snapshot: {error}") from error
        event_ns = nanoseconds(found.time) if found.time else received_ns
        number = found.last_update_id
        sides = self._sides(found.bids, found.asks)
        return Depth(
            self._instrument, event_ns, received_ns, "snapshot", "", number, number, -1, *sides, b"", b"", 0, 0, False
        )


def connect(instrument: str, cause: str, received_ns: int) -> Depth:
    """Nothing is known of a book from here on."""
    return Depth(
        instrument, received_ns, received_ns, "connect", cause, 0, 0, -1, 0, 0, b"", b"", b"", b"", 0, 0, False
    )
