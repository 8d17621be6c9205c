"""One partition of a source topic: its chain, where it stands, and what it has yet to acknowledge.

``work`` turns a run of messages into derived records on their way; ``cut`` takes a snapshot, synchronously, and parts
what came before it from what will come after.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Message

from infra import metrics
from processors.live.deliveries import Deliveries, Mark
from processors.live.encoding import Encoded, Origin, Source, dead_letters, rows
from processors.live.paths import Made, Paths, Refusals
from processors.live.transport import Run
from processors.wiring import StageType
from schemas import Checkpoint, Rejected
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.position import TIMES_HEADER, Seen, header_value, position_of

NANOSECOND = 1e-9
MILLISECOND = 1_000_000
TIMES = re.compile(rb"\d{1,19} \d{1,19} \d{1,19}")


class Cut(NamedTuple):
    """A snapshot, and what stands or falls with it."""

    offset: int
    event_ns: int
    state: dict[str, Any]
    mark: Mark  # the records derived since the cut before
    runs: list[Run]  # to be acknowledged


class Partition:
    """The live counterpart of a chain's replay over one partition.

    ``log`` is the topic's name in the positions of what is derived; ``repeated`` says that the topic's writers repeat
    themselves after a crash.
    """

    def __init__(
        self,
        topic: str,
        number: int,
        stages: Sequence[StageType],
        options: Mapping[str, Any],
        codec: Codec,
        deliveries: Deliveries,
        *,
        log: str,
        repeated: bool,
    ) -> None:
        self.topic, self.number = topic, number
        self.log = (topic, number)
        self.generation = 0
        self.offset = 0  # of the first record not worked
        self.saved = -1  # the offset of the checkpoint last confirmed
        self.event_ns = 0
        self.runs: list[Run] = []
        self._paths = Paths(stages, options, codec)
        self._codec, self._deliveries = codec, deliveries
        self._mark = deliveries.mark()
        self._origin = (log, number)
        self._repeated, self._seen = repeated, Seen()
        self._in = metrics.RECORDS.labels(topic, "in")
        self._out = {topic: metrics.RECORDS.labels(topic, "out") for topic in TOPICS}
        self._batch = metrics.BATCH.labels(topic)
        self._hops = [metrics.HOP.labels(topic, hop) for hop in ("processed", "received_to_processed")]

    def restore(self, checkpoint: Checkpoint, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.offset, self.event_ns = checkpoint.offset, checkpoint.event_ns
        self.saved = checkpoint.offset
        self._paths.restore(state["chain"])
        self._seen.restore(state["seen"])

    def cut(self) -> Cut:
        """Snapshot the state, and start to count anew."""
        state = {"chain": self._paths.snapshot(), "seen": self._seen.snapshot()}
        cut = Cut(self.offset, self.event_ns, state, self._mark, self.runs)
        self._mark, self.runs = self._deliveries.mark(), []
        return cut

    def work(self, run: Run) -> None:
        """Take a run of records, in order; send what follows from it.

        Raises:
            PublishError: something cannot be written.

        """
        messages, run.messages = run.messages, []  # a run waits for a checkpoint; its records need not
        first = messages[0].offset() or 0
        if first < self.offset:
            raise ValueError(f"run of {self.topic} {self.number} begins at {first}, before {self.offset}")
        self._in.inc(len(messages))
        self._batch.observe(len(messages))
        refusals: Refusals = []
        if self._repeated:
            messages = self._new(messages, refusals)
        if messages:
            self._work(messages, refusals)
        self.offset = run.offset + 1
        self.runs.append(run)

    def _new(self, run: Sequence[Message], refusals: Refusals) -> list[Message]:
        """The messages that are no re-delivery."""
        new: list[Message] = []
        for message in run:
            try:
                position = position_of(_headers(message), self.log, message.offset() or 0)
            except Rejected as error:
                refusals.append((len(new), "codec", str(error)))
                new.append(message)
                continue
            if self._seen.is_new(self.log, position):
                new.append(message)
        if len(new) < len(run):
            metrics.DUPLICATES.labels(self.topic).inc(len(run) - len(new))
        return new

    def _work(self, run: Sequence[Message], refusals: Refusals) -> None:
        values: list[bytes | None] = [message.value() for message in run]
        known = {cause for cause, _, _ in refusals}
        for cause in known:
            values[cause] = None  # what has no readable position must not reach a stage
        made = self._paths.take(values)
        refusals += [refusal for refusal in made.refusals if refusal[0] not in known]
        origins = _Origins(run, made)
        if made.derived is not None:
            self._send(made.derived, origins)
        if refusals:
            self._send(self._refused(sorted(refusals, key=lambda item: item[0]), run), origins)
        self._observe(made)

    def _send(self, derived: Encoded, origins: "_Origins") -> None:
        self._deliveries.send(derived, self.number, derived.lineage(self._origin, origins), self._mark)
        for topic, count in derived.segments:
            self._out[topic].inc(count)

    def _refused(self, refusals: Refusals, run: Sequence[Message]) -> Encoded:
        letters = dead_letters(refusals, *self.log, lambda cause: _source(run[cause]))
        for _, letter in letters:
            metrics.DEAD_LETTERS.labels(self.topic, letter.by).inc()
        return rows(letters, self._codec)

    def _observe(self, made: Made) -> None:
        """Measure how old the newest input of the run is by now."""
        if not made.exchange_ns[-1]:
            return
        exchange_ns, received_ns = int(made.exchange_ns[-1]), int(made.received_ns[-1])
        self.event_ns = exchange_ns
        now_ns = time.time_ns()
        for hop, then_ns in zip(self._hops, (exchange_ns, received_ns), strict=True):
            hop.observe(max(now_ns - then_ns, 0) * NANOSECOND)


class _Origins:
    """What derived records say of a run's inputs; an input's times are its own, or made from its fields."""

    def __init__(self, run: Sequence[Message], made: Made) -> None:
        self._run, self._inputs = run, made

    def __call__(self, cause: int) -> Origin:
        message = self._run[cause]
        times = header_value(_headers(message), TIMES_HEADER)
        if times is None or not TIMES.fullmatch(times):
            times = self._made(cause, max(message.timestamp()[1], 0) * MILLISECOND)
        return Origin(message.offset() or 0, times)

    def _made(self, cause: int, written_ns: int) -> bytes:
        exchange_ns, received_ns = self._inputs.exchange_ns[cause], self._inputs.received_ns[cause]
        return b"%d %d %d" % (max(exchange_ns, 0) or written_ns, max(received_ns, 0) or written_ns, written_ns)


def _headers(message: Message) -> Any:
    return message.headers()


def _source(message: Message) -> Source:
    offset, timestamp_ms = message.offset() or 0, message.timestamp()[1]
    return Source(offset, timestamp_ms, message.key(), message.value())
