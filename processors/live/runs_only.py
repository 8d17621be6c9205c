"""What Faust's consumer would need for tables, replies and single records; a worker of ours uses none of them."""

from collections.abc import Mapping
from typing import Any

from faust.transport.consumer import Consumer
from faust.types import TP


def unused() -> Exception:
    """What a call ends with that nothing here makes."""
    return NotImplementedError("a worker takes runs of records and keeps no tables: see processors/live/transport.py")


class RunsOnly(Consumer):
    """Faust's consumer without any of it."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        raise unused()

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise unused()

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def _seek(self, partition: TP, offset: int) -> None:
        raise unused()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        raise unused()

    async def position(self, tp: TP) -> int | None:
        raise unused()

    def highwater(self, tp: TP) -> int:
        raise unused()

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        raise unused()

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        raise unused()

    def topic_partitions(self, topic: str) -> int | None:
        raise unused()

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        raise unused()

    async def create_topic(self, topic: str, *_: Any, **__: Any) -> None:
        raise unused()
