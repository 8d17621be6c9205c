"""The gap ledger as a user reads it: each gap as it stands now, out of Kafka and out of the history alike."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import typer
from typer.testing import CliRunner

from consumers.clickhouse import ClickHouse
from consumers.gaps import gaps, ledger
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Gap
from tests.history import batch

APP = typer.Typer()
APP.command()(gaps)
NOW = time.time_ns()
SECOND = 1_000_000_000


def gap(cause: str, from_s: int, to_s: int, **more: Any) -> Gap:
    """A row of the ledger; times in seconds before now."""
    given: dict[str, Any] = {
        "instrument": "coinbase:ETH-USD", "event_ns": NOW - to_s * SECOND, "feed": "coinbase", "cause": cause,
        "from_ns": NOW - from_s * SECOND, "to_ns": NOW - to_s * SECOND if to_s else 0, "expected": 0, "seen": 0,
        "missed": 0, "recovered": False,
    }  # fmt: skip
    return Gap(**given | more)


ROWS = [
    gap("stall", 500, 0, event_ns=NOW - 495 * SECOND),
    gap("disconnect", 500, 480),
    gap("missed", 400, 399, expected=7, seen=9, missed=2),
    gap("missed", 400, 399, expected=7, seen=9, missed=0, recovered=True),
    gap("stall", 300, 0, event_ns=NOW - 290 * SECOND, instrument="binance:ETHUSDT", feed="binance"),
]


def call(settings: Settings, *arguments: str) -> str:
    given = {
        "BROKERS": settings.brokers, "TOPIC_PREFIX": settings.topic_prefix, "GROUP": settings.group,
        "DATA_DIR": str(settings.data_dir),
    }  # fmt: skip
    environment = {f"TIDEMILL_{name}": value for name, value in given.items()}
    result = CliRunner().invoke(APP, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def listed(settings: Settings, *arguments: str) -> list[tuple[str, str]]:
    lines = call(settings, "--json", *arguments).splitlines()
    return [(found["feed"], found["cause"]) for found in map(json.loads, lines)]


def test_a_gap_stands_as_its_last_row_says_and_open_ones_come_first() -> None:
    found = [(each.cause, each.to_ns == 0, each.recovered) for each in ledger(ROWS)]
    assert found == [("stall", True, False), ("missed", False, True), ("disconnect", False, False)]


def test_the_ledger_is_the_same_from_kafka_and_from_the_history(live: Settings) -> None:
    with Publisher(live, codec(live)) as publisher:
        for row in ROWS:
            publisher.publish(row)
    sink = ClickHouse(live)
    sink.write([batch(ROWS)])
    sink.close()
    want = [("binance", "stall"), ("coinbase", "missed"), ("coinbase", "disconnect")]
    assert listed(live) == listed(live, "--from", "history") == want
    assert listed(live, "--open") == want[:1]
    assert listed(live, "--feed", "coinbase") == want[1:]
    assert listed(live, "--feed", "coinbase", "--open") == []
    since = f"{datetime.fromtimestamp(NOW / 1e9 - 450, UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert listed(live, "--since", since, "--from", "history") == want[:2]
    table = call(live)
    assert "3 gaps, 1 open, 0 trades missed" in table
    assert "open" in table
    assert "coinbase:ETH-USD" in table
