"""What tests share: a broker for the session, settings of their own, recordings where they are."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from infra.broker import ensure_topics
from infra.local import LocalKafka
from infra.settings import PREFIX, Settings, load_settings
from tests import brokers, data

USED: list[str] = []

# A slow machine is no fault of the code: examples have no deadline of their own, and may be slow to make.
hypothesis.settings.register_profile("tidemill", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tidemill")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_broker: needs a broker that is no mock")
    # A test's broker lives for minutes: Java's second compiler costs it more than it gains.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_report_header() -> list[str]:
    return [f"broker: {' else '.join(brokers.kinds())}", f"recordings: {data.described()}"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of several processes: the first of them reports
        output["used"] = USED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    USED.extend(getattr(node, "workeroutput", {}).get("used", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name in USED:
        terminalreporter.write_line(f"broker used: {name}")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of whoever runs it."""
    for name in os.environ:
        if name.upper().startswith(PREFIX) and not name.upper().startswith(f"{PREFIX}TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def session_broker() -> Iterator[brokers.TestBroker]:
    found = brokers.start()
    USED.append(found.name)
    yield found
    found.stop()


@pytest.fixture
def broker(session_broker: brokers.TestBroker, request: pytest.FixtureRequest) -> brokers.TestBroker:
    """The session's broker; a test marked ``real_broker`` is skipped on the mock cluster."""
    if request.node.get_closest_marker("real_broker") and not session_broker.real:
        pytest.skip("needs a real broker: a Docker engine, or Java and Maven")
    return session_broker


@pytest.fixture
def make_settings(broker: brokers.TestBroker, tmp_path: Path) -> Callable[..., Settings]:
    """Makes settings for the broker, with a prefix, a group and a data folder that no other test has."""

    def make(**overrides: object) -> Settings:
        name = f"t{uuid.uuid4().hex[:10]}"
        own: dict[str, object] = {"topic_prefix": f"{name}.", "group": name, "data_dir": tmp_path / name}
        return load_settings(env_file=None, **{"brokers": broker.address, **own, **overrides})

    return make


@pytest.fixture
def make_topics(make_settings: Callable[..., Settings], broker: brokers.TestBroker) -> Callable[..., Settings]:
    """Makes settings as ``make_settings`` does, and their topics."""

    def make(**overrides: object) -> Settings:
        settings = make_settings(**overrides)
        broker.prepare(settings)
        ensure_topics(settings)
        return settings

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Settings for the broker; its topics do not exist yet."""
    return make_settings()


@pytest.fixture
def live(make_topics: Callable[..., Settings]) -> Settings:
    """Settings for the broker whose topics exist."""
    return make_topics()


@pytest.fixture
def private_broker(tmp_path: Path) -> Iterator[LocalKafka]:
    """A real broker of the test's own, running, to be killed and started again."""
    if not brokers.java_and_maven():
        pytest.skip("needs a broker of its own to kill: Java and Maven")
    own = LocalKafka(tmp_path / "kafka")
    own.start()
    yield own
    own.kill()  # nobody will miss its data, and a proper end takes seconds
