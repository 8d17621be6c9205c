"""What fifty requests for price paths at once cost: all answered, how long each waited, how much memory it took.

``tidemill synth serve`` runs in a process of its own, on a state made here. Idle is its resident memory after three
answers, when what is compiled or cached has been; under load it is looked at every few milliseconds.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from bench.race import ROOT
from consumers.synth.state import MINUTE_NS, save
from consumers.synth.tracking import Tracking
from processors.online.synth_assets import ASSETS
from processors.online.synth_response import Prompt, error_of
from schemas import Bar

AT_ONCE = 50
MOST_MIB = 50.0
BTC = ASSETS["BTC"]


def main(runs: int) -> bool:
    """Print what was seen; whether all were answered within the memory allowed."""
    print(f"\nsynth serve, {AT_ONCE} requests at once{'run':>24}{'p50 ms':>10}{'p99 ms':>10}{'MiB':>8}")
    reached = True
    with tempfile.TemporaryDirectory() as folder:
        _state(Path(folder))
        command = [sys.executable, "-m", "infra.cli", "synth", "serve", "--state-dir", folder, "--port", "0"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                (url,) = re.findall(r"http://\S+", process.stdout.readline())
                asyncio.run(_ask(url, 3))
                idle = _resident_mib(process.pid)
                for run in range(1, runs + 1):
                    waits, most = asyncio.run(_loaded(url, process.pid))
                    reached &= most - idle <= MOST_MIB
                    p99 = statistics.quantiles(waits, n=100, method="inclusive")[98]
                    figures = f"{1_000 * statistics.median(waits):10.0f}{1_000 * p99:10.0f}{most - idle:8.1f}"
                    print(f"{'all answered, as the validator wants them':46}{run:8}{figures}")
            finally:
                process.kill()
    return reached


def _state(folder: Path) -> None:
    """Leave a warm state of now."""
    last = time.time_ns() // MINUTE_NS
    closes = 60_000.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 5e-4, 4_400)))
    tracking = Tracking(BTC)
    tracking.take([
        Bar(BTC.source, (last - 4_399 + place) * MINUTE_NS, (last - 4_399 + place) * MINUTE_NS, 60_000,
            price, price, price, price, 1.0, 0.0, 0, 0.0)
        for place, price in enumerate(closes.tolist())
    ])  # fmt: skip
    save(folder, tracking.kept())


async def _ask(url: str, count: int) -> list[float]:
    """Ask at once, for different starts; the seconds that each waited."""
    begin_s = int(time.time()) // 60 * 60 + 240
    async with httpx2.AsyncClient(timeout=120.0, limits=httpx2.Limits(max_connections=count)) as client:

        async def one(number: int) -> tuple[float, bytes, Prompt]:
            asked = Prompt("BTC", begin_s + 60 * number, 300, 86_400, 1_000)
            fields = {
                "asset": asked.asset, "start_time": datetime.fromtimestamp(asked.start_s, UTC).isoformat(),
                "time_increment": 300, "time_length": 86_400, "num_simulations": asked.paths,
            }  # fmt: skip
            began = time.perf_counter()
            found = await client.post(url, content=json.dumps({"simulation_input": fields}))
            waited = time.perf_counter() - began
            assert found.status_code == 200, found.text[:200]
            return waited, found.content, asked

        answers = await asyncio.gather(*(one(number) for number in range(count)))
    for _, content, asked in answers:
        given: Any = json.loads(content)
        assert error_of(given, asked) is None
    return [waited for waited, _, _ in answers]


async def _loaded(url: str, pid: int) -> tuple[list[float], float]:
    """The waits of a load, and the most memory seen while it was there."""
    most = 0.0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, _resident_mib(pid))
            await asyncio.sleep(0.005)

    looking = asyncio.create_task(look())
    waits = await _ask(url, AT_ONCE)
    looking.cancel()
    return waits, most


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1_024


if __name__ == "__main__":
    sys.exit(0 if main(3) else 1)
