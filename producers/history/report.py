"""What a back-fill has come to, for people: a table of the series, then what is lacking and why."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from producers.history.parts import Part
from producers.history.plan import Span, moment
from producers.history.proof import Proof
from producers.history.runs import Hole
from producers.history.series import Series

SHOWN = 10  # holes of a series


class Result(NamedTuple):
    """A series that was filled."""

    series: Series
    wanted: Span
    parts: Sequence[Part]
    proof: Proof


def show(console: Console, results: Sequence[Result], told: Sequence[str]) -> None:
    """Print it."""
    table = Table("series", "records", "first", "last", "from", "twice", "venue's gaps", "lacking", title="back-fill")
    for result in results:
        table.add_row(*_row(result))
    console.print(table)
    for text in told:
        console.print(f"told: {text}", highlight=False, markup=False, soft_wrap=True)
    for result in results:
        for line in lines(result):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def lines(result: Result) -> list[str]:
    """What is to be said of a series beside its row."""
    series, proof = result.series, result.proof
    name = f"{series.instrument} {series.kind}"
    found = [f"{name}: the venue has none from {hole}" for hole in _holes(series, proof.venues)]
    found += [f"{name}: LACKS {hole}" for hole in _holes(series, proof.unexplained)]
    found += [f"{name}: NOT FETCHED from {_time(begin)} to {_time(end)}" for begin, end in proof.unfetched]
    if proof.live is not None:
        last = proof.covered[-1].last if proof.covered else 0
        gap = proof.live.number - last - 1
        joint = f"{-gap:,} numbers in both" if gap <= 0 else f"{gap:,} numbers before it are in neither"
        found.append(f"{name}: the live archive begins at {proof.live.number}: {joint}")
    verdict = "whole" if proof.whole and proof.covered else "NOT WHOLE" if not proof.whole else "nothing there"
    runs = f"{len(proof.covered)} run{'s' if len(proof.covered) != 1 else ''} of numbers"
    found.append(f"{name}: {verdict}, {proof.rows:,} records in {runs}")
    return found


def _row(result: Result) -> list[str]:
    covered, proof = result.proof.covered, result.proof
    sources = Counter(part.source for part in result.parts if part.rows)
    ends = (f"{covered[0].first}", f"{covered[-1].last}") if covered else ("", "")
    return [
        f"{result.series.instrument} {result.series.kind}",
        f"{proof.rows:,}",
        *ends,
        ", ".join(f"{count} {source}" for source, count in sources.items()),
        f"{proof.duplicates:,}",
        f"{len(proof.venues):,}",
        f"{len(proof.unexplained) + len(proof.unfetched):,}",
    ]


def _holes(series: Series, holes: Sequence[Hole]) -> list[str]:
    shown = [_hole(series, hole) for hole in holes[:SHOWN]]
    left = len(holes) - SHOWN
    return [*shown, f"{left:,} more stretches, all in the table gaps"] if left > 0 else shown


def _hole(series: Series, hole: Hole) -> str:
    if series.slot_ns:
        count = f" ({hole.seen - hole.expected:,} slots)" if series.step == 1 else ""
        return f"{_time(hole.expected * series.slot_ns)} to {_time(hole.seen * series.slot_ns)}{count}"
    return f"{hole.expected} to {hole.seen - 1} ({hole.seen - hole.expected:,} ids), after {_time(hole.from_ns)}"


def _time(time_ns: int) -> str:
    return moment(time_ns).strftime("%Y-%m-%dT%H:%M:%S")
