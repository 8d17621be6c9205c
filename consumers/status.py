"""Command ``status``: how the topics fare, and the last values and quotes of every instrument with their ages."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec
import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from infra.broker import consumer_config, full_name
from infra.registry import codec
from infra.settings import Settings, load_settings
from infra.topic_status import TopicStatus, topic_status
from schemas import Equity, JumpLoss, Quote, Record, Rejected
from schemas.codec import Codec

TIMEOUT_S = 10.0
TAIL = 500  # records at the end of each partition in which an instrument's last one is looked for
Kind = TypeVar("Kind", bound=Record)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of tables.")]


def status(json: Json = False) -> None:
    """Show each topic's records, our lag and its last record's age, and every instrument's last values and quotes."""
    settings = load_settings()
    topics = topic_status(settings)
    filled = {item.topic for item in topics if item.records}
    known = codec(settings)
    losses = last(settings, known, JumpLoss) if JumpLoss.topic in filled else {}
    quotes = last(settings, known, Quote) if Quote.topic in filled else {}
    equities = last(settings, known, Equity) if Equity.topic in filled else {}
    if json:
        for item in (*topics, *losses.values(), *quotes.values(), *equities.values()):
            typer.echo(msgspec.json.encode(item))
        return
    now_ns = time.time_ns()
    console = Console()
    console.print(topic_table(settings, topics, now_ns))
    if losses:
        console.print(loss_table(losses.values(), now_ns))
    if quotes:
        console.print(quote_table(quotes.values(), equities, now_ns))


def last(settings: Settings, codec: Codec, kind: type[Kind]) -> dict[str, Kind]:
    """The newest record of a kind of each instrument, among the last records of its partition; by name."""
    name = full_name(settings, kind.topic)
    consumer = Consumer(consumer_config(settings.model_copy(update={"worker_id": ""})))
    found: dict[str, Kind] = {}
    try:
        for partition in range(len(consumer.list_topics(name, TIMEOUT_S).topics[name].partitions)):
            for value in _tail(consumer, TopicPartition(name, partition)):
                try:
                    record = codec.decode(value)
                except Rejected:  # the sinks and readers tell of it
                    continue
                if isinstance(record, kind):
                    found[record.key] = max(record, found.get(record.key, record), key=lambda each: each.event_ns)
    finally:
        consumer.close()
    return {instrument: found[instrument] for instrument in sorted(found)}


def _tail(consumer: Consumer, place: TopicPartition) -> list[bytes | None]:
    low, high = consumer.get_watermark_offsets(place, TIMEOUT_S)
    at = max(low, high - TAIL)
    consumer.assign([TopicPartition(place.topic, place.partition, at)])
    values: list[bytes | None] = []
    until = time.monotonic() + TIMEOUT_S
    while at < high and time.monotonic() < until:
        for message in consumer.consume(TAIL, 0.05):
            if message.error() is None:
                at = (message.offset() or 0) + 1
                values.append(message.value())
    return values


def topic_table(settings: Settings, found: Sequence[TopicStatus], now_ns: int) -> Table:
    """The topics, a row each."""
    table = Table(title=f"Topics at {settings.brokers}, group {settings.group}")
    for heading in ("topic", "partitions", "records", "lag", "last record"):
        table.add_column(heading, justify="left" if heading == "topic" else "right")
    for item in found:
        if item.partitions == 0:
            table.add_row(item.topic, "missing", "", "", "")
            continue
        lag = "not read" if item.lag is None else f"{item.lag:,}"
        table.add_row(item.topic, str(item.partitions), f"{item.records:,}", lag, age(item.last_ns, now_ns))
    return table


def loss_table(losses: Iterable[JumpLoss], now_ns: int) -> Table:
    """The last values, a row for each instrument."""
    table = Table(title="Last values")
    for heading in ("instrument", "mid", "μ_J %", "JL %", "interval %", "feed", "bucket ended"):
        if heading == "instrument":
            table.add_column(heading, no_wrap=True)
        else:
            table.add_column(heading, justify="right")
    for loss in losses:
        table.add_row(
            loss.instrument,
            f"{loss.mid:,.2f}",
            f"{loss.mu_percent:.6f}",
            f"{loss.jump_loss_percent:.6f}",
            f"{loss.low_percent:.6f} – {loss.high_percent:.6f}",
            f"stale for {loss.feed_age_ms / 1_000:.1f} s" if loss.stale else "live",
            age(loss.event_ns, now_ns),
        )
    return table


def quote_table(quotes: Iterable[Quote], equities: Mapping[str, Equity], now_ns: int) -> Table:
    """What executors quote, hold and have made, a row for each instrument."""
    table = Table(title="Executors")
    for heading in ("instrument", "strategy", "bid", "ask", "why not", "inventory", "equity", "decided"):
        left = heading in ("instrument", "strategy", "why not")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading == "instrument", overflow="fold")
    for quote in quotes:
        equity = equities.get(quote.instrument)
        table.add_row(
            quote.instrument,
            quote.strategy,
            f"{quote.bid:g} × {quote.bid_size:g}" if quote.bid else "–",
            f"{quote.ask:g} × {quote.ask_size:g}" if quote.ask else "–",
            quote.reason,
            f"{quote.inventory:g}",
            "unknown" if equity is None else f"{equity.equity:,.2f}",
            age(quote.event_ns, now_ns),
        )
    return table


def age(last_ns: int | None, now_ns: int) -> str:
    """How long ago that was, for people.

    >>> [age(ns, 10**15) for ns in (None, 10**15 - 1_500_000_000, 10**15 - 600 * 10**9, 0)]
    ['none', '1.5 s ago', '10 min ago', '278 h ago']
    """
    if last_ns is None:
        return "none"
    seconds = max(0, now_ns - last_ns) / 1e9
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7_200 else f"{seconds / 3_600:.0f} h ago"
