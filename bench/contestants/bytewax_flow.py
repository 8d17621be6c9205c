"""Bytewax: its Kafka connectors and a keyed stateful step, or the same work in batches (``flat_map_batch``).

Keyed state has no way to send a clock to every key; ticks alone, which is all that is worked here, close the same
buckets. No recovery store is set up, which is in Bytewax's favour.
"""

import sys
from typing import Any, TypeAlias

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow, Stream
from bytewax.run import cli_main
from confluent_kafka import OFFSET_BEGINNING

from bench.plain import Instrument, Instruments, decode, encode
from bench.task import DERIVED, PRODUCER, Task
from schemas import Record, Tick

TASK = Task.given()
BATCH = 10_000
Made: TypeAlias = KafkaSinkMessage[bytes, bytes]
TOPICS = {name: TASK.topic(name) for name in DERIVED}


def message(record: Record) -> Made:
    """A derived record for its topic."""
    return KafkaSinkMessage(record.key.encode(), encode(record), TOPICS[record.topic])


def step(instrument: Instrument | None, tick: Tick) -> tuple[Instrument, list[Made]]:
    """Take a tick into the state of its key."""
    instrument = instrument or Instrument(tick.instrument)
    return instrument, [message(record) for record in instrument.on_event(tick)]


def keyed(events: Stream[Any]) -> Stream[Made]:
    """One tick at a time, state kept by Bytewax."""
    ticks = op.filter("only_ticks", events, lambda event: type(event) is Tick)
    ticks_by_key = op.key_on("by_instrument", ticks, lambda tick: tick.instrument)
    made = op.stateful_map("stages", ticks_by_key, step)
    return op.flat_map("each", op.key_rm("without_key", made), lambda messages: messages)


def batched(events: Stream[Any]) -> Stream[Made]:
    """A batch at a time, state in memory of ours."""
    instruments = Instruments()

    def work(batch: list[Any]) -> list[Made]:
        return [message(record) for event in batch if type(event) is Tick for record in instruments.on_event(event)]

    return op.flat_map_batch("stages", events, work)


def dataflow(work: Any) -> Dataflow:
    """The whole flow."""
    flow = Dataflow("jump_losses")
    source = kop.input(
        "source", flow, brokers=[TASK.brokers], topics=[TASK.source], starting_offset=OFFSET_BEGINNING,
        add_config={"fetch.queue.backoff.ms": "5"}, batch_size=BATCH,
    )  # fmt: skip
    read = TASK.beginning(decode)
    made = work(op.map("decode", source.oks, lambda given: read(given.value)))
    kop.output("derived", made, brokers=[TASK.brokers], topic=None, add_config=PRODUCER)
    return flow


if __name__ == "__main__":
    cli_main(dataflow(batched if sys.argv[1:] == ["batch"] else keyed))
