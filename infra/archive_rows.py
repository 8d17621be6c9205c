"""Rows out of the archive: one table and partition, each row once and in log order, in constant memory.

- Files are merged by offset, a row group of each at a time; an offset that two files hold is given once. A file is
  opened when the merge comes to its first offset and held open only while a row group is read, so that neither the
  number of keys nor that of files has a limit.
- Compaction may take a file away under us: then the files are listed again and reading goes on at the next offset.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from infra import archive
from infra.archive import Piece
from infra.archive_file import LARGEST, File, Gone, Wanted
from infra.errors import UserError
from schemas.batch import LINEAGE, Lineage
from schemas.columns import Column

__all__ = ["Wanted", "column_of", "lineage_of", "listing", "merged", "rows"]

ROWS = 65_536  # given at a time, about
HELD = 1 << 17  # rows of all files together that are held, about, unless single row groups are larger
SPAN = 1 << 18  # offsets put in order at a time: a million rows at once take longer, and three times their memory
TRIES = 10  # at listing files of which one is gone when it is opened


def rows(listed: Callable[[], Sequence[Piece]], wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Rows of the files of one partition, listed anew when one of them is gone.

    Raises:
        UserError: a file is damaged, or is none of ours; its path and what is wrong.

    """
    after, tries = wanted.after, TRIES
    while True:
        try:
            for frame in merged(listed(), wanted, after):
                after, tries = frame["_offset"][-1], TRIES
                yield frame
        except Gone as gone:
            tries -= 1
            if not tries:
                raise UserError(f"{gone}: cannot be opened") from None
        else:
            return


def merged(files: Sequence[Piece], wanted: Wanted, after: int = -1) -> Iterator[pl.DataFrame]:
    """Rows of files that stand in the order of their first offsets, above the offset ``after``.

    Raises:
        UserError: a file is damaged, or is none of ours; its path and what is wrong.
        Gone: a file is not there any more.

    """
    coming = deque(piece for piece in files if _holds(piece, wanted))
    streams: list[File] = []
    ready: list[pl.DataFrame] = []
    last = max(after, wanted.after)
    while coming or streams:
        held = sum(stream.held for stream in streams)
        head = min((stream.head for stream in streams), default=LARGEST)
        bound = min((stream.reached for stream in streams if stream.more), default=LARGEST)
        while coming and (held < HELD or coming[0].first <= head or coming[0].first <= bound < LARGEST):
            piece = coming.popleft()
            if piece.last > last:
                stream = File(piece, wanted, last)
                if stream.fill(HELD // (len(streams) + 1)):
                    streams.append(stream)
                    held, head = held + stream.held, min(head, stream.head)
                    if stream.more:
                        bound = min(bound, stream.reached)
        if coming:
            bound = min(bound, coming[0].first - 1)
        bound = min(bound, head + SPAN)
        frame = _in_order([stream.take(bound) for stream in streams if stream.head <= bound], last)
        last = max(last, min(bound, max((stream.reached for stream in streams), default=bound)))
        if len(frame):
            ready.append(frame)
        streams = [stream for stream in streams if stream.fill(HELD // len(streams))]
        if sum(map(len, ready)) >= ROWS:
            yield _joined(ready)
            ready = []
    if ready:
        yield _joined(ready)


def _holds(piece: Piece, wanted: Wanted) -> bool:
    if piece.first > wanted.until or piece.last <= wanted.after:
        return False
    return piece.key is None or not wanted.filtered or wanted.has(piece.key)


def _in_order(parts: list[pl.DataFrame], last: int) -> pl.DataFrame:
    """Parts that may overlap as one frame by offset, each offset above ``last`` once."""
    if not parts:
        return pl.DataFrame()
    frame = _joined(parts).rechunk()  # gathering from many chunks takes nine times as long
    offsets = frame["_offset"].to_numpy()
    if len(parts) == 1 or (np.diff(offsets) > 0).all():
        return frame if offsets[0] > last else frame.filter(frame["_offset"] > last)
    lowest = max(int(offsets.min()), last + 1)
    span = int(offsets.max()) - lowest + 1
    if span > 8 * len(offsets):
        found = np.unique(offsets, return_index=True)[1]
        return frame[found[offsets[found] > last]]
    above = np.flatnonzero(offsets > last)
    places = np.full(max(span, 0), -1, np.int64)
    places[offsets[above] - lowest] = above
    return frame[places[places >= 0]]


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def lineage_of(frame: pl.DataFrame) -> Lineage:
    """The lineage columns of rows."""
    columns: dict[str, Any] = {name[1:]: column_of(frame[name]) for name in LINEAGE}
    return Lineage(**columns)


def column_of(series: pl.Series) -> Column:
    """A column as tables hold it."""
    return series if series.dtype in (pl.String, pl.Binary) else series.to_numpy()


def listing(root: Path, wanted: Wanted, partition: int) -> Callable[[], list[Piece]]:
    """What lists the files of a partition, for ``rows``."""
    bounds = wanted.start_ns or None, None if wanted.end_ns == LARGEST else wanted.end_ns
    return lambda: [piece for piece in archive.pieces(root, wanted.table, *bounds) if piece.partition == partition]
