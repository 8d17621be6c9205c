"""The Parquet archive: what it holds, its small files put together, its files checked."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from consumers.archive_holes import LACKING, Explainer
from infra.archive import tables
from infra.archive_check import Day, Holes, damages, days, holes, refusals
from infra.archive_compaction import compact as compaction
from infra.broker import partition_counts
from infra.errors import UserError
from infra.registry import codec
from infra.settings import load_settings
from schemas.catalogue import TOPICS

ARCHIVE = "archive"  # folder under data_dir
UNITS = ("B", "kB", "MB", "GB", "TB")
ASKED = 100  # holes of a partition, the newest
SHOWN = 5  # holes of a partition
app = typer.Typer(no_args_is_help=True, help=__doc__, rich_markup_mode="markdown")

Folder = Annotated[Path | None, typer.Option("--file", help="Folder of the archive (default: ours).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")]
TableName = Annotated[str, typer.Argument(metavar="[TABLE]", help="Only this table, e.g. ticks.")]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask Kafka about holes.")]
Today = Annotated[bool, typer.Option("--today", help="Put today's files together by key as well.")]


def _root(folder: Path | None) -> Path:
    root = folder or load_settings().data_dir / ARCHIVE
    if not root.is_dir():
        raise UserError(f"--file: there is no archive {root}")
    return root


@app.command("ls")
def show(table: TableName = "", file: Folder = None, json: Json = False) -> None:
    """Show what the archive holds: a row for each table and date."""
    found = list(days(_root(file), table))
    if json:
        for day in found:
            typer.echo(msgspec.json.encode(day._asdict()))
        return
    Console().print(_listing(found))


def _listing(found: Sequence[Day]) -> Table:
    shown = Table("table", "date", *(_right(name) for name in ("keys", "files", "rows", "size")), "first", "last")
    for day in found:
        keys = f"{day.keys:,}" if not day.fresh else "fresh" if not day.keys else f"{day.keys:,} and fresh"
        shown.add_row(
            day.table, day.date, keys, f"{day.files:,}", f"{day.rows:,}", _size(day.bytes),
            _moment(day.first_ns), _moment(day.last_ns),
        )  # fmt: skip
    shown.add_section()
    total = [sum(getattr(day, name) for day in found) for name in ("files", "rows")]
    shown.add_row("in all", "", "", *(f"{number:,}" for number in total), _size(sum(day.bytes for day in found)))
    return shown


def _right(heading: str) -> Column:
    return Column(heading, justify="right")


@app.command()
def compact(file: Folder = None, today: Today = False) -> None:
    """Put small files together: by key those of days that are over, into larger ones those of today."""
    root, now = _root(file), datetime.now(UTC)
    began = time.monotonic()
    before = after = rows = 0
    for done in compaction(root, "9999-99-99" if today else now.strftime("%Y-%m-%d")):
        typer.echo(
            f"{done.table} {done.date} {done.partition}: {done.before} files to {done.after}, {done.rows:,} rows"
        )
        before, after, rows = before + done.before, after + done.after, rows + done.rows
    typer.echo(f"{before:,} files to {after:,}, {rows:,} rows in {time.monotonic() - began:.1f} s")


@app.command()
def verify(file: Folder = None, offline: Offline = False) -> None:
    """Read every file and explain the holes in each log; ends with 1 where something is damaged or lacking."""
    root = _root(file)
    broken = [damage for table in tables(root) for damage in damages(root, table)]
    for damage in broken:
        typer.echo(f"{damage.path}: {damage.problem}")
    if broken:
        typer.echo(f"{len(broken)} files are damaged")
        raise typer.Exit(1)
    refused = refusals(root)
    found = [item for topic in TOPICS for item in holes(root, topic, refused)]
    for item in found:
        typer.echo(_told(item))
    count = sum(len(item.missing) for item in found)
    typer.echo("every file is whole" + (f"; {count} holes" if count else ", no log has a hole"))
    if count and not offline and _ask(root, found):
        raise typer.Exit(1)


def _ask(root: Path, found: Sequence[Holes]) -> int:
    """Tell what Kafka says of holes; of how many offsets it has what the archive lacks."""
    settings = load_settings()
    try:
        partition_counts(settings)
    except UserError as error:
        typer.echo(f"nobody to ask about them: {error}")
        return 0
    explainer, lacking = Explainer(settings, codec(settings), root), 0
    try:
        for item in found:
            for first, last in item.missing[-ASKED:]:
                reasons = explainer.why((item.topic, item.partition), first, last)
                told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
                typer.echo(f"{item.topic} {item.partition}: {first:,}-{last:,}: {told}")
                lacking += reasons[LACKING]
    finally:
        explainer.close()
    return lacking


def _told(found: Holes) -> str:
    text = f"{found.topic} {found.partition}: offsets {found.first:,} to {found.last:,}, {found.rows:,} rows"
    if found.repeated:
        text += f", {found.repeated:,} of them in two files"
    if found.refused:
        text += f", {found.refused:,} refused as unreadable"
    if found.missing:
        shown = ", ".join(f"{first:,}-{last:,}" for first, last in found.missing[:SHOWN])
        count = sum(last - first + 1 for first, last in found.missing)
        text += f", {count:,} offsets missing in {len(found.missing):,} holes: {shown}"
        text += ", …" if len(found.missing) > SHOWN else ""
    return text


def _size(count: int) -> str:
    """Bytes for people.

    >>> _size(900), _size(5_300_000)
    ('900 B', '5.3 MB')
    """
    power = min(max(len(str(count)) - 1, 0) // 3, len(UNITS) - 1)
    return f"{count / 1_000**power:.{1 if power else 0}f} {UNITS[power]}"


def _moment(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%H:%M:%S}" if time_ns else ""
