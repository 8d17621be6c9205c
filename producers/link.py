"""One link of a feed to its venue: connect, converse, and do it again when that ends.

- Between two attempts lies a wait with full jitter (see backoff.py). Failures count from nothing again only after a
  connection that lived ``steady_s``; and attempts begin at least ``spacing_s`` apart whatever was drawn, for a venue
  that accepts and drops would otherwise be hammered. A venue that says stop is left alone for long.
- Whatever happens to a link, its own feed's mistakes included, ends at most that link's connection.
"""

import asyncio
import dataclasses
import time

from websockets.exceptions import InvalidURI

from infra import logs, metrics
from producers.conversation import Conversation, Over, Stalled, TakerFailed, Venue
from producers.feed import Shard
from producers.fetching import rebased
from producers.merging import Merge
from producers.playback import Closed, Connected
from producers.session import Session
from producers.streams import Lost, Refused, Stream, connected

log = logs.logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a link belongs: the shard, its number, and the merge of all its links."""

    shard: Shard
    number: int
    merge: Merge


class Link:
    """Connects again and again until it is cancelled, or for the last time once ``last`` is set.

    ``wants_heir`` is set when the venue, or the age of the connection, asks for another link in its place. ``after`` is
    the number of the link that this one succeeds; -1 for none. ``life_s`` is how long a connection may live; 0 for
    ever.
    """

    def __init__(
        self, venue: Venue, session: Session, place: Place, number: int, *, after: int = -1, life_s: float = 0.0
    ) -> None:
        self.session = session
        self.number = number
        self.last = False
        self.wants_heir = asyncio.Event()
        self.up_since = 0.0  # monotonic; 0 while there is no connection
        self._venue = venue
        self._place = place
        self._after = after
        self._life_s = life_s
        self._failures = 0
        self._conversation: Conversation | None = None
        self._log = log.bind(feed=venue.make.name, link=number)

    async def run(self) -> None:
        """Connect and receive.

        Raises:
            InvalidURI: the address is none.
            TakerFailed: ``emit`` raised what is its cause.

        """
        backoff = self._venue.backoff
        while not self.last:
            began = time.monotonic()
            rest_s, lived_s = await self._attempt()
            self._failures = 0 if lived_s >= backoff.steady_s else self._failures + 1
            if not self.last:
                wait_s = rest_s if rest_s is not None else backoff.wait_s(self._failures)
                await asyncio.sleep(max(wait_s, began + backoff.spacing_s - time.monotonic()))

    def resync(self, symbol: str) -> None:
        """Ask the venue for a new snapshot of a symbol's book, where there is a connection."""
        if self._conversation is not None:
            self._conversation.resync(symbol)

    async def _attempt(self) -> tuple[float | None, float]:
        """One connection from start to end: the rest that the venue asked for, or None, and its life, in seconds."""
        rest_s, lived_s, cause = None, 0.0, "disconnect"
        self._place.merge.open(self.number)
        try:
            await self._converse()
        except Over as end:
            cause = str(end)
        except Stalled:
            cause = "stall"
        except Refused as refusal:
            rest_s = self._venue.backoff.rest_s(refusal.status, refusal.headers)
            self._log.warning("refused", status=refusal.status, rest_s=rest_s)
        except Lost as loss:
            self._log.warning("connection lost", error=str(loss))
        except (TakerFailed, InvalidURI):
            raise
        except Exception:
            cause = "error"
            self._log.exception("the feed failed")
        finally:
            lived_s = self._end(cause)
        return rest_s, lived_s

    async def _converse(self) -> None:
        make = self._venue.make
        if address := make.address(self._place.shard):
            url = rebased(address, self._venue.url)
            async with connected(url, self._venue.keys.headers(make)) as stream:
                await self._talk(stream)
        else:
            await self._talk(None)

    async def _talk(self, stream: Stream | None) -> None:
        requests = self.session.open()
        begun = Connected(self.session.cause, self._place.number, self._after)
        self._venue.record(begun, time.time_ns(), self.number)
        self.up_since = time.monotonic()
        metrics.CONNECTED.labels(self._venue.make.name).inc()
        self._log.info("connected", connections=self.session.counts.connections)
        self._conversation = Conversation(
            self._venue, self.session, self._place.merge, self.number, stream, self.wants_heir, self._life_s
        )
        await self._conversation.run(requests)

    def _end(self, cause: str) -> float:
        """Say what ended the connection, if there was one; how long it lived, in seconds."""
        lived_s, now_ns = 0.0, time.time_ns()
        self._conversation = None
        self.session.close(cause)
        if self.up_since:
            lived_s, self.up_since = time.monotonic() - self.up_since, 0.0
            metrics.CONNECTED.labels(self._venue.make.name).dec()
            self._venue.record(Closed(cause), now_ns, self.number)
            self._venue.give(self._place.merge.close(self.number, cause, now_ns))
        metrics.RECONNECTS.labels(self._venue.make.name, cause).inc()
        self._log.info("disconnected", cause=cause, failures=self._failures, **dataclasses.asdict(self.session.counts))
        return lived_s
