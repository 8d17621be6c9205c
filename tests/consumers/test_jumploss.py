"""The stand-alone worker against a venue on this machine, and the command around it."""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.estimator import JumpLossUpdate
from consumers.jumploss import QUEUE_SIZE, Config, JumpLossWorker
from producers.backoff import Backoff
from producers.simulator import timestamp
from tests.loopback import Drop, Loopback, Script
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parent.parent.parent
QUICK = Backoff(base_s=0.05, cap_s=0.1, spacing_s=0.05)
SUBSCRIBED = (
    '{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["ETH-USD"]},'
    '{"name":"heartbeat","product_ids":["ETH-USD"]}]}'
)


def ticker(number: int, mid: float, event_ns: int) -> str:
    quotes = f'"best_bid":"{mid - 0.5}","best_bid_size":"1","best_ask":"{mid + 0.5}","best_ask_size":"1"'
    head = f'"type":"ticker","sequence":{number},"trade_id":{number},"product_id":"ETH-USD","price":"{mid}"'
    return f'{{{head},{quotes},"side":"buy","last_size":"1","time":"{timestamp(event_ns)}"}}'


def ticks(begin_ns: int, count: int, first: int = 1) -> list[str]:
    return [ticker(first + n, 3000.0 + (first + n) % 3, begin_ns + n * 160_000_000) for n in range(count)]


@contextlib.contextmanager
def venue(script: Script) -> Iterator[str]:
    """A loopback venue in a thread of its own; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Loopback(script)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE_S)
    try:
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def now_ns() -> int:
    return time.time_ns() // 1_000_000_000 * 1_000_000_000


def test_updates_come_to_the_queue_and_the_callback() -> None:
    told: list[JumpLossUpdate] = []
    with venue([[SUBSCRIBED, *ticks(now_ns() - 5_000_000_000, 30)]]) as url:
        worker = JumpLossWorker(5000, told.append, url=url)
        worker.start_background()
        until(lambda: len(told) >= 29)
        worker.stop()
    queued = [worker.updates.get_nowait() for _ in range(worker.updates.qsize())]
    assert queued == told
    assert [update.bucket_count for update in told] == list(range(1, len(told) + 1))
    assert told[0].f_percent == 0.05
    assert told[28].mu_j_percent > 0
    assert not worker.running


def test_the_average_survives_a_reconnect_and_a_new_start() -> None:
    begin = now_ns() - 20_000_000_000
    script = [[SUBSCRIBED, *ticks(begin, 20), Drop()], [SUBSCRIBED, *ticks(begin + 4_000_000_000, 20, 21)]]
    with venue(script) as url:
        worker = JumpLossWorker(5000, url=url, backoff=QUICK)
        worker.start_background()
        until(lambda: worker.updates.qsize() >= 42)
        worker.stop()
        before = worker.updates.qsize()
        worker.start_background()
        until(lambda: worker.updates.qsize() > before)
        worker.stop()
    counts = [worker.updates.get_nowait().bucket_count for _ in range(worker.updates.qsize())]
    assert counts == list(range(1, len(counts) + 1))


def test_clocks_close_buckets_while_the_venue_is_silent() -> None:
    with venue([[SUBSCRIBED, *ticks(now_ns() - 500_000_000, 2)]]) as url:
        worker = JumpLossWorker(5000, url=url)
        worker.start_background()
        until(lambda: worker.updates.qsize() >= 12)
        worker.stop()
    updates = [worker.updates.get_nowait() for _ in range(12)]
    assert updates[-1].mu_j_percent < updates[1].mu_j_percent
    assert updates[-1].feed_age_ms > 1_000


def test_a_reader_that_never_comes_loses_the_oldest_and_it_is_counted() -> None:
    count = QUEUE_SIZE + 50
    with venue([[SUBSCRIBED, *ticks(now_ns() - count * 160_000_000, count)]]) as url:
        worker = JumpLossWorker(5000, url=url)
        worker.start_background()
        until(lambda: worker.dropped > 0 and worker.request_jumploss(5000, 10) is not None)
        until(lambda: worker.updates.queue[-1].bucket_count >= count - 1)
        worker.stop()
    updates = [worker.updates.get_nowait() for _ in range(worker.updates.qsize())]
    assert len(updates) == QUEUE_SIZE
    assert updates[0].bucket_count == worker.dropped + 1


def test_a_callback_that_fails_is_counted_and_does_no_harm() -> None:
    def fail(update: JumpLossUpdate) -> None:
        raise RuntimeError("not today")

    with venue([[SUBSCRIBED, *ticks(now_ns() - 5_000_000_000, 10)]]) as url:
        worker = JumpLossWorker(5000, fail, url=url)
        worker.start_background()
        until(lambda: worker.updates.qsize() >= 9)
        assert worker.running
        worker.stop()
    assert worker.callback_errors >= 9


def test_a_callback_may_stop_the_worker() -> None:
    with venue([[SUBSCRIBED, *ticks(now_ns() - 5_000_000_000, 10)]]) as url:
        worker = JumpLossWorker(5000, lambda update: worker.stop(), url=url)
        worker.start_background()
        until(lambda: not worker.running)
    assert worker.error is None


def test_junk_and_repeats_are_counted_and_the_stream_goes_on() -> None:
    frames = ticks(now_ns() - 5_000_000_000, 10)
    with venue([[SUBSCRIBED, *frames[:5], "junk", frames[2], *frames[5:]]]) as url:
        worker = JumpLossWorker(5000, url=url)
        worker.start_background()
        until(lambda: worker.updates.qsize() >= 9)
        worker.stop()
    assert worker.refused == 2


def test_at_most_so_many_updates_a_second() -> None:
    with venue([[SUBSCRIBED, *ticks(now_ns() - 10_000_000_000, 60)]]) as url:
        worker = JumpLossWorker(5000, url=url, max_updates_per_second=1.0)
        worker.start_background()
        until(lambda: worker.updates.qsize() >= 9)
        worker.stop()
    times = [worker.updates.get_nowait().timestamp for _ in range(worker.updates.qsize())]
    assert min(later - sooner for sooner, later in itertools.pairwise(times)) >= 1.0


def test_stop_before_start_and_twice_is_harmless() -> None:
    worker = JumpLossWorker(5000)
    worker.stop()
    worker.shutdown()
    assert not worker.running


def test_an_address_that_is_none_ends_the_worker_with_its_error() -> None:
    worker = JumpLossWorker(5000, url="nowhere")
    worker.start_background()
    until(lambda: not worker.running)
    assert "nowhere" in str(worker.error)


def test_the_defaults_are_the_seeds() -> None:
    assert Config() == Config(bucket_ms=160, half_life_ms=4800)
    with pytest.raises(ValueError, match="max_updates_per_second"):
        JumpLossWorker(5000, max_updates_per_second=0)


def command(url: str, *more: str) -> "subprocess.Popen[str]":
    call = [sys.executable, "-m", "infra.cli", "jumploss", "5000", "--url", url, *more]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(call, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_the_command_prints_the_seeds_lines_and_obeys_the_keyboard() -> None:
    begin = now_ns() - 5_000_000_000
    with venue([[SUBSCRIBED, *ticks(begin, 30)]]) as url:
        process = command(url, "--blocks", "8", "--every", "0", "--dollars", "1000", "2000")
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            first = process.stdout.readline()
            process.stdin.write("seconds 20\nfee 6000\nblocks\nfee -1\nnonsense 1\nquit\n")
            process.stdin.flush()
            _, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert first == "JL(simple,no-clamp): μ_J=0.000000% F=0.050000% JL=0.000000% buckets=1 loss=$0.000000\n"
    notes = [line for line in errors.splitlines() if line.startswith("# ")]
    assert notes[:2] == ["# settlement time 20 s, half-life 10 s", "# fee 6000 units, 0.06 %"]
    assert ["is not understood" in note for note in notes[2:5]] == [True] * 3
    assert "fee_units must not be negative" in notes[3]
    assert process.returncode == 0


def test_the_command_ends_after_so_many_lines() -> None:
    with venue([[SUBSCRIBED, *ticks(now_ns() - 5_000_000_000, 30)]]) as url:
        output, _ = command(url, "--every", "0", "--count", "5").communicate(timeout=PATIENCE_S)
    assert [line.rpartition("buckets=")[2] for line in output.splitlines()] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seconds", "1", "--blocks", "1"], "--seconds or --blocks"),
        (["--feed", "nope"], "no feed"),
        (["--seconds", "-1"], "seconds"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(arguments: list[str], said: str) -> None:
    process = command("ws://127.0.0.1:1", *arguments)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert said in errors
    assert "Traceback" not in errors
