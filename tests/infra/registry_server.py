"""A schema registry on loopback: what of the protocol we use, with the compatibility rule that matters to us."""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar

import fastavro
from fastavro.schema import SchemaParseException


@dataclass
class Registry:
    """Subjects, each with its versions, and the ids of all schemas. Use as a context; ``url`` is where it listens."""

    schemas: dict[int, str] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    compatibility: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: int = 0  # answers the next so many requests with 503
    first_id: int = 1

    def __enter__(self) -> "Registry":
        handler = type("Bound", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the answer to a request."""
        self.asked.append(f"{method} {path}")
        if self.failing:
            self.failing -= 1
            return 503, {"error_code": 50300, "message": "try again"}
        if method == "GET" and (found := re.fullmatch(r"/schemas/ids/(\d+)", path)):
            text = self.schemas.get(int(found[1]))
            return (
                (404, {"error_code": 40403, "message": "Schema not found"}) if text is None else (200, {"schema": text})
            )
        if method == "PUT" and path.startswith("/config/"):
            self.compatibility[path.removeprefix("/config/")] = body["compatibility"]
            return 200, body
        if method == "POST" and (found := re.fullmatch(r"/subjects/(.+)/versions", path)):
            return self._register(found[1], body["schema"])
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _register(self, name: str, text: str) -> tuple[int, dict[str, Any]]:
        known = {schema: number for number, schema in self.schemas.items()}
        versions = self.subjects.setdefault(name, [])
        if known.get(text) not in versions:
            if versions and not _readable(self.schemas[versions[-1]], text):
                return 409, {"error_code": 409, "message": f"Schema being registered is incompatible with {name}"}
            number = known.get(text, self.first_id + len(self.schemas))
            self.schemas[number] = text
            versions.append(number)
            known[text] = number
        return 200, {"id": known[text]}


def _readable(old: str, new: str) -> bool:
    """Whether records of the old schema can be read with the new one."""
    before = {item["name"]: item["type"] for item in json.loads(old)["fields"]}
    for item in json.loads(new)["fields"]:
        if item["name"] not in before and "default" not in item:
            return False
        if before.get(item["name"], item["type"]) != item["type"]:
            return False
    try:
        fastavro.parse_schema(json.loads(new))
    except SchemaParseException:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[Registry]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        status, answer = self.registry.answer(self.command, self.path.partition("?")[0], body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
