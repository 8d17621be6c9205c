import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra import cli, doctor
from infra.broker import ensure_topics
from infra.settings import Settings
from tests import brokers


def verdicts(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, doctor.Finding]:
    monkeypatch.setattr(doctor, "load_settings", lambda: settings)
    return {finding.part: finding for finding in doctor.examine()}


def test_a_good_set_up_has_no_failure(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(monkeypatch, live)
    assert [finding for finding in found.values() if finding.verdict is doctor.Verdict.fail] == []
    assert found["topics"].verdict is doctor.Verdict.ok


def test_missing_topics_are_told_with_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(monkeypatch, settings)["topics"]
    assert (found.verdict, found.todo) == (doctor.Verdict.warn, "run tidemill topics")


def test_topics_with_other_partitions_are_a_failure(
    live: Settings, broker: brokers.TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(live)
    found = verdicts(monkeypatch, live.model_copy(update={"partitions": 7}))["topics"]
    assert found.verdict is doctor.Verdict.fail
    assert "not 7" in found.found


def test_no_broker_fails_and_the_rest_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BROKER_S", 0.5)
    monkeypatch.setenv("TIDEMILL_BROKERS", "127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli.app, ["doctor", "--json"])
    found = {item["part"]: item["verdict"] for item in map(json.loads, told.output.splitlines())}
    assert told.exit_code == 1
    assert (found["broker"], found["python"], found["packages"], found["disk"]) == ("fail", "ok", "ok", "ok")
    assert found["topics"] == "warn"  # the broker's failure is told once


def test_a_history_that_a_sink_keeps_is_no_failure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from infra.clickhouse import connect; from infra.settings import load_settings; "
        f"client = connect(load_settings(env_file=None, data_dir={str(settings.data_dir)!r})); "
        "print('open', flush=True); "
        "sys.stdin.read()"
    )
    call = [sys.executable, "-c", code]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        assert sink.stdout.readline() == "open\n"
        found = verdicts(monkeypatch, settings)["history"]
    assert found.verdict is doctor.Verdict.ok
    assert f"which process {sink.pid} " in found.found


def test_a_wrong_setting_ends_the_examination_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_PARTITIONS", "many")
    monkeypatch.chdir(tmp_path)
    found = list(doctor.examine())
    assert found[-1].part == "settings"
    assert found[-1].verdict is doctor.Verdict.fail
    assert "TIDEMILL_PARTITIONS" in found[-1].found
