"""The streams of one symbol at Binance: quotes, books and mark prices; those whose ids rise are in binance_rising.py.

- Spot's ``bookTicker`` has no time: it counts as happening when it was received. Its ``u`` rises on a connection.
- A mark price also shows that the symbol is alive, as a Heartbeat. Where no funding is due, its rate is empty.
- An event time more than a day from ours is a broken clock and is refused; what is fetched may be older. Where messages
  come by the thousand this is spelled out, for a call of ``happened`` would cost as much as the rest.

A stream's name is its key in ``latest`` and the tag of what it wants fetched.
"""

from typing import Any, ClassVar, NamedTuple

import msgspec

from producers.agenda import Fetch
from producers.binance_books import Book
from producers.binance_wire import (
    FIRST_US,
    RATE,
    TIMELESS,
    DepthEvent,
    MarkEvent,
    QuoteEvent,
    Wrapped,
    nanoseconds,
)
from producers.feed import Repeated
from producers.wire import UNREADABLE, decoder
from schemas import Heartbeat, Mark, Record, Rejected, Tick

DAY_NS = 86_400_000_000_000


class Page(NamedTuple):
    """Where a kind of rows is fetched, and what a page of them costs of the venue's limit."""

    url: str
    weight: int


class Stream:
    """One stream of a connection; ``wants`` says that something must be fetched, or is held back until it came.

    ``cause`` ended the connection before. ``begun`` says that its feed has written the Connect of its symbol.
    """

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[Any])
    polled: ClassVar[bool] = False  # it sends nothing and is only fetched

    def __init__(self, name: str, instrument: str, page: Page, latest: dict[str, int], cause: str = "start") -> None:
        self.name = name
        self.symbol = name.partition("@")[0].upper()
        self.begun = False
        self.wants = False
        self.decode = self.decoder.decode
        self._instrument = instrument
        self._latest = latest
        self._page = page

    def take(self, event: Any, received_ns: int) -> list[Record]:
        """Records of a message.

        Raises:
            Rejected: it cannot be used; nothing has changed.

        """
        raise Rejected(f"a message of {self.name}, which sends none")

    def due(self, now_ns: int) -> Fetch | None:
        """What to fetch now; given once until it is due again."""
        return None

    def answer(self, body: bytes, received_ns: int) -> list[Record]:
        """Records of what was fetched.

        Raises:
            Rejected: it cannot be read; nothing has changed.

        """
        raise Rejected(f"an answer to {self.name}, which fetches nothing")

    def overdue(self, now_ns: int) -> list[Record]:
        """Records that were held back and have waited long enough."""
        return []

    def happened(self, stamp: int, received_ns: int) -> int:
        """The event time of a message in ns.

        Raises:
            Rejected: it is more than a day away.

        """
        event_ns = stamp * (1_000 if stamp >= FIRST_US else 1_000_000)
        if not -DAY_NS < event_ns - received_ns < DAY_NS:
            raise far(stamp)
        return event_ns


class Quotes(Stream):
    """``bookTicker``: the best quotes."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[QuoteEvent])
    _last = -1  # update id, on this connection

    def take(self, event: QuoteEvent, received_ns: int) -> list[Record]:
        bid, ask, number, stamp = event.b, event.a, event.u, event.T
        if stamp == TIMELESS:
            event_ns = received_ns
        else:
            event_ns = stamp * (1_000 if stamp >= FIRST_US else 1_000_000)
            if not -DAY_NS < event_ns - received_ns < DAY_NS:
                raise far(stamp)
        if bid > ask:
            raise Rejected(f"crossed: bid {bid} above ask {ask}")
        if number <= self._last:
            raise Repeated(f"repeated: {self.name} update {number}")
        self._last = number
        return [Tick(self._instrument, event_ns, received_ns, bid, ask, event.B, event.A, 0.0, 0.0, "", number, 0)]


class Depths(Stream):
    """``depth``: the book, joined to a snapshot."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[DepthEvent])
    chained: ClassVar[bool] = False

    def __init__(self, name: str, instrument: str, page: Page, latest: dict[str, int], cause: str = "start") -> None:
        super().__init__(name, instrument, page, latest, cause)
        self._book = Book(instrument, cause, self.chained)

    def take(self, event: DepthEvent, received_ns: int) -> list[Record]:
        stamp = event.T or event.E
        event_ns = stamp * (1_000 if stamp >= FIRST_US else 1_000_000)
        if not -DAY_NS < event_ns - received_ns < DAY_NS:
            raise far(stamp)
        records = self._book.take(event, event_ns, received_ns)
        self.wants = not self._book.live
        return records

    def due(self, now_ns: int) -> Fetch | None:
        if not self._book.due(now_ns):
            return None
        return Fetch(self.name, f"{self._page.url}&symbol={self.symbol}", weight=self._page.weight)

    def answer(self, body: bytes, received_ns: int) -> list[Record]:
        records = self._book.answer(body, received_ns)
        self.wants = not self._book.live
        return records

    def begin(self, received_ns: int) -> list[Record]:
        """What says that the connection began and nothing is known yet, once."""
        return self._book.begin(received_ns)

    def lose(self) -> None:
        """The book does not hold: begin anew with a new snapshot."""
        self._book.lose()
        self.wants = True


class ChainedDepths(Depths):
    """``depth`` in futures, where a diff names the one before."""

    chained: ClassVar[bool] = True


class Marks(Stream):
    """``markPrice``: mark and index price, and the funding to come."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = decoder(Wrapped[MarkEvent])

    def take(self, event: MarkEvent, received_ns: int) -> list[Record]:
        event_ns = self.happened(event.E, received_ns)
        try:
            rate = RATE.decode(event.r) if event.r else 0.0
        except UNREADABLE as error:
            raise Rejected(f"funding rate {event.r[:50]!r} is none") from error
        next_ns = nanoseconds(event.T)
        if event_ns <= self._latest.get(self.name, -1):
            raise Repeated(f"repeated: {self.name} at {event.E}")
        self._latest[self.name] = event_ns
        return [
            Mark(self._instrument, event_ns, received_ns, event.p, event.i, rate, next_ns),
            Heartbeat(self._instrument, event_ns, received_ns, 0, 0),
        ]


def far(stamp: int) -> Rejected:
    """A message's time is none that can be."""
    return Rejected(f"event time {stamp} is more than a day from its receipt")
