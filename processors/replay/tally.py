"""What a replay has read and made, as a table at its end."""

from collections import Counter

import polars as pl
from rich.console import Console
from rich.table import Table

from schemas import DeadLetter, Tick
from schemas.batch import Batch


class Tally:
    """Counts records by topic and table."""

    def __init__(self) -> None:
        self.inputs: Counter[tuple[str, str]] = Counter()
        self.outputs: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.frames_refused = 0

    def read(self, batch: Batch, letters: int = 0) -> None:
        """Count a batch of input, and the frames refused on the way to it."""
        self.inputs.update({(batch.topic, table.record.table): len(table) for table in batch.tables})
        self.frames_refused += letters

    def wrote(self, batch: Batch) -> None:
        """Count a batch of derived records."""
        for table in batch.tables:
            self.outputs[batch.topic, table.record.table] += len(table)
            if table.record is DeadLetter:
                self.refused.update(pl.Series(table.columns["by"]).to_list())

    def show(self, console: Console, seconds: float) -> None:
        """Print the counts and the speed."""
        shown = Table("", "topic", "records", "rows", title="replay")
        for word, counts in (("in", self.inputs), ("out", self.outputs)):
            for (topic, table), count in sorted(counts.items()):
                shown.add_row(word, topic, table, f"{count:,}")
        for by, count in sorted(self.refused.items()):
            shown.add_row("refused", "dead_letters", f"by {by}", f"{count:,}")
        if not self.inputs and not self.outputs:
            console.print("nothing that these stages read was found there")
            return
        console.print(shown)
        ticks = self.inputs[Tick.topic, Tick.table]
        records = sum(self.inputs.values())
        per_second = max(seconds, 1e-9)
        of_ticks = f", {ticks / per_second:,.0f} ticks/s" if ticks else ""
        console.print(f"{seconds:.2f} s: {records / per_second:,.0f} records/s{of_ticks}")
