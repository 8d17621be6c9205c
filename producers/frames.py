"""Recordings of raw venue frames: written one line a frame, read back through the same feed that parses the socket.

A line is either a bare message, which counts as received when it was sent, or ``{"recv": seconds, "msg": message}``;
``{"recv": seconds, "fetched": tag, "msg": body}`` is the answer to a fetch. ``{"recv": seconds, "connect": cause}``
marks where a connection began and what had ended the one before, ``"closed": cause`` where it ended, and ``"begun":
feed`` where a process began. Where several connections are up at once, lines carry the number of theirs as ``link``.
A message that is not a JSON object or array on one line is kept as a JSON string, so junk comes back as the junk it
was. Files end in .jsonl, .jsonl.zst or .jsonl.gz. Reading takes constant memory.
"""

import contextlib
import decimal
import gzip
import io
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, BinaryIO

import msgspec
import zstandard

from producers.feed import Feed
from producers.playback import Begun, Closed, Connected, Entry, Fetched, Frame, Playback
from schemas import Record

__all__ = ["Connected", "Fetched", "Frame", "Progress", "Recorder", "entries", "opened", "paced", "read", "records"]

Progress = Callable[[int, int], None]  # bytes of the file read, bytes in all
PROGRESS_LINES = 4096
FLUSH_NS = 1_000_000_000


class Line(msgspec.Struct, gc=False):
    """A line with the time of its receipt."""

    recv: decimal.Decimal
    msg: msgspec.Raw = msgspec.Raw()
    fetched: str = ""
    connect: str = ""
    shard: int = 0
    after: int = -1
    closed: str = ""
    begun: str = ""
    link: int = 0


LINE = msgspec.json.Decoder(Line)


def records(
    path: pathlib.Path,
    make: type[Feed],
    symbols: Sequence[str] = (),
    progress: Progress | None = None,
    channels: Sequence[str] = (),
) -> Iterator[Record]:
    """Records of a recording, refused frames as DeadLetters, in the order of the file.

    ``symbols`` limits it to these; other products' frames are refused as unknown.

    Raises:
        FileNotFoundError: there is no such recording.

    """
    playback = Playback(make, symbols, channels)
    for entry in entries(path, make(), progress):
        yield from playback.take(entry)


def read(path: pathlib.Path, feed: Feed, progress: Progress | None = None) -> Iterator[tuple[Frame, int]]:
    """Frames and answers of a recording with the ns of their receipt, and where connections began."""
    for entry in entries(path, feed, progress):
        if not isinstance(entry.frame, Begun | Closed):
            yield entry.frame, entry.received_ns


def entries(path: pathlib.Path, feed: Feed, progress: Progress | None = None) -> Iterator[Entry]:
    """All that a recording holds."""
    latest = 0
    with opened(path) as (lines, position):
        size = path.stat().st_size
        for number, line in enumerate(lines):
            if progress is not None and number % PROGRESS_LINES == 0:
                progress(position(), size)
            if text := line.strip():
                entry = _entry(text, feed)
                latest = entry.received_ns or latest
                yield entry._replace(received_ns=latest)
        if progress is not None:
            progress(size, size)


def _entry(line: bytes, feed: Feed) -> Entry:
    try:
        kept = LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Entry(line, feed.sent_ns(line))
    return Entry(_marked(kept), _nanoseconds(kept.recv), kept.link)


def _marked(kept: Line) -> Frame | Begun | Closed:
    if kept.connect:
        return Connected(kept.connect, kept.shard, kept.after)
    if kept.closed:
        return Closed(kept.closed)
    if kept.begun:
        return Begun(kept.begun)
    message = bytes(kept.msg)
    frame = msgspec.json.decode(message, type=str) if message.startswith(b'"') else message
    if not kept.fetched:
        return frame
    return Fetched(kept.fetched, frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame)


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

    def keep(self, entry: Entry) -> None:
        """Add a line."""
        match entry.frame:
            case Begun(feed):
                line: dict[str, Any] = {"begun": feed}
            case Connected(cause, shard, after):
                line = (
                    {"connect": cause} | ({"shard": shard} if shard else {}) | ({"after": after} if after >= 0 else {})
                )
            case Closed(cause):
                line = {"closed": cause}
            case Fetched(tag, body):
                line = {"fetched": tag, "msg": _message(body)}
            case frame:
                line = {"msg": _message(frame)}
        self._line(({"link": entry.link} if entry.link else {}) | line, entry.received_ns)

    def _line(self, rest: dict[str, Any], received_ns: int) -> None:
        seconds, rest_ns = divmod(received_ns, 1_000_000_000)
        # The seconds by hand: a float has not enough digits for them.
        (self._zstd or self._file).write(b'{"recv":%d.%09d,%s\n' % (seconds, rest_ns, msgspec.json.encode(rest)[1:]))
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


def _message(frame: str | bytes) -> msgspec.Raw:
    """A frame as it stands in a line: itself where it is a JSON object or array on one line, else a JSON string."""
    data = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
    if b"\n" not in data and data.lstrip().startswith((b"{", b"[")):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            msgspec.json.decode(data)
            return msgspec.Raw(data)
    return msgspec.Raw(msgspec.json.encode(data.decode("utf-8", "backslashreplace")))


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
