"""A worker's hold on its partitions: restored when they come, worked as runs arrive, checkpointed, let go.

The Faust transport asks it where partitions start and tells it when they go; the agents hand it their events. Nothing
waits for a checkpoint but the acknowledgement of the inputs before it.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import TopicPartition
from faust.types import TP

from infra import logs, metrics
from infra.broker import consumer_config
from infra.errors import UserError
from infra.settings import Settings
from processors.chain import BatchChain
from processors.live import checkpoints
from processors.live.deliveries import Deliveries
from processors.live.encoding import Origin, columns
from processors.live.partition import Partition
from processors.stage import name, writes
from processors.stage import stages as all_stages
from processors.wiring import StageType, source
from schemas import Checkpoint, Record
from schemas.catalogue import TOPICS
from schemas.codec import Codec

RELEASE_S = 4.0  # the longest that a rebalance or a stop waits for a last checkpoint
TIMEOUT_S = 15.0
LOOK_S = 2.0
SECOND = 1_000_000_000
SAMPLES: dict[Any, Any] = {int: 1, float: 1.0, str: "warm:UP", bool: False, bytes: b""}


def sample(record: type[Record], event_ns: int) -> Record:
    """Some record of a type."""
    fields = {name: SAMPLES[kind] for name, kind in record.__annotations__.items() if name in record.__struct_fields__}
    return record(**fields | {"event_ns": event_ns})


def warm(topic: str, stages: Sequence[StageType], options: Mapping[str, Any], codec: Codec) -> None:
    """Have all that a chain needs compiled."""
    for stage in stages:
        stage.warm()
    chain = BatchChain(stages, options)
    for number in (1, 2, 3):
        values: list[bytes | None] = [codec.encode(sample(record, number * SECOND)) for record in TOPICS[topic].records]
        derived, _ = chain.on_batch(codec.decode_tables(values, chain.keys)[0])
        if derived:
            columns(derived, codec, chain.keys).lineage((topic, 0), lambda _: Origin(0, b""))


class Stalled(Exception):
    """Records are there, and none has been worked for too long."""


class Worker:
    """The partitions of one member of a group.

    Args:
        settings: of the process.
        chains: log to stages, as ``wiring.plan`` gives them, one for each topic.
        options: of every stage, by name.
        codec: for all records.
        group: whose checkpoints these are.
        reset: drop the state of a partition when it comes for the first time, and go on with none where it stood.

    """

    def __init__(
        self,
        settings: Settings,
        chains: Mapping[str, Sequence[StageType]],
        options: Mapping[str, Any],
        codec: Codec,
        group: str,
        reset: bool = False,
    ) -> None:
        self.settings, self.group = settings, group
        self._codec = codec
        self._logs = {source(log): log for log in chains}
        self._chains = {source(log): stages for log, stages in chains.items()}
        self._options = {
            topic: {name(stage): options[name(stage)] for stage in stages} for topic, stages in self._chains.items()
        }
        self._repeated = {record.topic for stage in all_stages() for record in writes(stage)}
        self._repeated |= {stage.log for stages in chains.values() for stage in stages if stage.log is not None}
        self.deliveries = Deliveries(settings)
        self.partitions: dict[TP, Partition] = {}
        self._reset, self._dropped = reset, set[TP]()
        self._stopping = False
        config = consumer_config(settings, group)
        config.pop("group.instance.id", None)  # it never joins: it only asks
        self._outlook = confluent_kafka.Consumer(config)
        self._checkpointing = asyncio.Lock()
        self._log = logs.logger(__name__)

    def warm(self) -> None:
        """Be ready for the first run; where kernels have yet to be compiled this takes a minute, so it is told."""
        for topic, stages in self._chains.items():
            self._log.info("warming up", log=topic, stages=[name(stage) for stage in stages])
            warm(topic, stages, self._options[topic], self._codec)

    # Called by the transport.

    def open(self, partitions: Collection[TP], generation: int) -> Mapping[TP, int]:
        """Restore partitions from their newest checkpoints; the offset at which each goes on.

        Raises:
            UserError: options have changed, a checkpoint is gone, or the log has lost what comes after one.

        """
        if not partitions:
            return {}
        names = {tp: checkpoints.chain_name(self.group, self._topic(tp), tp.partition) for tp in partitions}
        found = checkpoints.load(self.settings, self._codec, {name: tp.partition for tp, name in names.items()})
        bounds = self._bounds(partitions)
        for tp in partitions:
            self.partitions[tp] = self._restored(tp, found.get(names[tp]), *bounds[tp])
            self.partitions[tp].generation = generation
        starts = {tp: self.partitions[tp].offset for tp in partitions}
        self._log.info("partitions taken over", starts={f"{tp.topic}:{tp.partition}": at for tp, at in starts.items()})
        return starts

    async def release(self, partitions: Collection[TP]) -> None:
        """Write a last checkpoint of partitions, if that is soon done, and let go of them."""
        try:
            async with asyncio.timeout(RELEASE_S):
                await self.checkpoint([tp for tp in partitions if tp in self.partitions])
        except TimeoutError:
            self._log.warning("no last checkpoint in time; the next worker goes on from the one before")
        self.lose(partitions)

    def lose(self, partitions: Collection[TP]) -> None:
        """Forget partitions."""
        for tp in partitions:
            self.partitions.pop(tp, None)

    # Called by the app.

    async def take(self, event: Any) -> None:
        """Work the runs of an event whose partitions are still ours.

        Raises:
            PublishError: something cannot be written.

        """
        for run in event.value:
            await self.deliveries.room()
            partition = self.partitions.get(run.tp)
            if not self._stopping and partition is not None and partition.generation == event.message.generation_id:
                partition.work(run)

    async def checkpoint(self, partitions: Iterable[TP] | None = None) -> None:
        """Bring what has been worked to safety, and acknowledge it.

        Raises:
            CheckpointError: the state is too large.
            PublishError: something cannot be written.

        """
        async with self._checkpointing:
            chosen = self.partitions if partitions is None else partitions
            ours = [self.partitions[tp] for tp in list(chosen) if tp in self.partitions]
            await asyncio.gather(*(self._checkpoint(partition) for partition in ours))

    async def finish(self) -> None:
        """Take no more, and checkpoint what has been done."""
        self._stopping = True
        await self.release(list(self.partitions))

    async def keep_checkpointing(self) -> None:
        """Checkpoint each partition once in the interval of the settings, for ever.

        One after the other, for while a snapshot is taken no record is worked.
        """
        interval_s = self.settings.checkpoint_interval_ms / 1_000
        while True:
            chosen = list(self.partitions)
            for tp in chosen:
                await asyncio.sleep(interval_s / len(chosen))
                await self.checkpoint([tp])
            if not chosen:
                await asyncio.sleep(interval_s)

    async def watch(self) -> None:
        """Measure the lag, and raise when there is one that does not shrink.

        Raises:
            Stalled: for the time of the settings no record was worked though there were some.

        """
        since: dict[TP, tuple[int, float]] = {}
        pause_s = min(5.0, self.settings.watchdog_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            try:
                ends = await asyncio.to_thread(self._ends)
            except confluent_kafka.KafkaException as error:
                self._log.warning("lag unknown", error=str(error))
                since.clear()
                continue
            now = time.monotonic()
            ours = self.partitions.keys() & ends.keys()
            since = {tp: self._progress(tp, ends[tp], since.get(tp), now) for tp in ours}

    def _progress(self, tp: TP, end: int, before: tuple[int, float] | None, now: float) -> tuple[int, float]:
        """Offset of a partition and since when it has been there."""
        offset = self.partitions[tp].offset
        lag = max(end - offset, 0)
        metrics.LAG.labels(self._topic(tp), str(tp.partition)).set(lag)
        if before is None or before[0] != offset or lag == 0:
            return offset, now
        if now - before[1] > self.settings.watchdog_s:
            raise Stalled(
                f"{tp.topic} {tp.partition} has stood at offset {offset} for {now - before[1]:.0f} s "
                f"with {lag} records to read"
            )
        return before

    async def _checkpoint(self, partition: Partition) -> None:
        if partition.offset == partition.saved:
            return
        cut = partition.cut()
        name = checkpoints.chain_name(self.group, *partition.log)
        options = checkpoints.options_text(self._options[partition.topic])
        record = Checkpoint(name, cut.event_ns, cut.offset, options, checkpoints.packed(cut.state))
        value = checkpoints.encoded(record, self._codec)
        await self.deliveries.confirmed(cut.mark)
        mark = self.deliveries.mark()
        place = checkpoints.place(self.settings, partition.number)
        self.deliveries.send_one(checkpoints.TOPIC, place, name.encode(), value, mark)
        await self.deliveries.confirmed(mark)
        partition.saved = cut.offset
        for run in cut.runs:
            run.ack()
        metrics.COMMIT_AGE.labels(partition.topic, str(partition.number)).set_to_current_time()

    def _topic(self, tp: TP) -> str:
        return str(tp.topic).removeprefix(self.settings.topic_prefix)

    def _restored(self, tp: TP, checkpoint: Checkpoint | None, first: int, committed: int) -> Partition:
        topic = self._topic(tp)
        partition = Partition(
            topic,
            tp.partition,
            self._chains[topic],
            self._options[topic],
            self._codec,
            self.deliveries,
            log=self._logs[topic],
            repeated=topic in self._repeated,
        )
        drop = self._reset and tp not in self._dropped
        self._dropped.add(tp)
        if checkpoint is None:
            partition.offset = self._without(tp, first, committed, drop)
        elif drop:
            self._log.warning("state dropped", chain=checkpoint.chain, offset=checkpoint.offset)
            partition.offset = max(checkpoint.offset, first)
        else:
            fresh = checkpoints.check_options(checkpoint, self._options[topic])
            if fresh:
                self._log.warning("stages start without state", chain=checkpoint.chain, stages=fresh)
            partition.restore(checkpoint, checkpoints.unpacked(checkpoint))
        if partition.offset < first:
            self._refuse_loss(tp, partition.offset, first)
            partition.offset = first
        return partition

    def _without(self, tp: TP, first: int, committed: int, drop: bool) -> int:
        """Where a partition without a checkpoint starts: at its beginning, unless it has been worked before."""
        if committed < 0:
            return first
        if not drop:
            raise UserError(
                f"group {self.group} has worked {tp.topic} {tp.partition} up to offset {committed}, and its checkpoint "
                f"is gone from {checkpoints.TOPIC}: start with --reset to go on there with no state"
            )
        return committed

    def _refuse_loss(self, tp: TP, offset: int, first: int) -> None:
        lost = f"{tp.topic} {tp.partition} begins at {first}, the checkpoint of group {self.group} is at {offset}"
        if not self.settings.accept_loss:
            raise UserError(
                f"{lost}: {first - offset} records are gone. Set TIDEMILL_ACCEPT_LOSS=true to go on without them, "
                "or bring them back"
            )
        self._log.warning("records lost", topic=tp.topic, partition=tp.partition, count=first - offset)

    def _bounds(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """The first offset that each log holds, and the group's committed one, negative for none."""
        places = [TopicPartition(tp.topic, tp.partition) for tp in partitions]
        committed = {(item.topic, item.partition): item.offset for item in self._outlook.committed(places, TIMEOUT_S)}
        lows = {tp: self._outlook.get_watermark_offsets(TopicPartition(*tp), TIMEOUT_S)[0] for tp in partitions}
        return {tp: (lows[tp], committed[tp.topic, tp.partition]) for tp in partitions}

    def _ends(self) -> dict[TP, int]:
        """The offset after the last record of each log."""
        ask = self._outlook.get_watermark_offsets
        return {tp: ask(TopicPartition(*tp), LOOK_S)[1] for tp in list(self.partitions)}
