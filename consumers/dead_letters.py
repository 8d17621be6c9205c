"""Look at what was refused, and try it again.

A retry takes each dead letter once, in order, as the consumer group GROUP-retry: a frame goes through its feed's parser
of today, a record through today's codec. What is good now is published to its topic. What is refused again, or was not
asked for, goes to the end of the dead letters, the former with ``attempts`` one higher. All of a batch is confirmed by
the broker before the batch is committed, so a crash repeats and never loses; what a retry publishes carries the place
of its letter as its position, and readers drop repeats by that.

Left as they are: letters that a stage refused, repeated frames, and payloads that were cut off. None of these can come
out otherwise.
"""

import dataclasses
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from consumers.reader import Reader, Received, Start, read
from infra import logs
from infra.errors import UserError
from infra.moments import parse_since
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings, load_settings
from producers.feed import Resubscribe, feeds
from schemas import Connect, DeadLetter, Record, Rejected
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.position import POSITION_HEADER, Position

READS = (DeadLetter,)
NEWEST_FIRST = 20
RETRIES = (
    "dead_letters-retry"  # as the cause of what a retry writes; a letter of its own has another place in the order
)

app = typer.Typer(no_args_is_help=True, help=(__doc__ or "").partition("\n")[0], rich_markup_mode="markdown")
Source = Annotated[str | None, typer.Option(help="Only letters of this feed or topic.")]
By = Annotated[str | None, typer.Option(help="Only letters that this feed, stage or codec refused.")]
Since = Annotated[str, typer.Option(help="How far back: 90s, 15m, 2h, 7d; or a time as 2025-11-25T18:00Z.")]


@app.command("ls")
def list_letters(
    source: Source = None,
    by: By = None,
    since: Since = "30d",
    limit: Annotated[int, typer.Option(min=1, help="Newest letters to show.")] = NEWEST_FIRST,
    show: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show the bytes of the letter with this number.")
    ] = None,
) -> None:
    """List dead letters, the newest first, and count them by source and reason."""
    settings = load_settings()
    logs.setup(settings)
    found = [letter for letter in _letters(settings, parse_since(since)) if _wanted(letter, source, by)]
    found.sort(key=lambda letter: -letter.event_ns)
    console = Console()
    if show is not None:
        if show > len(found):
            raise UserError(f"--show: there are {len(found)} letters")
        _show(console, found[show - 1])
        return
    console.print(_table(found[:limit]))
    counts = Counter((letter.source, letter.by) for letter in found)
    for (origin, refuser), count in counts.most_common():
        console.print(f"{count} of {origin} refused by {refuser}")
    console.print(
        f"{len(found)} dead letters" + ("" if len(found) <= limit else f", {limit} shown; --limit shows more")
    )


@app.command("retry")
def retry_letters(
    source: Source = None,
    by: By = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen; publish and commit nothing.")
    ] = False,
) -> None:
    """Try every dead letter again that no retry has taken yet."""
    settings = load_settings()
    logs.setup(settings)
    outcome = retry(settings, codec(settings), source, by, dry_run=dry_run)
    told = ", ".join(f"{count} {what}" for what, count in dataclasses.asdict(outcome).items())
    print(f"{'would be: ' if dry_run else ''}{told}")


@dataclasses.dataclass(slots=True)
class Outcome:
    """How many letters went which way."""

    recovered: int = 0  # published to their topic
    refused: int = 0  # at the end of the dead letters, with one attempt more
    left: int = 0  # cannot come out otherwise
    postponed: int = 0  # not asked for, at the end of the dead letters


def retry(
    settings: Settings, codec: Codec, source: str | None = None, by: str | None = None, *, dry_run: bool = False
) -> Outcome:
    """Try the letters that are there now again.

    Raises:
        UserError: no broker answers.
        PublishError: something could not be delivered; nothing of that batch is done, and a new retry repeats it.

    """
    outcome = Outcome()
    group = None if dry_run else f"{settings.group}-retry"
    reader = Reader(settings, codec, DeadLetter, group=group, start="earliest", to_end=True)
    with reader, Publisher(settings, codec) as publisher:
        while not reader.finished:
            for received in reader.poll():
                _retry(received, codec, source, by, None if dry_run else publisher, outcome)
            publisher.flush()
            reader.commit()
    return outcome


def _retry(
    received: Received[DeadLetter],
    codec: Codec,
    source: str | None,
    by: str | None,
    publisher: Publisher | None,
    outcome: Outcome,
) -> None:
    letter = received.record
    if not _wanted(letter, source, by):
        outcome.postponed += 1
        _return(received, letter, publisher)
    elif not _can_change(letter):
        outcome.left += 1
    else:
        try:
            records = _read_again(letter, codec)
        except (Rejected, Resubscribe) as refusal:
            outcome.refused += 1
            again = msgspec.structs.replace(letter, attempts=letter.attempts + 1, reason=str(refusal))
            _return(received, again, publisher)
        else:
            outcome.recovered += 1
            _publish(received, letter, records, publisher)


def _can_change(letter: DeadLetter) -> bool:
    if letter.size > len(letter.payload):
        return False
    if letter.partition < 0:
        return letter.source in feeds() and not letter.reason.startswith("repeated")
    return letter.by == "codec" and letter.source in TOPICS


def _read_again(letter: DeadLetter, codec: Codec) -> list[Record]:
    if letter.partition >= 0:
        return [codec.decode(letter.payload)]
    records = feeds()[letter.source]().parse(letter.payload, letter.event_ns)
    return [record for record in records if not isinstance(record, Connect)]  # nothing connects in a retry


def _return(received: Received[DeadLetter], letter: DeadLetter, publisher: Publisher | None) -> None:
    if publisher is not None:
        publisher.publish(letter, partition=received.log[1], position=_position(received))


def _publish(
    received: Received[DeadLetter], letter: DeadLetter, records: list[Record], publisher: Publisher | None
) -> None:
    for number, record in enumerate(records if publisher is not None else ()):
        assert publisher is not None
        position = _position(received, number)
        if letter.partition < 0:
            publisher.publish(record, position=position)
        else:
            header = [(POSITION_HEADER, position.header())]
            publisher.publish_raw(letter.source, letter.payload, letter.record_key, letter.partition, header)


def _position(received: Received[DeadLetter], ordinal: int = 0) -> Position:
    return Position(RETRIES, received.log[1], received.offset, ordinal)


def _letters(settings: Settings, start: Start) -> list[DeadLetter]:
    """The letters since a time, without those that a retry has put back at the end."""
    found: dict[tuple[int, int], DeadLetter] = {}
    for received in read(settings, codec(settings), DeadLetter, start=start, to_end=True):
        found[received.log[1], received.offset] = received.record
        if received.position.topic == RETRIES:
            found.pop((received.position.partition, received.position.offset), None)
    return list(found.values())


def _wanted(letter: DeadLetter, source: str | None, by: str | None) -> bool:
    return source in (None, letter.source) and by in (None, letter.by)


def _table(letters: list[DeadLetter]) -> Table:
    table = Table("no", "when (UTC)", "source", "at", "by", "tries", "bytes", "reason", box=None, header_style="bold")
    for number, letter in enumerate(letters, 1):
        at = "frame" if letter.offset < 0 else f"{letter.partition}:{letter.offset}"
        row = (
            number,
            _time(letter.event_ns),
            letter.source,
            at,
            letter.by,
            letter.attempts,
            letter.size,
            letter.reason,
        )
        table.add_row(*map(str, row))
    return table


def _show(console: Console, letter: DeadLetter) -> None:
    for name in ("source", "partition", "offset", "by", "reason", "attempts", "size"):
        console.print(f"[bold]{name:10}[/]", end="")
        console.print(str(getattr(letter, name)), markup=False)
    console.print(f"[bold]{'when':10}[/]{_time(letter.event_ns)}")
    console.print(f"[bold]{'key':10}[/]", end="")
    console.print(repr(letter.record_key), markup=False)
    try:
        console.print(letter.payload.decode(), markup=False, highlight=False)
    except UnicodeDecodeError:
        for begin in range(0, min(len(letter.payload), 4_096), 16):
            line = letter.payload[begin : begin + 16]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
            console.print(f"{begin:06x}  {line.hex(' '):47}  {text}", markup=False, highlight=False)


def _time(event_ns: int) -> str:
    return datetime.fromtimestamp(event_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
