"""Whom a halt is for is checked before anybody is told of it."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from consumers.gateways import switch
from consumers.gateways.extended import Extended
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


def test_keys_that_cannot_be_used_keep_no_halt_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("API_KEY=secret-7\n")
    (tmp_path / ".env").chmod(0o644)
    result = CliRunner().invoke(cli.app, ["kill"], env={"TIDEMILL_BROKERS": "127.0.0.1:1"})
    assert result.exit_code == 1
    assert "not cancelled at the venue" in result.output
    assert "others can read .env" in result.output
    assert "no halt written" in result.output  # there is no broker: it was tried


class Quoting:
    """An account whose executor quotes anew whenever its orders are cancelled, until it is halted."""

    def __init__(self) -> None:
        self.halted, self.orders_left, self.cancels = False, 2, 0

    async def cancel_all(self) -> None:
        self.cancels += 1
        self.orders_left = 0 if self.halted else 2

    async def orders(self) -> list[None]:
        assert self.halted, "the halt waits for orders that come again"
        return [None] * self.orders_left

    async def close(self) -> None:
        pass

    def halt(self) -> bool:
        self.halted, self.orders_left = True, 2
        return True


def test_the_halt_does_not_wait_until_no_order_is_left() -> None:
    account = Quoting()
    assert asyncio.run(switch._stop(cast(Extended, account), account.halt)) == (True, "")
    assert account.cancels >= 2
