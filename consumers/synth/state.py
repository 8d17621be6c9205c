"""What is known of an asset, in one file: ``{asset}.msgpack`` in a folder, readable after a kill at any moment.

    {"tidemill": "synth state", "version": 1, "digest": SHA-256 of the body, "body": msgpack of ``Kept``}

A file is written beside its place, forced to the disk, and renamed into it; then the folder is. So a reader finds the
old state or the new one, whole, whatever happens. What is not such a file, or not for this asset, is told by the field
that is wrong. Nothing in a file is of the writer's clock: the same bars give the same bytes.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from infra import durable
from processors.online.synth_assets import Asset
from processors.online.synth_forecast import EVEN, profile_of
from schemas import Bar, VolatilityState

FORMAT, VERSION = "synth state", 1
LOGGED = "kafka"  # in place of the stages' parameters, where a state is a worker's
KEPT_MINUTES = 7 * 1_440
MINUTE_NS = 60_000_000_000
COLUMNS = ("open", "high", "low", "close", "volume")

Rows: TypeAlias = NDArray[np.float64]
Snapshot: TypeAlias = dict[str, dict[str, dict[str, Any]]]  # stage, key, state


class Unusable(Exception):
    """There is no state, or none that can be used; the text tells the file and why."""


class Envelope(msgspec.Struct):
    """The file."""

    tidemill: str
    version: int
    digest: bytes
    body: bytes


class Kept(msgspec.Struct):
    """The body. ``rows`` holds float64, for each bar its minute since the epoch, then ``COLUMNS``; oldest first."""

    asset: str
    instrument: str
    parameters: str  # what the stages were made with
    chain: Snapshot  # of the stages; empty where they run elsewhere
    latest: dict[str, Any]  # fields of the newest VolatilityState; empty before the first
    rows: bytes = b""

    @property
    def volatility_state(self) -> VolatilityState | None:
        """The newest state of the variances."""
        return msgspec.convert(self.latest, VolatilityState) if self.latest else None

    @property
    def bars(self) -> Rows:
        """The bars of the last seven days, by row."""
        return np.frombuffer(self.rows, np.float64).reshape(-1, 1 + len(COLUMNS))

    @property
    def seen_ns(self) -> int:
        """End of the last bar; 0 where there is none."""
        return (int(self.bars[-1, 0]) + 1) * MINUTE_NS if self.rows else 0


def appended(rows: bytes, bars: list[Bar]) -> bytes:
    """Rows with some later bars, without those that are now older than seven days.

    >>> bar = Bar("a:B", 120 * 10**9, 0, 60_000, 1.0, 2.0, 1.0, 2.0, 5.0, 0.0, 0, 0.0)
    >>> np.frombuffer(appended(b"", [bar])).tolist()
    [1.0, 1.0, 2.0, 1.0, 2.0, 5.0]
    """
    width = 1 + len(COLUMNS)
    new = [[bar.event_ns // MINUTE_NS - 1, *(getattr(bar, column) for column in COLUMNS)] for bar in bars]
    both = np.concatenate((np.frombuffer(rows, np.float64).reshape(-1, width), np.array(new).reshape(-1, width)))
    return both[both[:, 0] > both[-1, 0] - KEPT_MINUTES].tobytes() if len(both) else b""


def place(folder: Path, asset: str) -> Path:
    """Where an asset's state is."""
    return folder / f"{asset}.msgpack"


def save(folder: Path, kept: Kept) -> None:
    """Put a state into its place, for good."""
    folder.mkdir(parents=True, exist_ok=True)
    body = msgspec.msgpack.encode(kept)
    envelope = Envelope(FORMAT, VERSION, hashlib.sha256(body).digest(), body)
    final = place(folder, kept.asset)
    beside = final.with_suffix(".partial")
    with beside.open("wb") as file:
        file.write(msgspec.msgpack.encode(envelope))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(final)
    durable.sync(folder)


def load(folder: Path, asset: Asset, now_ns: int, parameters: str | None = None) -> Kept:
    """The state of an asset, when it is of now or earlier and, where some are given, of these parameters.

    Raises:
        Unusable: as it says.

    """
    path = place(folder, asset.name)
    try:
        kept = _decoded(path.read_bytes())
        expected = {"asset": asset.name, "instrument": asset.source}
        if parameters is not None:
            expected["parameters"] = parameters
        for name, value in expected.items():
            if getattr(kept, name) != value:
                raise Unusable(f"{name}: {getattr(kept, name)!r} where {value!r} was expected")
        state = kept.volatility_state
        for name, half_life_s in asset.half_lives_s().items():
            if state is not None and getattr(state, name) != half_life_s:
                raise Unusable(f"latest.{name}: {getattr(state, name)} where {half_life_s} was expected")
        if (seen_ns := max(kept.seen_ns, kept.latest.get("event_ns", 0))) > now_ns:
            raise Unusable(f"latest.event_ns: {seen_ns} lies in the future, it is {now_ns}")
    except FileNotFoundError:
        raise Unusable(f"{path}: there is no state yet") from None
    except (OSError, Unusable) as error:
        raise Unusable(f"{path}: {error}") from None
    return kept


def _decoded(data: bytes) -> Kept:
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope)
    except msgspec.MsgspecError as error:
        raise Unusable(f"is no state of ours, or a part of one: {error}") from None
    if envelope.tidemill != FORMAT:
        raise Unusable(f"tidemill: {envelope.tidemill!r} where {FORMAT!r} was expected")
    if envelope.version != VERSION:
        raise Unusable(f"version: {envelope.version} where {VERSION} was expected")
    if hashlib.sha256(envelope.body).digest() != envelope.digest:
        raise Unusable("digest: is not that of the body")
    try:
        kept = msgspec.msgpack.decode(envelope.body, type=Kept)
        _check(kept)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unusable(f"body: {error}") from None
    return kept


def _check(kept: Kept) -> None:
    state, bars = kept.volatility_state, kept.bars
    if not (np.isfinite(bars).all() and (bars[:, 1:5] > 0.0).all() and (np.diff(bars[:, 0]) > 0.0).all()):
        raise ValueError("rows: not positive, or not in the order of time")
    if state is None:
        return
    if state.instrument != kept.instrument:
        raise ValueError(f"latest.instrument: {state.instrument!r} where {kept.instrument!r} was expected")
    if not 0.0 < state.price < np.inf:
        raise ValueError(f"latest.price: {state.price} is not a positive number")
    for name in ("fast", "slow", "hour_fast", "hour_slow", "anchor"):
        if not 0.0 <= (value := getattr(state, name)) < np.inf:
            raise ValueError(f"latest.{name}: {value} is negative or no number")
    whole = len(state.profile) in {0, 4 * EVEN.size}
    if not (whole and np.isfinite(profile := profile_of(state.profile)).all() and (profile >= 0.0).all()):
        raise ValueError(f"latest.profile: {len(state.profile)} bytes are no multipliers of a day")
