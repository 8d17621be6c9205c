"""States as an updater leaves them, made here."""

import msgspec
import numpy as np

from consumers.synth.state import MINUTE_NS, Kept, save
from processors.online.synth_assets import ASSETS
from schemas import VolatilityState

NOW_NS = 29_700_000 * MINUTE_NS  # of the tests: a minute's begin, 2026-06-21 12:00 UTC
FIELDS = {
    "price": 60_000.0,
    "fast": 2e-9,
    "slow": 1e-9,
    "hour_fast": 2e-9,
    "hour_slow": 1e-9,
    "anchor": 1e-9,
    "warm": True,
    "reason": "",
}


def bars(minutes=600, last=NOW_NS // MINUTE_NS - 1, seed=1, price=60_000.0):
    """Rows of a random walk up to a last minute."""
    closes = price * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 3e-4, minutes)))
    return np.column_stack([np.arange(last - minutes + 1, last + 1), *[closes] * 4, np.ones(minutes)])


def state(asset="BTC", end_ns=NOW_NS, **changed):
    """The record; the fields that a schema has and no test cares for are zero."""
    zero = {str: "", bytes: b"", bool: False, float: 1.0, int: 1}
    fields = {name: zero[VolatilityState.__annotations__[name]] for name in VolatilityState.__struct_fields__}
    own = {"instrument": ASSETS[asset].source, "event_ns": end_ns, **ASSETS[asset].half_lives_s()}
    return VolatilityState(**fields | FIELDS | own | changed)


def kept(asset="BTC", end_ns=NOW_NS, rows=None, parameters="", **changed):
    found = bars(last=end_ns // MINUTE_NS - 1) if rows is None else rows
    latest = msgspec.structs.asdict(state(asset, end_ns, **changed))
    return Kept(asset, ASSETS[asset].source, parameters, {}, latest, found.tobytes())


def put(folder, asset="BTC", **changed):
    save(folder, kept(asset, **changed))
