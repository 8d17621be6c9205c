"""The axon: who is answered, and a real one of Bittensor's on this machine where the library is installed."""

import asyncio
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumers.synth.axon import Admission, Replies, axon, refusal, stake
from consumers.synth.axon_command import follow
from consumers.synth.miner import Miner, Terms
from consumers.synth.state import MINUTE_NS
from infra.errors import UserError
from processors.online.synth_assets import ASSETS
from processors.online.synth_response import Prompt, error_of
from tests.consumers.synth.kept import put
from tests.consumers.synth.served import INPUT, starting
from tests.waiting import PATIENCE_S

METAGRAPH = SimpleNamespace(
    hotkeys=["validator", "miner", "poor"], S=[100_000.0, 70_000.0, 10.0], validator_permit=[True, False, True]
)


@pytest.mark.parametrize(
    ("hotkey", "signature", "admission", "reason"),
    [
        ("validator", "0x1", Admission(), ""),
        (None, "0x1", Admission(), "no hotkey"),
        ("validator", None, Admission(), "no signature"),
        ("stranger", "0x1", Admission(), "not registered"),
        ("stranger", "0x1", Admission(allows_unregistered=True), ""),
        ("poor", "0x1", Admission(), "stake 10 below 65000"),
        ("poor", "0x1", Admission(least_stake=5.0), ""),
        ("miner", "0x1", Admission(), "no validator's permit"),
        ("miner", "0x1", Admission(needs_permit=False), ""),
    ],
)
def test_who_is_answered(hotkey, signature, admission, reason):
    assert refusal(admission, METAGRAPH, hotkey, signature) == reason


def test_who_stakes_more_is_answered_first():
    assert [stake(METAGRAPH, hotkey) for hotkey in ("validator", "miner", "stranger", None)] == [1e5, 7e4, 0.0, 0.0]


def test_a_stake_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"least_stake: -1\.0"):
        Admission(least_stake=-1.0)


def test_a_chain_that_is_away_does_not_end_the_miner():
    stopping, outcomes = threading.Event(), iter([ConnectionError("no route"), TimeoutError(), None])

    def sync():
        if (outcome := next(outcomes)) is None:
            stopping.set()
        else:
            raise outcome

    with capture_logs() as told:
        follow(sync, stopping, every_s=0.0)
    assert [line["reason"] for line in told] == ["ConnectionError: no route", "TimeoutError: "]


def replies(folder, told=None):
    put(folder, end_ns=this_minute())
    return Replies(Miner(folder, Terms(), time.time_ns, ASSETS), told)


def this_minute():
    return time.time_ns() // MINUTE_NS * MINUTE_NS


def fields(**changed):
    return INPUT | {"start_time": starting(180.0, this_minute()), "num_simulations": 20} | changed


def test_a_request_that_makes_no_sense_gets_no_response(tmp_path):
    assert asyncio.run(replies(tmp_path).reply(fields(num_simulations=0))) is None
    assert asyncio.run(replies(tmp_path).reply(fields(asset="DOGE"))) is None


def test_an_answer_is_told(tmp_path):
    told = []
    asyncio.run(replies(tmp_path, lambda *all_of_it: told.append(all_of_it)).reply(fields()))
    ((answer, arrived_ns, answered_ns),) = told
    assert answer.asked.paths == 20
    assert arrived_ns <= answered_ns


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bittensor", None)
    with pytest.raises(UserError, match="extra `bittensor`"):
        axon(replies(tmp_path), Admission(), METAGRAPH, None, "127.0.0.1", 8_092)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listening(port):
    """Wait until somebody does."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def bittensor(monkeypatch):
    found = pytest.importorskip("bittensor", reason="bittensor is not installed: extra `bittensor`")
    monkeypatch.setattr("bittensor.utils.networking.get_external_ip", lambda: "127.0.0.1")  # who asks looks it up
    return found


def keys(bittensor, folder, name):
    wallet = bittensor.Wallet(name=name, hotkey="one", path=str(folder))
    wallet.create_if_non_existent(coldkey_use_password=False, hotkey_use_password=False, suppress=True)
    return wallet


def synapse_of(bittensor, **given):
    """The subnet's synapse, as a validator has it."""
    from pydantic import BaseModel

    class SimulationInput(BaseModel):
        asset: str
        start_time: str
        time_increment: int
        time_length: int
        num_simulations: int

    class Simulation(bittensor.Synapse):
        simulation_input: SimulationInput
        simulation_output: list | None = None

    return Simulation(simulation_input=SimulationInput(**given))


def test_validators_are_answered_over_a_real_axon_and_others_are_not(bittensor, tmp_path):
    ours, validator, stranger = (keys(bittensor, tmp_path / "wallets", name) for name in ("ours", "theirs", "nobody"))
    metagraph = SimpleNamespace(hotkeys=[validator.hotkey.ss58_address], S=[100_000.0], validator_permit=[True])
    served = axon(replies(tmp_path), Admission(), metagraph, ours, "127.0.0.1", free_port()).start()

    listening(served.port)

    async def ask(wallet, given):
        async with bittensor.Dendrite(wallet=wallet) as dendrite:
            return await dendrite.forward(served.info(), synapse_of(bittensor, **given), deserialize=False, timeout=60)

    try:
        given = fields()
        answered = asyncio.run(ask(validator, given))
        refused = asyncio.run(ask(stranger, given))
        wrong = asyncio.run(ask(validator, given | {"num_simulations": 0}))
        sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        bound = [columns[1] for columns in sockets if columns[3] == "0A"]
    finally:
        served.stop()
    asked = Prompt("BTC", this_minute() // 10**9 + 180, 300, 86_400, 20)
    assert error_of(answered.simulation_output, asked) is None
    assert refused.simulation_output is None
    assert refused.dendrite.status_code == 403
    assert "not registered" in refused.dendrite.status_message
    assert wrong.simulation_output is None
    assert f"0100007F:{served.port:04X}" in bound
    assert f"00000000:{served.port:04X}" not in bound
