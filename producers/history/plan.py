"""What is still to be fetched: stretches of time that nothing covers, and the archive's months and days in them.

Times are ns since the epoch, ends not included.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_NS = 86_400_000_000_000
Span = tuple[int, int]


class Period(NamedTuple):
    """A month or a day of the archive, by the name that its files carry."""

    name: str
    from_ns: int
    to_ns: int


def uncovered(wanted: Span, covered: Iterable[Span]) -> list[Span]:
    """The stretches of ``wanted`` that no other covers.

    >>> uncovered((0, 10), [(8, 20), (2, 4), (3, 5)])
    [(0, 2), (5, 8)]
    """
    reached, end = wanted
    found: list[Span] = []
    for begin, until in sorted(covered):
        if begin >= end:
            break
        if begin > reached:
            found.append((reached, begin))
        reached = max(reached, until)
    return [*found, (reached, end)] if reached < end else found


def months(span: Span, now_ns: int) -> list[Period]:
    """The whole months in a stretch that are over.

    >>> day = 86_400_000_000_000
    >>> [period.name for period in months((0, 70 * day), 65 * day)]
    ['1970-01', '1970-02']
    """
    first = moment(span[0]).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return list(_whole(span, now_ns, first, lambda day: (day + timedelta(days=31)).replace(day=1), "%Y-%m"))


def days(span: Span, now_ns: int) -> list[Period]:
    """The whole days in a stretch that are over.

    >>> day = 86_400_000_000_000
    >>> [period.name for period in days((day // 2, 4 * day), 3 * day)]
    ['1970-01-02', '1970-01-03']
    """
    first = moment(span[0] - span[0] % DAY_NS)
    return list(_whole(span, now_ns, first, lambda day: day + timedelta(days=1), "%Y-%m-%d"))


def _whole(
    span: Span, now_ns: int, first: datetime, after: Callable[[datetime], datetime], name: str
) -> Iterator[Period]:
    begin, end = first, after(first)
    while nanoseconds(end) <= min(span[1], now_ns):
        if nanoseconds(begin) >= span[0]:
            yield Period(begin.strftime(name), nanoseconds(begin), nanoseconds(end))
        begin, end = end, after(end)


def moment(time_ns: int) -> datetime:
    """A time, to the microsecond."""
    return EPOCH + timedelta(microseconds=time_ns // 1_000)


def nanoseconds(time: datetime) -> int:
    """A time in ns since the epoch."""
    elapsed = time - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000
