"""Backtests of executors: the same stages as live over a recorded market, on paper."""

import contextlib
import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from consumers.backtest import plot as pictures
from consumers.backtest import report
from consumers.backtest.comparison import DECISIONS, Decisions, agreement, compare
from consumers.backtest.decisions import decided
from consumers.backtest.makers import Told, changed, run
from consumers.backtest.markets import Recorded
from consumers.backtest.sweep import Setting, as_options, settings_of, sweep
from consumers.backtest.tables import Steps
from infra.errors import UserError
from infra.moments import parse_moment
from infra.settings import Settings, load_settings
from schemas import Record

app = typer.Typer(no_args_is_help=True, help=__doc__, rich_markup_mode="markdown")
ARCHIVE = "archive"  # folder under data_dir
EVERY = 500  # records between two looks at the progress


class Source(StrEnum):
    """Where a market can be read from."""

    TABLES = "tables"
    FRAMES = "frames"
    ARCHIVE = "archive"


class Log(StrEnum):
    """Where decisions can be read from."""

    ARCHIVE = "archive"
    KAFKA = "kafka"
    HISTORY = "history"


Instrument = Annotated[str, typer.Argument(help="What is traded, e.g. extended:ETH-USD.")]
Files = Annotated[list[Path] | None, typer.Argument(help="Recorded books and trades: CSV, Parquet, frames.")]
From = Annotated[Source, typer.Option("--from", help="tables (CSV, Parquet), frames of a feed, or the archive.")]
Setted = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option, e.g. gamma=0.05, paper.maker_fee=0.0002, volatilities.step_ms=5000."),
]
Swept = Annotated[
    list[str] | None,
    typer.Option("--sweep", help="Values of an option, e.g. gamma=0.01,0.1; all combinations run."),
]
Processes = Annotated[int, typer.Option(min=0, help="Runs of a sweep at a time; 0: one for each core.")]
PriceStep = Annotated[float, typer.Option(min=0.0, help="Price step of the market; 0: as its data shows.")]
SizeStep = Annotated[float, typer.Option(min=0.0, help="Size step; 0: as its data shows.")]
SizeLeast = Annotated[float, typer.Option(min=0.0, help="Smallest order; 0: the size step.")]
Start = Annotated[str, typer.Option(help="First event time, e.g. 2025-11-25T18:00 (UTC).")]
End = Annotated[str, typer.Option(help="Event time to stop before.")]
Plot = Annotated[Path | None, typer.Option(help="Write a picture: .png, .svg or .html.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
Against = Annotated[Log, typer.Option("--log", help="Where the decisions of the live run are.")]
LogFolder = Annotated[Path | None, typer.Option(help="With --log archive: its folder, if not ours.")]


@app.command()
def mm(
    instrument: Instrument,
    files: Files = None,
    source: From = Source.TABLES,
    set_: Setted = None,
    sweep_: Swept = None,
    processes: Processes = 0,
    price_step: PriceStep = 0.0,
    size_step: SizeStep = 0.0,
    size_least: SizeLeast = 0.0,
    start: Start = "",
    end: End = "",
    plot: Plot = None,
    json_: Json = False,
) -> None:
    """Run the market maker over a recorded market on paper: profit by its parts, fills, markouts."""
    settings = load_settings()
    market = _market(settings, source, files, instrument, Steps(price_step, size_step, size_least), start, end)
    options = changed(settings.stages, as_options(_set(set_)))
    if plot is not None:
        pictures.check(plot)
    if sweep_:
        if plot is not None:
            raise UserError("--plot: not with --sweep")
        _sweep(market, options, settings_of(sweep_), processes or os.cpu_count() or 1, json_)
        return
    with _counting(instrument) as told:
        measure = run(market.records(), options, told)
    found = report.figures(measure)
    if plot is not None:
        pictures.save(measure, f"Market maker on {instrument}", plot)
    if json_:
        typer.echo(json.dumps(found))
    else:
        Console().print(report.table(f"market maker on {instrument}, {measure.seconds / 60:,.1f} min", found))


@app.command("compare")
def compare_(
    instrument: Instrument,
    files: Files = None,
    source: From = Source.ARCHIVE,
    set_: Setted = None,
    log: Against = Log.ARCHIVE,
    log_folder: LogFolder = None,
    start: Start = "",
    end: End = "",
    json_: Json = False,
) -> None:
    """Hold a live or paper run's decisions, fills and profit against a backtest of the same market."""
    settings = load_settings()
    market = _market(settings, source, files, instrument, Steps(), start, end)
    records = decided(settings, log.value, log_folder, instrument, market.start_ns, market.end_ns)
    live = Decisions.of(records)
    if not live.quotes:
        raise UserError(f"--log {log.value}: no quotes of {instrument} there")
    first, last = live.quotes[0].event_ns, live.quotes[-1].event_ns
    backtest: list[Record] = []

    def keep(_: Record, derived: list[Record]) -> None:
        backtest.extend(
            record for record in derived if isinstance(record, DECISIONS) and first <= record.event_ns <= last
        )

    run(market.records(), changed(settings.stages, as_options(_set(set_))), keep)
    again = Decisions.of(backtest)
    lines, agreed = compare(live, again), agreement(live, again)
    settled = {"live": live.configurations(), "backtest": again.configurations()}
    if json_:
        told = {"lines": [line._asdict() for line in lines], "agreement": agreed, "configurations": settled}
        typer.echo(json.dumps(told))
        return
    if settled["live"] != settled["backtest"]:
        hashes = {name: ", ".join(found) or "none" for name, found in settled.items()}
        typer.echo(
            f"not the same settings: configuration {hashes['live']} live, {hashes['backtest']} in the backtest; "
            "name the live run's with --set, and its time with --start and --end",
            err=True,
        )
    shown = Table(title=f"live and backtest, {instrument}", title_justify="left", box=None)
    for name in ("", "live", "backtest", "difference"):
        shown.add_column(name, justify="left" if not name else "right")
    for line in lines:
        shown.add_row(line.name, *(f"{value:,.4g}" for value in (line.live, line.backtest, line.backtest - line.live)))
    for name, value in agreed.items():
        shown.add_row(name, "", "", f"{value:.4g}" if name.endswith("bps") else f"{value:.1%}")
    Console().print(shown)


def _market(
    settings: Settings, source: Source, files: list[Path] | None, instrument: str, steps: Steps, start: str, end: str
) -> Recorded:
    if ":" not in instrument:
        raise UserError(f"{instrument}: expected venue:SYMBOL, e.g. extended:ETH-USD")
    if source is Source.ARCHIVE:
        paths = tuple(files or [settings.data_dir / ARCHIVE])
        if len(paths) > 1:
            raise UserError("--from archive: one folder")
    elif not files:
        raise UserError(f"--from {source.value}: name the files of books and trades")
    else:
        paths = tuple(files)
    return Recorded(source.value, paths, instrument, steps, parse_moment(start, "--start"), parse_moment(end, "--end"))


def _set(texts: list[str] | None) -> Setting:
    found = settings_of(texts or [])
    if len(found) != 1:
        raise UserError("--set: one value an option; --sweep takes several")
    return found[0]


def _sweep(
    market: Recorded, options: dict[str, dict[str, Any]], settings: list[Setting], most: int, as_json: bool
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("runs", total=len(settings))
        rows = sweep(market, options, settings, min(most, len(settings)), lambda: progress.advance(task))
    if as_json:
        typer.echo(json.dumps([{"set": setting, **found} for setting, found in rows]))
    else:
        Console().print(report.sweep_table(rows))


@contextlib.contextmanager
def _counting(title: str) -> Iterator[Told]:
    """Show how many events have passed while the block runs."""
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} events, at {task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, at="")
        count = 0

        def told(event: Record, _: list[Record]) -> None:
            nonlocal count
            count += 1
            if count % EVERY == 0:
                progress.update(task, completed=count, at=f"{event.event_ns / 1e9:.0f} s")

        yield told
