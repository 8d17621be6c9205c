"""A real hour through parser, Kafka, Faust, ClickHouse and the command line equals what was worked independently."""

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from infra.clickhouse import connect, query
from infra.settings import Settings
from tests.data import ROOT, recording, reference
from tests.live import Process, Workers, sink_lag, wait_for
from tests.waiting import until

DAY = "coinbase/eth_usd_ticker_2025-11-25.jsonl.zst"
BEGIN, END = "2025-11-25T18:00", "2025-11-25T18:44:01"
BEGIN_NS, WIDTH_NS = 1_764_093_600_000_000_000, 160_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def window() -> list[bytes]:
    """The frames of the reference's window and a second more.

    The reference takes the last close before a bucket as its start and gives the first bucket, which has none before
    it, no return; a stream that begins with that bucket's last tick says the same.
    """
    with recording(DAY).open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read().splitlines()
    inside = [line for line in lines if BEGIN <= json.loads(line)["time"] < END]
    buckets = [bucket(line) for line in inside[:1_000]]
    return inside[buckets.count(buckets[0]) - 1 :]


def bucket(line: bytes) -> int:
    """The number of the bucket that a frame's time falls in."""
    moment = datetime.fromisoformat(json.loads(line)["time"])
    return (moment - EPOCH) // timedelta(milliseconds=160)


def tidemill(settings: Settings, *arguments: str) -> str:
    """What a command prints."""
    given = {f"TIDEMILL_{name.upper()}": str(getattr(settings, name)) for name in ("brokers", "topic_prefix", "group")}
    command = [sys.executable, "-m", "infra.cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.real_broker
def test_the_live_run_over_a_real_hour_gives_the_reference(live: Settings, tmp_path: Path) -> None:
    want = reference("refs/jump_loss_on_real_eth_ticker.json")["conventions"]["B_previous_close_to_last"]
    frames = tmp_path / "window.jsonl.gz"
    frames.write_bytes(gzip.compress(b"\n".join(window()) + b"\n"))
    live.data_dir.mkdir(parents=True, exist_ok=True)
    with Process(live, "sink", "clickhouse") as sink:
        with Workers(live, tmp_path) as workers:
            workers.start("a")
            tidemill(live, "feed", "coinbase", "--recording", str(frames), "--no-clock")
            wait_for(live, workers)
        until(lambda: sink_lag(live) == 0, every_s=0.5)
        sink.stop()

    client = connect(live)
    rows = query(client, "SELECT event_ns, return_percent FROM buckets FINAL WHERE return_percent > 0").rows()
    mus = dict(query(client, "SELECT event_ns, mu_percent FROM emas FINAL").rows())
    losses = query(client, "SELECT event_ns, jump_loss_percent FROM jump_losses FINAL ORDER BY event_ns").rows()
    client.close()
    end_ns = BEGIN_NS + 16_500 * WIDTH_NS
    returns = [value for event_ns, value in rows if event_ns <= end_ns]
    assert len(returns) == want["nonzero_buckets"]
    assert sum(returns) == pytest.approx(want["sum_r"], rel=1e-12)
    for count, mu in want["ema"]["4800"]["mu_percent_after_n_buckets"].items():
        assert mus[BEGIN_NS + int(count) * WIDTH_NS] == pytest.approx(mu, rel=1e-12), count
    assert dict(losses)[end_ns] == pytest.approx(want["ema"]["4800"]["jl_percent_final_fee_5000"], rel=1e-12)
    shown = json.loads(tidemill(live, "status", "--json").splitlines()[-1])
    assert (shown["event_ns"], shown["jump_loss_percent"]) == losses[-1]
