"""The example of docs/adding-a-consumer.md, taken from the page and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import JumpLoss
from schemas.position import Position
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "adding-a-consumer.md"
PACKAGES = ("consumers", "infra", "processors", "producers", "schemas", "grafana")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code with the page's example in it."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    (tmp_path / "consumers" / "jump_alert.py").write_text(code[1])
    return tmp_path


def tidemill(folder: Path, *arguments: str, **variables: str) -> str:
    environment = os.environ | variables | {"PYTHONPATH": str(folder), "COLUMNS": "160"}
    call = [sys.executable, "-m", "infra.cli", *arguments]
    return subprocess.run(
        call, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    ).stdout


def loss(number: int, percent: float) -> JumpLoss:
    return JumpLoss(
        instrument="coinbase:ETH-USD", event_ns=(number + 1) * 160_000_000, fee_units=5000, fee_percent=0.05,
        settlement_ms=9600, mu_percent=2 * percent, jump_loss_percent=percent, low_percent=0.0, high_percent=1.0,
        mu_low_percent=0.0, mu_high_percent=2.0, buckets=number + 1, mid=3000.0, stale=False, feed_age_ms=0,
    )  # fmt: skip


def test_the_example_is_a_command_and_warns_once_for_each_rise(copy: Path, live: Settings) -> None:
    with Publisher(live, codec(live)) as publisher:
        for number, percent in enumerate([0.0005, 0.002, 0.003, 0.0001, 0.004]):
            publisher.publish(loss(number, percent), partition=0, position=Position("ticks", 0, 100 + number))
    variables = {
        "TIDEMILL_BROKERS": live.brokers,
        "TIDEMILL_TOPIC_PREFIX": live.topic_prefix,
        "TIDEMILL_GROUP": live.group,
    }
    told = tidemill(copy, "consume", "jump-alert", "--start", "earliest", "--count", "2", **variables)
    assert told.splitlines() == [
        "coinbase:ETH-USD JL=0.002000% above 0.001%, from ticks 0:101",
        "coinbase:ETH-USD JL=0.004000% above 0.001%, from ticks 0:104",
    ]


def test_the_example_is_listed_and_on_the_map(copy: Path) -> None:
    assert re.search(r"jump-alert +Warn when an expected jump loss", tidemill(copy, "consume", "--help"))
    assert "jump_alert.py" in tidemill(copy, "map", "--as", "markdown")
