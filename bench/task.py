"""What a contestant is told, through the environment, and the one thing that it reports: when its work began.

Start-up is nobody's subject here, so the clock starts when a contestant holds its first fetched value and stops when
the broker appends its last output.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VARIABLE = "BENCH_TASK"
CHECKPOINT_S = 1.0  # every contestant that commits or keeps state does so once a second
DERIVED = ("buckets", "emas", "jump_losses")


@dataclass(frozen=True)
class Task:
    """One run of one contestant."""

    brokers: str
    prefix: str  # of all topics
    group: str  # a new one for each run
    records: int  # in the source topic, clocks included
    folder: str  # of the run's own files

    @classmethod
    def given(cls) -> "Task":
        """The task of this process."""
        return cls(**json.loads(os.environ[VARIABLE]))

    def environment(self) -> dict[str, str]:
        """The environment for a process that is to do the task."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def source(self) -> str:
        """The topic that is read, as the broker knows it."""
        return f"{self.prefix}ticks"

    def topic(self, name: str) -> str:
        """A derived topic, as the broker knows it."""
        return self.prefix + name

    @property
    def began(self) -> Path:
        """The file that holds when the work began, in ns since the epoch."""
        return Path(self.folder, "began")

    @property
    def ended(self) -> Path:
        """The file in which a contestant without outputs says when it was through."""
        return Path(self.folder, "ended")

    def begin(self) -> None:
        """Note the begin of the work; later calls change nothing."""
        if not self.began.exists():
            self.began.write_text(str(time.time_ns()))

    def beginning(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose first call is the begin of the work."""
        begun = False

        def noted(*arguments: Any) -> Any:
            nonlocal begun
            if not begun:
                begun = True
                self.begin()
            return function(*arguments)

        return noted


def consumer_config(task: Task) -> dict[str, Any]:
    """A tuned librdkafka consumer that reads from the start."""
    return {
        "bootstrap.servers": task.brokers,
        "group.id": task.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.queue.backoff.ms": 5,
    }


def producer_config(task: Task) -> dict[str, Any]:
    """An idempotent librdkafka producer, which means acks=all."""
    return {"bootstrap.servers": task.brokers} | PRODUCER


PRODUCER = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": 500_000,
}
