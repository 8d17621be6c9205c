"""A run that was kept in the archive or the history, compared with a backtest of the market kept there too."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.archive import Archive
from consumers.backtest.comparison import DECISIONS
from consumers.backtest.makers import run
from consumers.backtest.markets import Recorded
from consumers.clickhouse import ClickHouse
from infra import cli
from infra.errors import UserError
from infra.settings import load_settings
from schemas import Book, Clock, Market, Record, Top, Trade
from tests.consumers.backtest.test_makers import END_NS, FILES, NAME, OPTIONS
from tests.data import recording
from tests.history import batch

MARKET = (Trade, Clock, Book, Top, Market)
SET = [
    "gamma=0.01", "horizon_s=10", "order_size=0.1", "inventory=0.5", "sigma_method=simple", "paper.maker_fee=0.0001",
    "intensities.every_ms=5000",
]  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> list[Record]:
    """The market of a run and what was decided on it."""
    records: list[Record] = []

    def keep(event: Record, made: list[Record]) -> None:
        if isinstance(event, MARKET):
            records.append(event)
        records.extend(record for record in made if isinstance(record, DECISIONS))

    files = tuple(recording(name) for name in FILES)
    run(Recorded("tables", files, NAME, end_ns=END_NS).records(), OPTIONS, keep)
    return records


def write(sink: Any, records: list[Record]) -> None:
    topics: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        topics[record.topic].append(record)
    for rows in topics.values():
        sink.write([batch(rows)])
    sink.close()


def compare(folder: Path, *arguments: str) -> Any:
    setting = [word for text in SET for word in ("--set", text)]
    given = {"TIDEMILL_DATA_DIR": str(folder)}
    return CliRunner().invoke(cli.app, ["backtest", "compare", NAME, *setting, "--json", *arguments], env=given)


def agrees(result: Any) -> None:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    lines = {line["name"]: line for line in found["lines"]}
    assert lines["fills"]["live"] > 10
    for line in lines.values():
        assert line["backtest"] == pytest.approx(line["live"], rel=1e-6, abs=1e-9), line["name"]
    assert found["agreement"]["mean gap of the bids, bps"] == pytest.approx(0.0, abs=1e-9)
    assert found["agreement"]["requests that are the same decision"] == 1.0
    assert found["agreement"]["fills with a partner"] == 1.0


def test_a_run_in_the_archive_is_what_its_market_gives_again(kept: list[Record], tmp_path: Path) -> None:
    write(Archive(tmp_path / "archive", 0), kept)
    agrees(compare(tmp_path))


def test_a_run_in_the_history_is_what_the_recorded_tables_give_again(kept: list[Record], tmp_path: Path) -> None:
    settings = load_settings(env_file=None, data_dir=tmp_path)
    write(ClickHouse(settings), [record for record in kept if isinstance(record, DECISIONS)])
    files = [str(recording(name)) for name in FILES]
    agrees(compare(tmp_path, *files, "--from", "tables", "--log", "history", "--end", str(END_NS)))


def test_where_there_is_no_run_that_is_said(tmp_path: Path) -> None:
    result = compare(tmp_path, "--log-folder", str(tmp_path))
    assert isinstance(result.exception, UserError)
    assert "no archive of decisions" in str(result.exception)


def test_other_settings_than_the_runs_are_told_of(kept: list[Record], tmp_path: Path) -> None:
    write(Archive(tmp_path / "archive", 0), kept)
    same, other = (json.loads(compare(tmp_path, *more).stdout) for more in ((), ("--set", "horizon_s=7")))
    assert same["configurations"]["live"] == same["configurations"]["backtest"] != other["configurations"]["backtest"]


def test_a_market_that_the_archive_has_not_is_refused(kept: list[Record], tmp_path: Path) -> None:
    write(Archive(tmp_path / "archive", 0), kept)
    arguments = ["backtest", "mm", f"{NAME}X", "--from", "archive"]
    result = CliRunner().invoke(cli.app, arguments, env={"TIDEMILL_DATA_DIR": str(tmp_path)})
    assert isinstance(result.exception, UserError)
    assert "nothing is recorded of" in str(result.exception)
