"""The dashboards: valid, as committed, and each panel's query gives rows on a history that the sink has filled."""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner

from consumers.clickhouse import ClickHouse
from grafana.build import SHIPPED, built, dashboards, text
from grafana.panels import SOURCE
from infra.clickhouse import Client, query
from infra.settings import load_settings
from infra.tables import columns
from processors.stage import stages, writes
from processors.wiring import plan
from schemas import EVERY_KEY, RECORDS, Checkpoint, Clock, Forecast, Record
from tests.derived import batches
from tests.grafana.plugin import View
from tests.history import batch
from tests.streams import SECOND, raw

BUILT = built()
PANELS = [(name, panel) for name, dashboard in BUILT.items() for panel in dashboard["panels"]]
TYPES = {"timeseries", "stat", "table", "barchart", "state-timeline"}
INSTRUMENTS = ("x:a", "x:b", "x:c")
CHAIN = plan(stages())["ticks"]
GIVEN = {
    "forecasts",
    "ticks",
    "dead_letters",
    "checkpoints",
    *(record.topic for stage in CHAIN for record in writes(stage)),
}
SAMPLES: dict[Any, Any] = {str: "sequence", bytes: b"", int: 1, float: 1.0, bool: True}
PROVISIONING = SHIPPED.parent / "provisioning"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, View]]:
    """A seeded stream that ends in an outage, all that the chain makes of it, and the view that shows it all."""
    records = [*raw(11, 6_000)]
    last_ns = max(record.event_ns for record in records)
    records += [Clock(last_ns + second * SECOND) for second in range(1, 60)]
    sink = ClickHouse(load_settings(env_file=None, data_dir=tmp_path_factory.mktemp("history")))
    sink.write(batches(records))
    sink.write([batch([Checkpoint("g:ticks:0", last_ns, 1, "{}", b"")])])
    sink.write([batch([record]) for record in one_of_each(last_ns)])
    sink.write([batch(forecasts(last_ns))])
    first_ns = min(record.event_ns for record in records)
    yield sink.client, View(first_ns // 10**6 - 1_000, last_ns // 10**6 + 61_000, 10_000, INSTRUMENTS)
    sink.close()


def one_of_each(event_ns: int) -> Iterator[Record]:
    """A record of every type that the stream and the chain do not give."""
    for record in RECORDS.values():
        if record.topic not in GIVEN:
            values = {field.name: SAMPLES[field.type] for field in msgspec.structs.fields(record)}
            key = {} if record.key_field == EVERY_KEY else {record.key_field: "x:a"}
            yield record(**values | key | {"event_ns": event_ns})


def forecasts(event_ns: int) -> list[Record]:
    """A forecast of each competition, of two points with seven quantiles each."""
    values = {field.name: SAMPLES[field.type] for field in msgspec.structs.fields(Forecast)}
    values |= {"instrument": "x:a", "event_ns": event_ns, "start_ns": event_ns, "step_ms": 30_000, "steps": 1}
    bands = struct.pack("<14f", *range(1, 15))
    return [Forecast(**values | {"competition": name, "bands": bands}) for name in ("1h", "24h")]


def sql_of(panel: dict[str, Any]) -> str:
    (target,) = panel["targets"]
    return str(target["rawSql"])


def ident(value: object) -> str:
    return value if isinstance(value, str) else str(value.get("title"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=ident)
def test_a_panel_shows_rows(dashboard: str, panel: dict[str, Any], history: tuple[Client, View]) -> None:
    client, view = history
    found = query(client, view.expand(sql_of(panel)))
    assert len(found) > 0
    assert all(found[name].null_count() < len(found) for name in found.columns)
    if panel["type"] in {"timeseries", "state-timeline"}:
        assert found.columns[0] == "t"
        assert found["t"].is_sorted() or "UNION" in sql_of(panel)
        values = [name for name in found.columns[1:] if found[name].dtype.is_numeric()]
        assert values, "a line needs a number"
        assert all(found[name].is_finite().all() for name in values if found[name].dtype.is_float())


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=ident)
def test_a_panel_reads_columns_of_its_tables_and_repeats_once(dashboard: str, panel: dict[str, Any]) -> None:
    sql = re.sub(r"'[^']*'", "''", sql_of(panel))
    tables = re.findall(r"FROM (\w+)", sql)
    assert tables
    assert len(tables) == len(re.findall(r"FROM \w+ FINAL", sql))
    known = {column.name for table in tables for column in columns(RECORDS[table])}
    assert used(sql) - set(tables) <= known


def used(sql: str) -> set[str]:
    """The columns named in a query: its words but keywords, functions, macros, and names given in it."""
    given = set(re.findall(r"\bAS (\w+)", sql))
    words = re.sub(r"`[^`]*`|\$\{[^}]*\}|\$__\w+", " ", sql)
    names = set(re.findall(r"\b(?<!\.)[a-z_]\w*\b(?!\s*\()", words))
    return {name for name in names - given if not name.isupper()} - {"second", "e6", "e9"}


@pytest.mark.parametrize("name", BUILT)
def test_a_dashboard_is_valid(name: str) -> None:
    dashboard = BUILT[name]
    panels = dashboard["panels"]
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["uid"] == f"tidemill-{name.replace('_', '-')}"
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] + panel["type"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in TYPES
        assert panel["datasource"] == SOURCE
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        (target,) = panel["targets"]
        assert target["datasource"] == SOURCE
        assert (target["editorType"], target["format"]) == ("sql", int(target["queryType"] == "table"))
    assert not overlaps([panel["gridPos"] for panel in panels])


def overlaps(places: list[dict[str, int]]) -> bool:
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    return len(set(cells)) < len(cells) or max(x for x, _ in cells) >= 24


@pytest.mark.parametrize("name", BUILT)
def test_the_committed_json_is_what_the_code_builds(name: str) -> None:
    assert (SHIPPED / f"{name}.json").read_text() == text(BUILT[name]), "run: tidemill dashboards"


@pytest.mark.parametrize("name", BUILT)
def test_the_variable_lists_the_instruments(name: str, history: tuple[Client, View]) -> None:
    (variable,) = BUILT[name]["templating"]["list"]
    assert variable["datasource"] == SOURCE
    found = query(history[0], variable["query"])["instrument"].to_list()
    assert found == (["x:a"] if "FROM volatility_states" in variable["query"] else list(INSTRUMENTS))


def test_the_command_writes_every_dashboard(tmp_path: Path) -> None:
    app = Typer()
    app.command()(dashboards)
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert {file.stem: json.loads(file.read_text()) for file in (tmp_path / "new").iterdir()} == BUILT


def test_the_provisioned_source_is_the_one_that_panels_name() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "clickhouse.yaml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == SOURCE
    assert re.fullmatch(r"\$\{\w+\}", source["secureJsonData"]["password"])


def test_a_macro_that_the_plugin_lacks_is_noticed() -> None:
    with pytest.raises(ValueError, match="neither a macro"):
        View(0, 1, 1, ("x:a",)).expand("SELECT $__nonsense(time)")
