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
from producers.history.journal import Journal
from producers.history.landing import Landing, part_of
from producers.history.paging import Paging
from producers.history.parts import DAILY, MONTHLY, Part
from producers.history.plan import Period, Span, days, moment, months, uncovered
from producers.history.proof import SETTLED_NS, Live, Proof, gaps, prove
from producers.history.series import Series
from producers.history.web import Absent, Failure, Web
from schemas import Gap, Rejected
from schemas.catalogue import DAY_MS, RETENTION_DAYS, TOPICS

ATTEMPTS = 2  # at a file that has its checksum and cannot be read


class Filling:
    """A series and how far it is; ``told`` gets what a user should know, ``done`` time covered and rows read."""

    def __init__(
        self,
        series: Series,
        web: Web,
        data_dir: Path,
        wanted: Span,
        now_ns: int,
        told: Callable[[str], None] = print,
        done: Callable[[int, int], None] = lambda time_ns, rows: None,
    ) -> None:
        self.series, self.web, self.now_ns = series, web, now_ns
        self.landing = Landing(data_dir, series)
        self.journal = Journal(self.landing.root)
        self.asked, self.wanted = wanted, self._possible(wanted)
        self._told, self._done = told, done

    def close(self) -> None:
        """Let others fill the series."""
        self.journal.close()

    def tell(self, text: str) -> None:
        """Tell the user something about the series."""
        self._told(f"{self.series.instrument} {self.series.kind}: {text}")

    def check(self, anew: bool = False) -> None:
        """Forget parts whose files are gone and, when asked ``anew``, files that the venue has issued again."""
        if self.wanted[0] - self.asked[0] >= max(self.series.slot_ns, 1):
            self.tell(f"the venue keeps nothing from before {moment(self.wanted[0]):%Y-%m-%dT%H:%M}")
        pieces = self.landing.pieces()
        for part in self.journal.parts:
            if not self.landing.holds(part, pieces):
                self.tell(f"{part.source} {part.name or part.asked} is no longer there and is fetched again")
                self.journal.lose(part)
            elif anew and part.sha256:
                with contextlib.suppress(Absent, Failure):
                    if zipped.checksum(self.web, self.series.archive(part.name)) != part.sha256:
                        self.tell(f"{part.source} {part.name} was issued again and is fetched again")
                        self._forget(part)
        self._done(self.asked[1] - self.asked[0] - sum(end - begin for begin, end in self.uncovered()), 0)

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
                self._add(part_of(source, landed, (period.from_ns, period.to_ns), None, period.name, kept.sha256))
                kept.path.unlink()
                return

    def page(self) -> None:
        """Fetch in pages what no file covers, then once more what numbers lack.

        Raises:
            Stopped: the user wants to end.

        """
        paging = Paging(self.series, self.web, self.landing, self.now_ns, self._add)
        try:
            for span in self.uncovered():
                paging.cover(span, self.journal.parts)
            self._bind(paging)
            paging.mend(self.prove().unexplained)
        except Absent:
            self.tell("pages: HTTP 404")
        except (Failure, Rejected) as error:
            self.tell(f"pages: {error}")

    def prove(self, live: Live | None = None) -> Proof:
        """What is lacking."""
        return prove(self.series, self.journal.parts, self.wanted, self.now_ns, live, self.journal.bounds)

    def keep(self, proof: Proof, sink: Sink | None = None, database: str = "") -> None:
        """Keep the proof's gaps and, where there is one, put into a database all that it does not have yet."""
        ledger = self.landing.there(Gap)
        before = list(zip(ledger["_offset"].to_list(), _records(ledger), strict=True)) if len(ledger) else []
        numbers, found = gaps(self.series, proof, self.wanted, before)
        kept = [self.landing.replace(Gap, numbers, found)] if found else []
        if sink is not None:
            for part in self.journal.missing(database, self.now_ns - _kept_ns(self.series)):
                for batches in self.landing.batches(part):
                    sink.write(batches)
                self.journal.store(part, database, self.now_ns)
            sink.write(kept)

    def _possible(self, wanted: Span) -> Span:
        """What of the time asked for has passed, and is still kept by the venue or already kept by us."""
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
            self._done(0, len(batch))
            yield self.landing.numbered(self.series.rows(batch))

    def _bind(self, paging: Paging) -> None:
        """Have the venue tell which ids the time asked for begins and ends with, unless it has."""
        for time_ns in self.wanted:
            if not self.series.slot_ns and time_ns <= self.now_ns - SETTLED_NS and time_ns not in self.journal.bounds:
                number = paging.located(time_ns)
                self.journal.bound(time_ns, -1 if number is None else number)

    def _add(self, part: Part) -> None:
        self.journal.add(part)
        self._done(part.to_ns - part.from_ns, 0 if part.sha256 else part.rows)


def _records(rows: pl.DataFrame) -> Iterator[Gap]:
    return (Gap(**row) for row in rows.select(Gap.__struct_fields__).iter_rows(named=True))


def _kept_ns(series: Series) -> int:
    """How long the history keeps the records of a series after they were stored; see infra/tables.py."""
    return (TOPICS[series.record.topic].retention_ms or RETENTION_DAYS * DAY_MS) * 1_000_000
