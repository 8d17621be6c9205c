"""Command ``collect``: books and trades into CSV files, from the topics or straight from a venue."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from consumers.collector import BOOKS_FILE, TRADES_FILE, Collector
from consumers.reader import Start, read
from infra import logs
from infra.errors import UserError
from infra.moments import parse_since
from infra.registry import codec
from infra.settings import Settings, load_settings
from processors.books import Books
from processors.chain import EventChain
from producers.feed import feeds
from producers.transport import Transport
from schemas import Book, DeadLetter, Record, Trade

log = logs.logger(__name__)

Instruments = Annotated[list[str], typer.Argument(help="What to collect, e.g. extended:ETH-USD.")]
Out = Annotated[Path, typer.Option(help="Folder for the files.")]
Direct = Annotated[bool, typer.Option("--direct", help="Straight from the venue's stream, without a broker.")]
Url = Annotated[str, typer.Option(help="With --direct: the stream's address instead of the venue's.")]
From = Annotated[str, typer.Option("--from", help="earliest, latest, a span as 15m, or a time as 2025-11-25T18:00Z.")]
End = Annotated[bool, typer.Option("--end", help="End with what the topics hold now.")]
Seconds = Annotated[float, typer.Option(min=0.0, help="End after so long; 0: never.")]


def collect(
    instruments: Instruments, out: Out = Path("data"), start: From = "latest", end: End = False,
    direct: Direct = False, url: Url = "", seconds: Seconds = 0.0,
) -> None:  # fmt: skip
    """Write order books (20 levels) and trades to CSV files until Ctrl-C; a new start goes on with the files."""
    settings = load_settings()
    logs.setup(settings)
    venues = check(instruments)
    if url and not direct:
        raise UserError("--url: goes with --direct")
    if direct and (start != "latest" or end):
        raise UserError("--direct: a venue's stream has no past: leave out --from and --end")
    if direct and len(venues) > 1:
        raise UserError(f"--direct: one venue at a time, not {', '.join(sorted(venues))}")
    with writing(instruments, out) as collector:
        if direct:
            asyncio.run(from_venue(collector, instruments, url, seconds))
        else:
            from_topics(settings, collector, instruments, start, end, seconds)


def check(instruments: Sequence[str]) -> set[str]:
    """The venues of some instruments.

    Raises:
        UserError: one has no venue, or none that is known.

    """
    for instrument in instruments:
        venue, _, symbol = instrument.partition(":")
        if not symbol or venue not in feeds():
            raise UserError(f"{instrument}: expected venue:SYMBOL with a venue of {', '.join(sorted(feeds()))}")
    return {instrument.partition(":")[0] for instrument in instruments}


@contextlib.contextmanager
def writing(instruments: Sequence[str], out: Path) -> Iterator[Collector]:
    """The files, open until the block ends; a signal ends the block and no more."""
    collector = Collector(out)
    for file in (collector.books, collector.trades):
        if file.cut:
            log.warning("a torn last row was cut off", file=str(file.path), bytes=file.cut)
    log.info("collecting", instruments=list(instruments), books=str(out / BOOKS_FILE), trades=str(out / TRADES_FILE))
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(collector):
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, _interrupt)
        yield collector
    log.info("collected", books=collector.books.rows, trades=collector.trades.rows)


def from_topics(
    settings: Settings, collector: Collector, instruments: Sequence[str], start: str = "latest", end: bool = False,
    seconds: float = 0.0,
) -> None:  # fmt: skip
    """Take what stands in the topics and what comes, until a signal or for so many seconds."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    begin: Start = "latest" if start == "latest" else "earliest"
    if start not in ("latest", "earliest"):
        begin = parse_since(start, option="--from")
    for received in read(settings, codec(settings), (Book, Trade), start=begin, to_end=end):
        if received.record.key in instruments:
            collector.take(received.record)


async def from_venue(collector: Collector, instruments: Sequence[str], url: str = "", seconds: float = 0.0) -> None:
    """Run the venue's feed and the stage that keeps its books, in process."""
    venue, symbols = instruments[0].partition(":")[0], [name.partition(":")[2] for name in instruments]
    chain = EventChain([Books])

    def take(record: Record) -> None:
        if isinstance(record, DeadLetter):
            log.warning("frame refused", reason=record.reason)
            return
        collector.take(record)
        for derived in chain.on_event(record)[0]:
            collector.take(derived)

    transport = Transport(feeds()[venue], symbols, take, channels=_channels(venue), url=url)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(transport.run(), seconds or None)


def _channels(venue: str) -> tuple[str, ...]:
    """The channels of a feed that bring books and trades; all of its own choice where it names none so."""
    known = feeds()[venue].known_channels
    wanted = tuple(name for name in known if any(word in name.lower() for word in ("book", "depth", "l2", "trade")))
    return wanted or feeds()[venue].default_channels


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
