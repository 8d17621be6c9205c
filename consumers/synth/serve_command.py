"""``tidemill synth serve``: the miner over HTTP, and as a Bittensor axon where that is asked for."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from consumers.synth.miner import Answer, Miner, Terms
from consumers.synth.serving import Serving
from consumers.synth.updater_command import Source, chosen
from infra import logs, metrics
from infra.errors import UserError
from infra.publisher import Publisher, PublishError
from infra.registry import codec
from infra.settings import Settings, load_settings

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
log = logs.logger(__name__)

StateDir = Annotated[Path | None, typer.Option(help="Folder of the states; not given: setting synth_state_dir.")]
Host = Annotated[
    str, typer.Option(help="Address to listen on; there is no login, so beyond loopback put a proxy before.")
]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any, which is then printed.")]
StaleAfter = Annotated[float | None, typer.Option(help="Age of a state's last bar in s that makes it stale.")]
Stale = Annotated[str | None, typer.Option(help="What to do with a stale state: refuse, or widen the forecast.")]
Publish = Annotated[bool, typer.Option("--publish", help="Publish each answer as a Prompt, so that it is scored.")]
Origin = Annotated[str, typer.Option(help="Who asks, as published: validator, http or cli.")]


class Publications:
    """Publishes answers from states of the log, which alone it can repeat and score.

    A broker that is away costs an answer its publication, and nothing else.
    """

    def __init__(self, settings: Settings, origin: str) -> None:
        self._settings, self._origin = settings, origin
        self._codec = codec(settings)
        self._publisher: Publisher | None = None

    def __call__(self, answer: Answer, arrived_ns: int, answered_ns: int) -> None:
        """Publish one."""
        if not answer.logged:
            log.warning("not published", asset=answer.asked.asset, reason="its state is of a venue, and in no topic")
            return
        try:
            if self._publisher is None:
                self._publisher = Publisher(self._settings, self._codec)
            self._publisher.publish(answer.record(self._origin, arrived_ns, answered_ns))
            self._publisher.poll()
        except PublishError as error:
            self._publisher = None
            log.error("not published", asset=answer.asked.asset, reason=str(error))

    def close(self) -> None:
        """Wait for what is under way."""
        if self._publisher is not None:
            self._publisher.flush()


def terms(settings: Settings, stale_after: float | None, stale: str | None) -> Terms:
    """What counts as stale, by the command line and else by the settings."""
    given: dict[str, Any] = {
        "synth_stale_after_s": settings.synth_stale_after_s if stale_after is None else stale_after,
        "synth_stale": stale or settings.synth_stale,
    }
    checked = load_settings(**given)
    return Terms(checked.synth_stale_after_s, checked.synth_stale)


def serve(
    state_dir: StateDir = None,
    host: Host = "127.0.0.1",
    port: Port = 8091,
    stale_after: StaleAfter = None,
    stale: Stale = None,
    publish: Publish = False,
    origin: Origin = "http",
    source: Source = None,
) -> None:
    """Answer requests for price paths from the states that `tidemill synth updater` keeps."""
    settings = load_settings()
    logs.setup(settings)
    if origin not in {"validator", "http", "cli"}:
        raise UserError(f"--origin: {origin!r} is none of validator, http, cli")
    if host not in LOOPBACK:
        log.warning("listens beyond this machine, and asks nobody who they are", host=host)
    assets = chosen([], source or [])
    miner = Miner(state_dir or settings.synth_state_dir, terms(settings, stale_after, stale), time.time_ns, assets)
    publications = Publications(settings, origin) if publish else None
    metrics.serve(settings)
    run(Serving(miner, publications), host, port)
    if publications is not None:
        publications.close()


def run(serving: Serving, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        UserError: the port is taken.

    """
    config = uvicorn.Config(serving.app, host, port, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise UserError(f"--port: cannot listen on {host}:{port}") from None
    socket.listen(config.backlog)
    print(f"listening on http://{host}:{socket.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[socket])
