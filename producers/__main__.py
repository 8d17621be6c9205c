"""Commands ``feed`` and ``clock``: venues, recordings and the simulator into the raw topics."""

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
from infra.settings import SECRETS, Settings, UserError, load_settings
from producers import frames, publishing, resync, simulator
from producers.clock import with_clocks
from producers.feed import Feed, feeds
from producers.keys import Keys
from producers.transport import Transport
from schemas import Record

DEFAULT_FEEDS = ("coinbase", "simulator")
DEFAULT_SYMBOLS = ["ETH-USD"]
MILLISECOND = 1_000_000
log = logs.logger(__name__)


def _list(asked: bool) -> None:
    if asked:
        for name, found in feeds().items():
            typer.echo(f"{name:20}{' '.join(found.known_channels)}")
        raise typer.Exit


Name = Annotated[str, typer.Argument(help="Feed; --list names them all.")]
Symbols = Annotated[list[str] | None, typer.Argument(help="Symbols, as the venue writes them; ETH-USD for Coinbase.")]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="What to take of them; the feed's own choice.")]
Redundant = Annotated[bool, typer.Option("--redundant", help="Keep two connections, so that losing one is no gap.")]
List = Annotated[bool, typer.Option("--list", is_eager=True, callback=_list, help="List the feeds and their channels.")]
Url = Annotated[str, typer.Option(help="Scheme and host in place of the venue's own; paths stay.")]
FetchUrl = Annotated[str, typer.Option(help="The same for requests over HTTP.")]
Recording = Annotated[Path | None, typer.Option(help="Play a recording of raw frames instead of connecting.")]
Speed = Annotated[str, typer.Option(help="Pace of a recording or the simulator: times real time, or max.")]
Record_ = Annotated[Path | None, typer.Option("--record", help="Keep the raw frames too, e.g. in day.jsonl.zst.")]
Clock = Annotated[bool, typer.Option("--clock/--no-clock", help="Write clock records along with the feed's.")]
Seconds = Annotated[float | None, typer.Option(min=0.001, help="Stop after so many seconds (of its time, if played).")]
Seed = Annotated[int, typer.Option(help="Seed of the simulator.")]
Instruments = Annotated[int, typer.Option(min=1, help="Simulate so many instruments, where no symbols are given.")]
Rate = Annotated[float, typer.Option(min=0.001, help="Trades a second of a simulated instrument in calm.")]


def feed(
    name: Name,
    symbols: Symbols = None,
    channel: Channels = None,
    redundant: Redundant = False,
    url: Url = "",
    fetch_url: FetchUrl = "",
    recording: Recording = None,
    speed: Speed = "",
    record: Record_ = None,
    clock: Clock = True,
    seconds: Seconds = None,
    seed: Seed = 0,
    instruments: Instruments = 1,
    rate: Rate = simulator.TRADES_A_SECOND,
    list_feeds: List = False,
) -> None:
    """Bring a venue's records to Kafka, from the venue or a recording, until it ends or Ctrl-C."""
    known = feeds()
    if name not in known:
        raise UserError(f"no feed {name!r}; there are {', '.join(known)}")
    played = recording is not None or name == simulator.Simulator.name
    if played and (url or fetch_url or record or redundant):
        options = "--url, --fetch-url, --record and --redundant"
        raise UserError(f"{options} need a connection, which a recording and the simulator have not")
    if speed and not played:
        raise UserError("--speed is for recordings and the simulator")
    if recording is not None and not recording.is_file():
        raise UserError(f"--recording: no file {recording}")
    for wrong in set(channel or ()) - set(known[name].known_channels):
        raise UserError(f"--channel: {name} has no {wrong!r}; it has {', '.join(known[name].known_channels) or 'none'}")
    if instruments > 1 and (symbols or name != simulator.Simulator.name):
        raise UserError("--instruments is for the simulator, without symbols")
    if instruments > 1:
        symbols = simulator.symbols(instruments)
    if recording is None and not symbols:
        if not name.startswith(DEFAULT_FEEDS):
            raise UserError(f"{name} needs symbols")
        symbols = DEFAULT_SYMBOLS
    factor = _factor(speed or ("max" if recording else "1"))
    settings, publisher = _start()
    interval_ns = settings.clock_interval_ms * MILLISECOND if clock else 0
    log.info("feed starts", feed=name, symbols=symbols or "all", brokers=settings.brokers)
    if not played:
        with contextlib.ExitStack() as stack:
            transport = Transport(
                known[name],
                symbols or [],
                publishing.Outlet(publisher, name),
                channels=channel or (),
                redundant=redundant,
                keys=Keys({secret: getattr(settings, secret) for secret in SECRETS}),
                url=url,
                fetch_url=fetch_url,
                clock_interval_ns=interval_ns,
                recorder=stack.enter_context(frames.Recorder(record)) if record else None,
            )
            asyncio.run(_run(transport, settings, publisher, name, seconds))
        return
    with _progress() as bar:
        source: Iterator[Record]
        if recording is None:
            chosen = channel or simulator.Simulator.default_channels
            source = simulator.records(symbols or [], time.time_ns(), seed, rate, chosen)
        else:
            source = _recorded(recording, known[name], symbols or [], channel or [], bar)
        count = publishing.play(_played(source, interval_ns, factor, seconds), publisher, name)
    typer.echo(f"{count} records published, {publisher.acked} messages confirmed (a clock is one in each partition)")


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


async def _run(
    transport: Transport, settings: Settings, publisher: Publisher, name: str, seconds: float | None
) -> None:
    loop = asyncio.get_running_loop()

    def ask(instrument: str, event_ns: int) -> None:
        loop.call_soon_threadsafe(transport.resync, instrument, event_ns)

    try:
        with resync.listening(settings, registry.codec(settings), name, ask):
            await publishing.live(transport, publisher, seconds)
    except InvalidURI as error:
        raise UserError(f"--url: {error}") from None


def _recorded(path: Path, make: type[Feed], symbols: list[str], channels: list[str], bar: Progress) -> Iterator[Record]:
    task = bar.add_task(path.name, total=path.stat().st_size)
    return frames.records(
        path, make, symbols, lambda done, total: bar.update(task, completed=done, total=total), channels
    )


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
