"""A feed and a broker: what a venue sends stands in the log, clocks in every partition, whatever ends the process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from infra import registry
from infra.broker import consumer_config, full_name, partitions
from infra.publisher import Publisher
from infra.settings import Settings
from producers import frames
from producers.backoff import Backoff
from producers.coinbase import Coinbase
from producers.playback import Entry
from producers.publishing import Outlet
from producers.transport import Transport
from schemas import Clock, Connect, Record, Tick
from schemas.codec import Codec
from tests.live import bounds
from tests.loopback import Action, Drop, Loopback
from tests.producers import venue
from tests.producers.test_transport import ticker
from tests.waiting import PATIENCE_S, until, until_true

ROOT = Path(__file__).resolve().parents[2]


def logged(settings: Settings, topic: str) -> list[list[Record]]:
    """Every record of a topic, by partition."""
    consumer = Consumer(consumer_config(settings, f"{settings.group}-check"))
    codec, name = Codec(), full_name(settings, topic)
    found: list[list[Record]] = []
    for partition in range(partitions(settings, topic)):
        low, high = bounds(consumer, TopicPartition(name, partition))
        consumer.assign([TopicPartition(name, partition, low)])
        found.append([])
        end = time.monotonic() + PATIENCE_S
        while len(found[-1]) < high - low:
            assert time.monotonic() < end, f"{len(found[-1])} of {high - low} records read"
            message = consumer.poll(1.0)
            if message is not None:
                assert message.error() is None, message.error()
                found[-1].append(codec.decode(message.value()))
    consumer.close()
    return found


def command(settings: Settings, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    environment = os.environ | {
        "TIDEMILL_BROKERS": settings.brokers,
        "TIDEMILL_TOPIC_PREFIX": settings.topic_prefix,
        "PYTHONPATH": str(ROOT),
    }
    run = [sys.executable, "-m", "producers", *arguments]
    pipe = subprocess.PIPE
    running = subprocess.Popen(run, cwd=settings.data_dir, env=environment, stdout=pipe, stderr=pipe, text=True)
    if wait:
        running.wait(PATIENCE_S)
    return running


def test_a_live_feed_writes_what_came_with_clocks_after_it_in_every_partition(live: Settings) -> None:
    async def run(publisher: Publisher) -> None:
        script: list[list[Action]] = [
            [venue.subscriptions("ETH-USD"), *map(ticker, range(1, 201)), "{junk", Drop()],
            [venue.subscriptions("ETH-USD"), *map(ticker, range(195, 301))],
        ]
        async with Loopback(script) as loopback:
            kept: list[Record] = []
            outlet = Outlet(publisher, "coinbase")

            def emit(record: Record) -> None:
                kept.append(record)
                outlet(record)

            def all_there() -> bool:
                last = any(isinstance(record, Tick) and record.trade_id == 300 for record in kept)
                return last and sum(isinstance(record, Clock) for record in kept) >= 5

            quick = Backoff(base_s=0.01, cap_s=0.02, spacing_s=0.01)
            transport = Transport(Coinbase, ["ETH-USD"], emit, url=loopback.url, backoff=quick)
            running = asyncio.create_task(transport.run())
            await until_true(all_there, running)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    with Publisher(live, registry.codec(live)) as publisher:
        asyncio.run(run(publisher))
    logs = logged(live, "ticks")
    assert all(sum(isinstance(record, Clock) for record in log) >= 5 for log in logs)
    (own,) = (log for log in logs if any(isinstance(record, Tick) for record in log))
    assert [record.trade_id for record in own if isinstance(record, Tick)] == list(range(1, 301))
    assert [record.cause for record in own if isinstance(record, Connect)] == ["start", "disconnect"]
    letters = [record for log in logged(live, "dead_letters") for record in log]
    assert len(letters) == 1 + 6  # the junk and six repeats


def test_the_command_plays_a_recording_and_refuses_mistakes_with_code_2(live: Settings) -> None:
    live.data_dir.mkdir(parents=True, exist_ok=True)
    path = live.data_dir / "day.jsonl.zst"
    with frames.Recorder(path) as recorder:
        for number in range(1, 1001):
            frame = venue.ticker(number, at_s=number / 100)
            recorder.keep(Entry(frame, venue.START_NS + number * 10_000_000))
    done = command(live, "feed", "coinbase", "--recording", "day.jsonl.zst")
    assert done.returncode == 0, done.stderr and done.stderr.read()
    logs = logged(live, "ticks")
    assert sum(isinstance(record, Tick) for log in logs for record in log) == 1000
    clocks = [[record.event_ns for record in log if isinstance(record, Clock)] for log in logs]
    assert len(clocks[0]) == 101
    assert all(times == clocks[0] for times in clocks)
    mistake = command(live, "feed", "nosuch")
    assert mistake.returncode == 2
    assert mistake.stderr is not None
    assert "Traceback" not in mistake.stderr.read()


def test_the_command_follows_a_venue_over_a_pair_of_links_and_records_it(live: Settings) -> None:
    live.data_dir.mkdir(parents=True, exist_ok=True)

    async def run() -> subprocess.Popen[str]:
        async with Loopback([[venue.subscriptions("ETH-USD"), *map(ticker, range(1, 51))]]) as loopback:
            options = ("--redundant", "--url", loopback.url, "--seconds", "4", "--record", "day.jsonl")
            return await asyncio.to_thread(command, live, "feed", "coinbase", *options)

    done = asyncio.run(run())
    assert done.returncode == 0, done.stderr and done.stderr.read()
    written = [record for log in logged(live, "ticks") for record in log]
    assert [record.trade_id for record in written if isinstance(record, Tick)] == list(range(1, 51))
    assert [record.cause for record in written if isinstance(record, Connect)] == ["start"]
    kept = [entry.link for entry in frames.entries(live.data_dir / "day.jsonl", Coinbase())]
    assert kept.count(0) > 50
    assert kept.count(1) > 50


def test_the_simulator_ends_cleanly_on_sigterm(live: Settings) -> None:
    live.data_dir.mkdir(parents=True, exist_ok=True)
    running = command(live, "feed", "simulator", "ETH-USD", wait=False)

    def begun() -> bool:
        assert running.poll() is None, running.communicate()
        return any(isinstance(record, Tick) for log in logged(live, "ticks") for record in log)

    until(begun)
    running.send_signal(signal.SIGTERM)
    output, errors = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, errors
    published, confirmed = (int(word) for word in output.split() if word.isdigit())
    assert published > 0
    assert confirmed >= published
    assert not any(logged(live, "dead_letters"))
