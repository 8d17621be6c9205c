"""What a feed wants fetched, and when: once, or again and again.

Pure: the caller says what time it is. A request that is repeated is due on multiples of its period since the epoch,
and at once at the start. One that is wanted once, and has not been answered within ``AGAIN_S``, is due again.
"""

from dataclasses import dataclass
from typing import NamedTuple

SECOND_NS = 1_000_000_000
AGAIN_S = 30


class Fetch(NamedTuple):
    """An HTTP request; its answer is handed over with ``tag``. A ``body`` is sent by POST, as JSON."""

    tag: str
    url: str
    body: str = ""
    weight: int = 1  # what it costs of the venue's limit


@dataclass(slots=True)
class Entry:
    """A request, its period (0: once), and from when on it is due."""

    fetch: Fetch
    period_ns: int
    due_ns: int = 0


class Agenda:
    """The requests of one feed by tag.

    >>> agenda = Agenda()
    >>> agenda.add(Fetch("rates", "https://venue/rates"), every_s=60)
    >>> agenda.add(Fetch("book", "https://venue/book"))
    >>> [[fetch.tag for fetch in agenda.due(second * SECOND_NS)] for second in (100, 101, 120)]
    [['rates', 'book'], [], ['rates']]
    >>> agenda.done("book")
    >>> [fetch.tag for fetch in agenda.due(150 * SECOND_NS)]
    []
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, fetch: Fetch, every_s: float = 0.0) -> None:
        """Want something, from now on in place of what had its tag."""
        self._entries[fetch.tag] = Entry(fetch, int(every_s * SECOND_NS))

    def done(self, tag: str) -> None:
        """An answer has come: what was wanted once is wanted no more."""
        entry = self._entries.get(tag)
        if entry is not None and not entry.period_ns:
            del self._entries[tag]

    def remove(self, tag: str) -> None:
        """Want something no more."""
        self._entries.pop(tag, None)

    def due(self, now_ns: int) -> list[Fetch]:
        """What to fetch now; each is given once until it is due again."""
        found: list[Fetch] = []
        for entry in self._entries.values():
            if now_ns >= entry.due_ns:
                period_ns = entry.period_ns
                entry.due_ns = now_ns - now_ns % period_ns + period_ns if period_ns else now_ns + AGAIN_S * SECOND_NS
                found.append(entry.fetch)
        return found
