"""A real Kafka broker on this machine without Docker: one KRaft node on loopback, 512 MB of heap.

Two ways to run it: tied to the process that starts it, so that it ends with that process whatever way it ends; or
detached, restarted after a crash, until it is stopped (``tidemill up`` and ``down``). A folder holds one broker with
its data, ports and logs.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra import supervise
from infra.errors import UserError
from infra.jars import POM, jars, java

TEMPLATE = POM.with_name("server.properties")
# Half the heap for what is new: of requests hardly anything lives on, and a collection is a stall for every client.
HEAP = ("-Xms512m", "-Xmx512m", "-Xmn256m", "-XX:+UseSerialGC")
JVM = (*HEAP, "-Djava.awt.headless=true", "-Dlog4j2.level=WARN")
FIRST_PORT, LAST_PORT = 20_000, 32_767  # from 32,768 on Linux takes one for every connection that goes out
CLUSTER = "dGlkZW1pbGwtbG9jYWwtMQ"  # a cluster id is 16 bytes in base64; each folder is a cluster of its own


class LocalKafka:
    """The broker of a folder; ``start`` and ``stop`` as often as wanted, its port and data stay."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.port = port or _kept(self.folder / "port") or free_port()
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the broker prints."""
        return self.folder / "broker.log"

    @property
    def running(self) -> bool:
        """Whether a process runs this folder's broker, ours or another's."""
        return _locked(self.folder / "lock")

    @property
    def pid(self) -> int | None:
        """Process id of the broker itself; None while it does not run."""
        return _kept(self.folder / "pid") if self.running else None

    def start(self, *, detached: bool = False, timeout_s: float = 180.0) -> None:
        """Start the broker and wait until it answers; nothing to do where it runs.

        Raises:
            UserError: Java or Maven is missing, the port is taken, or the broker does not come up.

        """
        if not self.running:
            self._prepare()
            self._supervisor = self._launch(detached)
        self._wait_until_up(timeout_s)

    def stop(self, timeout_s: float = 60.0) -> bool:
        """End the broker in good order; says whether there was one."""
        if not self.running:
            return False
        supervisor = _kept(self.folder / "lock")
        if supervisor is not None:
            os.kill(supervisor, signal.SIGTERM)
        self._wait_until_down(timeout_s)
        return True

    def kill(self) -> None:
        """End the broker as kill -9 does; a tied one stays down until ``start``."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        if self._supervisor is not None:
            self._wait_until_down(60.0)

    def _prepare(self) -> None:
        if _listens(self.port):
            raise UserError(
                f"port {self.port} on 127.0.0.1 is taken by another program: set TIDEMILL_BROKERS to another port"
            )
        data = self.folder / "data"
        properties = self.folder / "server.properties"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "port").write_text(str(self.port))
        filled = {"port": str(self.port), "controller_port": str(free_port()), "data": str(data)}
        text = TEMPLATE.read_text()
        for name, value in filled.items():
            text = text.replace(f"{{{name}}}", value)
        properties.write_text(text)
        if not (data / "meta.properties").exists():
            command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(properties)]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            if told.returncode:
                raise UserError(f"Kafka cannot prepare {data}: {told.stderr.strip() or told.stdout.strip()}")

    def _java(self) -> list[str]:
        return [java(), *JVM, "-cp", f"{jars()}/*"]

    def _launch(self, detached: bool) -> "subprocess.Popen[bytes]":
        program = [*self._java(), "kafka.Kafka", str(self.folder / "server.properties")]
        files = ["--lock", str(self.folder / "lock"), "--child", str(self.folder / "pid")]
        command = [
            sys.executable,
            "-P",
            supervise.__file__,
            *files,
            "--restart" if detached else "--tied",
            "--",
            *program,
        ]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait_until_up(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self._supervisor is not None and self._supervisor.poll() not in (None, supervise.LOCK_TAKEN):
                raise UserError(f"the local broker ended at once; the end of {self.log}:\n{_tail(self.log)}")
            if _listens(self.port) and answers(self.address):
                return
            time.sleep(0.1)
        raise UserError(f"the local broker does not answer at {self.address} after {timeout_s:g} s; see {self.log}")

    def _wait_until_down(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while self.running:
            if time.monotonic() > until:
                raise UserError(f"the local broker in {self.folder} does not end; see {self.log}")
            time.sleep(0.05)
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, and that the system gives nobody before a broker has come up on it."""
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(address: str) -> bool:
    """Whether a broker tells its topics within two seconds."""
    client = AdminClient({"bootstrap.servers": address, "log_level": 0, "socket.timeout.ms": 2_000})
    try:
        return bool(client.list_topics(timeout=2.0).brokers)
    except KafkaException:
        return False


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def _locked(path: Path) -> bool:
    try:
        lock: IO[str] = path.open("r")
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _kept(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
