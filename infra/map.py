"""The map: for each topic what it carries, the file and line that makes it, and who reads it.

Taken from the code itself by discovery: a feed says what it writes (signs of life on ``ticks`` apart, as all do), a
stage's class line what it reads and writes, a consumer says it in ``READS``. Whoever reads every topic stands apart.
"""

import importlib
import inspect
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from infra.errors import UserError
from schemas.catalogue import TOPICS

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- map:begin -->", "<!-- map:end -->"
SHELLS = {
    "checkpoints": ("processors.live.checkpoints",),
    "merges": ("consumers.merging.merger",),
    "dead_letters": ("producers.session", "processors.live.encoding", "consumers.reader", "consumers.dead_letters"),
}  # what runs stages and feeds writes topics of its own, and reads one
READERS = {"resyncs": ("producers.resync",)}
READERS_OF_ALL = {"consumers.clickhouse": "ClickHouse", "consumers.archive": "Archive"}


@dataclass(frozen=True, slots=True)
class Place:
    """Something in the code."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Entry:
    """A topic with its surroundings."""

    topic: str
    records: list[str]
    makers: list[Place] = field(default_factory=list)
    readers: list[Place] = field(default_factory=list)


class Form(StrEnum):
    """How a map may look."""

    table = "table"
    markdown = "markdown"
    mermaid = "mermaid"


def show_map(
    form: Annotated[
        Form, typer.Option("--as", help="A table for the terminal, Markdown, or a Mermaid diagram.")
    ] = Form.table,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The same as --as mermaid.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Write it between `{BEGIN}` and `{END}` in a Markdown file.")
    ] = None,
) -> None:
    """Show each topic with the file and line that makes it and who reads it."""
    entries = survey()
    if write is not None:
        replace(write, markdown(entries))
    elif mermaid or form is Form.mermaid:
        print(diagram(entries))
    elif form is Form.markdown:
        print(markdown(entries))
    else:
        Console().print(_table(entries))
        print("and every topic: " + ", ".join(f"{place.name} ({place})" for place in keepers()))


def survey() -> list[Entry]:
    """Every topic in the order of the flow: what is made before what is made of it."""
    entries = {name: Entry(name, [record.__name__ for record in topic.records]) for name, topic in TOPICS.items()}
    for feed in importlib.import_module("producers.feed").feeds().values():
        for topic in dict.fromkeys(record.topic for record in feed.writes):
            entries[topic].makers.append(_place(feed))
    stage = importlib.import_module("processors.stage")
    stages = stage.stages()
    for item in stages:
        for record in stage.writes(item):
            entries[record.topic].makers.append(_place(item))
        for topic in dict.fromkeys([record.topic for record in stage.reads(item)] + ([item.log] if item.log else [])):
            entries[topic].readers.append(_place(item))
    for module in _consumers():
        for topic in dict.fromkeys(record.topic for record in module.READS):
            entries[topic].readers.append(_place(getattr(module, "run", module)))
    for topic, makers in SHELLS.items():
        entries[topic].makers += [_place(importlib.import_module(module)) for module in makers]
    for topic, readers in READERS.items():
        entries[topic].readers += [_place(importlib.import_module(module)) for module in readers]
    chains = importlib.import_module("processors.wiring").plan(stages)
    order = [topic for source, chain in chains.items() for topic in (source, *map(stage.name, chain))]
    return sorted(entries.values(), key=lambda entry: (_index(order, entry.topic), entry.topic))


def keepers() -> list[Place]:
    """The sinks that take every topic."""
    made = {name: importlib.import_module(module) for module, name in READERS_OF_ALL.items()}
    return [_place(getattr(module, name)) for name, module in made.items()]


def markdown(entries: list[Entry]) -> str:
    """The map for a README: the diagram, and a table with links."""
    rows = [
        f"| `{entry.topic}` | {', '.join(entry.records)} | {_links(entry.makers)} | {_links(entry.readers)} |"
        for entry in entries
    ]
    kept = ", ".join(_link(place) for place in keepers())
    head = ["| topic | records | made by | read by |", "|---|---|---|---|"]
    return "\n".join([f"```mermaid\n{diagram(entries)}\n```", "", *head, *rows, "", f"Every topic is read by {kept}."])


def diagram(entries: list[Entry]) -> str:
    """The map as a Mermaid flowchart: rounded boxes are code, cylinders are topics."""
    lines = ["flowchart LR"]
    for entry in entries:
        if entry.makers or entry.readers:
            lines.append(f"  {entry.topic}[({entry.topic})]")
        lines += [f"  {_id(place)}({place.name}) --> {entry.topic}" for place in entry.makers]
        lines += [f"  {entry.topic} --> {_id(place)}({place.name})" for place in entry.readers]
    return "\n".join(lines)


def replace(path: Path, text: str) -> None:
    """Put the map between the marks of a file.

    Raises:
        UserError: the file or the marks are not there.

    """
    try:
        whole = path.read_text()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if whole.count(BEGIN) != 1 or whole.count(END) != 1:
        raise UserError(f"{path}: expected {BEGIN} and {END}, once each")
    head, _, rest = whole.partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def block(path: Path) -> str:
    """What stands between the marks of a file.

    Raises:
        UserError: the marks are not there.

    """
    found = re.search(f"{re.escape(BEGIN)}\n(.*)\n{re.escape(END)}", path.read_text(), re.DOTALL)
    if found is None:
        raise UserError(f"{path}: expected {BEGIN} and {END}")
    return found[1]


def _consumers() -> list[Any]:
    modules = (
        importlib.import_module(f"consumers.{path.stem}") for path in sorted((ROOT / "consumers").glob("[!_]*.py"))
    )
    return [module for module in modules if hasattr(module, "READS")]


def _place(item: Any) -> Place:
    file = Path(inspect.getsourcefile(item) or "").resolve().relative_to(ROOT.resolve())
    if inspect.isclass(item):
        return Place(item.__name__, file.as_posix(), inspect.getsourcelines(item)[1])
    return Place(file.stem, file.as_posix(), max(1, inspect.getsourcelines(item)[1]))


def _index(order: list[str], topic: str) -> int:
    return order.index(topic) if topic in order else len(order)


def _id(place: Place) -> str:
    return place.file.removesuffix(".py").replace("/", "_")


def _link(place: Place) -> str:
    return f"[{place.name}]({place.file}#L{place.line})"


def _links(places: list[Place]) -> str:
    return ", ".join(map(_link, places)) or "–"


def _table(entries: list[Entry]) -> Table:
    table = Table("topic", "records", header_style="bold", box=None)
    table.add_column("made by", overflow="fold")
    table.add_column("read by", overflow="fold")
    for entry in entries:
        makers, readers = ("\n".join(map(str, places)) or "–" for places in (entry.makers, entry.readers))
        table.add_row(entry.topic, "\n".join(entry.records), makers, readers)
    return table
