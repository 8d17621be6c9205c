"""Commands ``kill`` and ``resume``: stop all trading at once, and let it begin again.

A halt is a ``Control`` in every partition of ``controls``. Executors and gateways follow it, and it stays in force over
their restarts until a reset gives a reason. ``kill`` cancels at the venue by itself too, where it has the keys, so that
it needs neither a broker nor a gateway that listens.
"""

import asyncio
import getpass
import re
import time
from typing import Annotated

import typer

from consumers.gateways.command import account
from consumers.gateways.extended import Extended
from consumers.gateways.extended_keys import load_keys
from consumers.gateways.venue import Ambiguous, Refused
from infra import logs
from infra.broker import partition_counts
from infra.errors import UserError
from infra.publisher import Publisher, PublishError
from infra.registry import codec
from infra.settings import Settings, load_settings
from schemas import EVERY_KEY, Control

BROKER_S = 5.0
LEFT_S = 10.0
SCOPE = re.compile(r"[a-z][a-z0-9_]*(?::\S+)?").fullmatch
Scope = Annotated[str, typer.Option(help="What to halt: * for all, an instrument, an executor or a gateway.")]
Venue = Annotated[bool, typer.Option("--venue/--no-venue", help="Cancel at the venue directly, where keys are given.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the record.")]
ApiUrl = Annotated[str, typer.Option(help="Another address than the venue's own.")]


def kill(
    reason: Reason = "killed by hand", scope: Scope = EVERY_KEY, venue: Venue = True, api_url: ApiUrl = ""
) -> None:
    """Cancel every order and place none, until resume is called with a reason."""
    _check(scope)
    settings, keys = load_settings(), load_keys()
    logs.setup(settings, keys.secrets())
    reach = venue and keys.complete and scope == EVERY_KEY
    if reach:  # at once; again after the halt, for what was placed in between
        _cancelled(account(keys, [], _no_nonce, api_url))
    halted = ""
    try:
        _say(settings, "halt", scope, reason)
        typer.echo(f"halt written for {scope}: nothing of it is placed before tidemill resume")
    except (UserError, PublishError) as error:
        halted = f"no halt written: {error}"
        typer.echo(halted, err=True)
    left = _cancelled(account(keys, [], _no_nonce, api_url)) if reach else ""
    if left:
        typer.echo(left, err=True)
    elif reach:
        typer.echo("every order at the venue is cancelled")
    if left or (halted and not reach):
        raise typer.Exit(1)


def resume(
    reason: Annotated[str, typer.Option(help="Why trading may begin again; kept in the record.")],
    scope: Scope = EVERY_KEY,
) -> None:
    """End a halt: executors and gateways trade again."""
    if not reason.strip():
        raise UserError("--reason: a reset needs a reason")
    _check(scope)
    settings = load_settings()
    logs.setup(settings)
    _say(settings, "reset", scope, reason)
    typer.echo(f"reset written for {scope}")


def _check(scope: str) -> None:
    """Raises UserError for a scope that nobody follows, so that nobody takes orders for halted that are not."""
    if scope != EVERY_KEY and not SCOPE(scope):
        raise UserError(
            f"--scope: {scope!r}: expected {EVERY_KEY}, venue:SYMBOL as extended:ETH-USD, or the name of an executor "
            "or a gateway as market_maker"
        )


def _say(settings: Settings, action: str, scope: str, reason: str) -> None:
    """Write a control into every partition, and see it confirmed."""
    if Control.topic not in partition_counts(settings, BROKER_S):
        raise UserError(f"no topic {Control.topic} at {settings.brokers}: run tidemill topics")
    publisher = Publisher(settings, codec(settings))
    publisher.publish(Control(time.time_ns(), scope, action, getpass.getuser(), reason))
    publisher.flush(BROKER_S)


def _cancelled(client: Extended) -> str:
    """Cancel every order of an account; what went wrong, empty where none is left open."""
    try:
        left = asyncio.run(_cancel(client))
    except (Ambiguous, Refused) as error:
        return f"not cancelled at the venue: {error}"
    return f"{left} orders are still open at the venue" if left else ""


async def _cancel(client: Extended) -> int:
    until = time.monotonic() + LEFT_S
    try:
        while True:
            await client.cancel_all()
            left = len(await client.orders())
            if not left or time.monotonic() > until:
                return left
            await asyncio.sleep(0.25)
    finally:
        await client.close()


def _no_nonce() -> int:
    raise AssertionError("kill places no order")
