"""Command ``gaps``: the gap ledger, what of which feed was not seen, the gaps that are still open first."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from consumers.reader import read
from infra import logs
from infra.clickhouse import connect, query
from infra.moments import parse_since
from infra.registry import codec
from infra.settings import Settings, load_settings
from schemas import Gap

FIELDS = ", ".join(Gap.__struct_fields__)


class Origin(StrEnum):
    """Where the ledger can be read from."""

    KAFKA = "kafka"
    HISTORY = "history"


Open = Annotated[bool, typer.Option("--open", help="Only gaps that are still open.")]
Since = Annotated[str, typer.Option(help="How far back: 90s, 15m, 2h, 7d; or a time as 2025-11-25T18:00Z.")]
Feed = Annotated[str, typer.Option(help="Only this feed, e.g. coinbase.")]
From = Annotated[Origin, typer.Option("--from", help="Where to read: Kafka, or the history in ClickHouse.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")]


def gaps(
    still_open: Open = False, since: Since = "7d", feed: Feed = "", origin: From = Origin.KAFKA, json: Json = False
) -> None:
    """Show the gap ledger: each gap as it stands now, the open ones first, then the newest."""
    settings = load_settings()
    logs.setup(settings)
    since_ns = parse_since(since)
    rows = from_kafka(settings, since_ns) if origin is Origin.KAFKA else from_history(settings, since_ns)
    found = [gap for gap in ledger(rows) if feed in {"", gap.feed} and (gap.to_ns == 0 or not still_open)]
    if json:
        for gap in found:
            typer.echo(msgspec.json.encode(gap))
        return
    console = Console()
    console.print(_table(found, time.time_ns()))
    opened = sum(gap.to_ns == 0 for gap in found)
    console.print(f"{len(found)} gaps, {opened} open, {sum(gap.missed for gap in found):,} trades missed")


def ledger(rows: Iterable[Gap]) -> list[Gap]:
    """Each gap as it stands now, out of the rows in the order in which they were written.

    A row takes the place of one that opened the same gap, or that told of the same hole before trades came after all.

    >>> row = Gap("a:B", 9, "a", "stall", 5, 0, 0, 0, 0, False)
    >>> [gap.to_ns for gap in ledger([row, msgspec.structs.replace(row, to_ns=8, cause="disconnect")])]
    [8]
    """
    latest: dict[tuple[str, str, int, int], Gap] = {}
    for gap in rows:
        latest.pop((gap.instrument, gap.feed, gap.from_ns, -1), None)
        latest[gap.instrument, gap.feed, gap.from_ns, gap.expected if gap.to_ns else -1] = gap
    return sorted(latest.values(), key=lambda gap: (gap.to_ns != 0, -gap.event_ns, gap.instrument))


def from_kafka(settings: Settings, since_ns: int) -> Iterable[Gap]:
    """The ledger's rows since a time, out of Kafka."""
    for received in read(settings, codec(settings), Gap, start=since_ns, to_end=True):
        if received.record.event_ns >= since_ns:
            yield received.record


def from_history(settings: Settings, since_ns: int) -> Iterable[Gap]:
    """The ledger's rows since a time, out of ClickHouse."""
    client = connect(settings)
    try:
        found = query(
            client,
            f"SELECT {FIELDS} FROM gaps FINAL WHERE event_ns >= {{since:Int64}} ORDER BY event_ns, _offset",
            {"since": since_ns},
        )
    finally:
        client.close()
    return [Gap(**row | {"recovered": bool(row["recovered"])}) for row in found.iter_rows(named=True)]


def _table(found: Iterable[Gap], now_ns: int) -> Table:
    table = Table(title="Gap ledger", caption="times in UTC")
    for heading in ("instrument", "feed", "cause", "from", "to", "lasted s", "trades missed", "recovered"):
        table.add_column(
            heading,
            justify="right" if heading in {"lasted s", "trades missed"} else "left",
            no_wrap=heading in {"instrument", "from", "to"},
        )
    for gap in found:
        ended_ns = gap.to_ns or now_ns
        table.add_row(
            gap.instrument, gap.feed, gap.cause, _moment(gap.from_ns), _moment(gap.to_ns) or "open",
            f"{(ended_ns - gap.from_ns) / 1e9:,.1f}" if gap.from_ns else "", f"{gap.missed:,}",
            "yes" if gap.recovered else "",
        )  # fmt: skip
    return table


def _moment(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%m-%d %H:%M:%S}" if time_ns else ""
