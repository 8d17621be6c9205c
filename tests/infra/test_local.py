"""The local broker: it keeps its data over kill -9, and outlives nobody it is tied to."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
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
from tests.waiting import until


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not brokers.java_and_maven():
        pytest.skip("needs Java and Maven")
    return tmp_path / ".tidemill" / "kafka"


def test_a_broker_ends_with_the_process_that_it_is_tied_to(folder: Path) -> None:
    script = "import sys, time, pathlib, infra.local as local; local.LocalKafka(pathlib.Path(sys.argv[1])).start(); "
    parent = subprocess.Popen([sys.executable, "-c", script + "time.sleep(600)", str(folder)], cwd=ROOT)
    try:
        until(lambda: (folder / "port").exists() and answers(LocalKafka(folder).address))
        broker = LocalKafka(folder).pid
        assert broker is not None
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(broker) and not LocalKafka(folder).running)


@pytest.fixture
def stack(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalKafka]:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    monkeypatch.setenv("TIDEMILL_BROKERS", f"127.0.0.1:{port}")
    broker = LocalKafka(folder, port)
    yield broker
    broker.stop()


def test_up_twice_crash_and_down_twice(stack: LocalKafka, capsys: pytest.CaptureFixture[str]) -> None:
    local_cli.up()
    first = stack.pid
    local_cli.up()
    assert first is not None
    assert stack.pid == first
    os.kill(first, signal.SIGKILL)
    until(lambda: stack.pid not in (None, first) and answers(stack.address))
    status(json=True)
    assert '"topic":"ticks","partitions":4' in capsys.readouterr().out
    local_cli.down()
    assert not stack.running
    local_cli.down()
    assert "no local Kafka was running" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is taken"):
            LocalKafka(tmp_path / "second", port).start()


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
