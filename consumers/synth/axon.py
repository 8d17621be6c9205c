"""The miner as a Bittensor axon (extra ``bittensor``): validators ask, and are answered as over HTTP.

Who asks must have signed, be registered, stake enough and, where that is set, hold a validator's permit; else the
request is refused before its body is looked at. The name of the synapse and its fields are the subnet's protocol.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Tuple  # noqa: UP035

from consumers.synth.miner import Answer, Miner, Unanswered
from infra import logs, metrics
from infra.errors import UserError

SECOND_NS = 1_000_000_000
LEAST_STAKE = 65_000.0
log = logs.logger(__name__)


@dataclass(frozen=True)
class Admission:
    """Who may ask."""

    least_stake: float = LEAST_STAKE
    needs_permit: bool = True
    allows_unregistered: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.least_stake < float("inf"):
            raise ValueError(f"least_stake: {self.least_stake} is negative or no number")


class Metagraph(Protocol):
    """What of the network's state decides."""

    hotkeys: Sequence[str]
    S: Sequence[float]
    validator_permit: Sequence[bool]


def refusal(admission: Admission, metagraph: Metagraph, hotkey: str | None, signature: str | None) -> str:
    """Why somebody is not answered; empty where they are."""
    if not hotkey or not signature:
        return "no hotkey" if not hotkey else "no signature"
    if hotkey not in metagraph.hotkeys:
        return "" if admission.allows_unregistered else "not registered"
    place = metagraph.hotkeys.index(hotkey)
    if metagraph.S[place] < admission.least_stake:
        return f"stake {float(metagraph.S[place]):g} below {admission.least_stake:g}"
    if admission.needs_permit and not metagraph.validator_permit[place]:
        return "no validator's permit"
    return ""


def stake(metagraph: Metagraph, hotkey: str | None) -> float:
    """What somebody stakes; those who stake more are answered first."""
    return float(metagraph.S[metagraph.hotkeys.index(hotkey)]) if hotkey in metagraph.hotkeys else 0.0


class Replies:
    """Answers in the thread that makes them, one at a time."""

    def __init__(self, miner: Miner, told: Callable[[Answer, int, int], None] | None = None) -> None:
        self._miner, self._told = miner, told
        self._maker = ThreadPoolExecutor(1, "answers")

    async def reply(self, fields: dict[str, Any]) -> list[Any] | None:
        """The response to a simulation_input; None, with a warning, where there is none."""
        arrived_ns = time.time_ns()
        try:
            asked = self._miner.asked(fields)
            answer = await asyncio.get_running_loop().run_in_executor(self._maker, self._miner.answer, asked)
        except Unanswered as error:
            metrics.SYNTH_ANSWERS.labels(error.outcome).inc()
            log.warning("unanswered", asset=fields.get("asset"), reason=str(error))
            return None
        now_ns = time.time_ns()
        metrics.SYNTH_ANSWERS.labels("answered").inc()
        metrics.SYNTH_ANSWER.observe((now_ns - arrived_ns) / SECOND_NS)
        metrics.SYNTH_LEFT.observe(max(asked.start_s - now_ns / SECOND_NS, 0.0))
        if self._told is not None:
            await asyncio.get_running_loop().run_in_executor(self._maker, self._told, answer, arrived_ns, now_ns)
        return answer.response


def axon(
    replies: Replies, admission: Admission, metagraph: Metagraph, wallet: Any, ip: str, port: int, outside: str = ""
) -> Any:
    """An axon that answers, not yet started; it listens on ``ip`` alone, and says that it is at ``outside``.

    Raises:
        UserError: bittensor is not installed.

    """
    try:
        import bittensor  # noqa: PLC0415  an extra
        from pydantic import BaseModel  # noqa: PLC0415
        from starlette.middleware.gzip import GZipMiddleware  # noqa: PLC0415
    except ImportError:
        raise UserError("bittensor is not installed; it comes with the extra `bittensor`") from None

    class SimulationInput(BaseModel):
        """What a validator asks for."""

        asset: str = "BTC"
        start_time: str = ""
        time_increment: int = 300
        time_length: int = 86_400
        num_simulations: int = 1

    class Simulation(bittensor.Synapse):  # type: ignore[misc]
        """A request, and its response once there is one."""

        simulation_input: SimulationInput
        simulation_output: Any = None

    async def forward(synapse: Simulation) -> Simulation:
        synapse.simulation_output = await replies.reply(synapse.simulation_input.model_dump())
        return synapse

    async def blacklist(synapse: Simulation) -> Tuple[bool, str]:  # noqa: UP006  the library wants just this
        caller = synapse.dendrite
        reason = refusal(admission, metagraph, caller and caller.hotkey, caller and caller.signature)
        if reason:
            log.warning("refused", hotkey=caller and caller.hotkey, reason=reason)
        return bool(reason), reason or "admitted"

    async def priority(synapse: Simulation) -> float:
        return stake(metagraph, synapse.dendrite and synapse.dendrite.hotkey)

    made = bittensor.Axon(wallet=wallet, ip=ip, port=port, external_ip=outside or ip, external_port=port)
    made.fast_config.host = ip  # which the library sets to every address, whatever it was given
    made.attach(forward_fn=forward, blacklist_fn=blacklist, priority_fn=priority)
    made.app.add_middleware(GZipMiddleware, minimum_size=1_024)
    return made
