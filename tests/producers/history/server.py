"""A venue's hosts on this machine, over HTTP: the archive's tree, and REST pages made from the same rows.

The path of a request is /<host>/<path>, as ``--via`` asks. Faults are data: a list for a path's beginning, used up one
a request, then the true answer comes again.
"""

import dataclasses
import hashlib
import http.server
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclasses.dataclass(frozen=True)
class Status:
    """Answer with a status and nothing else."""

    status: int
    retry_after: str = ""


@dataclasses.dataclass(frozen=True)
class Truncated:
    """Say that the whole comes and close after half of it."""


@dataclasses.dataclass(frozen=True)
class Body:
    """Answer with something else."""

    body: bytes


@dataclasses.dataclass(frozen=True)
class Fine:
    """Answer as it should be."""


Fault = Status | Truncated | Body | Fine
Page = Callable[[Mapping[str, str], bytes], Any]  # query and body of a request to what is answered, as JSON


class Venue:
    """What the hosts have: ``files`` by path with their bytes, ``pages`` by path with what answers them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, Page] = {}
        self.rows: dict[str, Sequence[Any]] = {}  # by symbol, what pages are made of
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.requests: list[tuple[float, str]] = []  # monotonic seconds, path with query
        self.headers: list[Mapping[str, str]] = []
        self.url = ""
        self._lock = threading.Lock()

    def put(self, path: str, content: bytes) -> None:
        """Offer a file, with its checksum beside it."""
        self.files[path] = content
        name = path.rpartition("/")[2]
        self.files[f"{path}.CHECKSUM"] = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()

    def asked(self, part: str) -> list[str]:
        """The requests that hold some text, in order."""
        return [path for _, path in self.requests if part in path]

    def fault(self, path: str) -> Fault | None:
        """What is to go wrong with a request."""
        with self._lock:
            for begin, faults in self.faults.items():
                if _is_under(path, begin) and faults:
                    return faults.pop(0)
        return next((fault for begin, fault in self.always.items() if _is_under(path, begin)), None)


def _is_under(path: str, begin: str) -> bool:
    return path.partition("?")[0] == begin or path.startswith(f"{begin}/")


@contextmanager
def serve(venue: Venue) -> Iterator[Venue]:
    """Run a venue's hosts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, body: bytes) -> None:
            venue.requests.append((time.monotonic(), self.path))
            venue.headers.append(dict(self.headers))
            parts = urlsplit(self.path)
            fault = venue.fault(self.path)
            if isinstance(fault, Status):
                self._send(fault.status, b"", {"Retry-After": fault.retry_after} if fault.retry_after else {})
            elif isinstance(fault, Body):
                self._send(200, fault.body)
            elif parts.path in venue.pages:
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                content = json.dumps(venue.pages[parts.path](query, body)).encode()
                self._send(200, content, cut=isinstance(fault, Truncated))
            elif parts.path in venue.files:
                self._send_file(venue.files[parts.path], isinstance(fault, Truncated))
            else:
                self._send(404, b"")

        def _send_file(self, content: bytes, cut: bool) -> None:
            begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            if begin and begin >= len(content):
                self._send(416, b"")
            elif begin:
                span = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
                self._send(206, content[begin:], span, cut)
            else:
                self._send(200, content, cut=cut)

        def _send(
            self, status: int, content: bytes, headers: Mapping[str, str] | None = None, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = cut

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    venue.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield venue
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zipped(name: str, lines: Sequence[str]) -> bytes:
    """A zip file with one CSV file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "".join(f"{line}\n" for line in lines))
    return content.getvalue()
