"""A feed: pure code that turns one venue's frames into records.

A feed is one connection to a venue, without the connection: the shells make a new one for each connection and drop it
when that ends, so no state of a venue's protocol outlives it. What must outlive it, the memory of what was already
seen, is handed from one feed to the next. A feed sees no clock but the frames' and the times it is given, and opens
nothing: what it wants fetched over HTTP it says in ``fetches``, and ``answer`` takes what came.

The folder is the registry: a module here that holds a subclass of ``Feed`` adds a venue, and its frames under
tests/frames/<name> hold it to its promises.
"""

import collections
import importlib
import pkgutil
from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from producers.agenda import Fetch
from schemas import Connect, Record, Rejected

# What may end a connection; the next connection's Connect records carry it. "start" stands for none before.
CAUSES = ("start", "disconnect", "stall", "sequence", "error")

# Modules of producers/ that run feeds and so hold none: importing them would drag in sockets and brokers.
SHELLS = frozenset(
    {"__main__", "backoff", "conversation", "fetching", "keys", "link"}
    | {"publishing", "resync", "rotation", "streams", "transport"}
)


class Repeated(Rejected):
    """A message that was already taken, perhaps on an earlier connection."""


class Resubscribe(Exception):
    """Nothing more can be made of this connection: a new one is needed.

    Whoever raises it has yielded nothing for the frame. ``cause`` is one of ``CAUSES``.
    """

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason


class Retire(Exception):
    """The venue says that it will end this connection soon: a successor is wanted, this one goes on until it is up.

    Whoever raises it has yielded nothing for the frame.
    """


class Recent:
    """What outlives a connection.

    The last ``capacity`` keys tell a repeat from something new in bounded memory; ``latest`` holds the highest id of
    each symbol, to see what was missed.

    >>> recent = Recent(capacity=2)
    >>> [recent.add(key) for key in (1, 2, 1, 3, 1)]
    [True, True, False, True, True]
    """

    def __init__(self, capacity: int = 65_536) -> None:
        self.capacity = capacity
        self.latest: dict[str, int] = {}
        self._order: collections.deque[Hashable] = collections.deque()
        self._keys: set[Hashable] = set()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._keys

    def copy(self) -> "Recent":
        """The same memory, from now on apart."""
        other = Recent(self.capacity)
        other.latest, other._order, other._keys = dict(self.latest), self._order.copy(), set(self._keys)
        return other

    def add(self, key: Hashable) -> bool:
        """Remember a key; say whether it was new."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > self.capacity:
            self._keys.discard(self._order.popleft())
        return True


class Shard(NamedTuple):
    """What one connection is for."""

    symbols: tuple[str, ...]
    channels: tuple[str, ...]


class Feed:
    """Base of every feed; what a venue's module gives. See coinbase.py for one.

    ``name`` is the feed's, its module's and the first half of its instruments' names: two feeds of one venue are two
    sources and never mix. ``url`` is wss:// for a websocket, https:// for a stream of server-sent events, each event
    a frame, and empty for a feed that only fetches. A connection that brings nothing for ``silence_s`` is a stall.
    """

    name: ClassVar[str]
    url: ClassVar[str] = ""
    writes: ClassVar[tuple[type[Record], ...]] = ()  # besides Connect and Heartbeat
    silence_s: ClassVar[float]
    quiet_ms: ClassVar[int] = 0  # longest silence of an instrument that is normal; 0: the gap ledger's own limit
    known_channels: ClassVar[tuple[str, ...]] = ()  # what may be chosen of an instrument's data
    default_channels: ClassVar[tuple[str, ...]] = ()
    lifetime_s: ClassVar[float] = 0.0  # after so long a successor takes over, before the venue ends it; 0: never
    ping: ClassVar[str] = ""  # frame to send every ping_s, where the venue wants one of its own
    ping_s: ClassVar[float] = 0.0
    headers: ClassVar[dict[str, str]] = {}  # to send with the handshake and each request
    shared_sequences: ClassVar[bool] = False  # a book's update ids are the venue's, the same on every connection
    bearer: ClassVar[str] = ""  # setting that holds the key for the Authorization header; empty: none is needed

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        """Begin a connection; ``cause`` ended the one before, ``recent`` is what was seen until then."""
        self.cause = cause
        self.recent = Recent() if recent is None else recent
        self.channels = tuple(channels) or self.default_channels
        self.asked: frozenset[str] = frozenset()
        self.connected: dict[str, str] = {}  # instrument by symbol

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        """What each connection is for, within the venue's limits; ``channels`` are those chosen, or the default's."""
        return [Shard(tuple(symbols), tuple(channels))]

    @classmethod
    def address(cls, shard: Shard) -> str:
        """The url to connect to."""
        return cls.url

    def silence(self) -> float:
        """How long this connection may bring nothing before it is a stall, in seconds."""
        return self.silence_s

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Frames to send first; from here on only these symbols are known.

        A feed that never subscribes, as over a recording, takes every symbol.
        """
        self.asked = frozenset(symbols)
        return []

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        """Records of one frame, a Connect before an instrument's first.

        Raises:
            Rejected: the frame is malformed or unusable; nothing was yielded and nothing has changed.
            Resubscribe: what the venue sends can no longer be trusted, or it refuses to send.
            Retire: the venue will end the connection soon.

        """
        raise Rejected(f"a frame, where {self.name} has none")

    def sent_ns(self, frame: str | bytes) -> int:
        """The venue's own time in a frame; 0 where it has none or cannot be read."""
        return 0

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        """What to fetch now; asked after each frame and answer, and at least once a second."""
        return ()

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        """Records of the answer to a fetch, as of a frame.

        Raises:
            Rejected, Resubscribe: as ``parse``.

        """
        raise Rejected(f"an answer to {tag!r}, where {self.name} fetches nothing")

    def outgoing(self) -> Sequence[str]:
        """Frames to send now, each given once; asked after each frame, answer and tick."""
        return ()

    def tick(self, now_ns: int) -> Iterator[Record]:
        """Records that are due by time alone; called about once a second while the connection is up.

        What it gives must depend on nothing but what was taken before and ``now_ns``: a recording has no ticks.
        """
        return iter(())

    def resync(self, symbol: str) -> list[str]:
        """Frames to send for a new snapshot of a symbol's book, or a fetch that ``fetches`` gives from now on.

        Raises:
            Resubscribe: only a new connection brings one.

        """
        raise Resubscribe("sequence", f"the book of {symbol} does not hold")

    def connects(self, symbol: str, received_ns: int) -> list[Record]:
        """The Connect that must come before a symbol's first record; nothing from then on."""
        if symbol in self.connected:
            return []
        self.connected[symbol] = f"{self.name}:{symbol}"
        return [Connect(self.connected[symbol], received_ns, self.name, self.cause, self.quiet_ms)]


def feeds(package: str = "producers") -> dict[str, type[Feed]]:
    """Every feed by name, in the order of their modules."""
    home = importlib.import_module(package)
    found: dict[str, type[Feed]] = {}
    for info in sorted(pkgutil.iter_modules(home.__path__), key=lambda info: info.name):
        if info.name not in SHELLS and not info.ispkg:
            found |= {feed.name: feed for feed in _feeds(importlib.import_module(f"{package}.{info.name}"))}
    return found


def _feeds(module: object) -> Iterator[type[Feed]]:
    for item in vars(module).values():
        if isinstance(item, type) and Feed in item.__mro__[1:] and item.__module__ == vars(module)["__name__"]:
            yield item
