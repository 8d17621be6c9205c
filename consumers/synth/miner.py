"""Answers to requests for price paths, from the newest states on disk, each proved as a validator proves it.

What is wrong with a request is told by the field's name. A state counts as stale when its last bar ended longer ago
than ``Terms`` say: then there is no answer, or, where ``stale`` is "widen", one that is wider by the time that passed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from consumers.synth.state import LOGGED, Kept, Unusable, load, place
from consumers.synth.together import correlation, jointly
from processors.online.synth_assets import Asset
from processors.online.synth_forecast import digest, forecast, known_of
from processors.online.synth_response import MOST_PRICES, Prompt, error_of, prompt, response
from schemas import Prompt as PromptRecord
from schemas import VolatilityState

SECOND_NS = 1_000_000_000
AHEAD_S = 86_400
FIELDS = ("asset", "start_time", "time_increment", "time_length", "num_simulations")


class Unanswered(Exception):
    """There is no answer; ``status`` is HTTP's, ``outcome`` one word for the metrics."""

    def __init__(self, status: int, outcome: str, text: str) -> None:
        super().__init__(text)
        self.status, self.outcome = status, outcome


@dataclass(frozen=True)
class Terms:
    """What counts as stale, and what is done then."""

    stale_after_s: float = 300.0
    stale: Literal["refuse", "widen"] = "refuse"

    def __post_init__(self) -> None:
        if not 0.0 < self.stale_after_s < float("inf"):
            raise ValueError(f"stale_after_s: {self.stale_after_s} is not a positive number of seconds")
        if self.stale not in {"refuse", "widen"}:
            raise ValueError(f"stale: {self.stale!r} is neither refuse nor widen")


class Answer(NamedTuple):
    """An answer and what it was made from."""

    response: list[Any]
    asked: Prompt
    state: VolatilityState
    digest: str  # of its paths
    widened_s: float  # of variance that the first step has more; 0 where the state was not stale
    logged: bool  # whether the state is in the log, so that the log can repeat the answer

    def record(self, origin: str, arrived_ns: int, answered_ns: int) -> PromptRecord:
        """What is published of it."""
        asked = self.asked
        return PromptRecord(
            instrument=self.state.instrument,
            event_ns=answered_ns,
            asset=asked.asset,
            start_ns=asked.start_s * SECOND_NS,
            step_ms=asked.increment_s * 1_000,
            length_ms=asked.length_s * 1_000,
            paths=asked.paths,
            origin=origin,
            state_ns=self.state.event_ns,
            digest=self.digest,
            answer_ms=max(answered_ns - arrived_ns, 0) / 1e6,
            widened_s=self.widened_s,
        )


class Miner:
    """Answers from the states in a folder; ``clock`` gives ns since the epoch."""

    def __init__(self, folder: Path, terms: Terms, clock: Callable[[], int], assets: Mapping[str, Asset]) -> None:
        self._terms, self._clock, self._assets = terms, clock, assets
        self._states = States(folder)

    def asked(self, fields: Mapping[str, Any]) -> Prompt:
        """What a simulation_input asks for.

        Raises:
            Unanswered: a field is missing or makes no sense.

        """
        for name in FIELDS:
            if name not in fields:
                raise Unanswered(400, "refused", f"{name}: is missing")
        self._named(fields["asset"])
        now_s = self._clock() / SECOND_NS
        name, start, increment, length, count = (fields[field] for field in FIELDS)
        try:
            asked = prompt(name, start, increment, length, count, now_s)
        except (ValueError, OverflowError) as error:
            raise Unanswered(400, "refused", str(error)) from None
        if asked.start_s > now_s + AHEAD_S:
            raise Unanswered(400, "refused", f"start_time: {start} lies more than {AHEAD_S} s ahead")
        return asked

    def asked_jointly(self, fields: Mapping[str, Any]) -> list[Prompt]:
        """What a simulation_input asks for whose ``asset`` is a list.

        Raises:
            Unanswered: as ``asked``.

        """
        names = fields.get("asset")
        if not isinstance(names, list) or not 2 <= len(names) == len(set(map(str, names))):
            raise Unanswered(400, "refused", f"asset: {names!r} where a list of two or more assets was expected")
        asked = [self.asked({**fields, "asset": name}) for name in names]
        if sum(one.points * one.paths for one in asked) > MOST_PRICES:
            raise Unanswered(400, "refused", f"num_simulations: more than {MOST_PRICES} prices in all")
        return asked

    def answer(self, asked: Prompt) -> Answer:
        """The answer to a prompt.

        Raises:
            Unanswered: there is no state to answer from, or no time left.

        """
        self._in_time(asked)
        kept, state = self._state(asked.asset)
        asset, widened_s = self._assets[asked.asset], self._widened_s(state, asked)
        made = forecast(
            known_of(state, asked.length_s), asset, asset.model(asked.length_s), asked.start_s, asked.increment_s,
            asked.points - 1, asked.paths, widened_s=widened_s,
        )  # fmt: skip
        return Answer(self._proved(asked, made), asked, state, digest(made), widened_s, kept.parameters == LOGGED)

    def joint(self, asked: Sequence[Prompt]) -> dict[str, list[Any]]:
        """The answers to prompts that differ in their asset alone: paths of one number belong together.

        Raises:
            Unanswered: as ``answer``.

        """
        self._in_time(asked[0])
        found = [self._state(one.asset) for one in asked]
        known = [known_of(state, asked[0].length_s) for _, state in found]
        assets = [self._assets[one.asset] for one in asked]
        widened_s = [self._widened_s(state, one) for one, (_, state) in zip(asked, found, strict=True)]
        matrix = correlation([kept.bars for kept, _ in found])
        together = jointly(known, assets, widened_s, asked[0], matrix)
        return {one.asset: self._proved(one, made) for one, made in zip(asked, together, strict=True)}

    def price(self, name: str) -> float:
        """The last price of an asset.

        Raises:
            Unanswered: as it says.

        """
        self._named(name)
        return self._state(name)[1].price

    def ages_s(self) -> dict[str, float | None]:
        """How long ago the last bar of each asset ended; None where there is no state."""
        now_ns = self._clock()
        found: dict[str, float | None] = {}
        for name, asset in self._assets.items():
            try:
                state = self._states.of(asset, now_ns).volatility_state
                found[name] = None if state is None else (now_ns - state.event_ns) / SECOND_NS
            except Unusable:
                found[name] = None
        return found

    def _named(self, name: Any) -> None:
        if not isinstance(name, str) or name not in self._assets:
            raise Unanswered(400, "refused", f"asset: {name!r} is none of {', '.join(self._assets)}")

    def _state(self, name: str) -> tuple[Kept, VolatilityState]:
        now_ns = self._clock()
        try:
            kept = self._states.of(self._assets[name], now_ns)
        except Unusable as error:
            raise Unanswered(503, "stateless", f"asset: {name}: {error}") from None
        state = kept.volatility_state
        if state is None or not state.warm:
            reason = state.reason if state is not None else "no bar yet"
            raise Unanswered(503, "stateless", f"asset: {name}: its state is not warm: {reason}")
        age_s = (now_ns - state.event_ns) / SECOND_NS
        if age_s > self._terms.stale_after_s and self._terms.stale == "refuse":
            limit = f"{self._terms.stale_after_s:g} s"
            raise Unanswered(503, "stale", f"asset: {name}: its state is stale: {age_s:.0f} s old, more than {limit}")
        return kept, state

    def _widened_s(self, state: VolatilityState, asked: Prompt) -> float:
        """The time from a stale state to the start, which nobody has seen; 0 for a state that is not stale."""
        age_s = (self._clock() - state.event_ns) / SECOND_NS
        return asked.start_s - state.event_ns / SECOND_NS if age_s > self._terms.stale_after_s else 0.0

    def _proved(self, asked: Prompt, made: Any) -> list[Any]:
        try:
            given = response(asked, made)
        except ValueError as error:
            raise Unanswered(500, "wrong", str(error)) from None
        if error_found := error_of(given, asked):
            raise Unanswered(500, "wrong", error_found)
        self._in_time(asked)
        return given

    def _in_time(self, asked: Prompt) -> None:
        if self._clock() >= asked.start_s * SECOND_NS:
            raise Unanswered(504, "late", f"start_time: {asked.start_s} came before the answer")


class States:
    """The states of a folder, read again when their files change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int, int], Kept]] = {}

    def of(self, asset: Asset, now_ns: int) -> Kept:
        """The state of an asset.

        Raises:
            Unusable: there is none, or none that can be used.

        """
        path = place(self._folder, asset.name)
        try:
            stat = path.stat()
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            raise Unusable(f"{path}: there is no state yet") from None
        read = self._read.get(asset.name)
        if read is None or read[0] != mark or read[1].seen_ns > now_ns:
            read = self._read[asset.name] = (mark, load(self._folder, asset, now_ns))
        return read[1]
