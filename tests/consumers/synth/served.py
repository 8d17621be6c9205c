"""A miner over HTTP on this machine, in a thread."""

import contextlib
import threading
from datetime import UTC, datetime

import httpx2
import uvicorn

from consumers.synth.miner import Miner, Terms
from consumers.synth.serving import Serving
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.kept import NOW_NS
from tests.waiting import PATIENCE_S, until

INPUT = {"asset": "BTC", "time_increment": 300, "time_length": 86_400, "num_simulations": 1_000}


def starting(after_s=60.0, now_ns=NOW_NS):
    return datetime.fromtimestamp(now_ns / 1e9 + after_s, UTC).isoformat()


def asked(**changed):
    return {"simulation_input": INPUT | {"start_time": starting()} | changed}


@contextlib.contextmanager
def serving(folder, terms=None, clock=lambda: NOW_NS, told=None):
    """A client of a miner whose clock stands still."""
    miner = Miner(folder, terms or Terms(), clock, ASSETS)
    config = uvicorn.Config(Serving(miner, told, clock).app, "127.0.0.1", 0, log_config=None)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        until(lambda: server.started, every_s=0.01)
        with httpx2.Client(base_url=f"http://127.0.0.1:{socket.getsockname()[1]}", timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
