"""The proof that a back-fill is whole: every number and every moment asked for is there, or told why it is not.

- A number is there when a part has it. A hole is the venue's own when the venue was asked for its numbers and gave
  nothing; any other hole is unexplained.
- Expected are the numbers from the start to the end asked for. Where they are the venue's ids, it tells the first one
  of a time; of the present it has not, and the last one that came counts.
- A stretch of time is covered when a part says so. Of the last ``SETTLED_NS`` before now nothing is expected beyond
  what came: venues lag.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from producers.history.parts import MENDED, Part
from producers.history.plan import Span, uncovered
from producers.history.runs import Hole, Run, holes, union, within
from producers.history.series import Series
from schemas import Gap

SETTLED_NS = 3_600_000_000_000


class Live(NamedTuple):
    """The first live record of a series: its number and its event time."""

    number: int
    event_ns: int


class Proof(NamedTuple):
    """What a series lacks."""

    covered: list[Run]
    rows: int
    duplicates: int
    venues: list[Hole]  # that the venue has itself
    unexplained: list[Hole]
    unfetched: list[Span]  # time of which nothing is known
    live: Live | None

    @property
    def whole(self) -> bool:
        """Whether nothing is unexplained."""
        return not self.unexplained and not self.unfetched


def prove(
    series: Series,
    parts: Sequence[Part],
    wanted: Span,
    now_ns: int,
    live: Live | None = None,
    bounds: Mapping[int, int] | None = None,
) -> Proof:
    """What of ``wanted`` the parts lack; ``live`` is what they must reach up to, where the end is now.

    ``bounds`` are the first ids at or after some times, as far as they are known; -1 for none.
    """
    parts = _within(series, parts, wanted)
    covered = union((run for part in parts for run in part.runs), series.step)
    asked = [part.asked for part in parts if part.asked is not None]
    ends_now = wanted[1] > now_ns - SETTLED_NS
    unfetched = uncovered(wanted, [(part.from_ns, part.to_ns) for part in parts])
    settled_ns = now_ns - SETTLED_NS - series.slot_ns
    if ends_now and unfetched and unfetched[-1][1] == wanted[1] and unfetched[-1][0] >= settled_ns:
        unfetched.pop()
    lacking = _lacking(series, covered, wanted, ends_now, bounds or {})
    if live is not None and ends_now and covered and live.number - covered[-1].last > series.step:
        lacking.append(Hole(covered[-1].last + 1, live.number, covered[-1].to_ns, live.event_ns))
    return Proof(
        covered,
        sum(run.last - run.first + 1 for run in covered) if series.step == 1 else sum(part.rows for part in parts),
        sum(part.duplicates for part in parts),
        [hole for hole in lacking if within(hole, asked)],
        [hole for hole in lacking if not within(hole, asked)],
        unfetched,
        live,
    )


def gaps(series: Series, proof: Proof, wanted: Span, before: Iterable[tuple[int, Gap]]) -> tuple[list[int], list[Gap]]:
    """The gap ledger of a proof, by the first number that lacks.

    What stood there ``before`` stays, as recovered where it lies in the stretch ``wanted`` and is found no more.

    ``expected`` and ``seen`` are the venue's ids; where it has none they are 0, and the times tell which slots lack.
    """
    found: dict[int, Gap] = {}
    for cause, some in (("venue", proof.venues), ("missed", proof.unexplained)):
        for hole in some:
            found[hole.expected] = _gap(series, cause, hole)
    for number, gap in before:
        if number not in found:
            proven = wanted[0] < gap.event_ns and gap.from_ns < wanted[1]
            found[number] = replace(gap, missed=0, recovered=True) if proven else gap
    return list(found), list(found.values())


def _within(series: Series, parts: Sequence[Part], wanted: Span) -> list[Part]:
    """The parts that cover some of a stretch of time, and what was mended in it."""
    timed = [part for part in parts if part.to_ns > wanted[0] and part.from_ns < wanted[1]]
    if series.slot_ns:
        first, end = wanted[0] // series.slot_ns, wanted[1] // series.slot_ns
    else:
        numbers = [run for part in timed for run in part.runs]
        first, end = min((run.first for run in numbers), default=0), max((run.last for run in numbers), default=0)
    mended = [(part, part.asked) for part in parts if part.source == MENDED]
    return timed + [part for part, asked in mended if asked is not None and asked[0] < end and asked[1] > first]


def _lacking(series: Series, covered: list[Run], wanted: Span, ends_now: bool, bounds: Mapping[int, int]) -> list[Hole]:
    if not series.slot_ns:
        first, end = (bounds.get(time_ns, -1) for time_ns in wanted)
        first = covered[0].first if first < 0 and covered else first
        end = covered[-1].last + 1 if end < 0 and covered else end
        if first < 0 or end < 0:
            return []
    else:
        first, end = -(-wanted[0] // series.slot_ns), wanted[1] // series.slot_ns
        if ends_now and covered:
            end = min(end, covered[-1].last + 1)
    clipped = [run._replace(first=max(run.first, first), last=min(run.last, end - 1)) for run in covered]
    return holes([run for run in clipped if run.first <= run.last], first, end, series.step)


def _gap(series: Series, cause: str, hole: Hole) -> Gap:
    from_ns, to_ns = hole.from_ns, hole.to_ns
    expected, seen = hole.expected, hole.seen
    missed = seen - expected if series.step == 1 else 0
    if series.slot_ns:
        from_ns, to_ns, expected, seen = hole.expected * series.slot_ns, hole.seen * series.slot_ns, 0, 0
    return Gap(series.instrument, to_ns or from_ns, series.venue, cause, from_ns, to_ns, expected, seen, missed, False)
