"""The journal of a back-fill: which parts of a series are whole, one line of JSON each; it says where to go on.

A line stands there only when all that it speaks of has survived a loss of power. The last one may be torn by a crash:
it counts as not there. One process at a time may hold a journal.
"""

import fcntl
import os
import threading
from pathlib import Path
from typing import BinaryIO

import msgspec

from infra.errors import UserError
from producers.history.parts import Part

NAME = "journal.jsonl"


class Lost(msgspec.Struct, tag="lost", frozen=True):
    """A part, by its place among the parts, that is no longer there."""

    part: int


class Stored(msgspec.Struct, tag="stored", frozen=True):
    """A part that a database has."""

    part: int
    database: str
    at_ns: int


class Bound(msgspec.Struct, tag="bound", frozen=True):
    """The first number at or after a time, as the venue tells it; -1 where it has none."""

    time_ns: int
    number: int


Line = Part | Lost | Stored | Bound
LINE = msgspec.json.Decoder(Line)


class Journal:
    """The journal in a folder; held until ``close``.

    Raises:
        UserError: another process holds it, or it is none of ours.

    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._file: BinaryIO = self._path.open("a+b")
        self._lock = threading.Lock()
        self._all: list[Part] = []
        self._lost: set[int] = set()
        self._stored: dict[tuple[int, str], int] = {}
        self.bounds: dict[int, int] = {}  # numbers by time
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another back-fill is at work on it") from None
        self._file.seek(0)
        whole, _, _ = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole) + 1 if whole else 0)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._take(LINE.decode(line))
            except msgspec.MsgspecError as error:
                raise UserError(f"{self._path}: line {number} is none of a journal: {error}") from None

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    @property
    def parts(self) -> list[Part]:
        """What is there."""
        return [part for number, part in enumerate(self._all) if number not in self._lost]

    def add(self, part: Part) -> None:
        """A part is whole."""
        self._write(part)

    def lose(self, part: Part) -> None:
        """A part is no longer there."""
        self._write(Lost(self._number(part)))

    def store(self, part: Part, database: str, at_ns: int) -> None:
        """A database has a part, since some time."""
        self._write(Stored(self._number(part), database, at_ns))

    def bound(self, time_ns: int, number: int) -> None:
        """The venue has told the first number of a time."""
        self._write(Bound(time_ns, number))

    def missing(self, database: str, since_ns: int) -> list[Part]:
        """The parts that a database does not have, or had from before a time on."""
        return [
            part
            for number, part in enumerate(self._all)
            if number not in self._lost and self._stored.get((number, database), -1) < since_ns
        ]

    def _number(self, part: Part) -> int:
        return next(number for number, item in enumerate(self._all) if item is part)

    def _write(self, line: Line) -> None:
        with self._lock:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._take(line)

    def _take(self, line: Line) -> None:
        if isinstance(line, Part):
            self._all.append(line)
        elif isinstance(line, Lost):
            self._lost.add(line.part)
        elif isinstance(line, Bound):
            self.bounds[line.time_ns] = line.number
        else:
            self._stored[line.part, line.database] = line.at_ns
