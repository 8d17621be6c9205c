"""The feeds of one process in succession: what survives from one connection to the next.

Pure: the websocket shell and the player of recordings both run their frames through here, so that a recording takes
the same path as the venue.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from producers.feed import Feed, Recent, Repeated, Resubscribe, Retire
from schemas import Record, Rejected
from schemas.letters import dead_letter


@dataclasses.dataclass(slots=True)
class Counts:
    """What a session has met so far."""

    frames: int = 0
    answers: int = 0
    records: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    retirements: int = 0
    connections: int = 0


class Session:
    """One feed after the other, each told what ended the one before.

    ``ended`` is "" while the connection is good, else the cause for which the feed wants a new one. ``retiring`` is
    what the venue said when it announced that it will end the connection; "" before. ``confirmed`` says whether the
    connection has brought any record.
    """

    def __init__(
        self,
        make: type[Feed],
        symbols: Sequence[str] = (),
        channels: Sequence[str] = (),
        counts: Counts | None = None,
        recent: Recent | None = None,
    ) -> None:
        self.counts = Counts() if counts is None else counts
        self.confirmed = False
        self.ended = ""
        self.retiring = ""
        self._make = make
        self._symbols = tuple(symbols)
        self._channels = tuple(channels)
        self._recent = Recent() if recent is None else recent
        self._cause = "start"
        self._feed = make(self._cause, self._recent, self._channels)

    @property
    def feed(self) -> Feed:
        """The feed of the present connection."""
        return self._feed

    @property
    def cause(self) -> str:
        """What ended the last connection that brought anything."""
        return self._cause

    def open(self) -> list[str]:
        """Begin a connection; the frames to send on it, none where no symbols are asked for."""
        self.counts.connections += 1
        self.ended = self.retiring = ""
        self.confirmed = False
        self._feed = self._make(self._cause, self._recent, self._channels)
        return self._feed.subscribe(self._symbols) if self._symbols else []

    def successor(self) -> "Session":
        """A session that knows what this one has seen until now, for a connection beside this one's."""
        return Session(self._make, self._symbols, self._channels, self.counts, self._recent.copy())

    def receive(self, frame: str | bytes, received_ns: int) -> list[Record]:
        """Records of a frame, a DeadLetter where it is refused; look at ``ended`` and ``retiring`` afterwards."""
        self.counts.frames += 1
        try:
            return self._taken(self._feed.parse(frame, received_ns))
        except Retire as notice:
            self.counts.retirements += 1
            self.retiring = str(notice) or "the venue will end the connection"
            return []
        except Exception as error:
            payload = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
            return self._refused(error, payload, received_ns)

    def answer(self, tag: str, body: bytes, received_ns: int) -> list[Record]:
        """Records of what was fetched, as of a frame."""
        self.counts.answers += 1
        try:
            return self._taken(self._feed.answer(tag, body, received_ns))
        except Exception as error:
            return self._refused(error, body, received_ns)

    def tick(self, now_ns: int) -> list[Record]:
        """Records that are due by time alone."""
        try:
            return self._taken(self._feed.tick(now_ns))
        except Exception as error:
            return self._refused(error, b"", now_ns)

    def close(self, cause: str) -> None:
        """The connection has ended.

        The next one reports ``cause``, unless this one brought nothing: then what ended the last useful one stands.
        """
        if self.confirmed:
            self._cause = cause
        self.confirmed = False

    def _taken(self, found: Iterable[Record]) -> list[Record]:
        records = list(found)
        self.confirmed = self.confirmed or bool(records)
        self.counts.records += len(records)
        return records

    def _refused(self, error: Exception, payload: bytes, received_ns: int) -> list[Record]:
        """A dead letter; anything that a feed has not declared may have left it half done, so it is given up."""
        self.counts.dead_letters += 1
        self.counts.duplicates += isinstance(error, Repeated)
        reason = str(error)
        if isinstance(error, Resubscribe):
            self.ended = error.cause
        elif not isinstance(error, Rejected):
            self.ended = "error"
            reason = f"{type(error).__name__} in the feed: {error}"
        return [dead_letter(self._feed.name, self._feed.name, reason, payload, received_ns)]
