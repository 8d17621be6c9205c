"""Recorded frames replayed: the real day against its reference, a simulated one against the archive and its tape."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from consumers.archive import Archive
from processors.buckets import BucketOptions, Buckets
from processors.emas import EmaOptions, Emas
from processors.gaps import Gaps
from processors.jump_losses import JumpLosses
from processors.replay.replay import Replay
from processors.replay.sources import archive, frames
from processors.replay.sources.selecting import between
from processors.replay.tape import Tape
from processors.stage import stages
from producers.coinbase import Coinbase
from producers.frames import Connected, Recorder
from producers.playback import Entry
from producers.simulator import Simulator
from producers.simulator import frames as simulated
from schemas import Bucket, Clock, Ema, Gap, JumpLoss, Record, Tick
from tests.data import recording, reference
from tests.processors.replay.replays import replayed

DAY = "coinbase/eth_usd_ticker_2025-11-25.jsonl.zst"
BEGIN_NS = int(datetime(2025, 11, 25, 18, tzinfo=UTC).timestamp()) * 1_000_000_000
END_NS = BEGIN_NS + 44 * 60 * 1_000_000_000
WIDTH_NS = 160_000_000
CONVENTIONS = {"A_within_bucket_first_to_last": "first", "B_previous_close_to_last": "carry"}
TAPE = Path(__file__).parents[2] / "tapes" / "simulated_eth_btc_seed_7.json"


def derived(stages_: list[Any], runs: Any, options: dict[str, Any] | None = None) -> Iterator[Record]:
    for batch in Replay(stages_, options).over(runs):
        for table in batch.tables:
            yield from table.records(batch.keys)


@pytest.fixture(scope="module")
def real_window() -> list[Tick]:
    """The ticks of the reference's window."""
    runs = between(frames.runs(recording(DAY), Coinbase), BEGIN_NS, END_NS)
    ticks = [record for run in runs for _, record in run.records() if isinstance(record, Tick)]
    assert len(ticks) == reference("refs/jump_loss_on_real_eth_ticker.json")["messages"]
    return ticks


def convention_begins(convention: str, ticks: list[Tick]) -> int:
    """Index of the first tick that the reference counts.

    By convention B the first bucket, without a close before it, returns 0: as if it held its last tick only.
    """
    first = ticks[0].event_ns // WIDTH_NS
    inside = sum(1 for tick in ticks[:1_000] if tick.event_ns // WIDTH_NS == first)
    return inside - 1 if CONVENTIONS[convention] == "carry" else 0


@pytest.mark.parametrize("half_life_ms", [4_800, 2_400, 6_000])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_real_window_gives_the_reference(real_window: list[Tick], convention: str, half_life_ms: int) -> None:
    whole = reference("refs/jump_loss_on_real_eth_ticker.json")
    want = whole["conventions"][convention]
    options = {"buckets": BucketOptions(start=CONVENTIONS[convention]), "emas": EmaOptions(half_life_ms)}  # type: ignore[arg-type]
    ticks = real_window[convention_begins(convention, real_window) :]
    records: list[Record] = [*ticks, Clock(END_NS + 1_000_000_000)]
    made = list(derived([Buckets, Emas, JumpLosses], frames.runs_of(records), options))

    buckets = {(item.event_ns - BEGIN_NS) // WIDTH_NS: item.return_percent for item in made if isinstance(item, Bucket)}
    returns = [buckets.get(number, 0.0) for number in range(1, whole["buckets"] + 1)]
    nonzero = [(index, value) for index, value in enumerate(returns) if value]
    assert len(nonzero) == want["nonzero_buckets"]
    assert sum(returns) == pytest.approx(want["sum_r"], rel=1e-12)
    assert max(returns) == pytest.approx(want["max_r"], rel=1e-12)
    for (index, value), (index_wanted, value_wanted) in zip(nonzero, want["first_nonzero"], strict=False):
        assert (index, value) == (index_wanted, pytest.approx(value_wanted, rel=1e-12))

    reached = {(item.event_ns - BEGIN_NS) // WIDTH_NS: item.mu_percent for item in made if isinstance(item, Ema)}
    for count, mu in want["ema"][str(half_life_ms)]["mu_percent_after_n_buckets"].items():
        assert reached[int(count)] == pytest.approx(mu, rel=1e-12), count
    final = next(item for item in made if isinstance(item, JumpLoss) and item.event_ns == END_NS)
    want_loss = want["ema"][str(half_life_ms)]["jl_percent_final_fee_5000"]
    assert final.jump_loss_percent == pytest.approx(want_loss, rel=1e-12)


def test_the_ledger_of_the_real_day_holds_the_recorders_gaps_and_nothing_else() -> None:
    path = recording(DAY)
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    ids = sorted({json.loads(line)["trade_id"] for line in text.splitlines()})
    jumps = [(before + 1, after, after - before - 1) for before, after in itertools.pairwise(ids) if after > before + 1]
    assert len(jumps) == 24
    ledger = [item for item in derived([Gaps], frames.runs(path, Coinbase)) if isinstance(item, Gap)]
    assert [(gap.expected, gap.seen, gap.missed) for gap in ledger] == jumps


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a simulated market with a lost connection, junk and a repeated frame."""
    path = tmp_path_factory.mktemp("frames") / "simulated.jsonl.zst"
    with Recorder(path) as recorder:
        source = simulated(["ETH-USD", "BTC-USD"], 1_764_072_000_000_000_000, seed=7)
        for number, (frame, received_ns) in enumerate(itertools.islice(source, 4_000)):
            if number == 1_500:
                recorder.keep(Entry(Connected("disconnect"), received_ns))
            recorder.keep(Entry(frame, received_ns))
            if number in {700, 701, 2_000}:
                recorder.keep(Entry(frame if number == 2_000 else '{"type":"nonsense"}', received_ns))
    return path


def test_a_replay_of_frames_equals_one_of_their_archive(simulation: Path, tmp_path: Path) -> None:
    runs = list(frames.runs(simulation, Simulator, clock_ns=100_000_000, most=700))
    for run in runs:
        Archive(tmp_path).write([run.batch])
    stripped = [replace(run, letters=()) for run in runs]
    assert replayed(archive.runs(tmp_path, "ticks")) == replayed(stripped) == replayed(stripped, events=True)


def test_only_the_asked_stretch_is_replayed_from_frames_and_archive_alike(simulation: Path, tmp_path: Path) -> None:
    runs = list(frames.runs(simulation, Simulator, clock_ns=100_000_000))
    for run in runs:
        Archive(tmp_path).write([run.batch])
    begin_ns, end_ns = 1_764_072_060_000_000_000, 1_764_072_120_000_000_000
    want = replayed([replace(run, letters=()) for run in between(runs, begin_ns, end_ns)])
    assert (
        replayed(between(archive.runs(tmp_path, "ticks", None, archive.Selection(begin_ns, end_ns)), begin_ns, end_ns))
        == want
    )
    times = [row[1] for row in want["emas 0"]]
    assert times
    assert begin_ns < min(times)
    assert max(times) <= end_ns


@pytest.mark.parametrize("events", [False, True], ids=["columns", "events"])
def test_the_tape_has_not_changed(simulation: Path, events: bool) -> None:
    tape = Tape()
    for batch in Replay(stages(), events=events).over(frames.runs(simulation, Simulator, clock_ns=100_000_000)):
        tape.add(batch)
    found = {"records": dict(sorted(tape.counts.items())), "digests": tape.digests()}
    message = (
        f"what the stages derive has changed; if that is meant, put this into {TAPE}:\n{json.dumps(found, indent=1)}"
    )
    assert json.loads(TAPE.read_text()) == found, message
