"""The local broker: it keeps its data over kill -9, and outlives nobody it is tied to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consumers.status import status
from infra import jars, local_cli
from infra.broker import ensure_topics, partition_counts
from infra.errors import UserError
from infra.local import LocalKafka, answers, free_port
from infra.settings import load_settings
from schemas.catalogue import TOPICS
from tests import brokers
from tests.data import ROOT


def wait_for(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    if state.parent.parent.joinpath("self").exists():
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_broker_comes_back_at_the_same_place_with_its_topics(private_broker: LocalKafka) -> None:
    settings = load_settings(env_file=None, brokers=private_broker.address)
    ensure_topics(settings)
    private_broker.kill()
    assert not private_broker.running
    private_broker.start()
    assert set(partition_counts(settings)) == set(TOPICS)


def test_a_broker_ends_with_the_process_that_it_is_tied_to(tmp_path: Path, private_broker: LocalKafka) -> None:
    private_broker.stop()
    script = "import sys, time, pathlib, infra.local as local; local.LocalKafka(pathlib.Path(sys.argv[1])).start(); "
    parent = subprocess.Popen([sys.executable, "-c", script + "time.sleep(600)", str(private_broker.folder)], cwd=ROOT)
    try:
        wait_for(lambda: private_broker.pid is not None and answers(private_broker.address), 60.0)
        broker = private_broker.pid
        assert broker is not None
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not alive(broker) and not private_broker.running)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalKafka]:
    if not brokers.java_and_maven():
        pytest.skip("needs Java and Maven")
    monkeypatch.chdir(tmp_path)
    port = free_port()
    monkeypatch.setenv("TIDEMILL_BROKERS", f"127.0.0.1:{port}")
    broker = LocalKafka(tmp_path / ".tidemill" / "kafka", port)
    yield broker
    broker.stop()


def test_up_twice_crash_and_down_twice(stack: LocalKafka, capsys: pytest.CaptureFixture[str]) -> None:
    local_cli.up()
    first = stack.pid
    local_cli.up()
    assert first is not None
    assert stack.pid == first
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: stack.pid not in (None, first) and answers(stack.address))
    status(json=True)
    assert '"topic":"ticks","partitions":4' in capsys.readouterr().out
    local_cli.down()
    assert not stack.running
    local_cli.down()
    assert "no local Kafka was running" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(tmp_path: Path, private_broker: LocalKafka) -> None:
    with pytest.raises(UserError, match=f"port {private_broker.port} on 127.0.0.1 is taken"):
        LocalKafka(tmp_path / "second", private_broker.port).start()


def test_missing_java_and_maven_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match="needs Java 17"):
        jars.java()
    with pytest.raises(UserError, match="mvn is missing"):
        jars.jars()


def test_java_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match="Java 17 or newer, found 8"):
        jars.java()


def test_a_broker_elsewhere_is_not_started_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_BROKERS", "kafka.example:9092")
    with pytest.raises(UserError, match="TIDEMILL_BROKERS"):
        local_cli.up()
