"""Soak: some hundred simulated instruments through the local stack for minutes; memory flat, nothing lost, never late.

``python -m bench.soak`` starts a broker, the simulator's feed and a worker as their users would, and watches:

- resident memory of both processes, every few seconds after the first fifth of the time: its rise by a line of least
  squares over the rest, as a share of its mean;
- the time from a tick's writing by the feed to the consumption of the jump loss that it caused, clocks' records left
  out;
- afterwards, every derived topic against a replay of the raw one in process, digest by digest: what is lost, doubled,
  changed or out of order shows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
import numpy as np

from infra.broker import consumer_config, ensure_topics, full_name
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from processors.replay.replay import Replay
from processors.replay.sources.kafka import Reading
from processors.replay.tape import Tape
from processors.stage import stages
from processors.wiring import plan
from schemas.codec import Codec
from schemas.position import times_of

ROOT = Path(__file__).parent.parent
TOPIC = "jump_losses"
INSTRUMENTS, RATE, SECONDS = 400, 10.0, 600.0
P99_MS, RISE = 50.0, 0.05
SETTLING = 0.2  # share of the time before memory and latency count
SAMPLE_S = 2.0
QUIET_S = 20.0
CALM = 0.85  # the simulator's rate in calm that gives RATE on average: storms and bursts add to it


class Watch(NamedTuple):
    """What was seen of a process: seconds since the start, resident MiB."""

    name: str
    pid: int
    samples: list[tuple[float, float]]

    def sample(self, elapsed_s: float) -> None:
        """Look once."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.samples.append((elapsed_s, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))

    def rise(self, after_s: float) -> tuple[float, float]:
        """Mean MiB, and by which share of it the line through the samples rises from ``after_s`` to the end."""
        seconds, sizes = np.array([sample for sample in self.samples if sample[0] >= after_s]).T
        slope = np.polyfit(seconds, sizes, 1)[0]
        return float(sizes.mean()), float(slope * (seconds[-1] - seconds[0]) / sizes.mean())


class Reader(threading.Thread):
    """Consumes the derived topic and notes when each record of a tick came, and its age since the tick was written."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[int, int]] = []  # ns: consumed at, age
        self.newest_s = 0.0  # when a record last came, by the monotonic clock
        self.over = threading.Event()
        self._client = confluent_kafka.Consumer(consumer_config(settings, "soak", auto_offset_reset="earliest"))
        self._client.subscribe([full_name(settings, TOPIC)])

    def run(self) -> None:
        """Read until told to end."""
        while not self.over.is_set():
            message = self._client.poll(0.1)
            if message is None or message.error() is not None:
                continue
            now_ns, self.newest_s = time.time_ns(), time.monotonic()
            times = times_of(message.headers())  # type: ignore[arg-type]
            if times is not None and times.received_ns != times.exchange_ns:  # a clock's are the same
                self.samples.append((now_ns, now_ns - times.produced_ns))
        self._client.close()


def start(settings: Settings, *command: str) -> subprocess.Popen[bytes]:
    """A process of ours on the broker of the run."""
    given = {"TIDEMILL_BROKERS": settings.brokers, "TIDEMILL_LOG_LEVEL": "WARNING"}
    return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **given})


def run(settings: Settings, instruments: int, seconds: float) -> tuple[list[Watch], list[tuple[int, int]]]:
    """Feed and worker side by side; what was seen of them, and the reader's samples."""
    reader = Reader(settings)
    reader.start()
    worker = start(settings, "processors")
    feed = start(
        settings, "producers", "feed", "simulator", "--instruments", f"{instruments}", "--rate", f"{RATE * CALM}",
        "--seconds", f"{seconds}",
    )  # fmt: skip
    watches = [Watch("feed", feed.pid, []), Watch("worker", worker.pid, [])]
    began = time.monotonic()
    while feed.poll() is None:
        for watch in watches:
            watch.sample(time.monotonic() - began)
        time.sleep(SAMPLE_S)
    if feed.returncode:
        raise SystemExit(f"the feed ended with {feed.returncode}")
    ended = time.monotonic()
    while time.monotonic() - max(ended, reader.newest_s) < QUIET_S:  # until nothing more comes
        time.sleep(0.5)
    worker.terminate()
    worker.wait(30.0)
    reader.over.set()
    reader.join()
    return watches, reader.samples


def differences(settings: Settings) -> tuple[int, list[str]]:
    """Raw records, and the derived topics that are not what a replay of them gives."""
    chain = plan(stages())["ticks"]
    codec = Codec()
    live, replayed, raw = Tape(codec), Tape(codec), 0
    machine = Replay(chain)
    for piece in Reading(settings, codec, "ticks").runs():
        raw += len(piece.batch)
        for batch in machine.take(piece):
            replayed.add(batch)
    for topic in replayed.counts:
        for piece in Reading(settings, codec, topic).runs():
            live.add(piece.batch)
    found, wanted = live.digests(), replayed.digests()
    return raw, [
        f"{topic}: {live.counts.get(topic, 0)} live, {replayed.counts[topic]} replayed"
        for topic in wanted
        if found.get(topic) != wanted[topic]
    ]


def main(arguments: Sequence[str] | None = None) -> bool:
    """Run, print, and say whether the targets were reached."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    settling_s = SETTLING * options.seconds
    with tempfile.TemporaryDirectory(prefix="tidemill-soak-") as folder:
        broker = LocalKafka(Path(folder))
        broker.start()
        try:
            settings = load_settings(env_file=None, brokers=broker.address)
            ensure_topics(settings)
            watches, samples = run(settings, options.instruments, options.seconds)
            raw, wrong = differences(settings)
        finally:
            broker.stop()
    if not samples:
        raise SystemExit("nothing was derived")
    first_ns = samples[0][0] + int(settling_s * 1e9)
    ages = np.array([age for consumed, age in samples if consumed >= first_ns]) / 1e6
    p50, p99 = np.percentile(ages, (50, 99)).tolist()
    print(
        f"{options.instruments} instruments, {options.seconds:g} s: {raw / options.seconds:,.0f} raw records a second"
    )
    print(f"tick written to jump loss consumed: p50 {p50:.1f} ms, p99 {p99:.1f} ms (wanted {P99_MS:g}), {len(ages):,}")
    reached = p99 <= P99_MS and not wrong
    for watch in watches:
        mean, rise = watch.rise(settling_s)
        reached = reached and rise <= RISE
        print(
            f"{watch.name}: {mean:.0f} MiB, {100 * rise:+.1f} % over the last {100 * (1 - SETTLING):.0f} % of the time"
        )
    print("every derived topic equals its replay" if not wrong else "NOT its replay: " + "; ".join(wrong))
    print("reached" if reached else "MISSED")
    return bool(reached)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
