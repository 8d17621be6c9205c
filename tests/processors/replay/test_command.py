"""The command: what it prints, what it refuses, what it leaves behind."""

import itertools
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.archive import tables
from infra.errors import UserError
from processors.replay.command import replay
from processors.replay.sources import archive
from producers.frames import Recorder
from producers.playback import Entry
from producers.simulator import frames as simulated

APP = typer.Typer()
APP.command()(replay)


def call(*arguments: object) -> str:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "simulated.jsonl"
    with Recorder(path) as recorder:
        for frame, received_ns in itertools.islice(simulated(["ETH-USD"], 1_764_072_000_000_000_000), 800):
            recorder.keep(Entry(frame, received_ns))
    return path


def digests(output: str) -> list[str]:
    return [line for line in output.splitlines() if any(len(word) == 64 for word in line.split())]


def test_columns_events_and_another_run_give_the_same_digests(tape: Path) -> None:
    arguments = ("--from", "frames", "--file", tape, "--feed", "simulator", "--clock-ms", 100, "--digest")
    first = call(*arguments)
    assert len(digests(first)) >= 4
    assert digests(first) == digests(call(*arguments, "--events"))
    assert "ticks/s" in first


def test_out_keeps_what_a_replay_derived_and_it_can_be_read_again(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call("--from", "frames", "--file", tape, "--feed", "simulator", "--clock-ms", 100, "--stages", "buckets,emas",
         "--out", out)  # fmt: skip
    assert tables(out) == ["buckets", "emas"]
    assert sum(len(run.batch) for run in archive.runs(out, "emas")) > 100
    again = call("--from", "archive", "--file", out, "--stages", "jump_losses")
    assert "jump_losses" in again


def test_a_stretch_that_holds_nothing_is_said_to(tape: Path) -> None:
    stretch = ("--start", "2020-01-01", "--end", "2020-01-02")
    told = call("--from", "frames", "--file", tape, "--feed", "simulator", "--digest", *stretch)
    assert told.strip() == "nothing that these stages read was found there"


def test_a_pace_makes_it_take_its_time(tape: Path) -> None:
    output = call("--from", "frames", "--file", tape, "--feed", "simulator", "--stages", "gaps", "--speed", 200)
    assert 0.2 < float(output.split(" s: ")[0].split()[-1]) < 20


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--from", "frames"], "--file: --from frames needs the recording"),
        (["--from", "frames", "--file", "nowhere"], "--file: there is no nowhere"),
        (["--from", "archive", "--clock-ms", "5"], "--clock-ms: goes with --from frames only"),
        (["--from", "archive", "--offsets", "0:1-2"], "--offsets: goes with --from kafka only"),
        (["--from", "kafka", "--offsets", "0:5-2"], "--offsets: '0:5-2' is not"),
        (["--from", "kafka", "--speed", "-3"], "--speed: '-3' is neither"),
        (["--from", "kafka", "--speed", "nan"], "--speed: 'nan' is neither"),
        (["--from", "kafka", "--start", "noon"], "--start: 'noon' is no time"),
        (["--from", "kafka", "--start", "2", "--end", "1"], "--end: not after --start"),
        (["--from", "kafka", "--stages", "bucket"], "--stages: no stage 'bucket'"),
        (["--from", "kafka", "--into", "kafka"], "--into: 'kafka' is not history"),
        (["--from", "kafka", "--out", "/dev/null"], "--out: /dev/null is there"),
        (["--from", "kafka", "--feed", "x", "--file", "y"], "--file: goes with --from frames or archive"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint.replace("(", r"\(")):
        CliRunner().invoke(APP, arguments, catch_exceptions=False)
