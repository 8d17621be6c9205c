"""What no file covers, in pages: window by window, so that little is lost when a run ends and memory stays small.

- What was asked for and did not come is not there, except that the last ``SETTLED_NS`` before now may still come.
- Ids go on from the part before and end where the part after begins; without one before, the venue is asked which id
  is the first of a time.
- What the venue no longer keeps is not asked for.
"""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from producers.history.columns import columns, frame
from producers.history.landing import Landing, part_of
from producers.history.parts import MENDED, PAGES, Part
from producers.history.plan import Span
from producers.history.proof import SETTLED_NS
from producers.history.runs import Hole
from producers.history.series import OPEN, Series, Stretch
from producers.history.web import Failure, Web

ALWAYS_NS = 2**63 - 1


class Paging:
    """The pages of one series; every part that is landed goes to ``add``.

    Every method raises:
        Absent, Failure, Stopped: as they say.
        Rejected: an answer is not as the venue documents it.

    """

    def __init__(self, series: Series, web: Web, landing: Landing, now_ns: int, add: Callable[[Part], None]) -> None:
        self._series, self._web, self._landing, self._add = series, web, landing, add
        self._settled_ns = now_ns - SETTLED_NS
        self._kept_ns = now_ns - series.keeps_ns if series.keeps_ns else 0

    def cover(self, span: Span, parts: Sequence[Part]) -> None:
        """Fetch the records of a stretch of time that none of the parts covers."""
        if self._series.slot_ns:
            self._slots((max(span[0], self._kept_ns), span[1]))
        else:
            self._ids(span, [part for part in parts if part.runs and part.source != MENDED])

    def located(self, time_ns: int) -> int | None:
        """The first id at or after a time; None where nothing comes after."""
        return self._series.located(self._web.get(self._series.locate(time_ns)))

    def mend(self, holes: Sequence[Hole]) -> None:
        """Ask once more for what lacks."""
        number = pl.col("_offset")
        asked = [hole for hole in holes if hole.expected * self._series.slot_ns >= self._kept_ns]
        for group in _near(asked, self._series.page):
            missing = pl.any_horizontal((number >= hole.expected) & (number < hole.seen) for hole in group)
            for left in self._windows(group[0].expected, group[-1].seen):
                rows, duplicates = self._rows(left)
                self._land(rows.filter(missing), duplicates, (0, 0), (left.first, left.end), MENDED)

    def _windows(self, first: int, end: int) -> Iterator[Stretch]:
        for begin in range(first, end, self._series.window):
            yield Stretch(begin, min(begin + self._series.window, end), ALWAYS_NS)

    def _slots(self, span: Span) -> None:
        slot_ns = self._series.slot_ns
        for left in self._windows(-(-span[0] // slot_ns), span[1] // slot_ns):
            rows, duplicates = self._rows(left)
            reached = max(_after(rows, left.first), min(left.end, self._settled_ns // slot_ns))
            if reached > left.first:
                self._land(rows, duplicates, (left.first * slot_ns, reached * slot_ns), (left.first, reached))

    def _ids(self, span: Span, parts: Sequence[Part]) -> None:
        begin, to_ns = span
        before = [run.last + 1 for part in parts if part.to_ns == begin for run in part.runs]
        end = min([run.first for part in parts if part.from_ns >= to_ns for run in part.runs], default=OPEN)
        first = max(before) if before else self.located(begin)
        if first is None:
            raise Failure("the venue has nothing since the start")
        ended = False
        while not ended and begin < to_ns:
            until_ns = to_ns if end == OPEN else ALWAYS_NS  # between known ids all is wanted
            left = Stretch(first, min(first + self._series.window, end), until_ns)
            rows, duplicates = self._rows(left)
            after = _after(rows, first)
            ended = after < left.end or after == end
            covered = max(_moment_after(rows, begin), min(to_ns, self._settled_ns) if ended else begin)
            if covered > begin:
                asked = end if ended and end < OPEN else after
                self._land(rows, duplicates, (begin, covered), (first, asked))
            begin, first = covered, after

    def _rows(self, left: Stretch) -> tuple[pl.DataFrame, int]:
        """The rows of a stretch, each once, and how many came twice."""
        series = self._series
        frames = [pl.DataFrame(schema=columns(series.record))]
        rest: Stretch | None = left
        while rest is not None:
            answer = series.answer(rest, self._web.get(series.fetch(rest), series.hosts))
            if answer.left == rest:
                raise Failure(f"gives the same page again: {rest}")
            frames.append(frame(series.record, answer.records))
            rest = answer.left
        number, time = pl.col("_offset"), pl.col("event_ns")
        rows = self._landing.numbered(pl.concat(frames))
        rows = rows.filter((number >= left.first) & (number < left.end) & (time < left.to_ns))
        once = rows.unique("_offset", keep="first", maintain_order=True)
        return once, len(rows) - len(once)

    def _land(
        self, rows: pl.DataFrame, duplicates: int, time: Span, asked: tuple[int, int], source: str = PAGES
    ) -> None:
        landed = self._landing.write([rows])
        landed.chain.duplicates += duplicates
        self._add(part_of(source, landed, time, asked))


def _after(rows: pl.DataFrame, first: int) -> int:
    """The number after the last row's."""
    return int(rows["_offset"][-1]) + 1 if len(rows) else first


def _moment_after(rows: pl.DataFrame, begin: int) -> int:
    """The moment after the last row's."""
    return max(int(rows["event_ns"].to_numpy().max()) + 1, begin) if len(rows) else begin


def _near(holes: Sequence[Hole], page: int) -> Iterator[list[Hole]]:
    """Holes that a page spans together."""
    group: list[Hole] = []
    for hole in holes:
        if group and hole.seen - group[0].expected > page:
            yield group
            group = []
        group.append(hole)
    if group:
        yield group
