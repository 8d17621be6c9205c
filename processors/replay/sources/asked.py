"""What a replay is asked to read, checked, and the source that gives it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from infra.errors import UserError
from infra.registry import codec
from infra.settings import Settings
from processors.replay.replay import needs
from processors.replay.runs import Run
from processors.replay.sources import archive, frames, kafka
from processors.replay.sources.progress import Rate
from processors.wiring import StageType
from producers.feed import feeds

STRETCH = re.compile(r"(\d{1,9}):(\d{1,18})-(\d{1,18})?")
ARCHIVE = "archive"  # folder under data_dir


class Asked(NamedTuple):
    """The arguments that say what to read."""

    origin: str
    file: Path | None = None
    feed: str = "coinbase"
    symbols: tuple[str, ...] = ()
    clock_ms: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    offsets: str = ""

    def check(self) -> None:
        """See that the arguments go together.

        Raises:
            UserError: naming the option.

        """
        frames_only = {"--symbol": self.symbols, "--clock-ms": self.clock_ms}
        for option, value in frames_only.items():
            if value and self.origin != "frames":
                raise UserError(f"{option}: goes with --from frames only")
        if self.offsets and self.origin != "kafka":
            raise UserError("--offsets: goes with --from kafka only")
        if self.file is not None and self.origin == "kafka":
            raise UserError("--file: goes with --from frames or archive")
        if self.origin == "frames" and self.file is None:
            raise UserError("--file: --from frames needs the recording")
        if self.file is not None and not self.file.exists():
            raise UserError(f"--file: there is no {self.file}")
        if self.origin == "frames" and self.feed not in feeds():
            raise UserError(f"--feed: no feed {self.feed!r}; there are {', '.join(feeds())}")
        if self.start_ns is not None and self.end_ns is not None and self.start_ns >= self.end_ns:
            raise UserError("--end: not after --start")
        stretches(self.offsets)


def stretches(text: str) -> dict[int, tuple[int, int | None]]:
    """Stretches of partitions.

    Raises:
        UserError: they cannot be read.

    >>> stretches("0:100-200,1:50-")
    {0: (100, 200), 1: (50, None)}

    """
    found: dict[int, tuple[int, int | None]] = {}
    for item in filter(None, text.split(",")):
        parts = STRETCH.fullmatch(item.strip())
        if parts is None or (parts[3] and int(parts[3]) < int(parts[2])):
            raise UserError(f"--offsets: {item!r} is not partition:first-end, e.g. 0:100-200 or 0:100-")
        found[int(parts[1])] = int(parts[2]), int(parts[3]) if parts[3] else None
    return found


def recorded(asked: Asked, settings: Settings, topic: str, chain: Sequence[StageType], rate: Rate) -> Iterator[Run]:
    """The runs of one source topic."""
    if asked.origin == "kafka":
        reading = kafka.Reading(settings, codec(settings), topic, stretches(asked.offsets), asked.start_ns)
        rate.total(topic, reading.total)
        yield from reading.runs(rate.forward)
    elif asked.origin == "archive":
        root = asked.file or settings.data_dir / ARCHIVE
        rate.total(topic, sum(archive.partitions(root, topic).values()))
        yield from archive.runs(
            root, topic, needs(chain), archive.Selection(asked.start_ns, asked.end_ns), rate.forward
        )
    elif asked.file is not None:
        if topic != "ticks":
            raise UserError(f"--stages: frames give the topic ticks, not {topic}")
        clock_ns = asked.clock_ms * 1_000_000
        yield from frames.runs(asked.file, feeds()[asked.feed], asked.symbols, clock_ns, rate.reached)
