"""Back-filled records are replayed before the live ones of their instrument, into the same chain, each once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consumers.archive import Archive
from infra.archive_backfill import batch, keep, root_of
from infra.settings import Settings, load_settings
from processors.gaps import Gaps
from processors.replay.replay import Replay
from processors.replay.runs import Run, run_of
from processors.replay.sources import backfill
from processors.replay.sources.asked import Asked, recorded
from processors.replay.sources.progress import bar
from processors.wiring import plan
from schemas import Clock, Gap, Heartbeat, Record, Trade
from schemas.columns import Column, Keys

SECOND = 1_000_000_000
NOON = 1_764_072_000 * SECOND


def trade(number: int, instrument: str) -> Trade:
    moment = NOON + number * SECOND
    return Trade(instrument, moment, moment, 100.0, 1.0, "buy", number, number, number)


def kept(settings: Settings, instrument: str, numbers: Sequence[int], kind: str = "trades") -> None:
    """Back-fill some trades."""
    records = [trade(number, instrument) for number in numbers]
    columns: dict[str, Column] = {}
    for name in Trade.__struct_fields__:
        if name != "instrument":
            columns[name] = pl.Series([getattr(record, name) for record in records])
    columns = {name: value if name == "side" else np.asarray(value) for name, value in columns.items()}
    made = batch(Trade, instrument, kind, np.array(numbers), columns)
    keep(root_of(settings.data_dir, instrument, kind), made, "2025-11-25")


def live(settings: Settings, records: Sequence[Record], instrument: str) -> int:
    """Have the sink keep live records; the partition."""
    home = backfill.partition_of(instrument, 4)
    Archive(settings.data_dir / "archive").write([run_of(records, "ticks", home, 1_000, Keys()).batch])
    return home


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return load_settings(env_file=None, data_dir=tmp_path)


def runs(settings: Settings, **more: object) -> list[Run]:
    asked = Asked("archive", whole=True, **more)  # type: ignore[arg-type]
    with bar() as rate:
        return [run for step in recorded(asked, settings, plan([Gaps]), rate) for run in step.in_turn()]


def ids(found: Sequence[Run], instrument: str) -> list[int]:
    records = [record for run in found for _, record in run.records()]
    return [record.trade_id for record in records if isinstance(record, Trade) and record.instrument == instrument]


def test_back_filled_trades_come_up_to_the_first_live_id(own: Settings) -> None:
    kept(own, "x:A", range(100))
    kept(own, "y:B", range(40, 60))
    home = live(own, [Clock(NOON), *(trade(number, "x:A") for number in range(80, 120))], "x:A")
    found = runs(own)
    assert ids(found, "x:A") == list(range(120))
    assert ids(found, "y:B") == list(range(40, 60))
    assert {run.batch.partition for run in found if ids([run], "x:A")} == {home}
    assert {run.origin for run in found} == {
        ("ticks", home), ("history:x:A:trades", 0), ("history:y:B:trades", 0)
    }  # fmt: skip


def test_other_records_come_up_to_the_first_live_time(own: Settings) -> None:
    beats = np.arange(NOON, NOON + 10 * SECOND, SECOND)
    columns = {name: beats for name in Heartbeat.__struct_fields__ if name != "instrument"}
    keep(root_of(own.data_dir, "x:A", "beats"), batch(Heartbeat, "x:A", "beats", beats, columns), "2025-11-25")
    live(own, [Heartbeat("x:A", NOON + 4 * SECOND, NOON + 4 * SECOND, 0, 0)], "x:A")
    times = [record.event_ns for run in runs(own) for _, record in run.records()]
    assert times == [*beats[:4].tolist(), NOON + 4 * SECOND]


def test_of_single_and_aggregated_trades_the_single_ones_come(own: Settings) -> None:
    kept(own, "x:A", range(10), "agg_trades")
    kept(own, "x:A", range(100, 150))
    assert ids(runs(own), "x:A") == list(range(100, 150))


def test_a_hole_over_the_join_is_in_the_ledger_once_and_says_where_it_stems_from(own: Settings) -> None:
    kept(own, "x:A", [*range(50), *range(60, 70)])
    home = live(own, [trade(number, "x:A") for number in (75, 76)], "x:A")
    machine = Replay([Gaps])
    made = [
        (batch, row) for run in runs(own) for batch in machine.take(run) for row in batch.tables[0].records(batch.keys)
    ]
    gaps = [(row.expected, row.seen, batch.lineage.positions()[0][:3]) for batch, row in made if isinstance(row, Gap)]
    assert gaps == [(50, 60, ("history:x:A:trades", 0, 60)), (70, 75, ("ticks", home, 1_000))]


def test_a_symbol_or_a_stretch_is_asked_of_both(own: Settings) -> None:
    kept(own, "x:A", range(100))
    kept(own, "y:B", range(100))
    live(own, [trade(number, "x:A") for number in range(80, 120)], "x:A")
    assert ids(runs(own, symbols=("A",)), "y:B") == []
    found = runs(own, symbols=("x:A",), start_ns=NOON + 70 * SECOND, end_ns=NOON + 90 * SECOND)
    assert ids(found, "x:A") == list(range(70, 90))
