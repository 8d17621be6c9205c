"""A chain from bytes to bytes, by events or by columns, whichever is quicker for runs of the size that come.

A record of a run costs tens of microseconds through ``on_event``; a run costs a third of a millisecond through columns,
and a long one hardly more. The two paths give the same and their states are interchangeable, so the state moves over
when the runs change: at once when a long one comes, back only after many short ones. A stage on a merged log decides by
events alone: it has no columns, and latency is what it is for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from processors.chain import BatchChain, EventChain, Snapshot
from processors.live.encoding import Encoded, columns, refused, rows
from processors.stage import Rejection
from processors.wiring import StageType
from schemas import Record, Rejected
from schemas.codec import Codec
from schemas.pieces import Ints

LONG = 16  # records of a run from which on columns are worth their fixed cost
SHORT_RUNS = 50  # runs below that in a row after which they no longer are

Values = Sequence[bytes | None]
Refusals = list[tuple[int, str, str]]


class Made(NamedTuple):
    """All that a run has given."""

    derived: Encoded | None
    refusals: Refusals  # cause, refuser and reason, in the order of the causes
    exchange_ns: Sequence[int] | Ints  # event time of each input; 0 for one that could not be read
    received_ns: Sequence[int] | Ints  # when it reached us, its event time where it does not say


class Paths:
    """The chain of a partition."""

    def __init__(self, stages: Sequence[StageType], options: Mapping[str, Any], codec: Codec) -> None:
        self._stages, self._options, self._codec = stages, options, codec
        self._chain: EventChain | BatchChain = EventChain(stages, options)
        self._short = 0
        self._columnar = all(stage.log is None for stage in stages)

    def take(self, values: Values) -> Made:
        """Work a run of records, given as their log holds them."""
        self._choose(len(values))
        if isinstance(self._chain, EventChain):
            return _by_events(self._chain, values, self._codec)
        return _by_columns(self._chain, values, self._codec)

    def snapshot(self) -> Snapshot:
        """The state of every stage and key as plain values."""
        return self._chain.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of either path."""
        self._chain.restore(snapshot)

    def _choose(self, size: int) -> None:
        self._short = 0 if size >= LONG else self._short + 1
        if not self._columnar:
            return
        wanted = BatchChain if size >= LONG else EventChain if self._short >= SHORT_RUNS else type(self._chain)
        if wanted is not type(self._chain):
            snapshot = self._chain.snapshot()
            self._chain = wanted(self._stages, self._options)
            self._chain.restore(snapshot)


def _by_columns(chain: BatchChain, values: Values, codec: Codec) -> Made:
    tables, unreadable = codec.decode_tables(values, chain.keys)
    derived, rejections = chain.on_batch(tables)
    exchange_ns, received_ns = np.zeros((2, len(values)), np.int64)
    for table in tables:
        exchange_ns[table.cause] = table.columns["event_ns"]
        received_ns[table.cause] = table.columns.get("received_ns", table.columns["event_ns"])
    made = columns(derived, codec, chain.keys) if derived else None
    return Made(made, refused(unreadable, rejections), exchange_ns, received_ns)


def _by_events(chain: EventChain, values: Values, codec: Codec) -> Made:
    derived: list[tuple[int, Record]] = []
    unreadable: list[tuple[int, str]] = []
    rejections: list[Rejection] = []
    exchange_ns, received_ns = [0] * len(values), [0] * len(values)
    for cause, value in enumerate(values):
        try:
            event = codec.decode(value)
        except Rejected as error:
            unreadable.append((cause, str(error)))
            continue
        exchange_ns[cause] = event.event_ns
        received_ns[cause] = getattr(event, "received_ns", event.event_ns)
        records, refusing = chain.on_event(event)
        rejections += [rejection._replace(cause=cause) for rejection in refusing]
        derived += [(cause, record) for record in records]
    made = rows(derived, codec) if derived else None
    return Made(made, refused(unreadable, rejections), exchange_ns, received_ns)
