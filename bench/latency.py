"""Latency: a venue's websocket frame on loopback to its jump loss consumed, through feed, broker and worker.

Our worker and, in turns with it, a bare loop in its place: what the machine allows.

``python -m bench.latency`` plays ticker frames at a steady rate. A frame carries the time at which it was sent, which
the derived record's header carries on, so a sample is the consumer's clock less that, both this machine's. Only
records that a frame caused count, not those that a clock did.
"""

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import confluent_kafka
import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from infra.broker import consumer_config, ensure_topics, full_name
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from schemas.position import times_of

ROOT = Path(__file__).parent.parent
TOPIC = "jump_losses"
RATE, P50_MS, P99_MS = 2_000.0, 5.0, 25.0
PRODUCTS = [f"L{number:02}-USD" for number in range(10)]
# The same three stages in both, as in the race.
WORKERS = {
    "our worker": ["-m", "processors", "buckets", "emas", "jump_losses"],
    "a bare loop": ["-m", "bench.contestants.bare_events"],
}
STEP_S = 0.001  # between two rounds of frames
MICROSECOND = 1_000


class Venue:
    """Sends ticker frames at a rate and remembers when."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.sent: set[int] = set()  # ns since the epoch, whole microseconds
        self._rate, self._seconds = rate, seconds

    async def serve(self, told: Connection) -> None:
        """Play to whoever connects; tell the port, when the first frame has gone, and at last when each had."""
        async with serve(self.play, "127.0.0.1", 0, compression=None) as server:
            told.send(server.sockets[0].getsockname()[1])
            while not self.sent:
                await asyncio.sleep(0.05)
            told.send(None)
            await asyncio.sleep(self._seconds + 1.0)
        told.send(self.sent)

    async def play(self, connection: ServerConnection) -> None:
        """Serve one connection."""
        await connection.recv()
        began, number = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < self._seconds:
            while number < elapsed * self._rate:
                number += 1
                await connection.send(self._frame(number))
            await asyncio.sleep(STEP_S)
        await connection.wait_closed()

    def _frame(self, number: int) -> str:
        sent_ns = time.time_ns() // MICROSECOND * MICROSECOND
        self.sent.add(sent_ns)
        moment = datetime.fromtimestamp(sent_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        price = 100.0 + number % 7 / 100
        return json.dumps(
            {
                "type": "ticker",
                "sequence": number,
                "product_id": PRODUCTS[number % len(PRODUCTS)],
                "price": f"{price:.2f}",
                "best_bid": f"{price - 0.01:.2f}",
                "best_bid_size": "1.0",
                "best_ask": f"{price:.2f}",
                "best_ask_size": "1.0",
                "side": "buy",
                "time": f"{moment}.{sent_ns % 1_000_000_000 // MICROSECOND:06}Z",
                "trade_id": 1 + number // len(PRODUCTS),
                "last_size": "0.1",
            }
        )


class Reader(threading.Thread):
    """Consumes the derived topic and notes the age of each record's cause."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[int, int]] = []  # time sent, latency; ns
        self.over = threading.Event()
        self._client = confluent_kafka.Consumer(consumer_config(settings, "latency", auto_offset_reset="earliest"))
        self._client.subscribe([full_name(settings, TOPIC)])

    def run(self) -> None:
        """Read until told to end."""
        while not self.over.is_set():
            for message in self._client.consume(1, 0.1) or ():
                now_ns = time.time_ns()
                times = times_of(message.headers()) if message.error() is None else None  # type: ignore[arg-type]
                if times is not None:
                    self.samples.append((times.exchange_ns, now_ns - times.exchange_ns))
        self._client.close()


@contextmanager
def pipeline(settings: Settings, url: str, worker: list[str]) -> Iterator[None]:
    """A worker, by its arguments to Python, and a feed on the venue."""
    given = {"TIDEMILL_BROKERS": settings.brokers, "TIDEMILL_LOG_LEVEL": "WARNING"}
    commands = [worker, ["-m", "producers", "feed", "coinbase", *PRODUCTS, "--url", url]]
    running = [
        subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, **given}) for command in commands
    ]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30.0)


def venue(told: Connection, rate: float, seconds: float) -> None:
    """A venue's process: in the reader's, the two would wait for each other's interpreter, which counts as latency."""
    asyncio.run(Venue(rate, seconds).serve(told))


def measure(settings: Settings, worker: list[str], rate: float, seconds: float, settling_s: float) -> np.ndarray:
    """Latencies in ms of what was sent after ``settling_s``."""
    reader = Reader(settings)
    reader.start()
    heard, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=venue, args=(told, rate, seconds))
    process.start()
    with pipeline(settings, f"ws://127.0.0.1:{heard.recv()}", worker):
        heard.recv()
        sent: set[int] = heard.recv()
    process.join()
    reader.over.set()
    reader.join()
    start_ns = min(sent) + int(settling_s * 1e9)
    return np.array([age for moment, age in reader.samples if moment in sent and moment > start_ns]) / 1e6


def percentiles(worker: str, rate: float, seconds: float, settling_s: float) -> tuple[float, float, float]:
    """The 50th, 90th and 99th percentile of a worker's latency in ms, on a broker of its own."""
    with tempfile.TemporaryDirectory(prefix="tidemill-latency-") as folder:
        broker = LocalKafka(Path(folder))
        broker.start()
        try:
            settings = load_settings(env_file=None, brokers=broker.address)
            ensure_topics(settings)
            found = measure(settings, WORKERS[worker], rate, seconds, settling_s)
        finally:
            broker.stop()
    if not len(found):
        raise SystemExit(f"{worker} gave nothing")
    p50, p90, p99 = np.percentile(found, (50, 90, 99)).tolist()
    return p50, p90, p99


def main(rate: float = RATE, seconds: float = 40.0, settling_s: float = 30.0, runs: int = 3) -> bool:
    """Measure frame sent to jump loss consumed; the broker's compiler takes the first half minute to settle."""
    found: dict[str, list[tuple[float, float, float]]] = {worker: [] for worker in WORKERS}
    for _ in range(runs):
        for worker in WORKERS:
            found[worker].append(percentiles(worker, rate, seconds, settling_s))
            p50, p90, p99 = found[worker][-1]
            print(f"{worker}, {rate:g} frames/s: p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms", flush=True)
    ours, bare = (np.median(rows, axis=0) for rows in found.values())
    print("medians, ours / bare loop: p50 {:.2f}, p90 {:.2f}, p99 {:.2f}".format(*ours / bare))
    reached = ours[0] <= P50_MS and ours[2] <= P99_MS
    print(f"wanted: p50 {P50_MS:g} ms, p99 {P99_MS:g} ms: {'reached' if reached else 'MISSED'}")
    return bool(reached)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
