"""The ``tidemill`` command: a table of commands, each a typed function of the shell that it belongs to.

A shell is imported only when its command is called. The list of commands and their one-line help is read from the
sources' docstrings, so that ``tidemill --help`` and completion are quick and cannot say anything else than the code.
"""

import ast
import importlib
import os
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from infra.errors import UserError

ROOT = Path(__file__).parent.parent
DEBUG = "TIDEMILL_DEBUG"
EPILOG = (
    "Exit codes: 0 done, 1 something failed, 2 a mistake in the call or the settings, 130 stopped with Ctrl-C. "
    "Settings come from TIDEMILL_* in the environment or .env: see .env.example."
)

# A target is module:function, or module:app for a group of commands, whose help is then the module's.
COMMANDS = {
    "Look": {
        "demo": "consumers.demo:demo",
        "jumploss": "consumers.jumploss_command:jumploss",
        "synth": "consumers.synth.command:app",
        "status": "consumers.status:status",
        "tail": "consumers.tail:tail",
        "gaps": "consumers.gaps:gaps",
        "doctor": "infra.doctor:doctor",
        "map": "infra.map:show_map",
    },
    "Run the pipeline": {
        "feed": "producers.__main__:feed",
        "backfill": "producers.history.command:backfill",
        "clock": "producers.__main__:clock",
        "worker": "processors.__main__:worker",
        "merge": "consumers.merging.command:merge",
        "sink": "consumers.__main__:sink",
        "replay": "processors.replay.command:replay",
    },
    "Trade": {
        "maker": "consumers.maker_command:maker",
        "collect": "consumers.collector_command:collect",
        "kappa": "consumers.kappa_command:kappa",
        "backtest": "consumers.backtest.command:app",
        "trade": "consumers.gateways.command:app",
        "kill": "consumers.gateways.switch:kill",
        "resume": "consumers.gateways.switch:resume",
    },
    "Keep house": {
        "up": "infra.local_cli:up",
        "down": "infra.local_cli:down",
        "topics": "infra.local_cli:topics",
        "archive": "consumers.archive_command:app",
        "dead-letters": "consumers.dead_letters:app",
        "dashboards": "grafana.build:dashboards",
    },
}


class Shells(TyperGroup):
    """A group whose commands stand in other modules, named by the ``target`` of a stand-in."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Put the real command in place of its stand-in."""
        name, command, rest = super().resolve_command(ctx, args)
        target = getattr(command and command.callback, "target", None)
        return name, load(str(name), target) if target else command, rest


def load(name: str, target: str) -> Any:
    """The command of a target; imports its module."""
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)  # completion is the whole program's, not a group's
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown", context_settings=HELP)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


def source(module: str) -> Path:
    """The file of one of our modules."""
    return (ROOT / module.replace(".", "/")).with_suffix(".py")


def summary(target: str) -> str | None:
    """The first line of the docstring of a target; None where there is no such function."""
    module, _, attribute = target.partition(":")
    tree = ast.parse(source(module).read_bytes())
    found: list[ast.Module | ast.FunctionDef] = [
        item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == attribute
    ]
    if attribute == "app":
        found = [tree]
    return (ast.get_docstring(found[0]) or "").partition("\n")[0] if found else None


def stand_in(app: typer.Typer, name: str, target: str, panel: str | None = None) -> None:
    """Add a command by its target alone."""

    def call() -> None: ...

    call.target = target  # type: ignore[attr-defined]
    app.command(name, help=summary(target), rich_help_panel=panel)(call)


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
app = typer.Typer(
    cls=Shells, no_args_is_help=True, epilog=EPILOG, context_settings=HELP, rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)  # fmt: skip
consumers = typer.Typer(
    cls=Shells, no_args_is_help=True, context_settings=HELP, rich_markup_mode="markdown",
    help="Run a consumer: every file of consumers/ that holds a function named run.",
)  # fmt: skip


def discovered(folder: Path = ROOT / "consumers") -> dict[str, str]:
    """Target of each consumer by name: a file of the folder with a function ``run`` at its top level."""
    targets = {path.stem: f"{folder.name}.{path.stem}:run" for path in sorted(folder.glob("[!_]*.py"))}
    return {name.replace("_", "-"): target for name, target in targets.items() if summary(target) is not None}


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"tidemill {metadata.version('tidemill')}")
        raise typer.Exit


@app.callback()
def tidemill(
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show the traceback of an unexpected error; also {DEBUG}=1.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Market data to decisions on Kafka: feeds, stages, history, and what is made of them."""


for _panel, _commands in COMMANDS.items():
    for _name, _target in _commands.items():
        stand_in(app, _name, _target, _panel)
for _name, _target in discovered().items():
    stand_in(consumers, _name, _target)
app.add_typer(consumers, name="consume", rich_help_panel="Run the pipeline")


def main() -> None:
    """Run the command line; ends the process with an exit code as told in the help."""
    try:
        typer.main.get_command(app)(prog_name="tidemill")
    except UserError as error:
        print(f"tidemill: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if "--debug" in sys.argv or os.environ.get(DEBUG, "0") not in ("", "0"):
            traceback.print_exc()
        else:
            print(f"tidemill: {type(error).__name__}: {error}", file=sys.stderr)
            print("This was not expected; tidemill --debug … or TIDEMILL_DEBUG=1 shows where.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
