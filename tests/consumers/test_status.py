"""What ``tidemill status`` says besides the topics: the last values of each instrument."""

import msgspec
import pytest

from consumers.status import TAIL, last_losses, loss_table, status
from infra.publisher import Publisher
from infra.settings import Settings
from schemas import JumpLoss
from schemas.codec import Codec
from tests.streams import NOON, SECOND


def loss(instrument: str, number: int) -> JumpLoss:
    return JumpLoss(
        instrument=instrument,
        event_ns=NOON + number * SECOND,
        fee_units=5_000,
        fee_percent=0.05,
        settlement_ms=9_600,
        mu_percent=0.002,
        jump_loss_percent=0.001,
        low_percent=0.0,
        high_percent=0.003,
        mu_low_percent=0.0,
        mu_high_percent=0.006,
        buckets=number,
        mid=3_000.0 + number,
        stale=False,
        feed_age_ms=0,
    )


def test_the_last_jump_loss_of_each_instrument_is_found_behind_many_others(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        for number in range(TAIL + 100):
            publisher.publish(loss("coinbase:ETH-USD", number), partition=1)
        publisher.publish(loss("coinbase:BTC-USD", 3), partition=1)
        publisher.publish_raw(JumpLoss.topic, b"junk", b"", 1)
    found = last_losses(live, Codec())
    assert [(each.instrument, each.buckets) for each in found] == [("coinbase:BTC-USD", 3), ("coinbase:ETH-USD", 599)]
    assert loss_table(found, NOON).row_count == 2


def test_status_prints_topics_and_last_values_for_programs(
    live: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Publisher(live, Codec()) as publisher:
        publisher.publish(loss("coinbase:ETH-USD", 7))
    for name in ("brokers", "topic_prefix", "group"):
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", getattr(live, name))
    status(json=True)
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["mid"] == 3_007.0
    assert {"topic": "ticks", "partitions": 4, "records": 0, "lag": None, "last_ns": None} in lines
