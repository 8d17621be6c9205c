"""Command ``sink``: keeps every record of every topic in the history, in the archive, or in both."""

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from consumers.archive import Archive
from consumers.runner import Limits, Runner
from consumers.sink import Sink
from infra import logs, metrics
from infra.registry import codec
from infra.settings import Settings, UserError, load_settings
from processors.stage import stages
from processors.wiring import plan, source

log = logs.logger(__name__)
ARCHIVE = "archive"  # folder under data_dir
AWAKE_S = 1.0
ARCHIVE_SECONDS = 10.0  # a file for each table and partition: fewer and larger ones

Names = Annotated[list[str] | None, typer.Argument(help="Sinks: clickhouse, archive.")]


def _clickhouse(settings: Settings) -> Sink:
    from consumers.clickhouse import ClickHouse  # noqa: PLC0415 - starts a database

    return ClickHouse(settings)


def _archive(settings: Settings) -> Sink:
    return Archive(Path(settings.data_dir) / ARCHIVE, settings.compact_after_h)


SINKS: dict[str, tuple[Callable[[Settings], Sink], Limits]] = {
    "clickhouse": (_clickhouse, Limits()),
    "archive": (_archive, Limits(seconds=ARCHIVE_SECONDS)),
}


def sink(names: Names = None) -> None:
    """Keep every record of every topic: in ClickHouse (the default), in Parquet files, or both; until Ctrl-C."""
    wanted = list(dict.fromkeys(names or ["clickhouse"]))
    for name in wanted:
        if name not in SINKS:
            raise UserError(f"no sink {name!r}; there are {', '.join(SINKS)}")
    settings = load_settings()
    logs.setup(settings)
    metrics.serve(settings)
    judged = set(map(source, plan(stages())))
    runners = [
        Runner(settings, codec(settings), make(settings), judged, limits)
        for make, limits in (SINKS[name] for name in wanted)
    ]
    log.info("sinks started", names=wanted)
    run_all(runners)
    log.info("sinks stopped", records=sum(runner.written for runner in runners))


def run_all(runners: Sequence[Runner]) -> None:
    """Run each in a thread of its own until SIGINT or SIGTERM; when one fails, the others end and it raises."""
    failures: list[BaseException] = []

    def stop(*_: object) -> None:
        for runner in runners:
            runner.stop()

    def work(runner: Runner) -> None:
        try:
            runner.run()
        except BaseException as error:
            failures.append(error)
            stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threads = [
        threading.Thread(target=work, args=(runner,), name=f"sink-{place}") for place, runner in enumerate(runners)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a signal that a thread of the database took is acted on when this one wakes
            thread.join(AWAKE_S)
    if failures:
        raise failures[0]


if __name__ == "__main__":
    typer.run(sink)
