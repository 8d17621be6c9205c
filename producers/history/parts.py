"""What was fetched as one: a file of a venue's archive, or a stretch of pages."""

import msgspec

from producers.history.runs import Run

MONTHLY, DAILY, PAGES, MENDED = "monthly", "daily", "pages", "mended"  # where a part is from


class File(msgspec.Struct, array_like=True, frozen=True):
    """A file of the archive that a part is in, by its first and last number."""

    first: int
    last: int


class Part(msgspec.Struct, tag="part", frozen=True):
    """Something that was fetched whole: the time that it covers, its numbers, and where they are."""

    source: str  # one of the above; mended for what a hole lacked
    name: str  # period of the archive's file; empty for pages
    sha256: str  # of the archive's file; empty for pages
    from_ns: int
    to_ns: int  # end of the time covered, not included; from_ns for one that covers none
    asked: tuple[int, int] | None  # numbers asked for in pages, the end not included: what did not come is not there
    rows: int
    duplicates: int
    runs: list[Run]
    files: list[File]
