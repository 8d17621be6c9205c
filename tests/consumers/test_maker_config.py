"""config.json: what its fields become, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.maker_command import environment
from consumers.maker_config import MakerConfig, load_config
from consumers.policies.making import MakerOptions
from infra import cli
from infra.errors import UserError
from infra.options import stage_options
from infra.settings import load_settings
from processors.stage import stages


def written(tmp_path: Path, **fields: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(fields))
    return path


def test_without_a_word_nothing_is_traded(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, market="BTC-USD"))
    assert not config.trading_enabled
    assert config.instruments == ("extended:BTC-USD",)
    assert config.maker()["enabled"] is False


def test_the_seeds_names_become_options_of_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(
        written(
            tmp_path, trading_enabled=True, markets=["ETH-USD", "BTC-USD"], gamma=0.02, time_horizon=30,
            max_position=0.3, volatility_method="Garch_StudentT", kappa_method="depth_based", limits={"order": 50},
        )
    )  # fmt: skip
    for name, value in environment(config).items():
        monkeypatch.setenv(name, value)
    options = stage_options(stages(), load_settings(env_file=None).stages)["market_maker"]
    assert isinstance(options, MakerOptions)
    assert (options.gamma, options.horizon_s, options.inventory) == (0.02, 30.0, 0.3)
    assert (options.sigma_method, options.kappa_method) == ("garch_t", "depth")
    assert (options.enabled, options.instruments, options.limits.order) == (
        True, "extended:ETH-USD,extended:BTC-USD", 50.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"gama": 0.1}, "gama: no such field; expected one of .*gamma"),
        ({"limits": {"ordr": 5}}, "limits.ordr: no such option; expected one of order"),
        ({"gamma": "much"}, "gamma: 'much'"),
        ({"gamma": -1}, "gamma must be above 0"),
        ({"trading_enabled": "perhaps"}, "trading_enabled: 'perhaps'"),
        ({"market": "ETH-USD", "markets": ["BTC-USD"]}, "leave one out"),
        ({"markets": []}, "markets: expected names"),
        ({"market": "extended:ETH-USD"}, "markets: expected names"),
        ({"horizon_s": 1, "time_horizon": 2}, "given twice"),
        ({"volatility_method": "crystal"}, "sigma_method must be one of"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        load_config(written(tmp_path, **fields))


@pytest.mark.parametrize(("text", "named"), [("{", "config.json"), ("[1]", "expected an object")])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError, match=named):
        load_config(path)


def test_the_command_names_a_config_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["maker", "--config", str(tmp_path / "no.json")])
    assert isinstance(result.exception, UserError)
    assert "there is no" in str(result.exception)


def test_the_environment_names_every_option_once() -> None:
    names = environment(MakerConfig(options={"limits": {"order": 5.0}}))
    assert names["TIDEMILL_STAGES__MARKET_MAKER__LIMITS__ORDER"] == "5.0"
