"""Command ``tail``: the records of a topic as they come."""

from typing import Annotated

import msgspec
import typer

from consumers.readable import line, plain
from consumers.reader import Start, read
from infra import logs
from infra.errors import UserError
from infra.moments import parse_since
from infra.registry import codec
from infra.settings import load_settings
from schemas.catalogue import TOPICS

Topic = Annotated[str, typer.Argument(help="A topic, e.g. ticks or books.")]
From = Annotated[str, typer.Option("--from", help="earliest, latest, a span as 15m, or a time as 2025-11-25T18:00Z.")]
Key = Annotated[str, typer.Option(help="Only this key, with its feed or without: coinbase:ETH-USD or ETH-USD.")]
Count = Annotated[int, typer.Option(min=0, help="End after so many records; 0: never.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, with all levels of books.")]
End = Annotated[bool, typer.Option("--end", help="End with what is there now.")]


def tail(
    topic: Topic, start: From = "latest", key: Key = "", count: Count = 0, json: Json = False, end: End = False
) -> None:
    """Print the records of a topic as they come, each once, until Ctrl-C."""
    settings = load_settings()
    logs.setup(settings)
    if topic not in TOPICS:
        raise UserError(f"no topic {topic!r}; there are {', '.join(TOPICS)}")
    left = count
    for received in read(settings, codec(settings), TOPICS[topic].records, start=_start(start), to_end=end):
        record = received.record
        if key and key not in {record.key, record.key.partition(":")[2]}:
            continue
        if json:
            values = {"record": type(record).__name__, "partition": received.log[1], "offset": received.offset}
            typer.echo(msgspec.json.encode(values | plain(record)))
        else:
            typer.echo(line(record))
        left -= 1
        if left == 0:
            return


def _start(text: str) -> Start:
    if text in {"earliest", "latest"}:
        return "earliest" if text == "earliest" else "latest"
    return parse_since(text, option="--from")
