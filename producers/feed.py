"""A feed: pure code that turns one venue's frames into records.

A feed is one connection to a venue, without the connection: the shells make a new one for each connection and drop it
when that ends, so no state of a venue's protocol outlives it. What must outlive it, the memory of what was already
seen, is handed from one feed to the next. A feed sees no clock but the frames' and ``received_ns``, and opens nothing.

The folder is the registry: a module here that holds a subclass of ``Feed`` adds a venue, and its frames under
tests/frames/<name> hold it to its promises.
"""

import collections
import importlib
import pkgutil
from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar, Protocol

from schemas import Record, Rejected

# What may end a connection; the next connection's Connect records carry it. "start" stands for none before.
CAUSES = ("start", "disconnect", "stall", "sequence", "error")

# Modules of producers/ that run feeds and so hold none: importing them would drag in sockets and brokers.
SHELLS = frozenset({"__main__", "options", "playback", "publishing", "transport"})


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


class Recent:
    """The last ``capacity`` keys, to tell a repeat from something new in bounded memory.

    >>> recent = Recent(capacity=2)
    >>> [recent.add(key) for key in (1, 2, 1, 3, 1)]
    [True, True, False, True, True]
    """

    def __init__(self, capacity: int = 65_536) -> None:
        self.capacity = capacity
        self._order: collections.deque[Hashable] = collections.deque()
        self._keys: set[Hashable] = set()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._keys

    def add(self, key: Hashable) -> bool:
        """Remember a key; say whether it was new."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > self.capacity:
            self._keys.discard(self._order.popleft())
        return True


class Feed(Protocol):
    """What a venue's module gives; see coinbase.py for one.

    ``name`` is the feed's, its module's and the first half of its instruments' names: two feeds of one venue are two
    sources and never mix. A connection that brings no frame for ``silence_s`` seconds is a stall.
    """

    name: ClassVar[str]
    url: ClassVar[str]
    silence_s: ClassVar[float]

    def __init__(self, cause: str = "start", recent: Recent | None = None) -> None:
        """Begin a connection; ``cause`` ended the one before, ``recent`` is what was seen until then."""

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Frames to send first; from here on only these symbols are known.

        A feed that never subscribes, as over a recording, takes every symbol.
        """
        ...

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        """Records of one frame, a Connect before an instrument's first.

        Raises:
            Rejected: the frame is malformed or unusable; nothing was yielded and nothing has changed.
            Resubscribe: what the venue sends can no longer be trusted, or it refuses to send.

        """
        ...

    def sent_ns(self, frame: str | bytes) -> int:
        """The venue's own time in a frame; 0 where it has none or cannot be read."""
        ...


def feeds(package: str = "producers") -> dict[str, type[Feed]]:
    """Every feed by name, in the order of their modules."""
    home = importlib.import_module(package)
    found: dict[str, type[Feed]] = {}
    for info in sorted(pkgutil.iter_modules(home.__path__), key=lambda info: info.name):
        if info.name not in SHELLS:
            found |= {feed.name: feed for feed in _feeds(importlib.import_module(f"{package}.{info.name}"))}
    return found


def _feeds(module: object) -> Iterator[type[Feed]]:
    for item in vars(module).values():
        if isinstance(item, type) and Feed in item.__mro__[1:] and item.__module__ == vars(module)["__name__"]:
            yield item
