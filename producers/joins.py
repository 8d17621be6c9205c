"""Where a link's trades join those of the links before it, so that they stay in the order of their ids.

Pure. A link that begins while others have an instrument may be ahead of them: its first trade is then later than what
has been passed on, and the others bring those between. What it brings is held back until they have, or are gone.
"""

from typing import TypeGuard

from schemas import Record, Tick, Trade

HELD_MOST = 100_000  # records of a link and instrument; then the others are given up

Key = tuple[str, int]  # instrument, link
Passed = list[tuple[int, Trade | Tick]]  # each with the link that brought it


class Joins:
    """What is held back, by instrument and link.

    >>> def trade(number):
    ...     return Trade("v:S", 5, 5, 1.0, 2.0, "buy", number, number, number)
    >>> def take(link, number):
    ...     return [(other, record.trade_id) for other, record in joins.take(link, trade(number))]
    >>> joins = Joins()
    >>> take(0, 1)
    [(0, 1)]
    >>> joins.begin("v:S", 1)
    >>> take(1, 3), take(1, 4), take(0, 2)
    ([], [], [(0, 2), (1, 3), (1, 4)])
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # highest trade id passed on, by instrument
        self._held: dict[Key, list[Trade | Tick]] = {}

    def begin(self, instrument: str, link: int) -> None:
        """A link has begun to bring an instrument that others have."""
        self._held[instrument, link] = []

    def joining(self, instrument: str, link: int) -> bool:
        """Whether the others may not have come as far as a link."""
        return (instrument, link) in self._held

    def holds(self, link: int) -> bool:
        """Whether anything of a link is held back."""
        return any(held for (_, number), held in self._held.items() if number == link)

    def take(self, link: int, record: Trade | Tick) -> Passed:
        """What to pass on for a trade, in order."""
        instrument = record.instrument
        held = self._held.get((instrument, link))
        last = self._last.get(instrument, 0)
        if held is not None and record.trade_id > last + 1:
            held.append(record)
            return self.end(instrument, link) if len(held) > HELD_MOST else []
        if held is not None:
            del self._held[instrument, link]
        if record.trade_id > last:
            self._last[instrument] = record.trade_id
        return [(link, record), *self._caught_up(instrument)] if self._held else [(link, record)]

    def end(self, instrument: str, link: int) -> Passed:
        """What a link held back, where there is nobody to wait for."""
        held = self._held.pop((instrument, link), [])
        self._last[instrument] = max([self._last.get(instrument, 0), *(record.trade_id for record in held)])
        return [(link, record) for record in held]

    def drop(self, link: int) -> None:
        """A link has ended: what it held back, nobody needs."""
        self._held = {key: held for key, held in self._held.items() if key[1] != link}

    def forget(self, instrument: str) -> None:
        """Nothing more will come of it."""
        self._last.pop(instrument, None)
        self._held = {key: held for key, held in self._held.items() if key[0] != instrument}

    def _caught_up(self, instrument: str) -> Passed:
        last = self._last[instrument]
        links = [
            link
            for (name, link), held in self._held.items()
            if name == instrument and held and held[0].trade_id <= last + 1
        ]
        return [passed for link in links for passed in self.end(instrument, link)]


def numbered(record: Record) -> TypeGuard[Trade | Tick]:
    """Whether a record is a trade with an id."""
    return isinstance(record, Trade | Tick) and record.trade_id > 0
