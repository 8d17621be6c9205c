"""What a recording holds, and its way back into records: through the sessions and the merge that the venue's took.

Pure. A recording made by the shell says where each link began and ended. One without such marks, as another recorder
makes it, is a single link that is opened anew where its feed wants that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from producers.feed import Feed
from producers.merging import Merge
from producers.session import Session
from schemas import Record


class Begun(NamedTuple):
    """In place of a frame: here a process began to record a feed."""

    feed: str


class Connected(NamedTuple):
    """In place of a frame: here a link's connection began; ``cause`` ended the one before.

    ``after`` is the link that this one succeeds; -1 for none.
    """

    cause: str
    shard: int = 0
    after: int = -1


class Closed(NamedTuple):
    """In place of a frame: here a link's connection ended."""

    cause: str


class Fetched(NamedTuple):
    """In place of a frame: what was fetched for a feed."""

    tag: str
    body: bytes


Frame = str | bytes | Connected | Fetched


class Entry(NamedTuple):
    """A line of a recording: something, when it came, and on which link."""

    frame: Frame | Begun | Closed
    received_ns: int
    link: int = 0


class Playback:
    """The records of entries.

    >>> from producers.coinbase import Coinbase
    >>> playback = Playback(Coinbase)
    >>> beat = '"type":"heartbeat","sequence":9,"last_trade_id":4,"product_id":"A-B","time":"1970-01-01T00:00:00Z"'
    >>> entries = [Entry(f"{{{beat}}}", 1), Entry(Connected("stall"), 2), Entry(f"{{{beat}}}", 3)]
    >>> [[getattr(record, "cause", "beat") for record in playback.take(entry)] for entry in entries]
    [['start', 'beat'], [], ['stall', 'beat']]
    """

    def __init__(self, make: type[Feed], symbols: Sequence[str] = (), channels: Sequence[str] = ()) -> None:
        self._make = make
        self._symbols = symbols
        self._channels = channels
        self._begin(marked=False)

    def take(self, entry: Entry) -> list[Record]:
        """Records of one entry, refused frames as DeadLetters."""
        frame, received_ns, link = entry
        match frame:
            case Begun():
                self._begin(marked=True)
                return []
            case Connected():
                return self._connect(frame, received_ns, link)
            case Closed(cause):
                return self._close(link, cause, received_ns)
        if link not in self._open:
            self._connect(Connected("start"), received_ns, link)
        session = self._sessions[link]
        if isinstance(frame, Fetched):
            records = session.answer(frame.tag, frame.body, received_ns)
        else:
            records = session.receive(frame, received_ns)
        records = self._merge(link).take(link, records)
        if session.ended and not self._marked:
            records += self._connect(Connected(session.ended), received_ns, link)
        return records

    def _begin(self, marked: bool) -> None:
        self._marked = marked
        self._sessions: dict[int, Session] = {}
        self._shards: dict[int, int] = {}  # shard by link
        self._merges: dict[int, Merge] = {}  # by shard
        self._open: set[int] = set()

    def _connect(self, mark: Connected, received_ns: int, link: int) -> list[Record]:
        records = self._close(link, mark.cause, received_ns)
        if link not in self._sessions:
            before = self._sessions.get(mark.after)
            new = Session(self._make, self._symbols, self._channels) if before is None else before.successor()
            self._sessions[link], self._shards[link] = new, mark.shard
        self._open.add(link)
        self._merge(link).open(link)
        self._sessions[link].open()
        return records

    def _close(self, link: int, cause: str, received_ns: int) -> list[Record]:
        if link not in self._open:
            return []
        self._open.discard(link)
        self._sessions[link].close(cause)
        return self._merge(link).close(link, cause, received_ns)

    def _merge(self, link: int) -> Merge:
        return self._merges.setdefault(self._shards[link], Merge(self._make.shared_sequences))
