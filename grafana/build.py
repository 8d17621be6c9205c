"""Builds the dashboards: every module of this folder that has ``build`` is one."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Annotated, Any

import typer
from grafanalib._gen import DashboardEncoder

import grafana

SHIPPED = Path(__file__).parent / "dashboards"
NO_DASHBOARD = {"build", "panels"}


def built() -> dict[str, dict[str, Any]]:
    """Each dashboard's JSON by its name."""
    names = sorted(info.name for info in pkgutil.iter_modules(grafana.__path__) if info.name not in NO_DASHBOARD)
    return {name: _json(importlib.import_module(f"grafana.{name}").build()) for name in names}


def text(dashboard: dict[str, Any]) -> str:
    """A dashboard as it is written to a file."""
    return json.dumps(dashboard, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def dashboards(out: Annotated[Path, typer.Option(help="Folder for the files.")] = SHIPPED) -> None:
    """Write the Grafana dashboards as JSON files."""
    out.mkdir(parents=True, exist_ok=True)
    for name, dashboard in built().items():
        (out / f"{name}.json").write_text(text(dashboard))
        typer.echo(str(out / f"{name}.json"))


def _json(dashboard: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(dashboard, cls=DashboardEncoder)))
