"""Putting files together changes nothing of what is read, wherever it is cut off and whatever goes on meanwhile."""

import contextlib
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from infra import archive
from infra.archive_compaction import compact
from infra.archive_file import LARGEST, File, Wanted
from infra.archive_rows import listing, rows
from infra.errors import UserError
from schemas import Connect, Heartbeat
from schemas.batch import LINEAGE

DAY = archive.DAY_NS


def beats(offsets: Any, keys: int = 5, day: int = 0, causes: Any = None) -> pl.DataFrame:
    """Heartbeats of several instruments at some offsets."""
    numbers = np.asarray(offsets, np.int64)
    values: dict[str, Any] = dict.fromkeys(Heartbeat.__struct_fields__, numbers)
    values["instrument"] = pl.Series([f"x:{number * number % keys}" for number in numbers.tolist()])
    values["event_ns"] = numbers * 10**6 + day * DAY
    lineage: dict[str, Any] = {name: np.zeros(len(numbers), np.int64) for name in LINEAGE}
    cause = numbers if causes is None else np.asarray(causes, np.int64)
    lineage |= {"_offset": numbers, "_cause_offset": cause, "_cause_topic": pl.Series(["ticks"] * len(numbers))}
    return pl.DataFrame(values | {"_partition": np.zeros(len(numbers), np.int64)} | lineage)


def keep(root: Path, rows: pl.DataFrame, date: str = "1970-01-01", partition: int = 0) -> Path:
    return archive.write(root, "heartbeats", partition, date, rows)


def fill(root: Path, seed: int, count: int = 400, **more: Any) -> pl.DataFrame:
    """Batches of random sizes, some again and cut elsewhere; all rows, each once."""
    chance, first = random.Random(seed), 0
    while first < count:
        last = min(first + chance.randint(1, 60), count)
        keep(root, beats(range(first, last), **more))
        first = max(0, first - chance.randint(0, 40)) if chance.random() < 0.4 and last < count else last
    return beats(range(count), **more)


def read(root: Path, partition: int = 0, **more: Any) -> pl.DataFrame:
    wanted = Wanted("heartbeats", frozenset({*Heartbeat.__struct_fields__, "_partition", *LINEAGE}), **more)
    found = list(rows(listing(root, wanted, partition), wanted))
    return pl.concat(found).select(beats([0]).columns) if found else beats([])


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("heartbeats/**/*.parquet"))


def together(root: Path, today: str = "1970-01-02") -> list[Any]:
    return list(compact(root, today))


@pytest.mark.parametrize("seed", range(5))
def test_a_day_that_is_over_lies_by_key_and_reads_as_before(tmp_path: Path, seed: int) -> None:
    want = fill(tmp_path, seed)
    assert read(tmp_path).equals(want)
    (done,) = together(tmp_path)
    assert (done.before, done.after, done.rows) == (done.before, 3, 400)
    assert [name.split("/")[2] for name in names(tmp_path)] == ["key=x%3A0", "key=x%3A1", "key=x%3A4"]
    assert read(tmp_path).equals(want)
    assert pl.read_parquet(tmp_path / "heartbeats").sort("_offset").select(want.columns).equals(want)
    assert together(tmp_path) == []


def test_a_day_still_going_on_keeps_its_keys_together_in_fewer_files(tmp_path: Path) -> None:
    for first in range(0, 400, 10):
        keep(tmp_path, beats(range(first, first + 10)))
    together(tmp_path, today="1970-01-01")
    assert names(tmp_path) == ["heartbeats/date=1970-01-01/0-0-399.parquet"]
    keep(tmp_path, beats(range(400, 410)))
    assert together(tmp_path, today="1970-01-01") == []
    together(tmp_path)
    assert read(tmp_path).equals(beats(range(410)))


def test_rows_that_come_after_a_day_was_put_together_join_it(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(100)))
    together(tmp_path)
    keep(tmp_path, beats(range(90, 120)))
    assert read(tmp_path).equals(beats(range(120)))
    together(tmp_path)
    assert read(tmp_path).equals(beats(range(120)))
    assert len(names(tmp_path)) == 3


def test_a_row_that_its_writer_repeated_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(100), causes=[*range(80), *range(60, 80)]))
    together(tmp_path)
    assert sorted(read(tmp_path)["_cause_offset"]) == list(range(80))


def test_one_key_is_read_from_its_files_alone(tmp_path: Path) -> None:
    want = fill(tmp_path, 1)
    one = want.filter(want["instrument"] == "x:4")
    for wanted in ({"x:4"}, {"4"}):
        assert read(tmp_path, names=frozenset(wanted)).equals(one)
    together(tmp_path)
    for name in names(tmp_path):
        if "x%3A4" not in name:
            (tmp_path / name).write_bytes(b"junk")
    assert read(tmp_path, names=frozenset({"x:4"})).equals(one)


class Killed(BaseException):
    pass


def dying(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Die at the so manyth step that changes a disk; gives what counts them."""
    steps = 0

    def wrapped(function: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed
            return function(*arguments, **more)

        return call

    for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "mkdir"), (os, "fsync")):
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))
    return lambda: steps


@pytest.mark.parametrize("again", [False, True], ids=["fresh", "with a day put together before"])
def test_killed_at_any_step_every_row_is_there_once_and_another_go_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    at, over = 0, False
    while not over:
        at += 1
        root = tmp_path / str(at)
        want = fill(root, 7, 120)
        if again:
            together(root)
            keep(root, beats(range(100, 150)))
            want = beats(range(150))
        with monkeypatch.context() as patched:
            steps = dying(patched, at)
            with contextlib.suppress(Killed):
                together(root)
            over = steps() < at
        assert read(root).equals(want), at
        together(root)
        assert read(root).equals(want), at
        assert len(names(root)) == 3
        assert not list(root.rglob("*.part"))
    assert at > 15


def test_a_sink_and_readers_go_on_meanwhile(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(50)))
    over, done = threading.Event(), 50

    def compacting() -> None:
        day = 0
        while not over.is_set():
            day += 1
            together(tmp_path, "1970-01-02" if day % 2 else "1970-01-01")

    thread = threading.Thread(target=compacting)
    thread.start()
    try:
        for first in range(50, 3_000, 50):
            keep(tmp_path, beats(range(first, first + 50)))
            done = first + 50
            found = read(tmp_path)
            assert found["_offset"].to_list() == list(range(done))
        assert thread.is_alive()
    finally:
        over.set()
        thread.join()
    assert read(tmp_path).equals(beats(range(done)))


def test_of_two_compactions_the_second_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    first = compact(tmp_path, "1970-01-02")
    next(first)
    with pytest.raises(UserError, match="another compaction is at work"):
        together(tmp_path)
    del first  # lets go of the lock
    assert together(tmp_path) == []


def test_one_that_is_to_stop_leaves_all_as_it_was(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    before = names(tmp_path)
    asked = iter([False, *[True] * 1_000])
    assert list(compact(tmp_path, "1970-01-02", lambda: next(asked))) == []
    assert names(tmp_path) == before


def test_files_of_an_older_schema_get_its_new_fields_defaults(tmp_path: Path) -> None:
    def connects(first: int, last: int) -> pl.DataFrame:
        numbers = pl.Series(range(first, last), dtype=pl.Int64)
        fields: dict[str, Any] = {name: numbers for name in Connect.__struct_fields__ if name.endswith(("_ns", "_ms"))}
        text = {name: pl.repeat("x:1", len(numbers), eager=True) for name in ("instrument", "feed", "cause")}
        lineage = beats(range(first, last)).select("_partition", *LINEAGE)
        return pl.DataFrame({name: (text | fields)[name] for name in Connect.__struct_fields__}).hstack(lineage)

    archive.write(tmp_path, "connects", 0, "1970-01-01", connects(0, 10).drop("quiet_ms"))
    archive.write(tmp_path, "connects", 0, "1970-01-01", connects(10, 20))
    wanted = Wanted("connects", frozenset({"quiet_ms", "_offset"}))
    want = [0] * 10 + list(range(10, 20))

    def quiet() -> list[int]:
        return pl.concat(list(rows(listing(tmp_path, wanted, 0), wanted)))["quiet_ms"].to_list()

    assert quiet() == want
    together(tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert quiet() == want


def test_files_of_a_newer_schema_are_not_robbed_of_a_field(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(10)).with_columns(pl.lit(1).alias("later")))
    with pytest.raises(UserError, match="column later is not known"):
        together(tmp_path)


def test_what_a_crash_left_unfinished_goes_when_it_is_old(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(10)))
    left, young = (tmp_path / ".writing" / f"heartbeats.1970-01-01.{name}.part" for name in ("0-10-20", "0-20-30"))
    for part in (left, young):
        part.write_bytes(b"half")
    os.utime(left, (0, 0))
    together(tmp_path)
    assert not left.exists()
    assert young.exists()


def test_a_row_group_holds_the_rows_of_its_stretch_alone(tmp_path: Path) -> None:
    keep(tmp_path, beats(range(40_000), keys=2))
    together(tmp_path)
    found = read(tmp_path, start_ns=30_000 * 10**6, end_ns=31_000 * 10**6)
    assert set(range(30_000, 31_000)) <= set(found["_offset"]) < set(range(40_000))
    some = read(tmp_path, after=29_999, until=30_000)["_offset"].to_list()
    assert {30_000} <= set(some)
    assert len(some) < 20_000


def test_what_lies_aside_is_no_table(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    together(tmp_path)
    assert archive.tables(tmp_path) == ["heartbeats"]


@pytest.mark.parametrize(("held", "span"), [(64, 1 << 18), (64, 37), (1 << 17, 1)])
def test_files_of_many_row_groups_read_as_one_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, span: int
) -> None:
    for name, value in {"archive_compaction.GROUP": 16, "archive_compaction.PENDING": 64}.items():
        monkeypatch.setattr(f"infra.{name}", value)
    for name, value in {"archive_rows.HELD": held, "archive_rows.SPAN": span, "archive_rows.ROWS": 50}.items():
        monkeypatch.setattr(f"infra.{name}", value)
    want = fill(tmp_path, 1, count=2_000)
    together(tmp_path)
    assert read(tmp_path).equals(want)


def test_a_row_group_is_read_with_the_short_one_after_it_and_no_more(tmp_path: Path) -> None:
    path = keep(tmp_path, beats(range(100), keys=1))
    pl.read_parquet(path).write_parquet(path, row_group_size=24)  # four, and four rows more
    (piece,) = archive.pieces(tmp_path, "heartbeats")
    file = File(piece, Wanted("heartbeats", frozenset({"_offset", "event_ns"})), -1)
    held = []
    while file.fill(1):
        held.append(file.held)
        file.take(LARGEST)
    assert held == [24, 24, 24, 28]
