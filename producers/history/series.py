"""What a source of history is: how one instrument's past of one kind is asked for, and its answers as records.

Pure: a series says which files and pages it wants and reads what came; shells fetch, retry and keep. Every record has
a number, its offset, by which it is known again and by which holes show:

- the venue's own id, where ids rise by one (``slot_ns`` 0);
- else the number of the slot of ``slot_ns`` that the record opens, counted from the epoch. A trade has the time that it
  happened, a bar or interval covers its slot, whatever its event time says.

Numbers are below 2^39, so that readers can put an ordinal beside them. Records of which not every slot has one (funding
is paid every eight hours, numbered by seconds) say in ``step`` how far two neighbours may lie apart.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import polars as pl

from producers.agenda import Fetch
from schemas import Record

OPEN = 2**39  # as the end of a stretch: however far it goes
SECOND_NS = 1_000_000_000


class Stretch(NamedTuple):
    """Records to ask for: numbered from ``first`` to before ``end``, and of times before ``to_ns``."""

    first: int
    end: int
    to_ns: int


class Answer(NamedTuple):
    """The records of a page in any order, and what is left to ask for after it."""

    records: Sequence[Record]
    left: Stretch | None = None


class Series:
    """One instrument's past of one kind. A venue's file subclasses it; see sources/deribit.py for a short one."""

    record: ClassVar[type[Record]]
    hosts: ClassVar[tuple[str, ...]] = ()  # that serve the same pages; the first one is asked first
    page: ClassVar[int] = 1_000  # records in an answer, at most
    window: ClassVar[int] = 50_000  # numbers that are fetched as one part
    step: ClassVar[int] = 1
    archive_columns: ClassVar[Mapping[str, Any]] = {}  # of its archive's files, by name and polars type; none: no files

    def __init__(self, venue: str, symbol: str, kind: str, slot_ns: int = 0, keeps_ns: int = 0) -> None:
        self.venue, self.symbol, self.kind, self.slot_ns = venue, symbol, kind, slot_ns
        self.keeps_ns = keeps_ns  # how long the venue keeps what it has; 0: for ever
        self.instrument = f"{venue}:{symbol}"

    def offset(self) -> pl.Expr:
        """The number of each record."""
        raise NotImplementedError

    def archive(self, period: str) -> str:
        """Address of the archive's zip file of a month, 2025-01, or of a day, 2025-01-31."""
        raise NotImplementedError

    def rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The record's fields, in its order, of some rows of an archive's file."""
        raise NotImplementedError

    def fetch(self, left: Stretch) -> Fetch:
        """The request for the next page of a stretch."""
        raise NotImplementedError

    def answer(self, left: Stretch, body: bytes) -> Answer:
        """What came for ``left``; records outside it may be among them.

        Raises:
            Rejected: it is not as the venue documents it.

        """
        raise NotImplementedError

    def locate(self, time_ns: int) -> Fetch:
        """The request that tells the first number at or after a time; only asked where ``slot_ns`` is 0."""
        raise NotImplementedError

    def located(self, body: bytes) -> int | None:
        """That number; None where nothing comes after.

        Raises:
            Rejected: as ``answer``.

        """
        raise NotImplementedError


class Source:
    """A venue: its series by kind, and what it asks of who fetches them."""

    name: ClassVar[str]  # the feed's that gives the same records live
    kinds: ClassVar[tuple[str, ...]]
    weights: ClassVar[Mapping[str, float]] = {}  # what each host allows a minute, in units of Fetch.weight
    headers: ClassVar[Mapping[str, str]] = {}
    bearer: ClassVar[str] = ""  # setting that holds the key for the Authorization header

    def series(self, symbol: str, kind: str) -> Series:
        """The series of a symbol and one of ``kinds``."""
        raise NotImplementedError


def sources(package: str = "producers.history.sources") -> dict[str, Source]:
    """Every source by name."""
    home = importlib.import_module(package)
    modules = [importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(home.__path__)]
    found = [item() for module in modules for item in vars(module).values() if _is_source(item, module.__name__)]
    return {source.name: source for source in sorted(found, key=lambda source: source.name)}


def _is_source(item: Any, module: str) -> bool:
    return isinstance(item, type) and issubclass(item, Source) and item.__module__ == module
