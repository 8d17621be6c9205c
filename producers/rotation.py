"""One link after the other, without a gap between them.

Before a connection's end, which the venue announces or its age foretells, an heir is brought up beside it, and takes
over once it brings all that the old one brings. While both are up their records are merged (see merging.py), so that
there is neither gap nor repeat. An heir that brings all but what is quiet takes over after ``PATIENCE_S``. An old link
that dies before has no other successor than the heir, which is connecting already.
"""

import asyncio
import time
from collections.abc import Iterator

from infra import logs
from producers.conversation import Venue
from producers.link import Link, Place
from producers.session import Session

PATIENCE_S = 30.0
LINGER_S = 1.0  # what the venue sent before the heir was up may still be under way
LOOK_S = 0.02
log = logs.logger(__name__)


class Rotation:
    """One link of a shard after the other.

    ``numbers`` gives each link of the process its own. ``first_life_s`` is the life of the first connection where it
    shall differ, so that the links of a pair do not rotate at once.
    """

    def __init__(
        self,
        venue: Venue,
        session: Session,
        place: Place,
        numbers: Iterator[int],
        first_life_s: float = 0.0,
    ) -> None:
        self.links: list[Link] = []  # the present one last
        self._venue = venue
        self._session = session
        self.place = place
        self._numbers = numbers
        self._life_s = venue.make.lifetime_s
        self._first_life_s = first_life_s or self._life_s
        self._log = log.bind(feed=venue.make.name)

    async def run(self) -> None:
        """Keep connected until cancelled; raises what ``Link.run`` raises."""
        link = Link(self._venue, self._session, self.place, next(self._numbers), life_s=self._first_life_s)
        running = self._start(link)
        try:
            while True:
                wanted = asyncio.create_task(link.wants_heir.wait())
                try:
                    await asyncio.wait({running, wanted}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    wanted.cancel()
                if running.done():
                    running.result()
                link, running = await self._succeed(link, running)
        finally:
            await _stopped(running)

    async def _succeed(self, old: Link, running: "asyncio.Task[None]") -> "tuple[Link, asyncio.Task[None]]":
        number = next(self._numbers)
        self._log.info("successor wanted", old=old.number, heir=number)
        old.last = True
        heir = Link(self._venue, old.session.successor(), self.place, number, after=old.number, life_s=self._life_s)
        coming = self._start(heir)
        try:
            await self._heir_is_up(old, running, heir, coming)
            await _stopped(running)
        except BaseException:
            await _stopped(coming)
            raise
        self.links.remove(old)
        self._log.info("successor took over", old=old.number, heir=number)
        return heir, coming

    async def _heir_is_up(
        self, old: Link, running: "asyncio.Task[None]", heir: Link, coming: "asyncio.Task[None]"
    ) -> None:
        """Wait until the heir brings what the old link brings, or the old link is gone."""
        merge, covered_at = self.place.merge, 0.0
        while old.up_since:
            if coming.done():
                coming.result()
            if running.done():
                running.result()
            now = time.monotonic()
            covers = merge.covers(old.number, heir.number) or now - heir.up_since > PATIENCE_S
            if not (heir.up_since and heir.session.confirmed and covers):
                covered_at = 0.0
            elif not covered_at:
                covered_at = now
            elif now - covered_at >= LINGER_S:
                merge.hand_over(old.number, heir.number)
                return
            await asyncio.sleep(LOOK_S)

    def _start(self, link: Link) -> "asyncio.Task[None]":
        self.links.append(link)
        return asyncio.create_task(link.run())


async def _stopped(running: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end; what it raised on the way is raised."""
    running.cancel()
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()
