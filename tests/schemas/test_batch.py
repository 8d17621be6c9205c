"""Positions in columns mean what they mean one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas import Clock, Heartbeat
from schemas.batch import Batch, Fresh, lineage
from schemas.columns import Keys, tables
from schemas.position import Position, Seen

POSITIONS = st.builds(Position, st.sampled_from(["a", "b"]), st.integers(0, 1), st.integers(0, 5), st.integers(0, 2))


@given(st.lists(st.lists(POSITIONS, min_size=1, max_size=12), max_size=5))
def test_fresh_keeps_what_seen_keeps(runs: list[list[Position]]) -> None:
    fresh, seen = Fresh(), Seen()
    for positions in runs:
        count = len(positions)
        mask = fresh.mask(lineage(range(count), positions, [None] * count, [0] * count))
        assert mask.tolist() == [seen.is_new(("log", 0), position) for position in positions]


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_only_keeps_rows_and_their_lineage_together(wanted: list[bool]) -> None:
    keys = Keys()
    records = [Clock(1), Heartbeat("a:B", 2, 2, 0, 0), Clock(3), Heartbeat("c:D", 4, 4, 0, 0), Clock(5), Clock(6)]
    positions = [Position("t", 0, offset) for offset in range(6)]
    run = lineage(range(6), positions, [None] * 6, range(10, 16))
    part = Batch("t", 0, keys, tables(enumerate(records), keys), run).only(np.array(wanted))
    found = {}
    for table in part.tables:
        for cause, record in zip(table.cause.tolist(), table.records(keys), strict=True):
            found[int(part.lineage.offset[cause])] = record
    assert found == {offset: record for offset, record in enumerate(records) if wanted[offset]}
    assert part.lineage.kafka_ns.tolist() == [10 + offset for offset in range(6) if wanted[offset]]
