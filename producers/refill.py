"""Ids in order without holes: what was missed is fetched again, and what comes meanwhile is held back.

For venues whose ids rise by one. An id that is not the next one opens a hole, which is asked for in ranges of at most a
page, the oldest first, whichever way the venue's pages run. Rules:

- What comes while a hole is open is held back, ``capacity`` items at most: beyond it the newer ones are forgotten, for
  the venue offers them again, and the hole reaches as far as they did.
- A range is asked for again when no answer has come within ``ANSWER_NS``, and ``lag_ns`` after an answer with nothing
  of it: a venue's pages lag behind its stream.
- After ``TRIES`` such answers in a row the venue does not have what is missing; after ``PATIENCE_NS`` without progress
  it does not answer. Either way it is passed over and the gap ledger lists it.
- The highest id that was passed on lies in ``latest``, which outlives connections and which two of them may share.
"""

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from producers.feed import Repeated

SECOND_NS = 1_000_000_000
ANSWER_NS = 10 * SECOND_NS
LAG_NS = SECOND_NS
PATIENCE_NS = 60 * SECOND_NS
TRIES = 3

Item = TypeVar("Item")


class Missing(NamedTuple):
    """Ids to fetch, both included."""

    first: int
    last: int


class Refill(Generic[Item]):
    """The items of one sequence of ids, which is ``key`` in ``latest``.

    >>> latest = {}
    >>> refill = Refill(latest, "ETH-USD")
    >>> refill.take(7, "seventh", 0), refill.take(10, "tenth", 0), refill.take(11, "eleventh", 0)
    (['seventh'], [], [])
    >>> refill.due(0), refill.due(0)
    (Missing(first=8, last=9), None)
    >>> refill.fetched([(9, "ninth"), (8, "eighth")], 0)
    ['eighth', 'ninth', 'tenth', 'eleventh']
    >>> latest
    {'ETH-USD': 11}
    """

    def __init__(
        self, latest: dict[str, int], key: str, page: int = 1_000, capacity: int = 10_000, lag_ns: int = LAG_NS
    ) -> None:
        self._latest = latest
        self._key = key
        self._page = page
        self._capacity = capacity
        self._lag_ns = lag_ns
        self._held: dict[int, Item] = {}
        self._known = 0  # highest id that the venue has spoken of
        self._progress_ns = 0  # when the hole was found, or last grew smaller
        self._due_ns = 0
        self._tries = 0

    @property
    def open(self) -> bool:
        """Something is missing."""
        return self._known > self._latest.get(self._key, 0)

    def take(self, number: int, item: Item, now_ns: int) -> list[Item]:
        """What to pass on now that ``item`` has come live: nothing while something before it is missing.

        Raises:
            Repeated: it has come before.

        """
        latest = self._latest.get(self._key, 0)
        if (number <= latest and latest) or number in self._held:
            raise Repeated(f"repeated: {self._key} id {number}")
        if number == latest + 1 or not latest:
            self._latest[self._key] = number
            return [item, *self._drain(now_ns)] if self._held else [item]
        self._find(number, now_ns)
        if len(self._held) < self._capacity:
            self._held[number] = item
        return self.overdue(now_ns)

    def told(self, number: int, now_ns: int) -> None:
        """The venue says that ids have come as far as ``number``; without any taken before, that misses nothing."""
        if number > self._latest.get(self._key, 0) > 0:
            self._find(number, now_ns)

    def due(self, now_ns: int) -> Missing | None:
        """What to fetch now; given once until it is due again."""
        if not self.open or now_ns < self._due_ns:
            return None
        first, last = self._latest[self._key] + 1, self._hole_end()
        if last < first:
            return None
        self._due_ns = now_ns + ANSWER_NS
        return Missing(first, min(first + self._page - 1, last))

    def fetched(self, items: Iterable[tuple[int, Item]], now_ns: int) -> list[Item]:
        """What to pass on now that these came in answer, in any order; what was not missing is ignored."""
        if not self.open:
            return []
        end = self._hole_end()
        latest = self._latest[self._key]
        self._held.update((number, item) for number, item in items if latest < number <= end)
        passed = self._drain(now_ns)
        nearer = bool(passed) or self._hole_end() < end  # a venue may give the newest of a range first
        self._tries = 0 if nearer else self._tries + 1
        self._due_ns = now_ns if nearer else now_ns + self._lag_ns
        return passed if self._tries < TRIES else self._pass_over(now_ns)

    def overdue(self, now_ns: int) -> list[Item]:
        """What to pass on because time has run out for what is missing before it."""
        passed = self._drain(now_ns)
        if self.open and now_ns - self._progress_ns > PATIENCE_NS:
            passed += self._pass_over(now_ns)
        return passed

    def _find(self, number: int, now_ns: int) -> None:
        if not self.open:
            self._progress_ns, self._due_ns, self._tries = now_ns, now_ns, 0
        self._known = max(self._known, number)

    def _hole_end(self) -> int:
        latest = self._latest[self._key]
        return min((number for number in self._held if number > latest), default=self._known + 1) - 1

    def _drain(self, now_ns: int) -> list[Item]:
        """Take out what now follows without a hole, and what another connection has passed on."""
        passed = []
        while (following := self._latest.get(self._key, 0) + 1) in self._held:
            passed.append(self._held.pop(following))
            self._latest[self._key] = following
            self._progress_ns = now_ns
        if not self.open:
            self._held.clear()
        return passed

    def _pass_over(self, now_ns: int) -> list[Item]:
        self._latest[self._key] = self._hole_end()
        self._tries, self._progress_ns, self._due_ns = 0, now_ns, now_ns
        return self._drain(now_ns)
