"""The history's answers, held against the records that were written."""

from collections import Counter
from collections.abc import Iterator

import pytest

from consumers import history
from consumers.clickhouse import ClickHouse
from infra.settings import load_settings
from schemas import RECORDS, Bucket, Calibration, Gap, JumpLoss, Record
from tests.derived import batches
from tests.streams import raw


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClickHouse, list[Record]]]:
    """A history that was written twice, and the records that were written."""
    given = batches(raw(21, 5_000))
    sink = ClickHouse(load_settings(env_file=None, data_dir=tmp_path_factory.mktemp("history")))
    sink.write(given)
    sink.write(given)
    yield sink, [record for batch in given for table in batch.tables for record in table.records(batch.keys)]
    sink.close()


Kept = tuple[ClickHouse, list[Record]]


def of(kept: Kept, kind: type[Record]) -> list[Record]:
    return [record for record in kept[1] if type(record) is kind]


def test_counts_are_of_distinct_records(kept: Kept) -> None:
    written = Counter(record.table for record in kept[1])
    assert history.counts(kept[0].client) == {table: written[table] for table in RECORDS}


def test_last_values_are_each_instruments_newest(kept: Kept) -> None:
    newest = {loss.key: loss for loss in of(kept, JumpLoss)}  # the stream is in order of event time for each key
    found = {row["instrument"]: row for row in history.last_values(kept[0].client).to_dicts()}
    assert found.keys() == newest.keys() == {"x:a", "x:b", "x:c"}
    for key, row in found.items():
        assert all(value == getattr(newest[key], name) for name, value in row.items())


def test_coverage_counts_the_buckets_that_got_no_record(kept: Kept) -> None:
    buckets = of(kept, Bucket)
    for row in history.coverage(kept[0].client).to_dicts():
        own = [bucket for bucket in buckets if bucket.key == row["instrument"]]
        due = len(own) + sum(bucket.missed for bucket in own)
        assert row["buckets"] == due
        assert row["covered"] == pytest.approx(sum(not bucket.stale for bucket in own) / due)
        assert row["ticks"] == sum(bucket.ticks for bucket in own)
        assert row["largest_percent"] == max(bucket.return_percent for bucket in own)


def test_gaps_add_up_to_the_ledger(kept: Kept) -> None:
    ledger = of(kept, Gap)
    found = history.gaps(kept[0].client)
    assert {(row["instrument"], row["cause"]): row["gaps"] for row in found.to_dicts()} == Counter(
        (gap.instrument, gap.cause) for gap in ledger
    )
    assert found["trades"].sum() == sum(gap.missed for gap in ledger)
    assert found["opened"].sum() == sum(gap.to_ns == 0 for gap in ledger)


def test_calibration_leaves_stale_windows_out(kept: Kept) -> None:
    windows = [window for window in of(kept, Calibration) if not window.stale]
    found = history.calibration(kept[0].client)
    assert found["windows"].sum() == len(windows) < len(of(kept, Calibration))
    for row in found.to_dicts():
        own = [window for window in windows if window.key == row["instrument"]]
        assert row["realised"] == pytest.approx(sum(window.realised_percent for window in own) / len(own))
        assert row["above"] == pytest.approx(sum(w.realised_percent > w.high_percent for w in own) / len(own))


def test_refusals_are_put_together_by_reason(kept: Kept) -> None:
    written = sum(record.table == "dead_letters" for record in kept[1])
    [row] = history.refusals(kept[0].client).to_dicts()
    assert (row["source"], row["by"], row["letters"]) == ("ticks", "buckets", written)
    assert row["why"] == "late by N ms: event_ns N is before N"
