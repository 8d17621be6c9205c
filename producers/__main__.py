"""Commands ``feed`` and ``clock``: venues, recordings and the simulator into the topic ``ticks``."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from websockets.exceptions import InvalidURI

from infra import logs, metrics, registry
from infra.broker import ensure_topics
from infra.publisher import Publisher
from infra.settings import Settings, UserError, load_settings
from producers import frames, publishing, simulator
from producers.clock import with_clocks
from producers.feed import Feed, feeds
from producers.transport import Transport
from schemas import Record

DEFAULT_SYMBOLS = ["ETH-USD"]
MILLISECOND = 1_000_000

Name = Annotated[str, typer.Argument(help="Feed: coinbase, coinbase_level2, simulator.")]
Symbols = Annotated[list[str] | None, typer.Argument(help="Symbols; ETH-USD, or all that a recording holds.")]
Url = Annotated[str, typer.Option(help="Another address than the venue's own.")]
Recording = Annotated[Path | None, typer.Option(help="Play a recording of raw frames instead of connecting.")]
Speed = Annotated[str, typer.Option(help="Pace of a recording or the simulator: times real time, or max.")]
Record_ = Annotated[Path | None, typer.Option("--record", help="Keep the raw frames too, e.g. in day.jsonl.zst.")]
Clock = Annotated[bool, typer.Option("--clock/--no-clock", help="Write clock records along with the feed's.")]
Seconds = Annotated[float | None, typer.Option(min=0.001, help="Stop after so many seconds (of its time, if played).")]
Seed = Annotated[int, typer.Option(help="Seed of the simulator.")]


def feed(
    name: Name,
    symbols: Symbols = None,
    url: Url = "",
    recording: Recording = None,
    speed: Speed = "",
    record: Record_ = None,
    clock: Clock = True,
    seconds: Seconds = None,
    seed: Seed = 0,
) -> None:
    """Bring a venue's records to Kafka, from its websocket or a recording, until it ends or Ctrl-C."""
    known = feeds()
    if name not in known:
        raise UserError(f"no feed {name!r}; there are {', '.join(known)}")
    played = recording is not None or name == simulator.Simulator.name
    if played and (url or record):
        raise UserError("--url and --record need a connection, which a recording and the simulator have not")
    if speed and not played:
        raise UserError("--speed is for recordings and the simulator")
    if recording is not None and not recording.is_file():
        raise UserError(f"--recording: no file {recording}")
    factor = _factor(speed or ("max" if recording else "1"))
    settings, publisher = _start()
    interval_ns = settings.clock_interval_ms * MILLISECOND if clock else 0
    if not played:
        _connect(known[name], symbols or DEFAULT_SYMBOLS, publisher, url, interval_ns, record, seconds)
        return
    with _progress() as bar:
        source: Iterator[Record]
        if recording is None:
            source = simulator.records(symbols or DEFAULT_SYMBOLS, time.time_ns(), seed)
        else:
            source = _recorded(recording, known[name], symbols or [], bar)
        count = publishing.play(_played(source, interval_ns, factor, seconds), publisher, name)
    typer.echo(f"{count} records published, {publisher.acked} confirmed")


def clock() -> None:
    """Write clock records into every partition of ``ticks`` until Ctrl-C, so that a feed's outage is seen."""
    settings, publisher = _start()
    publishing.tell_time(publisher, settings.clock_interval_ms * MILLISECOND)


def _start() -> tuple[Settings, Publisher]:
    settings = load_settings()
    logs.setup(settings)
    metrics.serve(settings)
    ensure_topics(settings)
    return settings, Publisher(settings, registry.codec(settings))


def _connect(
    make: type[Feed],
    symbols: list[str],
    publisher: Publisher,
    url: str,
    interval_ns: int,
    record: Path | None,
    seconds: float | None,
) -> None:
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(frames.Recorder(record)) if record else None
        outlet = publishing.Outlet(publisher, make.name)
        transport = Transport(make, symbols, outlet, url=url, clock_interval_ns=interval_ns, recorder=recorder)
        try:
            asyncio.run(publishing.live(transport, publisher, seconds))
        except InvalidURI as error:
            raise UserError(f"--url: {error}") from None


def _recorded(path: Path, make: type[Feed], symbols: list[str], bar: Progress) -> Iterator[Record]:
    task = bar.add_task(path.name, total=path.stat().st_size)
    return frames.records(path, make, symbols, lambda done, total: bar.update(task, completed=done, total=total))


def _played(source: Iterator[Record], interval_ns: int, factor: float, seconds: float | None) -> Iterator[Record]:
    records = with_clocks(source, interval_ns) if interval_ns else source
    if seconds is not None:
        records = _first(records, seconds)
    return records if factor == 0.0 else frames.paced(records, factor)


def _first(records: Iterator[Record], seconds: float) -> Iterator[Record]:
    first = next(records, None)
    if first is None:
        return iter(())
    end_ns = first.event_ns + int(seconds * 1e9)
    return itertools.chain([first], itertools.takewhile(lambda record: record.event_ns <= end_ns, records))


def _factor(speed: str) -> float:
    """Times real time; 0 for as fast as it goes."""
    if speed == "max":
        return 0.0
    with contextlib.suppress(ValueError):
        if 0.0 < (factor := float(speed)) < float("inf"):
            return factor
    raise UserError(f"--speed: expected max or a number above 0, not {speed!r}")


def _progress() -> Progress:
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()]
    return Progress(*columns, transient=True)


app = typer.Typer(help=__doc__, no_args_is_help=True)
app.command()(feed)
app.command()(clock)

if __name__ == "__main__":
    try:
        app()
    except UserError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
