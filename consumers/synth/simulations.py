"""``generate_simulations`` and ``get_asset_price`` as the subnet's miner has them, answered from our states.

    import synth.miner.simulations
    from consumers.synth import simulations

    synth.miner.simulations.generate_simulations = simulations.generate_simulations
    synth.miner.simulations.get_asset_price = simulations.get_asset_price

Where the states are, and what is done with one that is stale, the settings ``synth_*`` say. A start that has passed, as
the subnet's offline test asks for, is answered as it would have been then: from a state that is no younger.
"""

import time
from typing import Any

from consumers.synth.miner import Miner, Terms, Unanswered
from infra import logs
from infra.settings import load_settings
from processors.online.synth_assets import ASSETS
from processors.online.synth_response import start_s

SECOND_NS = 1_000_000_000
log = logs.logger(__name__)


def generate_simulations(
    asset: str = "BTC",
    start_time: str = "",
    time_increment: int = 300,
    time_length: int = 86_400,
    num_simulations: int = 1,
) -> list[Any]:
    """Price paths: [start, increment, path, ...].

    Raises:
        ValueError: a field makes no sense, or the state of the asset is absent or stale.

    """
    fields = {
        "asset": asset,
        "start_time": start_time,
        "time_increment": time_increment,
        "time_length": time_length,
        "num_simulations": num_simulations,
    }
    miner = _miner(min(time.time_ns(), (start_s(start_time) - 1) * SECOND_NS))
    try:
        return miner.answer(miner.asked(fields)).response
    except Unanswered as error:
        raise ValueError(str(error)) from None


def get_asset_price(asset: str = "BTC") -> float | None:
    """The newest price of an asset; None, with a warning, where its state is absent or stale."""
    try:
        return _miner(time.time_ns()).price(asset)
    except Unanswered as error:
        log.warning("no price", reason=str(error))
        return None


def _miner(now_ns: int) -> Miner:
    settings = load_settings()
    terms = Terms(settings.synth_stale_after_s, settings.synth_stale)
    return Miner(settings.synth_state_dir, terms, lambda: now_ns, ASSETS)
