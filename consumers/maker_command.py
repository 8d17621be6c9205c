"""Command ``maker``: the market maker by its config.json: collects data only, or quotes."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from consumers import collector_command
from consumers.maker_config import MakerConfig, load_config
from consumers.policies.making import STRATEGY
from infra import logs
from infra.settings import PREFIX, load_settings

Config = Annotated[Path, typer.Option(help="What to trade and how.")]
Direct = Annotated[bool, typer.Option("--direct", help="Collect from the venue's stream, without a broker.")]


def maker(config: Config = Path("config.json"), direct: Direct = False) -> None:
    """Run the market maker as config.json says: with trading_enabled false it only collects."""
    found = load_config(config)
    collector_command.check(found.instruments)
    if not found.trading_enabled:
        settings = load_settings()
        logs.setup(settings)
        with collector_command.writing(found.instruments, found.data_dir) as collector:
            if direct:
                asyncio.run(collector_command.from_venue(collector, found.instruments))
            else:
                collector_command.from_topics(settings, collector, found.instruments)
        return
    from processors.__main__ import worker  # noqa: PLC0415 - Faust takes a second

    for name, value in environment(found).items():
        os.environ.setdefault(name, value)  # what the environment says of an option wins
    worker([STRATEGY])


def environment(config: MakerConfig) -> dict[str, str]:
    """A config as the settings of the stage.

    >>> environment(MakerConfig(True, options={"gamma": 0.1}))["TIDEMILL_STAGES__MARKET_MAKER__GAMMA"]
    '0.1'
    """
    return _flat(f"{PREFIX}STAGES__{STRATEGY.upper()}", config.maker())


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        key = f"{prefix}__{name.upper()}"
        flat |= _flat(key, value) if isinstance(value, dict) else {key: str(value)}
    return flat
