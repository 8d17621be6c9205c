"""The command line: what it lists, what it loads, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra import cli
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
TARGETS = {name: target for commands in cli.COMMANDS.values() for name, target in commands.items()}
HEAVY = ("faust", "torch", "chdb", "numba", "polars", "matplotlib", "confluent_kafka")


def tidemill(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "infra.cli", *arguments]
    environment = os.environ | {"COLUMNS": "120"} | variables
    return subprocess.run(
        call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.parametrize(("name", "target"), TARGETS.items())
def test_every_command_loads_and_explains_itself(name: str, target: str) -> None:
    command = cli.load(name, target)
    assert command.name == name
    assert (command.help or "").partition("\n")[0].strip() == cli.summary(target)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.endswith(":app")])
def test_completion_is_offered_by_the_program_and_by_no_group(name: str) -> None:
    assert [option for parameter in cli.load(name, TARGETS[name]).params for option in parameter.opts] == []


@pytest.mark.parametrize(("name", "shown"), [("map", "<!-- map:begin -->"), ("backfill", "<via>/host/path")])
def test_what_stands_in_angle_brackets_is_shown(name: str, shown: str) -> None:
    assert shown in " ".join(tidemill(name, "--help").stdout.replace("│", " ").split())


def test_help_lists_every_command_and_the_exit_codes() -> None:
    told = tidemill("--help")
    assert told.returncode == 0
    for name in [*TARGETS, "consume"]:
        assert re.search(rf"│ {name} ", told.stdout), name
    assert "130" in told.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from infra import cli; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(cli.app, ['--help']).exit_code == 0;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_no_command_is_help_and_a_mistake() -> None:
    told = tidemill()
    assert told.returncode == 2
    assert "Usage: tidemill" in told.stdout + told.stderr


def test_a_mistyped_command_is_suggested() -> None:
    told = tidemill("jumplos")
    assert told.returncode == 2
    assert "jumploss" in told.stderr


def test_a_wrong_setting_is_told_by_name_with_exit_code_2() -> None:
    told = tidemill("topics", TIDEMILL_BROKERS="nonsense")
    assert told.returncode == 2
    assert "TIDEMILL_BROKERS" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_broker_that_is_not_there_is_a_message() -> None:
    told = tidemill("dead-letters", "ls", TIDEMILL_BROKERS="127.0.0.1:1")
    assert told.returncode == 2
    assert "127.0.0.1:1" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(("debug", "shown"), [(False, False), (True, True)])
def test_an_unexpected_error_shows_where_only_when_asked(debug: bool, shown: bool) -> None:
    arguments = ["tidemill", *(["--debug"] if debug else []), "status"]
    code = (
        f"import sys; from infra import cli; cli.load = lambda name, target: 1 / 0;sys.argv = {arguments!r}; cli.main()"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert ("Traceback" in told.stderr) is shown
    assert "ZeroDivisionError" in told.stderr
    assert ("TIDEMILL_DEBUG=1" in told.stderr) is not shown


def test_control_c_ends_with_130() -> None:
    call = [sys.executable, "-m", "infra.cli", "jumploss", "5000", "--url", "ws://127.0.0.1:1"]
    process = subprocess.Popen(call, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline()  # it has begun, and has found nobody there
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def test_a_file_with_run_is_a_consumer_and_others_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "consumers"
    folder.mkdir()
    (folder / "price_watch.py").write_text('def run() -> None:\n    """Watch."""\n')
    (folder / "helper.py").write_text("def walk() -> None: ...\n")
    (folder / "__init__.py").write_text("def run() -> None: ...\n")
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.discovered(folder) == {"price-watch": "consumers.price_watch:run"}
    assert cli.summary("consumers.price_watch:run") == "Watch."


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(cli.app, ["--version"])
    assert told.exit_code == 0
    assert re.fullmatch(r"tidemill \d+\.\d+\.\d+\n", told.output)


def test_completion_knows_the_commands() -> None:
    variables = {"_TIDEMILL_COMPLETE": "complete_bash", "COMP_WORDS": "tidemill dead", "COMP_CWORD": "1"}
    assert tidemill(**variables).stdout.split() == ["dead-letters"]
