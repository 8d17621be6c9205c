"""Panels on the ClickHouse data source: the thin layer that grafanalib lacks.

grafanalib knows neither the ``grafana-clickhouse-datasource`` plugin nor the current schema version; the targets and
the few panel types here do. Every query is SQL with the plugin's macros ``$__timeFilter(time)``,
``$__timeInterval_ms(time)`` and ``$__interval_s``. Times are named ``t``: an alias ``time`` would take the column's
place in the filter.
"""

from collections.abc import Sequence
from typing import Any

import attr
from grafanalib.core import (
    BarChart,
    Dashboard,
    GridPos,
    Panel,
    Stat,
    StateTimeline,
    Table,
    Template,
    Templating,
    Time,
    TimeSeries,
)

SOURCE = {"type": "grafana-clickhouse-datasource", "uid": "tidemill-clickhouse"}
SCHEMA_VERSION = 39
SEEN = "$__timeFilter(time)"
CHOSEN = f"instrument IN (${{instrument:singlequote}}) AND {SEEN}"
SECONDS = "toStartOfInterval(time, INTERVAL $__interval_s second)"
COLUMNS = 24  # width of Grafana's grid
TIME_SERIES, TABLE = 0, 1  # the plugin's numbers for the shape of a result


@attr.s(auto_attribs=True)
class ClickHouseTarget:
    """A query as the plugin's SQL editor stores it."""

    sql: str
    format: int
    refId: str = "A"  # noqa: N815 (Grafana's name)

    def to_json_data(self) -> dict[str, Any]:
        """The target in the panel's JSON."""
        return {
            "refId": self.refId,
            "datasource": SOURCE,
            "editorType": "sql",
            "rawSql": self.sql,
            "queryType": "timeseries" if self.format == TIME_SERIES else "table",
            "format": self.format,
            "pluginVersion": "4.15.0",
        }


def _common(title: str, sql: str, shape: int, description: str) -> dict[str, Any]:
    targets = [ClickHouseTarget(" ".join(sql.split()), shape)]
    return {
        "title": title,
        "dataSource": SOURCE,
        "targets": targets,
        "description": description,
        "maxDataPoints": 1_000,
        "thresholds": [{"color": "green", "value": None}],
    }


def lines(title: str, sql: str, unit: str = "short", description: str = "", **more: Any) -> Panel:
    """Values over time; the query gives ``t``, one column for each line, or a text column that names the lines."""
    common = _common(title, sql, TIME_SERIES, description)
    return TimeSeries(**common, unit=unit, tooltipMode="multi", fillOpacity=more.pop("fillOpacity", 10), **more)


def band(title: str, sql: str, low: str, high: str, unit: str, description: str = "") -> Panel:
    """Lines over time with the space between two of them filled: an interval."""
    overrides = [
        _override(low, {"custom.lineWidth": 0, "custom.fillOpacity": 0}),
        _override(high, {"custom.lineWidth": 0, "custom.fillBelowTo": low, "custom.fillOpacity": 25}),
    ]
    return lines(title, sql, unit, description, overrides=overrides, fillOpacity=0)


def bars(title: str, sql: str, unit: str = "short", description: str = "") -> Panel:
    """Counts over time, stacked by the text column of the query."""
    more = {"drawStyle": "bars", "stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 80}
    return lines(title, sql, unit, description, **more)


def stat(title: str, sql: str, unit: str = "short", description: str = "", decimals: int | None = None) -> Panel:
    """The columns of one row, large."""
    common = _common(title, sql, TABLE, description)
    colour = {"mode": "thresholds"}
    shown = {"reduceCalc": "lastNotNull", "graphMode": "none", "noValue": "–", "color": colour}
    return Stat(**common, format=unit, decimals=decimals, **shown)


def table(title: str, sql: str, description: str = "") -> Panel:
    """Rows as they are."""
    return Table(**_common(title, sql, TABLE, description), filterable=True)


def categories(title: str, sql: str, unit: str = "short", description: str = "") -> Panel:
    """One bar for each row, named by the text column."""
    return BarChart(**_common(title, sql, TABLE, description), extraJson={"fieldConfig": {"defaults": {"unit": unit}}})


def states(title: str, sql: str, texts: dict[int, tuple[str, str]], description: str = "") -> Panel:
    """A state over time; ``texts`` gives each state's text and colour."""
    options = {str(value): {"text": text, "color": colour} for value, (text, colour) in texts.items()}
    mappings = [{"type": "value", "options": options}]
    return StateTimeline(**_common(title, sql, TIME_SERIES, description), mappings=mappings)


def instruments(*, several: bool, source: str = "ticks") -> Template:
    """The variable ``instrument``: all that a table holds."""
    return Template(
        name="instrument",
        label="Instrument",
        query=f"SELECT DISTINCT instrument FROM {source} ORDER BY instrument",
        dataSource=SOURCE,
        default="$__all" if several else None,
        multi=several,
        includeAll=several,
    )


def dashboard(uid: str, title: str, description: str, variable: Template, rows: Sequence[Sequence[Panel]]) -> Dashboard:
    """A dashboard of rows of panels; the panels of a row share its width."""
    placed: list[Panel] = []
    top = 0
    for row in rows:
        height = 4 if all(isinstance(panel, Stat) for panel in row) else 8
        width = COLUMNS // len(row)
        for index, panel in enumerate(row):
            panel.gridPos = GridPos(h=height, w=width, x=index * width, y=top)
            placed.append(panel)
        top += height
    return Dashboard(
        title=title,
        uid=uid,
        description=description,
        tags=["tidemill"],
        schemaVersion=SCHEMA_VERSION,
        templating=Templating([variable]),
        time=Time("now-1h", "now"),
        refresh="10s",
        graphTooltip=1,
        panels=placed,
    ).auto_panel_ids()


def over_time(columns: str, source: str, where: str, by: str = "instrument") -> str:
    """A table's rows gathered into intervals of whole seconds, one line for each value of a text column."""
    return f"SELECT {SECONDS} AS t, {by}, {columns} FROM {source} FINAL WHERE {where} GROUP BY t, {by} ORDER BY t, {by}"


def _override(column: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }
