"""Quix Streams with recoverable state: RocksDB with a changelog topic, a checkpoint a second.

A clock goes to no instrument here, since state belongs to a message's key; ticks alone close the same buckets.
"""

import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.models import Deserializer, Serializer

from bench.plain import Instrument, decode, encode, values_of
from bench.task import CHECKPOINT_S, PRODUCER, Task
from processors.buckets import BucketState
from processors.emas import EmaState
from schemas import Bucket, Ema, Record, Tick

TASK = Task.given()
INSTRUMENTS: dict[str, Instrument] = {}


class AvroDeserializer(Deserializer):
    """Stock fastavro; Quix's own reads one schema a topic and no five-byte header without a registry."""

    read = staticmethod(TASK.beginning(decode))

    def __call__(self, value: bytes, ctx: Any) -> Any:
        return self.read(value)


class AvroSerializer(Serializer):
    """Stock fastavro."""

    def __call__(self, value: Record, ctx: Any) -> bytes:
        return encode(value)


def instrument(key: str) -> Instrument:
    """The stages of a key."""
    found = INSTRUMENTS.get(key)
    if found is None:
        found = INSTRUMENTS[key] = Instrument(key)
    return found


def kept_buckets(tick: Tick, state: State) -> list[Record]:
    """The buckets that a tick ends, by the state in the store."""
    stage = instrument(tick.instrument).stages[0]
    stage.state = BucketState(*state.get("bucket", ()))
    made: list[Record] = list(stage.on_event(tick))
    state.set("bucket", values_of(stage.state))
    return made


def kept_emas(bucket: Bucket, state: State) -> Ema:
    """The average after a bucket, by the state in the store."""
    stage = instrument(bucket.instrument).stages[1]
    stage.state = EmaState(*state.get("ema", ()))
    (ema,) = stage.on_event(bucket)
    state.set("ema", values_of(stage.state))
    return ema


def buckets(tick: Tick) -> list[Record]:
    """The buckets that a tick ends, state in memory."""
    return list(instrument(tick.instrument).stages[0].on_event(tick))


def emas(bucket: Bucket) -> Ema:
    """The average after a bucket, state in memory."""
    return next(instrument(bucket.instrument).stages[1].on_event(bucket))


def losses(ema: Ema) -> Record:
    """The jump loss of an average."""
    return next(instrument(ema.instrument).stages[2].on_event(ema))


def main(recoverable: bool) -> None:
    """Run the pipeline for ever."""
    app = Application(
        broker_address=TASK.brokers,
        consumer_group=TASK.group,
        auto_offset_reset="earliest",
        commit_interval=CHECKPOINT_S,
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
        producer_extra_config=PRODUCER,
        state_dir=f"{TASK.folder}/state",
        loglevel="WARNING",
        auto_create_topics=recoverable,  # the changelog
    )
    outputs = {
        name: app.topic(TASK.topic(name), key_serializer="str", value_serializer=AvroSerializer())
        for name in ("buckets", "emas", "jump_losses")
    }
    source = app.topic(TASK.source, key_deserializer="str", value_deserializer=AvroDeserializer())
    ticks = app.dataframe(source)
    ticks = ticks[ticks.apply(lambda event: type(event) is Tick)]
    if recoverable:
        ended = ticks.apply(kept_buckets, stateful=True, expand=True).to_topic(outputs["buckets"])
        averaged = ended.apply(kept_emas, stateful=True).to_topic(outputs["emas"])
    else:
        ended = ticks.apply(buckets, expand=True).to_topic(outputs["buckets"])
        averaged = ended.apply(emas).to_topic(outputs["emas"])
    averaged.apply(losses).to_topic(outputs["jump_losses"])
    app.run()


if __name__ == "__main__":
    main(recoverable=sys.argv[1:] != ["memory"])
