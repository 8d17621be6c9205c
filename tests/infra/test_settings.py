"""Where settings come from, and that a wrong one is refused by name and never shown if it is secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.options import stage_options
from infra.settings import Settings, UserError, load_settings


@dataclass(frozen=True)
class Options:
    width_ms: int = 160
    rebase: bool = True

    def __post_init__(self) -> None:
        if self.width_ms < 1:
            raise ValueError(f"width_ms must be at least 1, not {self.width_ms}")


Buckets: Any = type("Buckets", (), {"Options": Options, "__module__": "processors.buckets"})


def test_an_argument_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("TIDEMILL_GROUP=file\nTIDEMILL_TOPIC_PREFIX=file.\nTIDEMILL_LOG_LEVEL=ERROR\nOTHER=1\n")
    monkeypatch.setenv("TIDEMILL_TOPIC_PREFIX", "environment.")
    monkeypatch.setenv("TIDEMILL_LOG_LEVEL", "DEBUG")
    settings = load_settings(env_file=file, log_level="WARNING")
    assert (settings.group, settings.topic_prefix, settings.log_level) == ("file", "environment.", "WARNING")


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tidemill_clickhouse_password").write_text("canary\n")
    monkeypatch.setenv("TIDEMILL_SECRETS_DIR", str(tmp_path))
    settings = load_settings(env_file=None)
    assert settings.secrets() == ["canary"]
    assert "canary" not in repr(settings)


def test_every_field_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("brokers", "localhost", "host:port"),
        ("brokers", "a:1,b:99999", "host:port"),
        ("topic_prefix", "a b", "letters, digits"),
        ("metrics_port", "70000", "less than or equal to 65535"),
        ("log_level", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("clickhouse_dsn", "localhost", "http://host:port"),
        ("stages", '{"buckets": 1}', "valid dictionary"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_was_expected(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TIDEMILL_{name.upper()}", value)
    with pytest.raises(UserError) as refused:
        load_settings(env_file=None)
    assert str(refused.value).startswith(name)
    assert expected in str(refused.value)


def test_a_wrong_secret_is_not_shown() -> None:
    for wrong in ({"sasl_password": ["canary"]}, {"clickhouse_dsn": "http://me:canary@host"}):
        with pytest.raises(UserError, match=next(iter(wrong))) as refused:
            load_settings(env_file=None, **wrong)
        assert "canary" not in str(refused.value)


def test_a_login_needs_both_its_parts() -> None:
    with pytest.raises(UserError, match="needs sasl_username and sasl_password"):
        load_settings(env_file=None, security_protocol="SASL_SSL", sasl_username="me")


def test_a_name_that_is_no_setting_is_refused_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("TIDEMILL_BROKER=a:1\n")
    with pytest.raises(UserError, match=r"TIDEMILL_BROKER in .*\.env is not a setting"):
        load_settings(env_file=file)
    with pytest.raises(UserError, match="broker is not a setting"):
        load_settings(env_file=None, broker="a:1")
    monkeypatch.setenv("TIDEMILL_BROKER", "a:1")
    with pytest.raises(UserError, match="TIDEMILL_BROKER in the environment is not a setting"):
        load_settings(env_file=None)


def test_options_of_a_stage_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_STAGES__BUCKETS__WIDTH_MS", "200")
    monkeypatch.setenv("TIDEMILL_STAGES__BUCKETS__REBASE", "false")
    options = stage_options([Buckets], load_settings(env_file=None).stages)
    assert options == {"buckets": Options(width_ms=200, rebase=False)}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bucket": {}}, r"stages\.bucket: no such stage; expected one of buckets"),
        ({"buckets": {"width": 1}}, r"stages\.buckets\.width: no such option; expected one of width_ms, rebase"),
        ({"buckets": {"width_ms": "wide"}}, r"stages\.buckets\.width_ms: 'wide': .*integer"),
        ({"buckets": {"width_ms": "0"}}, r"stages\.buckets: .*width_ms must be at least 1, not 0"),
    ],
)
def test_a_wrong_option_is_refused_by_name(given: dict[str, dict[str, Any]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        stage_options([Buckets], given)


def test_the_history_is_embedded_unless_a_server_is_named(tmp_path: Path) -> None:
    assert load_settings(env_file=None, data_dir=tmp_path).history_dsn == f"chdb:///{tmp_path.resolve()}/history"
    server = "http://127.0.0.1:8123/tidemill"
    assert load_settings(env_file=None, clickhouse_dsn=server).history_dsn == server
