"""One series being filled: what its journal lacks is fetched part by part, and landed before the journal says so.

Files come first, months before days; then pages, for what no file covers; then what numbers lack between those that
came is asked for once more. What the venue does not give is told, and the proof at the end knows it.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from consumers.sink import Sink
from producers.history import zipped
from producers.history.columns import columns, frame
from producers.history.journal import Journal
from producers.history.landing import Landed, Landing
from producers.history.parts import DAILY, MENDED, MONTHLY, PAGES, Part
from producers.history.plan import Period, Span, days, months, uncovered
from producers.history.proof import SETTLED_NS, Live, Proof, gaps, prove
from producers.history.runs import Hole
from producers.history.series import OPEN, Series, Stretch
from producers.history.web import Absent, Failure, Web
from schemas import Gap, Rejected

ATTEMPTS = 2  # at a file that has its checksum and cannot be read
ALWAYS_NS = 2**63 - 1


class Filling:
    """A series and how far it is; ``told`` is called with what a user should know, ``done`` with time covered."""

    def __init__(
        self,
        series: Series,
        web: Web,
        data_dir: Path,
        wanted: Span,
        now_ns: int,
        told: Callable[[str], None] = print,
        done: Callable[[int], None] = lambda time_ns: None,
    ) -> None:
        self.series, self.web, self.now_ns = series, web, now_ns
        self.landing = Landing(data_dir, series)
        self.journal = Journal(self.landing.root)
        self.wanted = self._possible(wanted)
        self._told, self._done = told, done

    def close(self) -> None:
        """Let others fill the series."""
        self.journal.close()

    def tell(self, text: str) -> None:
        """Tell the user something about the series."""
        self._told(f"{self.series.instrument} {self.series.kind}: {text}")

    def check(self, anew: bool = False) -> None:
        """Forget parts whose files are gone and, when asked ``anew``, files that the venue has issued again."""
        pieces = self.landing.pieces()
        for part in self.journal.parts:
            if not self.landing.holds(part, pieces):
                self.tell(f"{part.source} {part.name or part.files} is no longer there and is fetched again")
                self.journal.lose(part)
            elif anew and part.sha256:
                with contextlib.suppress(Absent, Failure):
                    if zipped.checksum(self.web, self.series.archive(part.name)) != part.sha256:
                        self.tell(f"{part.source} {part.name} was issued again and is fetched again")
                        self._forget(part)
        self._done(self.wanted[1] - self.wanted[0] - sum(end - begin for begin, end in self.uncovered()))

    def uncovered(self) -> list[Span]:
        """Time of which nothing is known yet."""
        return uncovered(self.wanted, [(part.from_ns, part.to_ns) for part in self.journal.parts])

    def months(self) -> list[Period]:
        """The months that the archive may have and we have not."""
        return [period for span in self._filed() for period in months(span, self.now_ns)]

    def days(self) -> list[Period]:
        """The days that the archive may have and we have not."""
        return [period for span in self._filed() for period in days(span, self.now_ns)]

    def take(self, period: Period) -> None:
        """Land the archive's file of a month or a day, if there is one.

        Raises:
            Stopped: the user wants to end.

        """
        source = MONTHLY if len(period.name) == len("2025-01") else DAILY
        for attempt in range(1, ATTEMPTS + 1):
            try:
                kept = zipped.fetched(self.web, self.series.archive(period.name), self.landing.root / ".files")
                landed = self.landing.write(self._rows(kept.path))
            except Absent:
                return
            except Failure as error:
                self.tell(f"{source} {period.name}: {error}")
                return
            except (zipped.Damaged, Rejected) as error:
                kept.path.unlink()
                if attempt == ATTEMPTS:
                    self.tell(f"{source} {period.name} cannot be used: {error}")
                    return
            else:
                self._add(source, landed, (period.from_ns, period.to_ns), name=period.name, sha256=kept.sha256)
                kept.path.unlink()
                return

    def page(self) -> None:
        """Fetch in pages what no file covers, then once more what numbers lack.

        Raises:
            Stopped: the user wants to end.

        """
        try:
            for span in self.uncovered():
                if self.series.slot_ns:
                    self._slots(span)
                else:
                    self._ids(span)
            for group in _near(self.prove().unexplained, self.series.page):
                self._mend(group)
        except Absent:
            self.tell("pages: HTTP 404")
        except (Failure, Rejected) as error:
            self.tell(f"pages: {error}")

    def prove(self, live: Live | None = None) -> Proof:
        """What is lacking."""
        return prove(self.series, self.journal.parts, self.wanted, self.now_ns, live)

    def keep(self, proof: Proof, sink: Sink | None = None, database: str = "") -> None:
        """Keep the proof's gaps and, where there is one, put into a database all that it does not have yet."""
        ledger = self.landing.there(Gap)
        before = zip(ledger["_offset"].to_list(), _records(ledger), strict=True) if len(ledger) else ()
        numbers, found = gaps(self.series, proof, before)
        kept = [self.landing.replace(Gap, numbers, found)] if found else []
        if sink is not None:
            for part in self.journal.missing(database):
                for batch in self.landing.batches(part):
                    sink.write([batch])
                self.journal.store(part, database)
            sink.write(kept)

    def _possible(self, wanted: Span) -> Span:
        """What of the time asked for has passed, and is still kept by the venue or already by us."""
        begin, end = wanted[0], min(wanted[1], self.now_ns)
        if self.series.keeps_ns:
            kept = [part.from_ns for part in self.journal.parts if part.to_ns > part.from_ns]
            begin = max(begin, min([self.now_ns - self.series.keeps_ns, *kept]))
        slot_ns = self.series.slot_ns or 1
        return -(-begin // slot_ns) * slot_ns, max(end // slot_ns * slot_ns, begin)

    def _filed(self) -> list[Span]:
        return self.uncovered() if self.series.archive_columns else []

    def _forget(self, part: Part) -> None:
        self.landing.remove(part)
        self.journal.lose(part)
        pieces = self.landing.pieces()
        for other in self.journal.parts:  # what was mended in its files is gone with them
            if not self.landing.holds(other, pieces):
                self.journal.lose(other)

    def _rows(self, path: Path) -> Iterator[pl.DataFrame]:
        for batch in zipped.batches(path, self.series.archive_columns):
            self.web.go_on()
            yield self.landing.numbered(self.series.rows(batch))

    def _slots(self, span: Span) -> None:
        slot_ns = self.series.slot_ns
        first, end = span[0] // slot_ns, span[1] // slot_ns
        for begin in range(first, end, self.series.window):
            left = Stretch(begin, min(begin + self.series.window, end), ALWAYS_NS)
            rows, duplicates = self._pages(left)
            settled = min(left.end, (self.now_ns - SETTLED_NS) // slot_ns)
            reached = max(_after(rows, left.first), settled)
            if reached > left.first:
                time = left.first * slot_ns, reached * slot_ns
                self._land(rows, duplicates, time, (left.first, reached))

    def _ids(self, span: Span) -> None:
        begin, to_ns = span
        parts = [part for part in self.journal.parts if part.runs and part.to_ns > part.from_ns]
        known = [run.last + 1 for part in parts if part.to_ns == begin for run in part.runs]
        first = max(known) if known else self._located(begin)
        end = min([run.first for part in parts if part.from_ns >= to_ns for run in part.runs], default=OPEN)
        while first is not None and begin < to_ns:
            until_ns = to_ns if end == OPEN else ALWAYS_NS  # between known numbers all is wanted
            left = Stretch(first, min(first + self.series.window, end), until_ns)
            rows, duplicates = self._pages(left)
            after = _after(rows, first)
            ended = after < left.end or after == end
            settled = min(to_ns, self.now_ns - SETTLED_NS) if ended else begin
            covered = max(_time(rows, begin), settled)
            asked = end if ended and end < OPEN else after
            if covered > begin:
                self._land(rows, duplicates, (begin, covered), (first, asked))
            begin, first = covered, None if ended else after

    def _located(self, time_ns: int) -> int | None:
        found = self.series.located(self.web.get(self.series.locate(time_ns)))
        if found is None:
            self.tell("pages: the venue has nothing since the start")
        return found

    def _mend(self, group: list[Hole]) -> None:
        first, end = group[0].expected, group[-1].seen
        number = pl.col("_offset")
        missing = pl.any_horizontal((number >= hole.expected) & (number < hole.seen) for hole in group)
        for begin in range(first, end, self.series.window):
            left = Stretch(begin, min(begin + self.series.window, end), ALWAYS_NS)
            rows, duplicates = self._pages(left)
            self._land(rows.filter(missing), duplicates, (0, 0), left[:2], MENDED)

    def _pages(self, left: Stretch) -> tuple[pl.DataFrame, int]:
        """The rows of a stretch, each once, and how many came twice."""
        record = self.series.record
        frames = [pl.DataFrame(schema=columns(record))]
        rest: Stretch | None = left
        while rest is not None:
            answer = self.series.answer(rest, self.web.get(self.series.fetch(rest), self.series.hosts))
            if answer.left == rest:
                raise Failure(f"gives the same page again: {rest}")
            frames.append(frame(record, answer.records))
            rest = answer.left
        number, time = pl.col("_offset"), pl.col("event_ns")
        rows = self.landing.numbered(pl.concat(frames))
        rows = rows.filter((number >= left.first) & (number < left.end) & (time < left.to_ns))
        once = rows.unique("_offset", keep="first", maintain_order=True)
        return once, len(rows) - len(once)

    def _land(
        self, rows: pl.DataFrame, duplicates: int, time: Span, asked: tuple[int, int], source: str = PAGES
    ) -> None:
        landed = self.landing.write([rows])
        landed.chain.duplicates += duplicates
        self._add(source, landed, time, asked)

    def _add(
        self,
        source: str,
        landed: Landed,
        time: Span,
        asked: tuple[int, int] | None = None,
        name: str = "",
        sha256: str = "",
    ) -> None:
        told, (from_ns, to_ns) = landed.chain, time
        part = Part(source, name, sha256, from_ns, to_ns, asked, told.rows, told.duplicates, told.runs, landed.files)
        self.journal.add(part)
        self._done(to_ns - from_ns)


def _after(rows: pl.DataFrame, first: int) -> int:
    """The number after the last row's."""
    return int(rows["_offset"][-1]) + 1 if len(rows) else first


def _time(rows: pl.DataFrame, begin: int) -> int:
    """The moment after the last row's."""
    return max(int(rows["event_ns"].max()) + 1, begin) if len(rows) else begin  # type: ignore[arg-type]


def _records(rows: pl.DataFrame) -> Iterator[Gap]:
    return (Gap(**row) for row in rows.select(Gap.__struct_fields__).iter_rows(named=True))


def _near(holes: list[Hole], page: int) -> Iterator[list[Hole]]:
    """Holes that a page spans together."""
    group: list[Hole] = []
    for hole in holes:
        if group and hole.seen - group[0].expected > page:
            yield group
            group = []
        group.append(hole)
    if group:
        yield group
