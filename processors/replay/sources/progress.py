"""How far a replay has come and how fast it goes, on stderr."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Rate:
    """The progress of one replay; the share done is the source's to tell, in units of its own."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._began_s = time.monotonic()
        self._records = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began_s

    def total(self, topic: str, units: int) -> None:
        """Begin with a topic of so many units."""
        self._progress.update(self._task, description=topic, total=units, completed=0)

    def forward(self, units: int) -> None:
        """So many units more are done."""
        self._progress.advance(self._task, units)

    def reached(self, units: int, total: int) -> None:
        """So many units are done in all."""
        self._progress.update(self._task, completed=units, total=total)

    def advance(self, records: int) -> None:
        """So many records more went through the stages."""
        self._records += records
        per_second = self._records / max(self.seconds, 1e-9)
        self._progress.update(self._task, rate=f"{self._records:,} records, {per_second:,.0f}/s")


@contextlib.contextmanager
def bar() -> Iterator[Rate]:
    """Show progress while the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Rate(progress, progress.add_task("replay", total=None, rate=""))
