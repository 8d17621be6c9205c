"""When Clock records are due: on multiples of an interval since the epoch, each once, in rising order.

Pure: the caller says what time it is. A live shell asks for the ``latest`` due one, a replay for every one ``until``
an event, so that a recording without clocks gets the same ones each time.
"""

from collections.abc import Iterable, Iterator

from schemas import Clock, Record


class Clocks:
    """Clock records on the grid of an interval.

    >>> clocks = Clocks(interval_ns=100)
    >>> clocks.latest(250), clocks.latest(290), clocks.latest(610)
    (Clock(event_ns=200), None, Clock(event_ns=600))
    >>> [clock.event_ns for clock in clocks.until(850)]
    [700, 800]
    """

    def __init__(self, interval_ns: int) -> None:
        if interval_ns <= 0:
            raise ValueError(f"interval_ns must be positive, not {interval_ns}")
        self.interval_ns = interval_ns
        self._next = 0

    def latest(self, now_ns: int) -> Clock | None:
        """The newest clock that is due and was not given yet: none while the wall clock stands still or steps back."""
        due = now_ns // self.interval_ns * self.interval_ns
        if due < self._next:
            return None
        self._next = due + self.interval_ns
        return Clock(due)

    def until(self, event_ns: int) -> Iterator[Clock]:
        """Every clock due up to and including a moment; the first call gives the newest only."""
        if not self._next:
            self._next = event_ns // self.interval_ns * self.interval_ns
        for due in range(self._next, event_ns + 1, self.interval_ns):
            self._next = due + self.interval_ns
            yield Clock(due)


def with_clocks(records: Iterable[Record], interval_ns: int, lag_ns: int = 0) -> Iterator[Record]:
    """A recorded stream with clocks put in by event time.

    A clock stands before the first record whose event time has reached it; ``lag_ns`` holds clocks back by so much
    event time, for recordings whose records are not in order of event time. Records that never become part of a
    ticks log (dead letters) and clocks already there pass through and count for nothing.

    >>> from schemas import Heartbeat
    >>> beats = [Heartbeat("v:S", event_ns, 0, 0, 0) for event_ns in (100, 180, 420)]
    >>> [record.event_ns for record in with_clocks(beats, interval_ns=160)]
    [0, 100, 160, 180, 320, 420]
    """
    clocks = Clocks(interval_ns)
    for record in records:
        if record.topic == Clock.topic and not isinstance(record, Clock):
            yield from clocks.until(record.event_ns - lag_ns)
        yield record
