"""``tidemill synth axon``: the miner for the subnet's validators, registered on its chain."""

import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from consumers.synth.axon import LEAST_STAKE, Admission, Replies, axon
from consumers.synth.miner import Miner
from consumers.synth.serve_command import Publications, Publish, Stale, StaleAfter, StateDir, terms
from consumers.synth.updater_command import Source, chosen, stopped
from infra import logs, metrics
from infra.errors import UserError
from infra.settings import load_settings

SYNC_S = 300.0
log = logs.logger(__name__)

Wallet = Annotated[str, typer.Option("--wallet", help="Name of the Bittensor wallet.")]
Hotkey = Annotated[str, typer.Option(help="Name of its hotkey.")]
Network = Annotated[str, typer.Option(help="finney, test, or the address of a node.")]
Netuid = Annotated[int, typer.Option(min=0, help="Number of the subnet: 50, on the test network 247.")]
Ip = Annotated[str, typer.Option(help="Address to listen on; validators must reach it.")]
Port = Annotated[int, typer.Option(min=1_025, max=65_534, help="Port to listen on.")]
Outside = Annotated[str, typer.Option("--external-ip", help="Address to give to validators; not given: --ip.")]
Stake = Annotated[float, typer.Option("--min-stake", min=0.0, help="Stake of who asks, at least.")]
Permit = Annotated[bool, typer.Option("--needs-permit/--no-permit", help="Whether who asks must be a validator.")]


def axon_(
    wallet: Wallet = "default",
    hotkey: Hotkey = "default",
    network: Network = "finney",
    netuid: Netuid = 50,
    ip: Ip = "127.0.0.1",
    port: Port = 8_092,
    external_ip: Outside = "",
    min_stake: Stake = LEAST_STAKE,
    needs_permit: Permit = True,
    state_dir: StateDir = None,
    stale_after: StaleAfter = None,
    stale: Stale = None,
    publish: Publish = False,
    source: Source = None,
) -> None:
    """Answer the subnet's validators; needs the extra `bittensor`, a registered hotkey and the chain."""
    settings = load_settings()
    logs.setup(settings)
    try:
        import bittensor  # noqa: PLC0415  an extra
    except ImportError:
        raise UserError("bittensor is not installed; it comes with the extra `bittensor`") from None
    folder: Path = state_dir or settings.synth_state_dir
    miner = Miner(folder, terms(settings, stale_after, stale), time.time_ns, chosen([], source or []))
    publications = Publications(settings, "validator") if publish else None
    subtensor = bittensor.Subtensor(network=network)
    metagraph = subtensor.metagraph(netuid)
    keys = bittensor.Wallet(name=wallet, hotkey=hotkey)
    if keys.hotkey.ss58_address not in metagraph.hotkeys:
        raise UserError(f"--hotkey: {hotkey!r} is not registered on subnet {netuid} of {network}")
    metrics.serve(settings)
    admission = Admission(min_stake, needs_permit)
    served = axon(Replies(miner, publications), admission, metagraph, keys, ip, port, external_ip)
    served.serve(netuid=netuid, subtensor=subtensor).start()
    try:
        with stopped() as stopping:
            follow(functools.partial(metagraph.sync, subtensor=subtensor), stopping)
    finally:
        served.stop()
        if publications is not None:
            publications.close()


def follow(sync: Callable[[], object], stopping: threading.Event, every_s: float = SYNC_S) -> None:
    """Look at the chain from time to time until ``stopping`` is set; where it is away, what was last known counts."""
    while not stopping.wait(every_s):
        try:
            sync()
        except Exception as error:  # whatever the library's transport raises
            log.warning("chain not read", reason=f"{type(error).__name__}: {error}")
