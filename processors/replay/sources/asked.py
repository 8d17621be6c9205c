"""What a replay is asked to read, checked, and the sources that give it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from infra.broker import partition_counts
from infra.errors import UserError
from infra.registry import codec
from infra.settings import Settings
from processors.replay.merging import Step, alone, merged
from processors.replay.replay import needs
from processors.replay.runs import Run
from processors.replay.sources import archive, backfill, frames, kafka
from processors.replay.sources.progress import Rate
from processors.replay.sources.selecting import between
from processors.wiring import StageType, source
from producers.feed import feeds
from schemas.catalogue import TOPICS
from schemas.columns import Keys

Chains = Mapping[str, Sequence[StageType]]  # as wiring.plan gives them
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
    whole: bool = False  # all fields of the records, not only those that the columns of the chain need

    def check(self) -> None:
        """See that the arguments go together.

        Raises:
            UserError: naming the option.

        """
        if self.clock_ms and self.origin != "frames":
            raise UserError("--clock-ms: goes with --from frames only")
        if self.symbols and self.origin == "kafka":
            raise UserError("--symbol: goes with --from frames or archive")
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


def recorded(asked: Asked, settings: Settings, chains: Chains, rate: Rate) -> Iterator[Step]:
    """What some chains read: their logs merged by the times of writing.

    Raises:
        UserError: there is nothing of these topics.

    """
    if asked.origin == "frames":
        yield from _frames(asked, chains, rate)
        return
    logs = _kafka(asked, settings, chains, rate) if asked.origin == "kafka" else _archive(asked, settings, chains, rate)
    yield from merged([between(log, asked.start_ns, asked.end_ns) for log in logs])


def _frames(asked: Asked, chains: Chains, rate: Rate) -> Iterator[Step]:
    given = {record.topic for feed in feeds().values() for record in feed.writes}
    if not chains.keys() & given:
        raise UserError(f"--stages: frames give the topics that feeds write, not {', '.join(chains)}")
    path, clock_ns = asked.file or Path(), asked.clock_ms * 1_000_000
    for chunk in frames.chunks(path, feeds()[asked.feed], asked.symbols, clock_ns, rate.reached):
        yield alone(between(chunk, asked.start_ns, asked.end_ns))


def _kafka(asked: Asked, settings: Settings, chains: Chains, rate: Rate) -> list[Iterator[Run]]:
    counts, given = partition_counts(settings), stretches(asked.offsets)
    readings = [
        kafka.Reading(settings, codec(settings), topic, given, asked.start_ns, only=partition)
        for topic in sorted(set(map(source, chains)))
        for partition in sorted(given) or range(counts.get(topic, 1))
    ]
    rate.total("kafka", sum(reading.total for reading in readings))
    return [reading.runs(rate.forward) for reading in readings]


def _archive(asked: Asked, settings: Settings, chains: Chains, rate: Rate) -> list[Iterator[Run]]:
    """The partitions of every topic, and what was back-filled of it unless a folder was named."""
    root = asked.file or settings.data_dir / ARCHIVE
    selection = archive.Selection(asked.start_ns, asked.end_ns, frozenset(asked.symbols) or None)
    logs: list[Iterator[Run]] = []
    total = 0
    stages: dict[str, list[StageType]] = {}
    for name, chain in sorted(chains.items()):
        stages.setdefault(source(name), []).extend(chain)
    for topic, reading in sorted(stages.items()):
        fields = None if asked.whole else needs(reading)
        keys: dict[int, Keys] = {}
        sizes = archive.partitions(root, topic, selection) if archive.holds(root, topic) else {}
        for partition, size in sizes.items():
            total += size
            own = keys.setdefault(partition, Keys())
            logs.append(archive.log(root, topic, partition, own, fields, selection))
        for kind in [] if asked.file else backfill.there(settings.data_dir, topic, selection.names):
            home = backfill.partition_of(kind.instrument, settings.partitions or TOPICS[topic].partitions)
            own = keys.setdefault(home, Keys())
            total += sum(archive.partitions(kind.root, topic, selection).values())
            logs.append(backfill.log(kind, root, topic, home, own, fields, selection))
    if not logs and not any(archive.holds(root, topic) for topic in stages):
        raise UserError(f"{root}: no archive of topic {', '.join(sorted(stages))}")
    rate.total("archive", total)
    return [_told(log, rate) for log in logs]


def _told(runs: Iterator[Run], rate: Rate) -> Iterator[Run]:
    for run in runs:
        rate.forward(len(run.batch))
        yield run
