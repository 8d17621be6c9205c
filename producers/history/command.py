"""Command ``backfill``: fetch what venues keep of the past, prove that it is whole, keep it as live records are."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from consumers.sink import Sink
from infra.errors import UserError
from infra.settings import Settings, load_settings
from producers.history.filling import Filling
from producers.history.live import first
from producers.history.plan import Span, nanoseconds
from producers.history.report import Result, show
from producers.history.series import Source, sources
from producers.history.web import Web

AGENT = "Mozilla/5.0 (compatible; tidemill)"
LIVE = "archive"  # folder under data_dir
SCALE = 1_000_000_000  # of progress: seconds of time covered

Name = Annotated[str, typer.Argument(help="Source: a file of producers/history/sources, e.g. binance or deribit.")]
Symbols = Annotated[str, typer.Option(help="Symbols as the venue names them, e.g. BTCUSDT,ETHUSDT.")]
Kind = Annotated[str, typer.Option(help="What to fetch, e.g. trades or klines_1m; not given: the first of the source.")]
Start = Annotated[str, typer.Option(help="First day, e.g. 2025-01-01 (UTC).")]
End = Annotated[str, typer.Option(help="Day to stop before; not given: now.")]
Into = Annotated[str, typer.Option(help="history: write into ClickHouse, too.")]
Workers = Annotated[int, typer.Option(min=1, max=32, help="Files and series at a time.")]
Recheck = Annotated[bool, typer.Option("--recheck", help="Ask whether files were issued again, and fetch those.")]
Via = Annotated[str, typer.Option(help="Ask for https://host/path at `<via>/host/path`, e.g. a caching proxy.")]


def backfill(
    source: Name,
    symbols: Symbols,
    kind: Kind = "",
    start: Start = "2025-01-01",
    end: End = "",
    into: Into = "",
    workers: Workers = 4,
    recheck: Recheck = False,
    via: Via = "",
) -> None:
    """Fetch what a venue keeps of the past, prove that nothing is missing, and keep it as live records are kept."""
    settings, there = load_settings(), sources()
    if source not in there:
        raise UserError(f"no source {source!r}; there are {', '.join(there)}")
    venue = there[source]
    kind = kind or venue.kinds[0]
    if kind not in venue.kinds:
        raise UserError(f"--kind: {kind!r} is none of {source}'s: {', '.join(venue.kinds)}")
    if into not in {"", "history"}:
        raise UserError(f"--into: {into!r} is not history")
    now_ns = time.time_ns()
    wanted = day("start", start), day("end", end) if end else now_ns
    if wanted[0] >= min(wanted[1], now_ns):
        raise UserError("--end: not after --start")
    named = list(dict.fromkeys(filter(None, (symbol.strip() for symbol in symbols.split(",")))))
    if not named:
        raise UserError("--symbols: none given")
    web = Web(headers(venue, settings), venue.weights, via)
    with contextlib.ExitStack() as closing:
        closing.callback(web.close)
        sink = closing.enter_context(_history(settings)) if into else None
        results, told = fill(venue, named, kind, wanted, settings, web, now_ns, workers, recheck, sink)
    show(Console(), results, told)
    if not all(result.proof.whole for result in results):
        raise typer.Exit(1)


def fill(
    source: Source,
    symbols: list[str],
    kind: str,
    wanted: Span,
    settings: Settings,
    web: Web,
    now_ns: int,
    workers: int = 4,
    recheck: bool = False,
    sink: Sink | None = None,
) -> tuple[list[Result], list[str]]:
    """Fill each symbol's series; gives what it came to, and what users should be told.

    Raises:
        UserError: another process is at work on one of them.

    """
    told: list[str] = []
    with contextlib.ExitStack() as closing:
        progress = closing.enter_context(_progress())
        fillings = []
        for symbol in symbols:
            series = source.series(symbol, kind)
            done = _advance(progress, series.instrument, wanted)
            filling = Filling(series, web, settings.data_dir, wanted, now_ns, told.append, done)
            closing.callback(filling.close)
            fillings.append(filling)
        with ThreadPoolExecutor(workers) as pool:
            _each(pool, web, ((filling.check, recheck) for filling in fillings))
            _each(pool, web, ((filling.take, month) for filling in fillings for month in filling.months()))
            _each(pool, web, ((filling.take, date) for filling in fillings for date in filling.days()))
            _each(pool, web, ((filling.page,) for filling in fillings))
        results = []
        for filling in fillings:
            live = first(Path(settings.data_dir) / LIVE, filling.series, wanted[0])
            proof = filling.prove(live)
            filling.keep(proof, sink, settings.history_dsn)
            results.append(Result(filling.series, filling.wanted, filling.journal.parts, proof))
    return results, told


def _each(pool: ThreadPoolExecutor, web: Web, calls: Iterable[tuple[Any, ...]]) -> None:
    """Make calls in threads and wait for them; when one fails or the user wants to end, the others end soon."""
    futures: list[Future[None]] = [pool.submit(call[0], *call[1:]) for call in calls]
    try:
        for future in as_completed(futures):
            future.result()
    except BaseException:
        web.stopping.set()
        for future in futures:
            future.cancel()
        raise


def day(option: str, text: str) -> int:
    """The begin of a day in ns since the epoch.

    Raises:
        UserError: it is no day.

    >>> day("start", "1970-01-02")
    86400000000000

    """
    try:
        found = datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise UserError(f"--{option}: {text!r} is no day; expected e.g. 2025-01-01") from None
    return nanoseconds(found.replace(tzinfo=UTC))


def headers(source: Source, settings: Settings) -> dict[str, str]:
    """What a source is sent with every request.

    Raises:
        UserError: it needs a key that is not set.

    """
    found = {"User-Agent": AGENT} | dict(source.headers)
    if source.bearer:
        secret = getattr(settings, source.bearer)
        if secret is None or not secret.get_secret_value():
            raise UserError(
                f"setting {source.bearer} (TIDEMILL_{source.bearer.upper()}): not set, and {source.name} needs it"
            )
        found["Authorization"] = f"Bearer {secret.get_secret_value()}"
    return found


@contextlib.contextmanager
def _history(settings: Settings) -> Iterator[Sink]:
    from consumers.clickhouse import ClickHouse  # noqa: PLC0415 - starts a database

    sink = ClickHouse(settings)
    try:
        yield sink
    finally:
        sink.close()


def _progress() -> Progress:
    share, rows = TextColumn("{task.percentage:>5.1f} %"), TextColumn("{task.fields[rows]:,} rows")
    columns = (TextColumn("{task.description}"), BarColumn(), share, rows, TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _advance(progress: Progress, name: str, wanted: Span) -> Callable[[int, int], None]:
    task = progress.add_task(name, total=(wanted[1] - wanted[0]) / SCALE, rows=0)

    def done(time_ns: int, rows: int) -> None:
        read = progress.tasks[task].fields["rows"] + rows
        progress.update(task, advance=time_ns / SCALE, rows=read)

    return done
