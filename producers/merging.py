"""Several connections for the same instruments, seen as one: each record once, in the order of its first coming.

Pure. A connection is known by its number, its link. Whatever comes again on another link is dropped; what comes twice
on one link is that feed's own affair and passes. Rules by record:

- A Connect passes where no other link has the instrument, or where it says anew how much silence is normal; it
  carries what ended the last link that had the instrument.
- Trades are the same by trade id, Ticks by sequence and trade id, where there are such; Bars by end and width, Marks by
  time; others where all but the time of receipt is equal. Dead letters always pass.
- Trades keep the order of their ids where a link joins others, see joins.py; its Heartbeats begin with them.
- Books see chains.py. When the last link with a chain ends, a Depth of kind connect says so at once, so that no book
  stays valid through an outage.
"""

import collections
from collections.abc import Hashable, Sequence

import msgspec

from producers.chains import Chains
from producers.joins import Joins, numbered
from schemas import Bar, Connect, DeadLetter, Depth, Heartbeat, Mark, Market, Record, Tick, Trade

ENDINGS_KEPT = 65_536


class Merge:
    """The records of a shard's links.

    >>> from schemas import Trade
    >>> def trade(number, received_ns):
    ...     return Trade("v:S", 5, received_ns, 1.0, 2.0, "buy", number, number, number)
    >>> merge = Merge()
    >>> merge.open(0), merge.open(1)
    (None, None)
    >>> merge.take(0, [trade(1, 10)]) == [trade(1, 10)]
    True
    >>> merge.take(1, [trade(1, 11), trade(2, 12)]) == [trade(2, 12)]
    True
    """

    def __init__(self, shared_sequences: bool = False, capacity: int = 65_536) -> None:
        self.dropped = 0  # or held back
        self.chains = Chains(shared_sequences)
        self._capacity = capacity
        self._joins = Joins()
        self._opened: set[int] = set()  # links that ever were
        self._live: dict[str, set[int]] = {}  # links by instrument
        self._quiet_ms: dict[str, int] = {}  # by instrument, what the last Connect said
        self._handed: dict[str, int] = {}  # by instrument, the link that was given it before it brought it
        self._ended: dict[str, str] = {}  # by instrument, what ended the last link that had it
        self._seen: dict[Hashable, int] = {}  # the link that brought a record first
        self._order: collections.deque[Hashable] = collections.deque()

    def open(self, link: int) -> None:
        """A link is about to begin."""
        self._opened.add(link)

    def take(self, link: int, records: Sequence[Record]) -> list[Record]:
        """What of a link's records is new."""
        several = len(self._opened) > 1
        found: list[Record] = []
        for record in records:
            if isinstance(record, Connect):
                passed = self._connect(link, record)
            elif isinstance(record, Depth):
                passed = self.chains.take(link, self._caused(record), several)
            elif numbered(record):
                trades = self._joins.take(link, record)
                passed = [trade for brought, trade in trades if self._first(brought, trade)]
            elif several and self._known(link, record):
                passed = []
            else:
                passed = [record]
                if isinstance(record, Market) and record.status == "resolved":
                    self._forget(record.instrument)
            self.dropped += not passed
            found += passed
        return found

    def close(self, link: int, cause: str, now_ns: int) -> list[Record]:
        """A link has ended: what must be said of the books that it alone had, and what other links held back."""
        found: list[Record] = []
        self._joins.drop(link)
        for instrument, links in self._live.items():
            if link in links:
                links.discard(link)
                if not links:
                    self._ended.pop(instrument, None)
                    self._ended[instrument] = cause
                elif all(self._joins.joining(instrument, other) for other in links):
                    held = [passed for other in links for passed in self._joins.end(instrument, other)]
                    found += [trade for brought, trade in held if self._first(brought, trade)]
        self._live = {instrument: links for instrument, links in self._live.items() if links}
        self._handed = {instrument: heir for instrument, heir in self._handed.items() if heir != link}
        while len(self._ended) > ENDINGS_KEPT:
            del self._ended[next(iter(self._ended))]
        return found + self.chains.close(link, cause, now_ns)

    def covers(self, old: int, new: int) -> bool:
        """Whether all that ``old`` brings also comes on ``new``."""
        connected = all(new in links for links in self._live.values() if old in links)
        return connected and not self._joins.holds(new) and self.chains.covers(old, new)

    def hand_over(self, old: int, new: int) -> None:
        """``new`` has been asked for all that ``old`` brings, and quiet instruments are taken to be on it too."""
        for instrument, links in self._live.items():
            if old in links and new not in links:
                links.add(new)
                self._handed[instrument] = new

    def _connect(self, link: int, record: Connect) -> list[Record]:
        links = self._live.setdefault(record.instrument, set())
        others = links - {link}
        links.add(link)
        if others:
            self._joins.begin(record.instrument, link)
        told = self._quiet_ms.get(record.instrument) == record.quiet_ms
        if told and (others or self._handed.pop(record.instrument, -1) == link):
            return []
        self._quiet_ms[record.instrument] = record.quiet_ms
        return [msgspec.structs.replace(record, cause=self._ended.get(record.instrument, record.cause))]

    def _caused(self, record: Depth) -> Depth:
        if record.kind != "connect" or record.cause != "start" or record.instrument not in self._ended:
            return record
        return msgspec.structs.replace(record, cause=self._ended[record.instrument])

    def _known(self, link: int, record: Record) -> bool:
        if isinstance(record, Heartbeat):
            return self._joins.joining(record.instrument, link)
        return not isinstance(record, DeadLetter) and not self._first(link, record)

    def _first(self, link: int, record: Record) -> bool:
        key = identity(record)
        first = self._seen.get(key)
        if first is not None:
            return first == link
        self._seen[key] = link
        self._order.append(key)
        if len(self._order) > self._capacity:
            del self._seen[self._order.popleft()]
        return True

    def _forget(self, instrument: str) -> None:
        """It has come to its end; there would be ever more of them."""
        self._live.pop(instrument, None)
        self._quiet_ms.pop(instrument, None)
        self._handed.pop(instrument, None)
        self._joins.forget(instrument)
        self.chains.forget(instrument)


def identity(record: Record) -> Hashable:
    """What makes a record the same on every connection."""
    match record:
        case Trade() if record.trade_id:
            return Trade, record.instrument, record.trade_id
        case Tick() if record.sequence or record.trade_id:
            return Tick, record.instrument, record.sequence, record.trade_id
        case Bar():
            return Bar, record.instrument, record.event_ns, record.width_ms
        case Mark():
            return Mark, record.instrument, record.event_ns
    names = (name for name in record.__struct_fields__ if name != "received_ns")
    return type(record), *(getattr(record, name) for name in names)
