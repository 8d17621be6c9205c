"""Plain Faust as its documentation shows it: one agent, one event a record, ``await topic.send`` for each output.

State stands in memory: a Faust table with its changelog would only slow it down further. Values go through a codec.
"""

from collections import defaultdict
from typing import Any

import faust

from bench.plain import Instruments, decode, encode
from bench.task import CHECKPOINT_S, DERIVED, Task

TASK = Task.given()


class Avro(faust.Codec):
    """Ticks and clocks in, derived records out."""

    read = staticmethod(TASK.beginning(decode))

    def _loads(self, data: bytes) -> Any:
        return self.read(data)

    def _dumps(self, value: Any) -> bytes:
        return encode(value)


app = faust.App(
    TASK.group,
    broker=f"kafka://{TASK.brokers}",
    store="memory://",
    datadir=TASK.folder,
    value_serializer=Avro(),
    broker_commit_interval=CHECKPOINT_S,
    producer_acks=-1,
    producer_linger=0.005,
    topic_disable_leader=True,
    topic_allow_declare=False,
    web_enabled=False,
)
source = app.topic(TASK.source, key_serializer="raw", value_serializer=Avro())
derived = {name: app.topic(TASK.topic(name), key_serializer="raw", value_serializer=Avro()) for name in DERIVED}
instruments: defaultdict[int, Instruments] = defaultdict(Instruments)


@app.agent(source)
async def jump_losses(stream: Any) -> None:
    """Ticks to buckets, averages and jump losses."""
    async for event in stream.events():
        for record in instruments[event.message.partition].on_event(event.value):
            await derived[record.topic].send(key=record.key.encode(), value=record)


if __name__ == "__main__":
    app.main()
