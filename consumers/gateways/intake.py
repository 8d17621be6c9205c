"""What a gateway hears from Kafka: requests, controls, and whether the pipeline is alive. Each in a thread of its own.

- Requests are read by the gateway's own group. What it reads again after a crash is known by its ids.
- Controls are read by every gateway, from every partition, all that there are: one that was written while the gateway
  began, by a clock that is behind ours, must not be missed.
- The pulse looks at how far the merged log has come, and how far its executor has read: a log that stands still, an
  executor that does not read on, and a broker that does not answer are told apart.
- A thread that fails ends the gateway: one that no longer hears of halts must not trade.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.reader import Reader, Start
from infra import logs
from infra.broker import consumer_config, full_name, partitions
from infra.errors import UserError
from infra.settings import Settings
from schemas import Control, Merge, OrderRequest, Record
from schemas.codec import Codec

PULSE_S = 0.5
ANSWER_S = 2.0
AGAIN_S = 1.0
MERGED = Merge.topic
log = logs.logger(__name__)


class Intake:
    """Runs the threads; ``stop`` ends them. Each of the takers is called in the loop that this was made in.

    ``failed`` raises what has ended a thread before.
    """

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings, self._codec = settings, codec
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def requests(self, group: str, start: Start, take: Callable[[OrderRequest], None]) -> None:
        """Hand over each order request."""
        self._start(self._read, OrderRequest, group, start, take)

    def controls(self, take: Callable[[Control], None]) -> None:
        """Hand over each control."""
        self._start(self._read, Control, None, "earliest", take)

    def pulse(self, executors: Sequence[str], saw: Callable[[str, float], None]) -> None:
        """Tell what was seen, ``data``, ``broker`` or an executor's name, and when, in monotonic seconds."""
        self._start(self._feel, list(executors), saw)

    def stop(self) -> None:
        """End the threads, and wait for them."""
        self._over.set()
        for thread in self._threads:
            thread.join(10.0)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=self._run, args=(work, given), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, work: Callable[..., None], given: tuple[object, ...]) -> None:
        try:
            work(*given)
        except Exception as error:
            self._tell(self._fail, error)

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _tell(self, take: Callable[..., None], *what: object) -> None:
        if not self._over.is_set():
            self._loop.call_soon_threadsafe(take, *what)

    def _read(self, kind: type[Record], group: str | None, start: Start, take: Callable[[Record], None]) -> None:
        while not self._over.is_set():
            try:
                with Reader(self._settings, self._codec, kind, group=group, start=start) as reader:
                    while not self._over.is_set():
                        for received in reader.poll():
                            self._tell(take, received.record)
            except (KafkaException, UserError) as error:  # the broker is away: what comes twice is known by its id
                log.warning("not reading", records=kind.__name__, error=str(error))
                self._over.wait(AGAIN_S)

    def _feel(self, executors: list[str], saw: Callable[[str, float], None]) -> None:
        places = [
            TopicPartition(full_name(self._settings, MERGED), number)
            for number in range(partitions(self._settings, MERGED))
        ]
        groups = {name: self._consumer(f"{self._settings.group}.{name}") for name in executors}
        looking = self._consumer(f"{self._settings.group}-pulse")
        before: dict[str, list[int]] = {}
        while not self._over.wait(PULSE_S):
            try:
                ends = [looking.get_watermark_offsets(place, timeout=ANSWER_S)[1] for place in places]
                now = {"data": ends} | {
                    name: [place.offset for place in group.committed(places, timeout=ANSWER_S)]
                    for name, group in groups.items()
                }
            except KafkaException as error:
                log.warning("no pulse", error=error.args[0].str())
                continue
            self._tell(saw, "broker", time.monotonic())
            for name, offsets in now.items():
                if name in before and offsets != before[name]:
                    self._tell(saw, name, time.monotonic())
            before = now
        for consumer in (looking, *groups.values()):
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        config = consumer_config(self._settings, group)
        config.pop("group.instance.id", None)  # it never joins: it only asks
        return Consumer(config)
