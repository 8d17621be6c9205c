"""What ``tidemill status`` says besides the topics: the last values of each instrument."""

import io

import msgspec
import pytest
from rich.console import Console

from consumers.status import TAIL, last, loss_table, quote_table, status
from infra.publisher import Publisher
from infra.settings import Settings
from schemas import Equity, JumpLoss, Quote
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
    found = last(live, Codec(), JumpLoss)
    assert {name: each.buckets for name, each in found.items()} == {"coinbase:BTC-USD": 3, "coinbase:ETH-USD": 599}
    assert loss_table(found.values(), NOON).row_count == 2


def quote(reason: str = "") -> Quote:
    price = 0.0 if reason else 3_000.0
    return Quote(
        instrument="extended:ETH-USD", event_ns=NOON, strategy="market_maker", sequence=1, configuration="c",
        quoting=not reason, reason=reason, mid=price, reservation=price, half_spread=0.5, bid=price, bid_size=0.25,
        ask=0.0, ask_size=0.0, inventory=-0.5, sigma=1.0, kappa=2.0, gamma=0.1, horizon_s=60.0, book_ns=NOON,
        book_sequence=1, sigma_ns=NOON, kappa_ns=NOON,
    )  # fmt: skip


def test_an_executors_quotes_stand_beside_what_it_holds_and_has_made() -> None:
    earned = Equity("extended:ETH-USD", NOON, "paper", 2.0, 0.0, 0.5, 0.0, 1.5, 0.0)
    table = quote_table([quote(), quote("book stale")], {"extended:ETH-USD": earned}, NOON + SECOND)
    rows = [list(column.cells) for column in table.columns]
    assert rows[2] == ["3000 × 0.25", "–"]
    assert rows[4] == ["", "book stale"]
    assert rows[5:] == [["-0.5", "-0.5"], ["1.50", "1.50"], ["1.0 s ago", "1.0 s ago"]]
    assert list(quote_table([quote()], {}, NOON).columns[6].cells) == ["unknown"]


def test_instruments_keep_their_whole_names_on_a_narrow_terminal() -> None:
    console = Console(width=80, file=io.StringIO())
    for table in (loss_table([loss("extended:ETH-USD", 1)], NOON), quote_table([quote("book stale")], {}, NOON)):
        with console.capture() as shown:
            console.print(table)
        assert "extended:ETH-USD" in shown.get()


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
