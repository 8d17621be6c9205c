"""CSV files of a collector: an 8 KB buffer, a flush every 100 rows and on exit, mended after a kill, gone on with.

A row is whole when its newline is there. What stands after the last newline was being written when the program was
killed, and is cut off before the first new row. A file that begins with another header is left alone.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from infra.errors import UserError

BUFFER = 8_192  # bytes
FLUSH_EVERY = 100  # rows
BLOCK = 65_536  # bytes read at a time while the end is looked for


class CsvFile:
    """A file that rows are added to.

    Raises:
        UserError: the file is there with another header, or cannot be written.

    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path, self.rows = path, 0
        line = _line(header)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.cut = mend(path)
            begun = path.exists() and path.stat().st_size > 0
            if begun:
                with path.open("rb") as file:
                    first = file.readline().decode(errors="replace")
                if first != line:
                    raise UserError(f"{path}: begins with {first[:60]!r}, not with {line[:60]!r}: move it away")
            self._file = path.open("ab", buffering=BUFFER)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        if not begun:
            self._file.write(line.encode())
            self._file.flush()

    def write(self, row: Sequence[object]) -> None:
        """Add a row."""
        self._file.write(_line(row).encode())
        self.rows += 1
        if self.rows % FLUSH_EVERY == 0:
            self._file.flush()

    def close(self) -> None:
        """Write what is in the buffer, and close."""
        self._file.close()


def mend(path: Path) -> int:
    """Cut off what stands after a file's last newline; how many bytes that was."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = end = file.seek(0, io.SEEK_END)
        while end > 0:
            begin = max(end - BLOCK, 0)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
        return size - end


def _line(row: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
