"""One run of one contestant: start it, wait until its outputs are there, check every one of them, give the time."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from bench.arena import Arena, Ends
from bench.task import Task

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-bench" / "bin" / "python"
NOTHING_FOR_S = 60.0  # with no new output for so long a run has failed


@dataclass
class Contestant:
    """A program, the workload it gets, and what it did with it."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    size: str = "large"
    peer: bool = False  # runs in the peers' venv
    outputs: bool = True
    rates: list[float] = field(default_factory=list)  # ticks/s
    failure: str = ""

    def command(self) -> list[str]:
        """The command line."""
        python = str(PEERS) if self.peer else sys.executable
        return [python, "-m", f"bench.contestants.{self.module}", *self.arguments]


class Failed(Exception):
    """A run that gave no figure."""


def run(contestant: Contestant, arena: Arena) -> float:
    """Ticks per second of one run.

    Raises:
        Failed: it ended early, stood still, or an output is wrong, missing or doubled.

    """
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        group = f"bench-{uuid.uuid4().hex[:8]}"
        task = Task(arena.settings.brokers, arena.settings.topic_prefix, group, arena.records, folder)
        since = arena.ends()
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = _start(contestant, task, output.fileno())
        try:
            _wait(contestant, arena, since, process, task)
        except Failed as failed:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise Failed(f"{failed}; its last words:\n{tail}") from None
        finally:
            _end(process)
        began = int(task.began.read_text())
        ended = checked(arena, since) if contestant.outputs else int(task.ended.read_text())
        return arena.work.ticks / (ended - began) * 1e9


def _start(contestant: Contestant, task: Task, output: int) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    environment |= task.environment() | {
        "PYTHONPATH": str(ROOT),
        "TIDEMILL_BROKERS": task.brokers,
        "TIDEMILL_TOPIC_PREFIX": task.prefix,
        "TIDEMILL_GROUP": task.group,
        "TIDEMILL_DATA_DIR": task.folder,
    }
    return subprocess.Popen(
        contestant.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, env=environment,
        start_new_session=True,
    )  # fmt: skip


def _wait(contestant: Contestant, arena: Arena, since: Ends, process: "subprocess.Popen[bytes]", task: Task) -> None:
    count, changed = 0, time.monotonic()
    while not task.ended.exists() if not contestant.outputs else count < arena.outputs:
        time.sleep(0.1)
        new = arena.appended(since)
        if new != count:
            count, changed = new, time.monotonic()
        if process.poll() is not None and not task.ended.exists():
            raise Failed(f"ended with {process.returncode} after {count} of {arena.outputs} outputs")
        if time.monotonic() - changed > NOTHING_FOR_S:
            raise Failed(f"stood still after {count} of {arena.outputs} outputs")
    time.sleep(0.3)  # for what there might be too much


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the contestant with all that it has started."""
    for number, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience_s)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def checked(arena: Arena, since: Ends) -> int:
    """When the last output was appended, in ns since the epoch, once every output is as it must be.

    Raises:
        Failed: some key of some topic does not have exactly its values in exactly their order.

    """
    found: dict[str, dict[bytes, list[bytes]]] = {}
    ended_ms = 0
    for topic, message in arena.outputs_since(since):
        found.setdefault(topic, {}).setdefault(message.key() or b"", []).append(message.value() or b"")
        ended_ms = max(ended_ms, message.timestamp()[1])
    for topic, keys in arena.expected.items():
        for key, values in keys.items():
            got = found.get(topic, {}).get(key, [])
            if got != values:
                wrong = sum(one != other for one, other in zip(got, values, strict=False))
                raise Failed(f"{topic} of {key.decode()}: {len(got)} outputs for {len(values)}, {wrong} of them wrong")
    return ended_ms * 1_000_000
