"""Structured logs on stderr, for people or as JSON, with no secret in them.

Every line, a library's too, passes the same two filters: a field with a secret-looking name loses its value, and the
value of every secret that has been loaded is cut out of the finished text, whatever brought it there: a message, an
exception, an address. A library's message that repeats without end is shown once in a while, with the number left out.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from infra.settings import Settings

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|api_?key|private_?key|credential|authorization|signature|listen_?key", re.I
)
REPEAT_S = 5.0  # a library's message is shown at most this often

Event = MutableMapping[str, Any]


def setup(settings: Settings, secrets: Sequence[str] = ()) -> None:
    """Send all logs of this process to stderr in the format of the settings; ``secrets`` are hidden with theirs."""
    tidy: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_names,
    ]
    exceptions: list[Any] = [structlog.processors.format_exc_info] if settings.log_format == "json" else []
    render = Hiding(_renderer(settings), [*settings.secrets(), *secrets])
    output = logging.StreamHandler(sys.stderr)
    output.addFilter(Repeats(REPEAT_S))
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=tidy,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, render],
        )
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *tidy, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else it tells of every request
    logging.basicConfig(handlers=[output], level=settings.log_level, force=True)


def logger(name: str) -> Any:
    """A logger: ``log.info("connected", feed="coinbase")``."""
    return structlog.stdlib.get_logger(name)


def hide_names(_logger: Any, _method: str, event: Event) -> Event:
    """Hide the values of fields whose names say that they are secret, at any depth."""
    return {name: _hide(name, value) for name, value in event.items()}


def _hide(name: Any, value: Any) -> Any:
    if isinstance(name, str) and SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: _hide(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide("", item) for item in value]
    return value


class Hiding:
    """A renderer that cuts secrets out of what another has rendered."""

    def __init__(self, render: Callable[[Any, str, Any], Any], secrets: list[str]) -> None:
        self._render = render
        forms = {form for secret in secrets for form in _forms(secret)}
        ordered = sorted(map(re.escape, forms), key=len, reverse=True)
        self._secrets = re.compile("|".join(ordered)) if ordered else None

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        text = str(self._render(logger, method, event))
        return text if self._secrets is None else self._secrets.sub(HIDDEN, text)


def _forms(secret: str) -> list[str]:
    """A secret as it may stand in a text: plain, as a Python literal, in an address, and each of them in JSON."""
    plain = [secret, repr(secret)[1:-1], secret.replace("\\", "\\\\"), quote(secret), quote_plus(secret)]
    return plain + [json.dumps(form)[1:-1] for form in plain]


def _renderer(settings: Settings) -> Callable[[Any, str, Any], Any]:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(default=str)
    plain = structlog.dev.plain_traceback  # the rich one prints local variables
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


class Repeats(logging.Filter):
    """Lets a library's message through once in ``every_s`` seconds and says how many it held back.

    Our own messages carry an event mapping and always pass.
    """

    def __init__(self, every_s: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._now = now
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, Mapping):
            return True
        shown = record.name, record.levelno, str(record.msg)
        last, held = self._seen.get(shown, (-self._every_s, 0))
        if self._now() - last < self._every_s:
            self._seen[shown] = last, held + 1
            return False
        if len(self._seen) > 1_000:
            self._seen.clear()
        self._seen[shown] = self._now(), 0
        if held:
            record.msg = f"{record.msg} ({held} more like it held back)"
        return True
