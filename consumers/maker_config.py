"""The market maker's ``config.json``: what to trade, how, and whether to trade at all.

    {"trading_enabled": false, "market": "ETH-USD", "gamma": 0.01, "time_horizon": 60,
     "order_size": 0.05, "max_position": 0.2, "kappa_method": "depth", "volatility_method": "Garch_StudentT"}

``trading_enabled`` false, which it is where it is not said, means to collect data only. ``market`` or ``markets`` names
what is traded at ``venue`` (extended). ``data_dir`` is where the collector writes. All else are options of the stage
market_maker by their own names (docs/market-maker.md) or by those of ``NAMES``; a field that is neither is refused.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from consumers.policies.making import STRATEGY, MakerOptions
from infra.errors import UserError
from infra.options import stage_options
from processors.stage import stages

NAMES = {
    "time_horizon": "horizon_s",
    "max_position": "inventory",
    "volatility_method": "sigma_method",
    "k_method": "kappa_method",
    "k_side": "kappa_side",
}
METHODS = {
    "kappa_method": {"virtual_quoting": "virtual", "depth_based": "depth"},
    "sigma_method": {"garch_studentt": "garch_t", "python_garch": "arch"},
}
OPTIONS = {option.name for option in dataclasses.fields(MakerOptions)} - {"enabled", "instruments"}


@dataclass(frozen=True, slots=True)
class MakerConfig:
    """What a config.json says."""

    trading_enabled: bool = False
    venue: str = "extended"
    markets: tuple[str, ...] = ("ETH-USD",)
    data_dir: Path = Path("data")
    options: dict[str, Any] = field(default_factory=dict)  # of the stage market_maker

    @property
    def instruments(self) -> tuple[str, ...]:
        """The markets with their venue."""
        return tuple(f"{self.venue}:{market}" for market in self.markets)

    def maker(self) -> dict[str, Any]:
        """The options of the stage, what it quotes among them."""
        return {**self.options, "enabled": self.trading_enabled, "instruments": ",".join(self.instruments)}


def load_config(path: Path) -> MakerConfig:
    """Read a config.json.

    Raises:
        UserError: it is not there, no JSON object, or a field is unknown or wrong; names the field and what is
            expected.

    """
    try:
        given = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"there is no {path}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(given, dict):
        raise UserError(f"{path}: expected an object of fields, not {type(given).__name__}")
    return _config(path, given)


def _config(path: Path, given: dict[str, Any]) -> MakerConfig:
    if "market" in given and "markets" in given:
        raise UserError(f"{path}: market and markets both name what to trade: leave one out")
    plain: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in given.items():
        option = NAMES.get(name, name)
        if name == "market":
            plain["markets"] = [value]
        elif name in ("trading_enabled", "venue", "markets", "data_dir"):
            plain[name] = value
        elif option in OPTIONS:
            if option in options:
                raise UserError(f"{path}: {name}: {option} is given twice")
            options[option] = METHODS.get(option, {}).get(str(value).lower(), value)
        else:
            known = sorted({"trading_enabled", "venue", "market", "markets", "data_dir", *NAMES, *OPTIONS})
            raise UserError(f"{path}: {name}: no such field; expected one of {', '.join(known)}")
    _check(path, options)
    try:
        config = TypeAdapter(MakerConfig).validate_python(plain | {"options": options})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UserError(f"{path}: {wrong['loc'][0]}: {wrong['input']!r}: {wrong['msg']}") from None
    if not config.markets or any(not market or ":" in market for market in config.markets):
        raise UserError(f"{path}: markets: expected names as ETH-USD, not {', '.join(config.markets) or 'none'}")
    return config


def _check(path: Path, options: dict[str, Any]) -> None:
    try:
        stage_options(stages(), {STRATEGY: options})
    except UserError as error:
        raise UserError(f"{path}: {str(error).replace(f'stages.{STRATEGY}.', '')}") from None
