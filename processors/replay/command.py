"""Command ``replay``: recorded input through the stages, in process, to files, to the history or to a digest.

All logs advance together, merged by the times at which their records were written. It reads Kafka, the archive or
recorded frames and opens no producer, no venue and no topic for writing.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.archive import Archive
from consumers.sink import Sink
from infra.moments import parse_moment
from infra.options import stage_options
from infra.registry import codec
from infra.settings import Settings, UserError, load_settings
from processors.replay.replay import Replay
from processors.replay.runs import Run
from processors.replay.sources.asked import Asked, recorded
from processors.replay.sources.progress import Rate, bar
from processors.replay.sources.selecting import paced
from processors.replay.tally import Tally
from processors.replay.tape import Tape
from processors.stage import name
from processors.stage import stages as discover
from processors.wiring import StageType, WiringError, usual


class Origin(StrEnum):
    """Where a replay can read from."""

    KAFKA = "kafka"
    ARCHIVE = "archive"
    FRAMES = "frames"


From = Annotated[Origin, typer.Option("--from", help="Where to read: Kafka, the archive, or recorded venue frames.")]
File = Annotated[Path | None, typer.Option(help="Recording (frames), or folder of the archive (default: ours).")]
Feed = Annotated[str, typer.Option(help="Feed that reads the frames.")]
Symbols = Annotated[
    list[str] | None, typer.Option("--symbol", help="Only this symbol of the recording or archive; repeatable.")
]
ClockMs = Annotated[int, typer.Option(min=0, help="Put a clock into a recording every so many ms; 0: none.")]
Start = Annotated[str, typer.Option(help="First event time, e.g. 2025-11-25T18:00 (UTC), or ns since the epoch.")]
End = Annotated[str, typer.Option(help="Event time to stop before.")]
Offsets = Annotated[str, typer.Option(help="Stretches of Kafka partitions, e.g. 0:100-200,1:50- (end not included).")]
Speed = Annotated[str, typer.Option(help="max, or times real time by event time, e.g. 1 or 20.")]
Stages = Annotated[
    str, typer.Option(help="Stages to run, e.g. buckets,emas; if not given, all but those that read a merged log.")
]
Events = Annotated[bool, typer.Option("--events", help="One record at a time through on_event, not in columns.")]
Out = Annotated[str, typer.Option(help="Folder for the derived records as Parquet, or none.")]
Into = Annotated[str, typer.Option(help="history: write the derived records to ClickHouse.")]
Digest = Annotated[bool, typer.Option("--digest", help="Print a SHA-256 of each derived topic: its tape.")]


def replay(
    origin: From,
    file: File = None,
    feed: Feed = "coinbase",
    symbol: Symbols = None,
    clock_ms: ClockMs = 0,
    start: Start = "",
    end: End = "",
    offsets: Offsets = "",
    speed: Speed = "max",
    stages: Stages = "",
    events: Events = False,
    out: Out = "none",
    into: Into = "",
    digest: Digest = False,
) -> None:
    """Run recorded input through the stages in process: what they would have given live."""
    settings = load_settings()
    asked = Asked(
        origin.value,
        file,
        feed,
        tuple(symbol or ()),
        clock_ms,
        parse_moment(start, "--start"),
        parse_moment(end, "--end"),
        offsets,
        events,
    )
    asked.check()
    factor = _factor(speed)
    there = discover()
    chosen = _selected(stages, there)
    sinks = _sinks(settings, out, into)
    try:
        machine = Replay(chosen, stage_options(there, settings.stages), events)
    except WiringError as error:
        raise UserError(f"--stages: {error}") from None
    tally, tape = Tally(), Tape(codec(settings)) if digest else None
    with contextlib.ExitStack() as closing:
        for sink in sinks:
            closing.callback(sink.close)
        rate = closing.enter_context(bar())
        for run in _runs(asked, settings, machine, rate, factor):
            tally.read(run.batch, len(run.letters))
            made = machine.take(run)
            for batch in made:
                tally.wrote(batch)
                if tape is not None:
                    tape.add(batch)
            for sink in sinks:
                sink.write(made)
            rate.advance(len(run.batch))
    tally.show(Console(), rate.seconds)
    if tape is not None and tape.counts:
        _show_digests(tape)


def _runs(asked: Asked, settings: Settings, machine: Replay, rate: Rate, factor: float | None) -> Iterator[Run]:
    steps = recorded(asked, settings, machine.chains, rate)
    return (
        (run for step in steps for run in step.in_turn())
        if factor is None
        else paced(steps, factor, time.monotonic, time.sleep)
    )


def _factor(speed: str) -> float | None:
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0.0 < factor < float("inf"):
        raise UserError(f"--speed: {speed!r} is neither max nor a number above 0")
    return factor


def _selected(text: str, there: Sequence[StageType]) -> list[StageType]:
    names = {name(stage): stage for stage in there}
    wanted = [item.strip() for item in text.split(",")] if text else list(map(name, usual(there)))
    for item in wanted:
        if item not in names:
            raise UserError(f"--stages: no stage {item!r}; there are {', '.join(names)}")
    return [names[item] for item in dict.fromkeys(wanted)]


def _sinks(settings: Settings, out: str, into: str) -> list[Sink]:
    found: list[Sink] = []
    if into not in {"", "history"}:
        raise UserError(f"--into: {into!r} is not history")
    if out != "none":
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--out: {folder} is there and not an empty folder")
        found.append(Archive(folder))
    if into:
        from consumers.clickhouse import ClickHouse  # noqa: PLC0415 - starts a database

        found.append(ClickHouse(settings))
    return found


def _show_digests(tape: Tape) -> None:
    table = Table("topic", "records", "SHA-256", title="tape")
    for topic, value in tape.digests().items():
        table.add_row(topic, f"{tape.counts[topic]:,}", value)
    Console(width=120).print(table)
