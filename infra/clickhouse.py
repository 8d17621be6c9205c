"""The history: ClickHouse through one client, embedded (chdb) by default, or a server.

The embedded database is a folder that one process may have open at a time, and a process opens one folder. Its engine
has threads, so a process must not fork once it is open (start others with spawn or a command). Who wants to read while
the sink writes needs a server; ``tidemill status`` needs neither, it reads the topics.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.errors import UserError
from infra.settings import Settings

__all__ = ["Client", "connect", "holder", "query"]

EMBEDDED = "chdb"
# A row and its repeats have the same event time, so they lie in one partition: FINAL need not look across them.
SETTINGS = {"do_not_merge_across_partitions_select_final": 1}


def connect(settings: Settings) -> Client:
    """A client of the history; one a thread, closed by who asked for it.

    Raises:
        UserError: another process has the embedded database open, this one has another open, or no server answers.

    """
    dsn = settings.history_dsn
    return _embedded(dsn) if urlsplit(dsn).scheme == EMBEDDED else _server(settings, dsn)


def query(client: Client, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The rows of a query, whose ``{name:Type}`` are filled from ``parameters`` by the database.

    Text must be UTF-8: take columns of bytes as ``hex(payload)``.

    Raises:
        UserError: the database refuses the query.

    """
    try:
        found = pl.from_arrow(client.query_arrow(sql, parameters=dict(parameters or {}), use_strings=True))
    except ClickHouseError as error:
        raise UserError(f"the history refuses a query: {_first_line(error)}") from None
    assert isinstance(found, pl.DataFrame)
    return found


def _embedded(dsn: str) -> Client:
    folder = Path(urlsplit(dsn).path).resolve()
    held = holder(folder)
    if held is not None:
        told = f"{held} has it open, and only one process can; end that one, or set TIDEMILL_CLICKHOUSE_DSN to a server"
        raise UserError(f"cannot open the history in {folder}: {told}")
    try:
        return clickhouse_connect.get_client(dsn=dsn, settings=SETTINGS)
    except ImportError:
        raise UserError("the embedded history needs chdb: install it, or set TIDEMILL_CLICKHOUSE_DSN") from None
    except ClickHouseError as error:
        raise UserError(f"cannot open the history in {folder}: {_why(error)}") from None


def _why(error: ClickHouseError) -> str:
    if "already initialized with path" in str(error):
        return "this process has another one open, and only one at a time is possible"
    return _first_line(error)


def holder(folder: Path) -> str | None:
    """The other process that has an embedded database open, with its command where the system tells it.

    Its status file names it and is locked for as long as it lives. Asked first, because the engine would write an error
    of its own to stderr.
    """
    try:
        with (folder / "status").open() as status:
            number = int(status.readline().removeprefix("PID: "))
            if number == os.getpid():
                return None
            fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        pass
    except (OSError, ValueError):
        return None
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return f"process {number}"
    return f"process {number} ({command[:200]})"


def _server(settings: Settings, dsn: str) -> Client:
    password = settings.clickhouse_password
    try:
        return clickhouse_connect.get_client(
            dsn=dsn,
            username=settings.clickhouse_user,
            password="" if password is None else password.get_secret_value(),
            settings=SETTINGS,
            autogenerate_session_id=False,
            connect_timeout=10,
            send_receive_timeout=300,
        )
    except ClickHouseError as error:
        where = f"{urlsplit(dsn).hostname}:{urlsplit(dsn).port or 8123}"
        raise UserError(f"no ClickHouse for us at {where}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:500]
