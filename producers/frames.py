"""Recordings of raw venue frames: written one line a frame, read back through the same feed that parses the socket.

A line is either a bare message, which counts as received when it was sent, or ``{"recv": seconds, "msg": message}``;
``{"recv": seconds, "fetched": tag, "msg": body}`` is the answer to a fetch, and ``{"recv": seconds, "connect": cause}``
marks where a connection began and what had ended the one before. A message that is not a JSON object or array on one
line is kept as a JSON string, so junk comes back as the junk it was. Files end in .jsonl, .jsonl.zst or .jsonl.gz.
Reading takes constant memory.
"""

import contextlib
import decimal
import gzip
import io
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, BinaryIO, NamedTuple

import msgspec
import zstandard

from producers.feed import Feed
from producers.session import Session
from schemas import Record

Progress = Callable[[int, int], None]  # bytes of the file read, bytes in all
PROGRESS_LINES = 4096
FLUSH_NS = 1_000_000_000


class Line(msgspec.Struct, gc=False):
    """A line with the time of its receipt."""

    recv: decimal.Decimal
    msg: msgspec.Raw = msgspec.Raw()
    connect: str = ""
    fetched: str = ""


class Connected(NamedTuple):
    """In place of a frame: here a connection began; ``cause`` ended the one before."""

    cause: str


class Fetched(NamedTuple):
    """In place of a frame: what was fetched for a feed."""

    tag: str
    body: bytes


Frame = str | bytes | Connected | Fetched


LINE = msgspec.json.Decoder(Line)


def records(
    path: pathlib.Path, make: type[Feed], symbols: Sequence[str] = (), progress: Progress | None = None
) -> Iterator[Record]:
    """Records of a recording, refused frames as DeadLetters, in the order of the file.

    ``symbols`` limits it to these; other products' frames are refused as unknown.

    Raises:
        FileNotFoundError: there is no such recording.

    """
    session = Session(make, symbols)
    session.open()
    for frame, received_ns in read(path, session.feed, progress):
        match frame:
            case Connected(cause):
                session.close(cause)
                session.open()
            case Fetched(tag, body):
                yield from session.answer(tag, body, received_ns)
            case _:
                yield from session.receive(frame, received_ns)
        if session.ended:
            session.close(session.ended)
            session.open()


def read(path: pathlib.Path, feed: Feed, progress: Progress | None = None) -> Iterator[tuple[Frame, int]]:
    """Frames and answers of a recording with the ns of their receipt, and where connections began."""
    latest = 0
    with opened(path) as (lines, position):
        size = path.stat().st_size
        for number, line in enumerate(lines):
            if progress is not None and number % PROGRESS_LINES == 0:
                progress(position(), size)
            if text := line.strip():
                frame, received_ns = _frame(text, feed)
                latest = received_ns or latest
                yield frame, latest
        if progress is not None:
            progress(size, size)


def _frame(line: bytes, feed: Feed) -> tuple[Frame, int]:
    try:
        kept = LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return line, feed.sent_ns(line)
    if kept.connect:
        return Connected(kept.connect), _nanoseconds(kept.recv)
    message = bytes(kept.msg)
    frame = msgspec.json.decode(message, type=str) if message.startswith(b'"') else message
    if kept.fetched:
        body = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        return Fetched(kept.fetched, body), _nanoseconds(kept.recv)
    return frame, _nanoseconds(kept.recv)


def _nanoseconds(seconds: decimal.Decimal) -> int:
    return int(seconds * 1_000_000_000)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[tuple[Iterable[bytes], Callable[[], int]]]:
    """The lines of a file by its ending, and how far into the file reading has come in bytes."""
    with path.open("rb") as file:
        if path.suffix == ".gz":
            lines: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=file))
        elif path.suffix == ".zst":
            lines = io.BufferedReader(
                zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True), buffer_size=1 << 20
            )
        else:
            lines = file
        yield lines, file.tell


class Recorder:
    """Writes frames as they come; what is a second old survives a kill -9.

    Use as a context manager: leaving it ends the file properly. An existing recording is added to, after what a kill
    may have torn at its end is cut off.
    """

    def __init__(self, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab")
        self._file.truncate(_whole(path))
        self._zstd: Any = None if path.suffix == ".jsonl" else zstandard.ZstdCompressor(6).stream_writer(self._file)
        self._flushed_ns = 0

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._zstd is not None:
            self._zstd.close()
        self._file.close()

    def frame(self, frame: str | bytes, received_ns: int) -> None:
        """Keep one frame."""
        self._line(b'"msg":' + _message(frame), received_ns)

    def answer(self, tag: str, body: bytes, received_ns: int) -> None:
        """Keep what was fetched."""
        self._line(b'"fetched":' + msgspec.json.encode(tag) + b',"msg":' + _message(body), received_ns)

    def connect(self, received_ns: int, cause: str) -> None:
        """Mark that a connection begins, and what ended the one before."""
        self._line(b'"connect":' + msgspec.json.encode(cause), received_ns)

    def _line(self, rest: bytes, received_ns: int) -> None:
        seconds, rest_ns = divmod(received_ns, 1_000_000_000)
        (self._zstd or self._file).write(b'{"recv":%d.%09d,%s}\n' % (seconds, rest_ns, rest))
        if received_ns - self._flushed_ns >= FLUSH_NS:
            if self._zstd is not None:  # ending the frame makes all before it readable, whatever follows
                self._zstd.flush(zstandard.FLUSH_FRAME)
            self._file.flush()
            self._flushed_ns = received_ns


def _whole(path: pathlib.Path) -> int:
    """How many bytes of a recording are whole: up to its last newline, or the end of its last zstd frame."""
    whole = done = 0
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            done += len(chunk)
            if path.suffix == ".jsonl":
                whole = done - len(chunk) + chunk.rfind(b"\n") + 1 if b"\n" in chunk else whole
                continue
            while chunk:
                decompressor.decompress(chunk)
                chunk = decompressor.unused_data if decompressor.eof else b""
                if decompressor.eof:
                    whole = done - len(chunk)
                    decompressor = zstandard.ZstdDecompressor().decompressobj()
    return whole


def _message(frame: str | bytes) -> bytes:
    """A frame as it stands in a line: itself where it is a JSON object or array on one line, else a JSON string."""
    data = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
    if b"\n" not in data and data.lstrip().startswith((b"{", b"[")):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            msgspec.json.decode(data)
            return data
    return msgspec.json.encode(data.decode("utf-8", "backslashreplace"))


def paced(records: Iterable[Record], speed: float, sleep: Callable[[float], None] = time.sleep) -> Iterator[Record]:
    """Records at ``speed`` times the pace of their event times."""
    first_ns: int | None = None
    began = time.monotonic()
    for record in records:
        first_ns = record.event_ns if first_ns is None else first_ns
        early_s = (record.event_ns - first_ns) / 1e9 / speed - (time.monotonic() - began)
        if early_s > 0:
            sleep(early_s)
        yield record
