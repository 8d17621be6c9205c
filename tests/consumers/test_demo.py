"""The demo in a process of its own, since a process opens one embedded database."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumers import demo_input
from infra.errors import UserError
from producers import simulator
from schemas import Clock, Tick
from tests import data
from tests.consumers.test_jumploss import SUBSCRIBED, now_ns, ticks, venue

ROOT = Path(__file__).parent.parent.parent


def recorded(path: Path, seconds: int) -> Path:
    start_ns = demo_input.SIMULATED_FROM_NS
    frames = simulator.frames(["ETH-USD"], start_ns, seed=3)
    kept = itertools.takewhile(lambda frame: frame[1] < start_ns + seconds * 1_000_000_000, frames)
    path.write_text("".join(f"{frame}\n" for frame, _ in kept if '"ticker"' in frame and "subscr" not in frame))
    return path


def demo(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"COLUMNS": "140"} | variables
    call = [sys.executable, "-m", "infra.cli", "demo", "--out", str(folder)]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_a_recording_becomes_a_summary_a_trail_and_a_page(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "day.jsonl", 120)
    told = demo(tmp_path / "out", DEMO_DATA=str(recording))
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    count = len(recording.read_text().splitlines())
    assert lines[0].startswith("Input: recording ")
    assert "day.jsonl" in lines[0]
    assert any(f"{count:,} in " in line for line in lines)
    trail = [line for line in lines if "←" in line]
    assert [line.split()[1] for line in trail] == ["emas", "buckets", "ticks", "line"]
    number = int(trail[-1].split()[2].replace(",", ""))
    sequence = recording.read_text().splitlines()[number - 1].partition('"sequence":')[2].partition(",")[0]
    assert f'"sequence": {sequence},' in trail[-1]
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<svg") == 4
    assert "src=" not in page
    assert "Where the last jump loss with a tick" in page


def test_a_recording_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    told = demo(tmp_path, DEMO_DATA=str(tmp_path / "none.jsonl"))
    assert told.returncode == 2
    assert "DEMO_DATA" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_wrong_recording_is_told_by_the_option_that_named_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--data: {tmp_path} is no file of recorded frames"):
        demo_input.choose(str(tmp_path))


def test_without_recording_and_network_the_simulator_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEMO_DATA", raising=False)
    monkeypatch.setattr(demo_input, "RECORDING", tmp_path / "none")
    monkeypatch.setattr(demo_input.Coinbase, "url", "wss://127.0.0.1:1")
    given = demo_input.choose()
    assert given.title.startswith("simulator")
    records = list(itertools.islice(given.records, 2_000))
    assert any(isinstance(record, Tick) for _, record in records)
    assert all((number == 0) == isinstance(record, Clock) for number, record in records)


def test_a_venue_that_answers_is_taken_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEMO_DATA", raising=False)
    monkeypatch.setattr(demo_input, "RECORDING", tmp_path / "none")
    monkeypatch.setattr(demo_input, "LIVE_S", 2.0)
    with venue([[SUBSCRIBED, *ticks(now_ns() - 1_000_000_000, 5)]]) as url:
        monkeypatch.setattr(demo_input.Coinbase, "url", url)
        given = demo_input.choose()
        records = list(given.records)
    assert given.title.startswith(f"live: {url}")
    sequences = [(number, record.sequence) for number, record in records if isinstance(record, Tick)]
    assert [given.frames[number].partition('"sequence":')[2].split(",")[0] for number, _ in sequences] == list("12345")
    assert [sequence for _, sequence in sequences] == [1, 2, 3, 4, 5]


def test_the_shared_recording_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEMO_DATA", raising=False)
    path = data.recording("coinbase/eth_usd_ticker_2025-11-25.jsonl.zst")
    monkeypatch.setattr(demo_input, "RECORDING", path)
    given = demo_input.choose()
    number, first = next(given.records)
    assert path.name in given.title
    assert first.event_ns >= demo_input.BEGIN_NS
    assert number >= 0
