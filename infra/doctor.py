"""``tidemill doctor``: looks at the whole set-up and says for each part whether it is fit, and if not what to do."""

import importlib
import json as json_module
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Table

from infra import jars
from infra.broker import admin, full_name, partition_counts, partitions
from infra.clickhouse import connect, holder
from infra.errors import UserError
from infra.registry import codec
from infra.settings import Settings, load_settings
from schemas.catalogue import TOPICS

LEAST_FREE_GB = 2.0
EARLIEST_NS = 1_750_000_000_000_000_000  # June 2025: a clock that says less is not set
SKEW_NS = 5_000_000_000
BROKER_S = 5.0


class Verdict(StrEnum):
    """How a part is: fit, worth a look, or unfit."""

    ok = "ok"
    warn = "warn"
    fail = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the set-up; ``todo`` says what to do about it."""

    part: str
    verdict: Verdict
    found: str
    todo: str = ""


def doctor(json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False) -> None:
    """Check the whole set-up and say what is wrong; exit code 1 where something is."""
    findings = list(examine())
    if json:
        for finding in findings:
            print(json_module.dumps(asdict(finding)))
    else:
        _print(findings)
    raise typer.Exit(1 if any(finding.verdict is Verdict.fail for finding in findings) else 0)


def examine() -> Iterator[Finding]:
    """Every part in turn; one that cannot even be looked at is unfit, and the others are looked at all the same."""
    yield _of_python()
    yield _of_packages()
    try:
        settings = load_settings()
    except UserError as error:
        yield Finding("settings", Verdict.fail, str(error), "put it right in the environment or .env; see .env.example")
        return
    yield Finding(
        "settings", Verdict.ok, f"brokers {settings.brokers}, group {settings.group}, data in {settings.data_dir}"
    )
    answers = True
    for part, look in PARTS.items():
        if part == "topics" and not answers:
            yield Finding(part, Verdict.warn, "not known without a broker")
            continue
        try:
            yield look(part, settings)
        except UserError as error:
            answers = answers and part != "broker"
            yield Finding(part, Verdict.fail, str(error), REMEDIES.get(part, ""))
        except Exception as error:
            yield Finding(part, Verdict.fail, f"{type(error).__name__}: {error}", REMEDIES.get(part, ""))


def _of_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fit = (3, 11) <= sys.version_info[:2] < (3, 14)
    todo = "" if fit else "use Python 3.11, 3.12 or 3.13"
    return Finding("python", Verdict.ok if fit else Verdict.fail, f"{version} in {sys.prefix}", todo)


def _of_packages() -> Finding:
    wrong, count = [], 0
    for text in metadata.requires("tidemill") or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        count += 1
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if Version(version) not in wanted.specifier:
            wrong.append(f"{wanted.name} is {version}, wanted {wanted.specifier}")
    if wrong:
        return Finding(
            "packages",
            Verdict.fail,
            "; ".join(wrong),
            "install requirements.lock again: remove .venv, then make up or demo",
        )
    return Finding("packages", Verdict.ok, f"{count} as pyproject.toml wants them")


def _of_clock(part: str, settings: Settings) -> Finding:
    if time.time_ns() < EARLIEST_NS:
        return Finding(
            part, Verdict.fail, f"this machine says {time.ctime()}", "set the clock: events are refused by it"
        )
    with tempfile.NamedTemporaryFile(dir=_existing(settings.data_dir)) as probe:
        skew_ns = abs(Path(probe.name).stat().st_mtime_ns - time.time_ns())
    if skew_ns > SKEW_NS:
        todo = "the file system and this process disagree on the time: run a time service"
        return Finding(part, Verdict.warn, f"{skew_ns / 1e9:.1f} s between the two", todo)
    return Finding(part, Verdict.ok, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _of_disk(part: str, settings: Settings) -> Finding:
    folder = _existing(settings.data_dir)
    free = shutil.disk_usage(folder).free / 1e9
    if free < LEAST_FREE_GB:
        return Finding(
            part,
            Verdict.warn,
            f"{free:.1f} GB free in {folder.resolve()}",
            f"make room: less than {LEAST_FREE_GB:g} GB",
        )
    return Finding(part, Verdict.ok, f"{free:,.0f} GB free in {folder.resolve()}")


def _of_broker(part: str, settings: Settings) -> Finding:
    partition_counts(settings, BROKER_S)
    nodes = admin(settings).list_topics(timeout=BROKER_S).brokers
    return Finding(part, Verdict.ok, f"{len(nodes)} at {settings.brokers}")


def _of_topics(part: str, settings: Settings) -> Finding:
    present = partition_counts(settings, BROKER_S)
    wrong = [
        f"{full_name(settings, name)} has {count} partitions, not {partitions(settings, name)}"
        for name, count in present.items()
        if count != partitions(settings, name)
    ]
    if wrong:
        todo = "set TIDEMILL_PARTITIONS, another TIDEMILL_TOPIC_PREFIX, or delete them"
        return Finding(part, Verdict.fail, "; ".join(wrong), todo)
    missing = sorted(set(TOPICS) - set(present))
    if missing:
        return Finding(part, Verdict.warn, f"missing: {', '.join(missing)}", REMEDIES[part])
    return Finding(part, Verdict.ok, f"all {len(present)} as the catalogue says")


def _of_registry(part: str, settings: Settings) -> Finding:
    codec(settings)
    url = settings.schema_registry_url
    return Finding(
        part, Verdict.ok, f"schemas agreed with {url}" if url else "none set: the ids of schemas/history are used"
    )


def _of_history(part: str, settings: Settings) -> Finding:
    embedded = settings.clickhouse_dsn is None
    folder = settings.data_dir / "history"
    if embedded and not folder.exists():
        _existing(settings.data_dir)
        return Finding(part, Verdict.ok, f"embedded, will be made in {folder}")
    if embedded and (held := holder(folder)) is not None:
        return Finding(part, Verdict.ok, f"embedded in {folder}, which {held} has open")
    client = connect(settings)
    try:
        version = client.command("SELECT version()")
    finally:
        client.close()
    return Finding(
        part, Verdict.ok, f"ClickHouse {version}, {'embedded in ' + str(settings.data_dir) if embedded else 'server'}"
    )


def _of_local_broker(part: str, _: Settings) -> Finding:
    try:
        program = jars.java()
    except UserError as error:
        return Finding(part, Verdict.warn, str(error).partition(":")[0], REMEDIES[part])
    if shutil.which("mvn") is None:
        return Finding(part, Verdict.warn, f"java at {program}, no Maven", REMEDIES[part])
    return Finding(part, Verdict.ok, f"java at {program}, Maven at {shutil.which('mvn')}")


def _of_docker(part: str, _: Settings) -> Finding:
    found = shutil.which("docker") or shutil.which("podman")
    if found is None:
        return Finding(part, Verdict.warn, "neither docker nor podman", REMEDIES[part])
    return Finding(part, Verdict.ok, found)


def _of_dashboards(part: str, _: Settings) -> Finding:
    built = importlib.import_module("grafana.build").built()
    return Finding(part, Verdict.ok, f"{len(built)} build")


PARTS: dict[str, Callable[[str, Settings], Finding]] = {
    "clock": _of_clock,
    "disk": _of_disk,
    "broker": _of_broker,
    "topics": _of_topics,
    "registry": _of_registry,
    "history": _of_history,
    "local broker": _of_local_broker,
    "docker": _of_docker,
    "dashboards": _of_dashboards,
}
REMEDIES = {
    "clock": "see that the data folder can be written to",
    "disk": "see that the data folder exists and can be written to",
    "topics": "run tidemill topics",
    "registry": "start it, or unset TIDEMILL_SCHEMA_REGISTRY_URL",
    "history": "see that TIDEMILL_CLICKHOUSE_DSN names a server that answers, or unset it for an embedded history",
    "local broker": "install Java 17 and Maven for tidemill up, or use a broker that runs elsewhere",
    "docker": "only docker-compose.yml needs it",
    "dashboards": "a dashboard does not build: run tidemill --debug dashboards",
}


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists; raises OSError where it could not be written to."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    with tempfile.NamedTemporaryFile(dir=folder):
        return folder


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False)
    colours = {Verdict.ok: "green", Verdict.warn: "yellow", Verdict.fail: "bold red"}
    for finding in findings:
        found = finding.found if not finding.todo else f"{finding.found}\n→ {finding.todo}"
        table.add_row(f"[{colours[finding.verdict]}]{finding.verdict}[/]", finding.part, found.replace("[", r"\["))
    Console().print(table)
