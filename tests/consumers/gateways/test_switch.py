"""Whom a halt is for is checked before anybody is told of it."""

import pytest
from typer.testing import CliRunner

from infra import cli
from infra.errors import UserError


@pytest.mark.parametrize("action", ["kill", "resume"])
@pytest.mark.parametrize("scope", ["ETH-USD", "extended:", "", "Extended", "market maker"])
def test_a_scope_that_nobody_follows_is_refused(action: str, scope: str) -> None:
    arguments = [action, "--reason", "test", "--scope", scope]
    result = CliRunner().invoke(cli.app, arguments, env={"TIDEMILL_BROKERS": "127.0.0.1:1"})
    assert isinstance(result.exception, UserError)
    assert f"--scope: {scope!r}: expected *, venue:SYMBOL" in str(result.exception)


@pytest.mark.parametrize("scope", ["*", "extended:ETH-USD", "market_maker"])
def test_a_scope_that_is_one_reaches_for_the_broker(scope: str) -> None:
    arguments = ["kill", "--no-venue", "--scope", scope]
    result = CliRunner().invoke(cli.app, arguments, env={"TIDEMILL_BROKERS": "127.0.0.1:1"})
    assert result.exit_code == 1
    assert "no halt written" in result.output
