"""Batched delivery: a Faust transport on librdkafka that hands an agent runs of records instead of single ones.

Registered as ``runs://``. An event's value is a list of ``Run``, all that a fetch has brought of a topic: what Faust
spends on an event, it spends once a fetch and not once a partition. What the rest of the worker may rely on:

- An assignment asks the app's ``owner`` where each partition starts; Faust's own seeks change nothing.
- A run belongs to the generation it was fetched in; a rebalance drops what has not been taken.
- Only the acknowledged prefix of the runs of a partition is committed, whatever Faust holds for done.
- Nothing is fetched while runs wait to be worked: the two threads would only take the interpreter from each other, and
  librdkafka fetches ahead by itself.

One thread polls librdkafka, runs its rebalance callbacks and commits: another thread's calls would wait for ever behind
its polling. All else happens in the event loop.
"""

import asyncio
import concurrent.futures
import itertools
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from queue import SimpleQueue
from typing import Any, Protocol

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.base import Transport as BaseTransport
from faust.transport.drivers import TRANSPORTS
from faust.types import TP, ConsumerMessage

from processors.live.runs_only import RunsOnly

SCHEME = "runs"
POLL_S = 0.1  # the longest wait for a first record, so the longest that a stop waits for the thread


class Owner(Protocol):
    """Who keeps the state of the partitions."""

    def open(self, partitions: Collection[TP], generation: int) -> Mapping[TP, int]:
        """Take partitions over; the offset at which each starts. Called in the polling thread."""

    async def release(self, partitions: Collection[TP]) -> None:
        """Secure what has been done and let go of the partitions; called while they are still ours."""

    def lose(self, partitions: Collection[TP]) -> None:
        """Let go of partitions that another may have already."""


class Run:
    """Consecutive records of one partition."""

    __slots__ = ("acked", "messages", "offset", "tp")

    def __init__(self, tp: TP, messages: list[Message]) -> None:
        self.tp, self.messages = tp, messages
        self.offset = messages[-1].offset() or 0
        self.acked = False

    def ack(self) -> None:
        """What follows from the records is safe."""
        self.acked = True


class RunSchema(Schema):  # type: ignore[type-arg]
    """Passes runs on as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Make the function that turns a message into an event."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class Consumer(RunsOnly):
    """A member of the worker's group; the app gives ``owner``, ``client`` (librdkafka's settings) and ``most``."""

    app: Any
    logger = logging.getLogger("faust.consumer")
    consumer_stopped_errors = ()

    def on_init(self) -> None:
        self._unfinished: dict[TP, deque[Run]] = defaultdict(deque)
        self._finished: dict[TP, int] = {}
        self._commits: SimpleQueue[dict[TP, int]] = SimpleQueue()
        self._held: dict[str, list[Run]] = {}
        self._unworked = 0
        self._assigned: set[TP] = set()
        self._starts: dict[TP, int] = {}
        self._epoch = 0
        self._arrival = asyncio.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    async def on_start(self) -> None:
        await super().on_start()
        self._client = confluent_kafka.Consumer(self.app.client | {"on_commit": self._on_commit})

    async def subscribe(self, topics: Iterable[str]) -> None:
        self._client.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="poll", daemon=True)
            self._thread.start()

    # In the polling thread.

    def _poll(self) -> None:
        try:
            while not self._over.is_set():
                self._commit_now(True)
                if self._idle.wait(POLL_S):
                    self._fetch()
        except Exception as error:  # whatever it is, a worker that does not poll must not live on
            self._end(error)

    def _fetch(self) -> None:
        """Wait for a record, then take what is there with it."""
        epoch = self._epoch
        messages = self._client.consume(1, POLL_S)
        if messages and epoch == self._epoch:
            messages += self._client.consume(self.app.most - 1, 0.0)
        if not messages:
            return
        if epoch != self._epoch:
            self._rewind()
            return
        runs = self._parted(messages)
        if runs:
            self._idle.clear()
            self.loop.call_soon_threadsafe(self._arrived, runs)

    def _parted(self, messages: list[Message]) -> dict[str, list[Run]]:
        """Runs by their topic; a fetch has long stretches of a partition."""
        errors = [error for message in messages if (error := message.error()) is not None]
        if errors:
            messages = [message for message in messages if message.error() is None]
            for error in errors:
                self._complain(error)
        parts: dict[TP, list[Message]] = {}
        for log, stretch in itertools.groupby(messages, lambda message: (message.topic(), message.partition())):
            parts.setdefault(TP(*log), []).extend(stretch)
        runs: dict[str, list[Run]] = {}
        for tp, part in parts.items():
            runs.setdefault(tp.topic, []).append(Run(tp, part))
        return runs

    def _commit_now(self, asynchronous: Any) -> None:
        """Commit what there is; what fails is covered by the next one, or another worker has the partition."""
        offsets: dict[TP, int] = {}
        while not self._commits.empty():
            offsets |= self._commits.get()
        if not offsets:
            return
        try:
            self._client.commit(
                offsets=[TopicPartition(*tp, offset) for tp, offset in offsets.items()], asynchronous=asynchronous
            )
        except KafkaException as error:
            self.log.warning("commit: %s", error.args[0].str())

    def _on_commit(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        if error is not None:
            self.log.warning("commit: %s", error.str())

    def _rewind(self) -> None:
        """Start the assigned partitions again: what came with a rebalance cannot be told apart."""
        if self._starts:
            self._client.assign([TopicPartition(*tp, offset) for tp, offset in self._starts.items()])

    def _complain(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET or error.fatal():
            raise KafkaException(error)
        if error.code() != KafkaError._PARTITION_EOF:
            self.log.warning("consumer: %s", error.str())

    def _on_assign(self, _client: Any, partitions: list[TopicPartition]) -> None:
        if self._over.is_set() or self.app.should_stop:
            return
        assigned = {TP(item.topic, item.partition) for item in partitions}
        self._epoch += 1
        try:
            self._starts = dict(self.app.owner.open(assigned, self._epoch))
        except Exception as error:
            self._end(error)
            return
        self._client.assign([TopicPartition(*tp, offset) for tp, offset in self._starts.items()])
        self._in_loop(self._assign(assigned, self._epoch))

    def _on_revoke(self, _client: Any, partitions: list[TopicPartition]) -> None:
        self._let_go({TP(item.topic, item.partition) for item in partitions}, lost=False)

    def _on_lost(self, _client: Any, partitions: list[TopicPartition]) -> None:
        self._let_go({TP(item.topic, item.partition) for item in partitions}, lost=True)

    def _let_go(self, revoked: set[TP], lost: bool) -> None:
        if self._over.is_set() or self.app.should_stop:
            return
        self._epoch += 1
        self._starts = {}
        self._in_loop(self._revoke(revoked, lost))
        if not lost:
            self._commit_now(False)

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the event loop and wait for it, though no longer than the consumer lives."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        while not self._over.is_set():
            try:
                return future.result(POLL_S)
            except concurrent.futures.TimeoutError:
                continue
        return None

    def _end(self, error: Exception) -> None:
        asyncio.run_coroutine_threadsafe(self.app.crash(error), self.loop)

    # In the event loop.

    async def _assign(self, assigned: set[TP], epoch: int) -> None:
        if not self.app.rebalancing:
            self.app.on_rebalance_start()
        self._forget()
        self._assigned = assigned
        self.app.consumer_generation_id = epoch
        await self.on_partitions_assigned(assigned, epoch)

    async def _revoke(self, revoked: set[TP], lost: bool) -> None:
        self.app.on_rebalance_start()
        if lost:
            self.app.owner.lose(revoked)
        else:
            await self.app.owner.release(revoked)
            await self.commit()
        self._forget()
        await self.on_partitions_revoked(revoked)
        self._assigned = set()

    def _forget(self) -> None:
        self._held.clear()
        self._unfinished.clear()
        self._finished.clear()
        self._unworked = 0
        self._idle.set()

    def _arrived(self, runs: dict[str, list[Run]]) -> None:
        self._held = runs
        self._unworked = len(runs)
        self._arrival.set()

    def worked(self, message: ConsumerMessage) -> None:
        """Note that a topic's runs have been worked; the next fetch waits for the last of them."""
        if message.generation_id == self._epoch:
            self._unworked -= 1
            if not self._unworked:
                self._idle.set()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand runs to the agents until the fetcher stops; a full agent makes it wait."""
        while not (self.should_stop or fetcher.should_stop):
            if not self._held:
                self._arrival.clear()
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._arrival.wait()
                except TimeoutError:
                    continue
            ready, self._held = self._held, {}
            await self._hand_over(ready, self.app.consumer_generation_id)

    async def _hand_over(self, ready: dict[str, list[Run]], generation: int) -> None:
        """Give runs to the agents, which may have to wait for Faust's flow, until a rebalance makes them stale."""
        for runs in ready.values():
            if generation != self.app.consumer_generation_id:
                return
            for run in runs:
                self._unfinished[run.tp].append(run)
            await self.callback(self._message(runs, generation))

    def _message(self, runs: Any, generation: int) -> ConsumerMessage:
        tp, last = runs[-1].tp, runs[-1].messages[-1]
        kind, timestamp_ms = last.timestamp()
        return ConsumerMessage(
            tp.topic, tp.partition, runs[-1].offset, timestamp_ms / 1_000, kind, [], None, runs, None, 0, 0, tp,
            generation_id=generation,
        )  # fmt: skip

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        """Every partition with runs, for it is not by Faust that those are acknowledged."""
        return (tp for tp in self._unfinished if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        """The offset after the acknowledged prefix; None where there is none."""
        runs = self._unfinished[tp]
        while runs and runs[0].acked:
            self._finished[tp] = runs.popleft().offset + 1
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._finished.get(tp)

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        offsets = {tp: at for tp, at in self._filter_committable_offsets(list(tps)).items() if tp in self._assigned}
        return await self._commit(offsets) if offsets else False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self._commits.put(dict(offsets))
        self._committed_offset.update(offsets)
        return True

    async def on_stop(self) -> None:
        await super().on_stop()
        self._over.set()
        self._idle.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(self._commit_now, False)
        await asyncio.to_thread(self._client.close)

    def close(self) -> None:
        self._over.set()

    def assignment(self) -> set[TP]:
        return set(self._assigned)

    # Faust asks, and there is nothing to do: an assignment has its offsets already.

    async def perform_seek(self) -> None:
        """Nothing: partitions stand where the owner has put them."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return {}


class Transport(BaseTransport):
    """Consumes in runs; a worker produces by other means."""

    Consumer = Consumer
    driver_version = f"confluent-kafka={confluent_kafka.__version__}"


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
