"""``tail`` as its user calls it: what is in a topic, and what comes while one looks."""

import json
import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from consumers.tail import tail
from infra.errors import UserError
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Clock, Depth, Record
from schemas.levels import packed
from tests.data import ROOT
from tests.streams import MILLISECOND, NOON, quote
from tests.waiting import PATIENCE_S

APP = typer.Typer()
APP.command()(tail)


def environment(settings: Settings) -> dict[str, str]:
    given = {"BROKERS": settings.brokers, "TOPIC_PREFIX": settings.topic_prefix, "GROUP": settings.group}
    return {f"TIDEMILL_{name}": value for name, value in given.items()}


def publish(settings: Settings, *records: Record) -> None:
    with Publisher(settings, codec(settings)) as publisher:
        for record in records:
            publisher.publish(record)


def call(settings: Settings, *arguments: str) -> list[str]:
    result = CliRunner().invoke(APP, arguments, env=environment(settings), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def depth() -> Depth:
    values: dict[str, object] = dict.fromkeys(Depth.__struct_fields__, 0)
    texts = {"instrument": "x:ETH-USD", "kind": "snapshot", "cause": ""}
    levels = {"bids": packed([(10_005, 3), (9_995, 25)]), "asks": packed([(10_015, 7)])}
    empty = {"bid_changes": b"", "ask_changes": b""}
    scales = {"event_ns": NOON, "price_decimals": 2, "size_decimals": 1, "verified": True, "best_bid": 10_005}
    return Depth(**values | texts | levels | empty | scales)  # type: ignore[arg-type]


def test_a_topics_records_are_printed_with_their_levels_as_decimals(live: Settings) -> None:
    publish(live, depth())
    (line,) = call(live, "depths", "--from", "earliest", "--end")
    assert line.startswith("12:00:00.000 x:ETH-USD Depth ")
    assert "bids=[100.05x0.3,99.95x2.5] asks=[100.15x0.7]" in line
    assert "best_bid=100.05" in line
    (line,) = call(live, "depths", "--from", "earliest", "--json", "--count", "1")
    found = json.loads(line)
    assert (found["record"], found["kind"], found["offset"]) == ("Depth", "snapshot", 0)
    assert found["bids"] == [["100.05", "0.3"], ["99.95", "2.5"]]


def test_a_key_and_a_count_limit_what_is_printed(live: Settings) -> None:
    publish(live, Clock(NOON), *(quote(f"x:{number % 2}", NOON + number * MILLISECOND) for number in range(20)))
    both = [call(live, "ticks", "--from", "earliest", "--end", "--key", key) for key in ("x:1", "1")]
    assert both[0] == both[1]
    assert len(both[0]) == 10
    assert len(call(live, "ticks", "--from", "1h", "--count", "3", "--key", "0")) == 3


def test_what_comes_is_printed_until_ctrl_c(live: Settings) -> None:
    code = "import sys; sys.argv[0] = 'tidemill'; from infra.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "tail", "ticks", "--from", "earliest", "--key", "x:1"]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment(live), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for number in range(3):
            publish(live, quote("x:1", NOON + number, trade_id=number))
            assert f"trade_id={number}" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, error) == (130, "", "")


def test_an_unknown_topic_and_a_wrong_time_are_named(live: Settings) -> None:
    with pytest.raises(UserError, match=r"no topic 'trades'; there are .*ticks"):
        call(live, "trades")
    with pytest.raises(UserError, match="--from: 'noon' is neither"):
        call(live, "ticks", "--from", "noon")
