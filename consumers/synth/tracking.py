"""The state of one asset as bars come: the stages that a worker runs, in process, and what a file keeps of them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from consumers.synth.state import MINUTE_NS, Kept, Unusable, appended
from processors.chain import EventChain
from processors.online.synth_assets import Asset
from processors.stage import name
from processors.volatility_states import VolatilityStates
from processors.wide_bars import WideBars
from schemas import Bar, VolatilityState

STAGES = (WideBars, VolatilityStates)


def options(asset: Asset) -> dict[str, Any]:
    """The stages' options: whose prices these are, wherever they come from."""
    return {name(VolatilityStates): VolatilityStates.Options(instruments={asset.source: asset.name})}


def parameters(asset: Asset) -> str:
    """What the stages make a state with: one made with others cannot be gone on with."""
    made_with = options(asset)
    given = {name(stage): dataclasses.asdict(made_with.get(name(stage), stage.Options())) for stage in STAGES}
    return msgspec.json.encode([asset, given]).decode()


class Tracking:
    """The state; goes on from what a file kept of it.

    Raises:
        Unusable: the stages cannot go on from it.

    """

    def __init__(self, asset: Asset, kept: Kept | None = None) -> None:
        self._kept = kept or Kept(asset.name, asset.source, parameters(asset), {}, {})
        self._chain = EventChain(STAGES, options(asset))
        try:
            self._chain.restore(self._kept.chain)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # of stages that were otherwise once
            raise Unusable(f"chain: {type(error).__name__}: {error}") from None

    @property
    def seen_ns(self) -> int:
        """End of the last bar; 0 before the first."""
        return self._kept.seen_ns

    def take(self, bars: Sequence[Bar]) -> list[str]:
        """Take later bars in the order of time; the reasons why some were refused."""
        taken: list[Bar] = []
        reasons: list[str] = []
        latest = self._kept.latest
        for bar in bars:
            made, refused = self._chain.on_event(bar)
            reasons += [f"minute {bar.event_ns // MINUTE_NS - 1}: {item.reason}" for item in refused]
            for record in made:
                if isinstance(record, VolatilityState):
                    latest = msgspec.structs.asdict(record)
                    taken.append(bar)
        rows = appended(self._kept.rows, taken)
        self._kept = msgspec.structs.replace(self._kept, latest=latest, rows=rows)
        return reasons

    def kept(self) -> Kept:
        """What to keep."""
        return msgspec.structs.replace(self._kept, chain=self._chain.snapshot())
