"""A sink: takes batches of records out of the pipeline.

The runner gives a sink the batches of each partition in log order and commits what was written only after ``write``
has returned. After a crash a batch comes again, whole or cut elsewhere; ``write`` must make that harmless, by the
positions in ``Batch.lineage``: rows with the same topic and cause (``cause_topic``, ``cause_partition``,
``cause_offset``, ``cause_ordinal``) are one record.
"""

from collections.abc import Sequence
from typing import Protocol

from schemas.batch import Batch


class Sink(Protocol):
    """What takes records out; made in the process that runs it, used by one thread."""

    @property
    def name(self) -> str:
        """Also the end of its consumer group's name."""
        ...

    def write(self, batches: Sequence[Batch]) -> None:
        """Store some batches; when it returns they must survive a kill -9.

        Any exception ends the process before anything is committed.
        """
        ...

    def close(self) -> None:
        """Let go of everything; nothing is written after it."""
        ...
