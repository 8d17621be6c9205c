"""The history: ClickHouse through one client, embedded (chdb) by default, or a server.

The embedded database is a folder that one process may have open at a time, and a process opens one folder. Its engine
has threads, so a process must not fork once it is open (start others with spawn or a command). Who wants to read while
the sink writes needs a server; ``tidemill status`` needs neither, it reads the topics.
"""

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

__all__ = ["Client", "connect", "query"]

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
    try:
        return clickhouse_connect.get_client(dsn=dsn, settings=SETTINGS)
    except ImportError:
        raise UserError("the embedded history needs chdb: install it, or set TIDEMILL_CLICKHOUSE_DSN") from None
    except ClickHouseError as error:
        raise UserError(f"cannot open the history in {folder}: {_why(folder, error)}") from None


def _why(folder: Path, error: ClickHouseError) -> str:
    told = str(error)
    if "already initialized with path" in told:
        return "this process has another one open, and only one at a time is possible"
    holder = _holder(folder / "status")
    if holder is None:
        return _first_line(error)
    return f"{holder} has it open, and only one process can; end that one, or set TIDEMILL_CLICKHOUSE_DSN to a server"


def _holder(status: Path) -> str | None:
    """The process named in a database's status file, if it lives; with its command where the system tells it."""
    try:
        number = int(status.read_text().splitlines()[0].removeprefix("PID: "))
        os.kill(number, 0)  # only asks whether it is there
    except PermissionError:
        pass
    except (OSError, IndexError, ValueError):
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
