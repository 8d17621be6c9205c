"""The books' messages of several connections as one chain: it goes on as long as one of them holds it.

Pure. Where a venue's update ids are the same on every connection (``shared``), a link is part of an instrument's chain
once its snapshot is no newer than what has been passed on. From then on the first message that carries the chain on
is passed on, whoever brings it, and one that ends no later than it is dropped. What a link brings before is held back,
for the case that the others end first. A link whose own messages skip something leaves the chain, if another holds it,
and a new snapshot is asked of it.

Where update ids count a connection's messages, chains cannot be joined: the link whose snapshot came last is the only
one that is passed on. When it ends, a new snapshot is asked of the others.
"""

import dataclasses

from schemas import Depth, Record

HELD_MOST = 10_000  # messages held back of a link; more than a minute's


@dataclasses.dataclass(slots=True)
class Chain:
    """Of one instrument: who can carry it on, and how far it has come."""

    last: int = -1  # last_sequence passed on; -1 while nothing holds
    snapshot_ns: int = 0  # event time of the last snapshot passed on
    holders: set[int] = dataclasses.field(default_factory=set)  # links that can carry it on
    held: dict[int, list[Depth]] = dataclasses.field(default_factory=dict)  # what is held back, by link
    idle: set[int] = dataclasses.field(default_factory=set)  # links that need a snapshot before they are of use

    def leave(self, link: int) -> bool:
        """Forget a link; whether it held the chain."""
        self.held.pop(link, None)
        self.idle.discard(link)
        holds = link in self.holders
        self.holders.discard(link)
        return holds

    def begin(self, link: int, snapshot: Depth) -> None:
        """The chain begins anew with a link's snapshot."""
        self.leave(link)
        self.idle |= self.holders
        self.holders, self.last, self.snapshot_ns = {link}, snapshot.last_sequence, snapshot.event_ns

    def release(self) -> list[Depth]:
        """What links held back that has become part of the chain, after it went on."""
        passed: list[Depth] = []
        for link in [link for link, held in self.held.items() if held[0].last_sequence <= self.last]:
            self.holders.add(link)
            for message in self.held.pop(link)[1:]:
                if message.last_sequence > self.last:
                    self.last = message.last_sequence
                    passed.append(message)
        return passed

    def restart(self) -> list[Depth]:
        """The snapshot of a link that was held back, and what followed it, now that no other holds the chain."""
        if not self.held:
            return []
        link, messages = next(iter(self.held.items()))
        self.begin(link, messages[0])
        self.last = messages[-1].last_sequence
        return messages + self.release()


class Chains:
    """The chains by instrument."""

    def __init__(self, shared: bool) -> None:
        self._shared = shared
        self._chains: dict[str, Chain] = {}
        self._wanted: list[tuple[int, str]] = []  # links and instruments

    def take(self, link: int, message: Depth, several: bool) -> list[Record]:
        """What to pass on for a message."""
        chain = self._chains.get(message.instrument)
        if chain is None:
            chain = self._chains[message.instrument] = Chain()
        match message.kind:
            case "connect":
                return self._connect(chain, link, message)
            case "snapshot":
                return self._snapshot(chain, link, message)
        return self._delta(chain, link, message) if several else self._alone(chain, message)

    def close(self, link: int, cause: str, now_ns: int) -> list[Record]:
        """What a link's end means for the books."""
        found: list[Record] = []
        for instrument, chain in self._chains.items():
            if not chain.leave(link) or chain.holders:
                continue
            chain.last = -1
            restarted = chain.restart()
            if not restarted:
                self._wanted += [(other, instrument) for other in sorted(chain.idle)]
            found += restarted or [connect(instrument, cause, now_ns)]
        return found

    def covers(self, old: int, new: int) -> bool:
        """Whether every chain that ``old`` holds goes on without it."""
        return all(new in chain.holders or old not in chain.holders for chain in self._chains.values())

    def snapshot_ns(self, instrument: str) -> int:
        """Event time of the last snapshot that was passed on; 0 before the first."""
        chain = self._chains.get(instrument)
        return chain.snapshot_ns if chain is not None else 0

    def asked_of(self, link: int) -> list[str]:
        """Symbols of which a link must bring a new snapshot; each is named once."""
        symbols = [instrument.partition(":")[2] for number, instrument in self._wanted if number == link]
        self._wanted = [(number, instrument) for number, instrument in self._wanted if number != link]
        return symbols

    def broken(self, instrument: str) -> None:
        """The book was found wrong: the next snapshot begins it anew, whoever brings it."""
        self._chains[instrument] = Chain(snapshot_ns=self.snapshot_ns(instrument))

    def forget(self, instrument: str) -> None:
        """Nothing more will come of it."""
        self._chains.pop(instrument, None)

    def _connect(self, chain: Chain, link: int, message: Depth) -> list[Record]:
        chain.leave(link)
        chain.idle.add(link)
        if chain.holders:
            return []
        chain.last = -1
        return [message, *chain.restart()]

    def _snapshot(self, chain: Chain, link: int, message: Depth) -> list[Record]:
        if self._shared and chain.holders - {link}:
            chain.leave(link)
            chain.held[link] = [message]
            return [*chain.release()]
        chain.begin(link, message)
        return [message, *chain.release()]

    def _alone(self, chain: Chain, message: Depth) -> list[Record]:
        chain.last = message.last_sequence
        return [message]

    def _delta(self, chain: Chain, link: int, message: Depth) -> list[Record]:
        if link in chain.held:
            chain.held[link].append(message)
            if len(chain.held[link]) > HELD_MOST:
                self._exclude(chain, link, message.instrument)
            return []
        if link not in chain.holders or (self._shared and message.last_sequence <= chain.last):
            return []
        if len(chain.holders) > 1 and skips(chain.last, message):
            self._exclude(chain, link, message.instrument)
            return []
        chain.last = message.last_sequence
        return [message, *chain.release()]

    def _exclude(self, chain: Chain, link: int, instrument: str) -> None:
        chain.leave(link)
        chain.idle.add(link)
        self._wanted.append((link, instrument))


def skips(last: int, delta: Depth) -> bool:
    """Whether update ids between the last one passed on and this delta are missing."""
    return delta.previous_sequence > last if delta.previous_sequence >= 0 else delta.first_sequence > last + 1


def connect(instrument: str, cause: str, now_ns: int) -> Depth:
    """Says that nothing is known of a book from now on."""
    return Depth(instrument, now_ns, now_ns, "connect", cause, 0, 0, -1, 0, 0, b"", b"", b"", b"", 0, 0, False)
