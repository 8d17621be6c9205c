"""A file of an archive: fetched, held against its SHA-256, and read as columns without ever being whole in memory."""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl
import pyarrow as pa
from pyarrow import csv

from producers.agenda import Fetch
from producers.history.web import Failure, Web

TRIES = 3  # for a file that does not have its checksum
BLOCK = 4 << 20  # bytes of CSV at a time
CHECKSUM = re.compile(rb"\s*([0-9a-fA-F]{64})\b")
TYPES = {pl.Int64: pa.int64(), pl.Float64: pa.float64(), pl.Boolean: pa.bool_(), pl.String: pa.string()}
TRUE, FALSE = ["True", "true", "TRUE"], ["False", "false", "FALSE"]


class Damaged(Exception):
    """A file has its checksum and cannot be read all the same."""


class Kept(NamedTuple):
    """A fetched file."""

    path: Path
    sha256: str


def fetched(web: Web, url: str, folder: Path) -> Kept:
    """An archive's file, in ``folder`` until its reader removes it.

    Raises:
        Absent, Stopped: as they say.
        Failure: it cannot be had, or never has the checksum that the venue gives.

    """
    path = folder / url.rpartition("/")[2]
    unfinished = path.with_suffix(".part")
    found = ""
    for _ in range(TRIES):
        wanted = checksum(web, url)
        for there in (path, unfinished):
            if there.exists() and _sha256(there) == wanted:
                there.rename(path)
                return Kept(path, wanted)
        path.unlink(missing_ok=True)
        web.download(url, unfinished)
        found = _sha256(unfinished)
        if found == wanted:
            unfinished.rename(path)
            return Kept(path, wanted)
        unfinished.unlink()
    raise Failure(f"has the SHA-256 {found[:16]}… where its .CHECKSUM says {wanted[:16]}…, {TRIES} times")


def checksum(web: Web, url: str) -> str:
    """The SHA-256 that the venue gives for a file.

    Raises:
        Absent, Failure, Stopped: as they say.

    """
    text = web.get(Fetch("checksum", f"{url}.CHECKSUM"))
    told = CHECKSUM.match(text)
    if told is None:
        raise Failure(f"has no SHA-256 in its .CHECKSUM: {text[:100]!r}")
    return told[1].decode().lower()


def batches(path: Path, columns: Mapping[str, Any]) -> Iterator[pl.DataFrame]:
    """The rows of the CSV file in a zip file, some thousands at a time; a header is told by its first letter.

    Raises:
        Damaged: it is not what it should be, which may show after the first rows.

    """
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.namelist()
            with archive.open(member) as stream:
                first = stream.peek(1)[:1]  # type: ignore[attr-defined]
                if first:
                    yield from _read(stream, columns, header=not first.isdigit())
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, pa.ArrowException) as error:
        raise Damaged(f"{path.name}: {error}") from error


def _read(stream: IO[bytes], columns: Mapping[str, Any], header: bool) -> Iterator[pl.DataFrame]:
    read = csv.ReadOptions(column_names=list(columns), skip_rows=int(header), block_size=BLOCK, use_threads=False)
    convert = csv.ConvertOptions(
        column_types={name: TYPES[kind] for name, kind in columns.items()},
        true_values=TRUE, false_values=FALSE, null_values=[], strings_can_be_null=False,
    )  # fmt: skip
    with csv.open_csv(stream, read, csv.ParseOptions(), convert) as reader:
        for batch in reader:
            yield pl.DataFrame(pl.from_arrow(batch))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
