"""What the subnet's own code can be patched to."""

import inspect
import sys
import time
import types

import pytest

from consumers.synth import simulations
from consumers.synth.simulations import generate_simulations, get_asset_price
from consumers.synth.state import MINUTE_NS
from processors.online.synth_response import Prompt, error_of
from tests.consumers.synth.kept import NOW_NS, put
from tests.consumers.synth.served import starting


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEMILL_SYNTH_STATE_DIR", str(tmp_path))
    return tmp_path


def this_minute():
    return time.time_ns() // MINUTE_NS * MINUTE_NS


def test_the_signatures_are_the_subnets():
    given = {name: item.default for name, item in inspect.signature(generate_simulations).parameters.items()}
    assert given == {
        "asset": "BTC", "start_time": "", "time_increment": 300, "time_length": 86_400, "num_simulations": 1,
    }  # fmt: skip
    assert {name: item.default for name, item in inspect.signature(get_asset_price).parameters.items()} == {
        "asset": "BTC"
    }


def test_the_subnets_miner_can_be_patched(folder, monkeypatch):
    """Its module imports both names, and its miner calls the first by keywords."""
    module = types.ModuleType("synth.miner.simulations")
    for name in ("generate_simulations", "get_asset_price"):
        setattr(module, name, getattr(simulations, name))
    for name in ("synth", "synth.miner"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "synth.miner.simulations", module)
    from synth.miner.simulations import generate_simulations as patched  # type: ignore[import-not-found]

    put(folder, end_ns=this_minute())
    start = starting(120.0, this_minute())
    given = patched(asset="BTC", start_time=start, time_increment=60, time_length=3_600, num_simulations=10)
    assert error_of(given, Prompt("BTC", this_minute() // 10**9 + 120, 60, 3_600, 10)) is None


def test_a_start_that_has_passed_is_answered_from_a_state_of_before(folder):
    put(folder)
    given = generate_simulations("BTC", starting(60.0), num_simulations=3)
    assert given[0] == NOW_NS // 10**9 + 60
    assert given[2][0] == 60_000.0
    with pytest.raises(ValueError, match="lies in the future"):
        generate_simulations("BTC", starting(-120.0), num_simulations=3)


def test_a_start_long_after_the_state_is_refused_or_widened(folder, monkeypatch):
    put(folder)
    with pytest.raises(ValueError, match="stale"):
        generate_simulations("BTC", starting(3_600.0), num_simulations=3)
    monkeypatch.setenv("TIDEMILL_SYNTH_STALE", "widen")
    assert len(generate_simulations("BTC", starting(3_600.0), num_simulations=3)) == 5


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"start_time": ""}, "start_time"),
        ({"asset": "DOGE"}, "asset: 'DOGE'"),
        ({"asset": "ETH"}, "no state yet"),
        ({"time_increment": 7}, "time_increment"),
        ({"num_simulations": 0}, "num_simulations"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(folder, changed, named):
    put(folder)
    with pytest.raises(ValueError, match=named):
        generate_simulations(**{"asset": "BTC", "start_time": starting()} | changed)


def test_the_price_is_that_of_the_last_bar_or_none(folder):
    put(folder, end_ns=this_minute())
    put(folder, "ETH", end_ns=this_minute() - 60 * MINUTE_NS)
    assert get_asset_price("BTC") == 60_000.0
    assert [get_asset_price(name) for name in ("ETH", "SOL", "DOGE")] == [None] * 3
