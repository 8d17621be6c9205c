"""A tape: a digest of every derived topic, equal for two runs that gave the same records.

SHA-256 over key, value and position of each record of a partition in log order, for each source topic by itself, then
over these digests; how a run was cut and in which order partitions and sources came makes no difference.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from schemas.batch import Batch
from schemas.codec import Codec
from schemas.columns import ALL


class Tape:
    """Takes batches and says what they came to."""

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self._digests: dict[tuple[str, int, str], hashlib._Hash] = {}
        self.counts: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        """Take a batch; those of a partition come in log order."""
        causes = batch.lineage.cause_topic
        for source in causes.unique().to_list():
            part = batch.only((causes == source).to_numpy())
            digest = self._digests.setdefault((batch.topic, batch.partition, source), hashlib.sha256())
            digest.update(b"".join(map(_framed, *encoded(part, self._codec))))
        self.counts[batch.topic] = self.counts.get(batch.topic, 0) + len(batch)

    def digests(self) -> dict[str, str]:
        """The digest of each topic, in name order."""
        topics: dict[str, list[str]] = {}
        for (topic, partition, _), digest in sorted(self._digests.items()):
            topics.setdefault(topic, []).append(f"{partition}:{digest.hexdigest()}")
        return {topic: hashlib.sha256(" ".join(parts).encode()).hexdigest() for topic, parts in topics.items()}


def encoded(batch: Batch, codec: Codec) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]:
    """Keys, values and position headers of a batch in log order."""
    values: list[bytes] = [b""] * len(batch)
    codes = np.full(len(batch), ALL)
    for table in batch.tables:
        codes[table.cause] = table.key
        for index, value in zip(table.cause.tolist(), codec.encode_table(table, batch.keys).to_list(), strict=True):
            values[index] = value
    names = batch.keys.encoded().to_list()
    keys = [names[code] for code in codes.tolist()]
    return keys, values, [position.header() for position in batch.lineage.positions()]


def _framed(*parts: bytes) -> bytes:
    """Parts that cannot run into each other."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
