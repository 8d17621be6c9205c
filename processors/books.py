"""Topics ``books`` and ``tops``: order books that are right, or say that they are not.

A book begins with a snapshot and is changed by deltas. After each message it is proved again:

    sequence  the message comes next by the venue's update ids (processors/online/update_chain.py)
    change    each level had the size that the venue's change of it says
    echo      the best prices are those that the venue says they are after the message
    crossed   the best bid is not above the best ask; they may be equal
    snapshot  a snapshot at the point that we have reached holds the levels that we hold
    error     the message could be read, and its numbers fit into 64 bits

- What fails makes the book invalid at once: a Book, a Top, a Gap and a Resync say so, and nothing more is said until a
  snapshot comes, which closes the gap. A Resync is repeated while deltas come for so long and no snapshot does.
- A snapshot is the venue's own word, so it also mends what it proves wrong: its row of the ledger is closed at once.
- A connect makes the book invalid as well; the feed brings a snapshot by itself.
- What cannot be read while no book is held is Rejected; while one is held it breaks the book, for a change is lost.
- Where the venue cut the snapshot, only what lies within it is known (processors/online/order_book.py). A Resync of
  cause ``horizon`` asks for a new one when the market has passed most of it, and the book breaks when it has left it.
- ``verified_ns`` moves with each snapshot, chained id, echo and checksum.
- A Top is given when a best price or size or the validity changes; a Book when the 20 best levels or the validity do,
  but of one stretch of ``book_every_ms`` of event time only the first, and the last with the first event after it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from processors.online.levels import Levels, Unusable
from processors.online.order_book import Best, OrderBook, scaled
from processors.online.sight import feed_of
from processors.online.update_chain import BROKEN, KNOWN, NEXT, UpdateChain
from processors.stage import Stage
from schemas import Book, Depth, Gap, Rejected, Resync, Top

MILLISECOND = 1_000_000
SCARCE = 0.25  # of a cut snapshot's levels left: time to ask for another
NO_BEST: Best = (0, 0, 0, 0)
NEVER = -1  # no stretch of event time


@dataclass(slots=True)
class OpenGap:
    """A row of the ledger that waits for its end."""

    cause: str
    from_ns: int
    expected: int
    seen: int


@dataclass(slots=True)
class BookState:
    """What is known of one instrument's book."""

    book: OrderBook
    chain: UpdateChain = field(default_factory=UpdateChain)
    gap: OpenGap | None = None
    valid: bool = False
    event_ns: int = 0  # of the last message taken
    verified_ns: int = 0
    whole_ns: int = 0  # of the last snapshot
    asked_ns: int = 0  # of the message with which a snapshot was last asked for; 0: none is awaited
    horizon: bool = False  # it was asked for because the one before is nearly used up
    top: Best = NO_BEST  # as last told
    top_decimals: tuple[int, int] = (0, 0)
    stretch: int = NEVER  # of event time in which a Book was last given
    untold: bool = False  # the best levels have changed since


@dataclass(frozen=True, slots=True)
class BookOptions:
    """How much of a book is kept and told."""

    levels: int = 10_000  # a side; what lies beyond is unknown
    book_every_ms: int = 100
    depth_bps: float = 10.0
    ask_every_ms: int = 10_000  # between two Resyncs while no snapshot comes

    def __post_init__(self) -> None:
        if self.levels < 100:
            raise ValueError(f"levels must be at least 100, not {self.levels}")
        if min(self.book_every_ms, self.ask_every_ms) < 1:
            raise ValueError("book_every_ms and ask_every_ms must be at least 1")
        if not 0.0 < self.depth_bps < 10_000.0:
            raise ValueError(f"depth_bps must lie between 0 and 10000, not {self.depth_bps}")


class Books(Stage[Depth, Book | Top | Resync | Gap]):
    """Keeps a book and proves it.

    >>> from schemas.levels import packed
    >>> stage = Books("kraken:ETH-USD", BookOptions(book_every_ms=1))
    >>> said = dict(instrument="kraken:ETH-USD", received_ns=0, cause="", price_decimals=0, size_decimals=1,
    ...             bid_changes=b"", ask_changes=b"", best_bid=0, best_ask=0, verified=False)
    >>> whole = Depth(event_ns=10**6, kind="snapshot", first_sequence=7, last_sequence=7, previous_sequence=-1,
    ...               bids=packed([(99, 5)]), asks=packed([(101, 2)]), **said)
    >>> [type(record).__name__ for record in stage.on_event(whole)]
    ['Top', 'Book']
    >>> lost = Depth(event_ns=10**7, kind="delta", first_sequence=9, last_sequence=9, previous_sequence=-1,
    ...              bids=packed([(100, 5)]), asks=b"", **said)
    >>> top, book, gap, resync = stage.on_event(lost)
    >>> top.valid, book.reason, gap.expected, gap.seen, resync.cause
    (False, 'sequence: update 9 comes after 7', 8, 9, 'sequence')
    """

    Options = BookOptions
    State = BookState
    options: BookOptions
    state: BookState

    def __init__(self, key: str, options: BookOptions | None = None) -> None:
        self.key = key
        self.options = options or BookOptions()
        self.state = BookState(OrderBook(self.options.levels))
        self._stretch_ns = self.options.book_every_ms * MILLISECOND
        self._feed = feed_of(key)

    @classmethod
    def warm(cls) -> None:
        """Have the kernels compiled."""
        OrderBook.warm()

    def on_event(self, event: Depth) -> Iterator[Book | Top | Resync | Gap]:
        if event.kind == "delta":
            return self._delta(event)
        if event.kind == "snapshot":
            return self._snapshot(event)
        if event.kind == "connect":
            return self._connect(event)
        return self._fail(event, "error", f"unknown kind {event.kind!r}", self.state.chain.last)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; the levels as bytes."""
        state = self.state
        plain = {item.name: getattr(state, item.name) for item in fields(state)}
        gap = None if state.gap is None else asdict(state.gap)
        return plain | {"book": state.book.snapshot(), "chain": asdict(state.chain), "gap": gap}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        gap = snapshot["gap"]
        nested = {
            "book": OrderBook.restored(self.options.levels, snapshot["book"]),
            "chain": UpdateChain(**snapshot["chain"]),
            "gap": None if gap is None else OpenGap(**gap),
            "top": tuple(snapshot["top"]),
            "top_decimals": tuple(snapshot["top_decimals"]),
        }
        self.state = BookState(**snapshot | nested)

    def _delta(self, event: Depth) -> Iterator[Book | Top | Resync | Gap]:
        state = self.state
        if not state.valid:
            yield from self._ask(event, state.gap.cause if state.gap else "sequence")
            return
        last = state.chain.last
        came = state.chain.take(event.first_sequence, event.last_sequence, event.previous_sequence)
        if came == KNOWN:
            return
        if came == BROKEN:
            yield from self._fail(event, "sequence", f"update {event.first_sequence} comes after {last}", last)
            return
        try:
            close, best = state.book.apply(_levels(event))
            state.book.prove(best, event.best_bid, event.best_ask, event.price_decimals)
        except Unusable as error:
            yield from self._fail(event, error.cause, str(error), last)
            return
        left = state.book.left() if close else 1.0
        if left == 0.0:
            yield from self._fail(event, "horizon", "the market has left what the snapshot held", last)
            return
        state.event_ns = event.event_ns
        state.untold |= close
        if came == NEXT or event.best_bid or event.best_ask or event.verified:
            state.verified_ns = event.event_ns
        yield from self._tell(event, best)
        if left < SCARCE:
            state.horizon = True
            yield from self._ask(event, "horizon")

    def _snapshot(self, event: Depth) -> Iterator[Book | Top | Resync | Gap]:
        state, last = self.state, self.state.chain.last
        try:
            book = OrderBook(self.options.levels, _levels(event))
            book.prove(book.best(), event.best_bid, event.best_ask, event.price_decimals)
        except Unusable as error:
            yield from self._fail(event, error.cause, str(error), last)
            return
        book.refined(state.book)
        where = state.chain.reaches(event.last_sequence)
        fresh = not state.valid
        if fresh:
            yield from self._close(event)
        elif where == KNOWN:
            return
        elif where == BROKEN:
            cause = "horizon" if state.horizon else "sequence"
            yield self._row(event, OpenGap(cause, state.event_ns, last + 1, event.last_sequence), event.event_ns)
        elif where == NEXT and state.book.refined(book) and not state.book.agrees(book):
            gap = OpenGap("snapshot", state.whole_ns, event.last_sequence, event.last_sequence)
            yield self._row(event, gap, event.event_ns)
        state.book, state.chain, state.valid = book, UpdateChain(event.last_sequence), True
        state.event_ns = state.verified_ns = state.whole_ns = event.event_ns
        state.asked_ns, state.horizon, state.untold = 0, False, True
        yield from self._tell(event, book.best(), fresh)

    def _connect(self, event: Depth) -> Iterator[Book | Top | Resync | Gap]:
        state, cause = self.state, event.cause or "error"
        if state.valid:
            yield from self._lose(event, cause, OpenGap(cause, state.event_ns, _after(state.chain.last), 0))
        state.asked_ns = event.event_ns  # the feed fetches a snapshot unasked

    def _fail(self, event: Depth, cause: str, reason: str, last: int) -> Iterator[Book | Top | Resync | Gap]:
        """A proof does not hold, of a message after the update ``last``."""
        state = self.state
        if not state.valid:
            raise Rejected(reason)
        gap = OpenGap(cause, state.event_ns, _after(last), event.first_sequence)
        yield from self._lose(event, f"{cause}: {reason}", gap)
        state.asked_ns = 0
        yield from self._ask(event, cause)

    def _lose(self, event: Depth, reason: str, gap: OpenGap) -> Iterator[Book | Top | Gap]:
        """Take the book back."""
        state, lost = self.state, self.state.book
        state.valid, state.gap, state.untold, state.horizon = False, gap, False, False
        state.book = OrderBook(self.options.levels)
        state.book.price_decimals, state.book.size_decimals = lost.price_decimals, lost.size_decimals
        yield self._top(event, NO_BEST)
        yield self._book(event, reason)
        yield self._row(event, gap, 0)

    def _close(self, event: Depth) -> Iterator[Gap]:
        """End the open row of the ledger; nothing was missed where the snapshot is as old as what was held."""
        gap, self.state.gap = self.state.gap, None
        if gap is not None:
            gap.seen = event.last_sequence
            yield self._row(event, gap, event.event_ns, 0 < event.last_sequence < gap.expected)

    def _ask(self, event: Depth, cause: str) -> Iterator[Resync]:
        state = self.state
        waited_ns = event.event_ns - state.asked_ns
        if state.asked_ns and 0 <= waited_ns < self.options.ask_every_ms * MILLISECOND:
            return
        state.asked_ns = event.event_ns
        yield Resync(self.key, event.event_ns, cause, event.last_sequence)

    def _tell(self, event: Depth, best: Best, fresh: bool = False) -> Iterator[Book | Top]:
        """Say what has changed; all of it where the book is fresh."""
        state, book = self.state, self.state.book
        decimals = (book.price_decimals, book.size_decimals)
        if decimals != state.top_decimals:
            digits = [after - before for after, before in zip(decimals, state.top_decimals, strict=True)]
            state.top = scaled(state.top, *digits) if min(digits) >= 0 else NO_BEST
            state.top_decimals = decimals
        if fresh or best != state.top:
            state.top = best
            yield self._top(event, best)
        stretch = event.event_ns // self._stretch_ns
        if fresh or (state.untold and stretch != state.stretch):
            state.stretch, state.untold = stretch, False
            yield self._book(event)

    def _top(self, event: Depth, best: Best) -> Top:
        state = self.state
        price_unit, size_unit = 10**state.book.price_decimals, 10**state.book.size_decimals
        bid, bid_size, ask, ask_size = best
        imbalance = (bid_size - ask_size) / (bid_size + ask_size) if bid_size and ask_size else 0.0
        return Top(
            self.key, event.event_ns, state.valid, state.verified_ns, bid / price_unit, bid_size / size_unit,
            ask / price_unit, ask_size / size_unit, imbalance, event.last_sequence,
        )  # fmt: skip

    def _book(self, event: Depth, reason: str = "") -> Book:
        state, book, bps = self.state, self.state.book, self.options.depth_bps
        view = book.view(bps)
        unit = 10 ** (book.price_decimals + book.size_decimals)
        return Book(
            self.key, event.event_ns, state.valid, reason, state.verified_ns, event.last_sequence, book.price_decimals,
            book.size_decimals, view.bids.tobytes(), view.asks.tobytes(), *book.counts(), view.imbalance,
            view.bid_depth / unit, view.ask_depth / unit, bps,
        )  # fmt: skip

    def _row(self, event: Depth, gap: OpenGap, to_ns: int, recovered: bool = False) -> Gap:
        where = (gap.cause, gap.from_ns, to_ns, gap.expected, gap.seen)
        return Gap(self.key, event.event_ns, self._feed, *where, 0, recovered)


def _levels(event: Depth) -> Levels:
    changes = event.bid_changes, event.ask_changes
    return Levels.read(event.price_decimals, event.size_decimals, event.bids, event.asks, *changes)


def _after(last: int) -> int:
    """The update id that comes next; 0 where there are none."""
    return last + 1 if last > 0 else 0
