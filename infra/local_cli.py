"""Commands ``up``, ``down``, ``topics`` and ``status``: the local broker, the topics, and how they fare."""

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.broker import ensure_topics
from infra.errors import UserError
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from infra.topic_status import TopicStatus, topic_status

LOOPBACK = ("127.0.0.1", "localhost")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each topic instead of a table.")]


def up() -> None:
    """Start a local Kafka that stays up until `tidemill down`, and create the topics."""
    settings = load_settings()
    broker = _local(settings)
    console = Console(stderr=True)
    if broker.running:
        console.print(f"Kafka already runs at {broker.address}")
    with console.status(f"Starting Kafka at {broker.address} (the first time Maven fetches it)"):
        broker.start(detached=True)
        made = ensure_topics(settings)
    console.print(f"Kafka is up at {broker.address}, {_made(made)}; its data and logs are in {broker.folder}")


def down() -> None:
    """Stop the local Kafka; its data stays."""
    broker = _local(load_settings())
    console = Console(stderr=True)
    with console.status("Stopping Kafka"):
        stopped = broker.stop()
    console.print(f"Kafka at {broker.address} is down" if stopped else "no local Kafka was running")


def topics() -> None:
    """Create the topics that are missing at the broker."""
    settings = load_settings()
    Console(stderr=True).print(f"{settings.brokers}: {_made(ensure_topics(settings))}")


def status(json: Json = False) -> None:
    """Show each topic's records, our lag and the age of its last record."""
    settings = load_settings()
    found = topic_status(settings)
    if json:
        for item in found:
            typer.echo(item.json())
        return
    Console().print(_table(settings, found, time.time_ns()))


def _local(settings: Settings) -> LocalKafka:
    first, _, port = settings.brokers.partition(",")[0].rpartition(":")
    if first not in LOOPBACK:
        raise UserError(f"brokers (TIDEMILL_BROKERS) is {settings.brokers}: a local Kafka runs on 127.0.0.1 only")
    return LocalKafka(settings.data_dir / "kafka", int(port))


def _made(names: list[str]) -> str:
    return f"topics created: {', '.join(names)}" if names else "all topics are there"


def _table(settings: Settings, found: list[TopicStatus], now_ns: int) -> Table:
    table = Table(title=f"Topics at {settings.brokers}, group {settings.group}")
    for heading in ("topic", "partitions", "records", "lag", "last record"):
        table.add_column(heading, justify="left" if heading == "topic" else "right")
    for item in found:
        if item.partitions == 0:
            table.add_row(item.topic, "missing", "", "", "")
            continue
        lag = "not read" if item.lag is None else f"{item.lag:,}"
        table.add_row(item.topic, str(item.partitions), f"{item.records:,}", lag, _age(item.last_ns, now_ns))
    return table


def _age(last_ns: int | None, now_ns: int) -> str:
    """How long ago that was, for people.

    >>> [_age(ns, 10**15) for ns in (None, 10**15 - 1_500_000_000, 10**15 - 600 * 10**9, 0)]
    ['none', '1.5 s ago', '10 min ago', '278 h ago']
    """
    if last_ns is None:
        return "none"
    seconds = max(0, now_ns - last_ns) / 1e9
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7_200 else f"{seconds / 3_600:.0f} h ago"
