"""Commands ``kill`` and ``resume``: stop all trading at once, and let it begin again.

A halt is a ``Control`` in every partition of ``controls``. Executors and gateways follow it, and it stays in force over
their restarts until a reset gives a reason. ``kill`` cancels at the venue by itself too, where it has the keys, so that
it needs neither a broker nor a gateway that listens. Neither waits for the other, and each is done where the other
cannot be.
"""

import asyncio
import contextlib
import getpass
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.gateways.venue import Ambiguous, Refused
from infra import logs
from infra.broker import partition_counts
from infra.errors import UserError
from infra.publisher import Publisher, PublishError
from infra.registry import codec
from infra.settings import Settings, load_settings
from schemas import EVERY_KEY, Control

if TYPE_CHECKING:
    from consumers.gateways.extended import Extended

BROKER_S = 5.0
LEFT_S = 10.0
SCOPE = re.compile(r"[a-z][a-z0-9_]*(?::\S+)?").fullmatch
Scope = Annotated[str, typer.Option(help="What it is for: * for all, an instrument, an executor or a gateway.")]
Venue = Annotated[bool, typer.Option("--venue/--no-venue", help="Cancel at the venue directly, where keys are given.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the record.")]
ApiUrl = Annotated[str, typer.Option(help="Another address than the venue's own.")]


def kill(
    reason: Reason = "killed by hand", scope: Scope = EVERY_KEY, venue: Venue = True, api_url: ApiUrl = ""
) -> None:
    """Cancel every order and place none, until resume is called with a reason."""
    _check(scope)
    settings = load_settings()
    logs.setup(settings)
    reach = venue and scope == EVERY_KEY
    client, unusable = _account(settings, api_url) if reach else (None, "")
    if client is None:
        halted, left = _halt(settings, scope, reason), unusable
    else:
        halted, left = asyncio.run(_stop(client, lambda: _halt(settings, scope, reason)))
    if left:
        typer.echo(left, err=True)
    elif client is not None:
        typer.echo("every order at the venue is cancelled")
    if left or (not halted and client is None):
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


def _halt(settings: Settings, scope: str, reason: str) -> bool:
    """Write a halt, and tell whether it is written."""
    try:
        _say(settings, "halt", scope, reason)
    except (UserError, PublishError) as error:
        typer.echo(f"no halt written: {error}", err=True)
        return False
    typer.echo(f"halt written for {scope}: nothing of it is placed before tidemill resume")
    return True


def _account(settings: Settings, api_url: str) -> "tuple[Extended | None, str]":
    """The account that the keys open, if there are keys; why not, where they cannot be used: a halt needs none."""
    try:
        from consumers.gateways.command import account  # noqa: PLC0415  an extra
        from consumers.gateways.extended_keys import load_keys  # noqa: PLC0415

        keys = load_keys()
        logs.setup(settings, keys.secrets())
        return (account(keys, [], _no_nonce, api_url) if keys.complete else None), ""
    except UserError as error:
        return None, f"not cancelled at the venue, which --no-venue leaves to the gateways: {error}"


async def _stop(client: "Extended", halt: Callable[[], bool]) -> tuple[bool, str]:
    """Cancel at once, halt meanwhile, and cancel what was placed in between.

    Whether the halt is written, and what went wrong at the venue.
    """
    try:
        halting = asyncio.create_task(asyncio.to_thread(halt))
        with contextlib.suppress(Ambiguous, Refused):
            await client.cancel_all()
        halted = await halting
        left = await _cancel(client)
    except (Ambiguous, Refused) as error:
        return halted, f"not cancelled at the venue: {error}"
    finally:
        await client.close()
    return halted, f"{left} orders are still open at the venue" if left else ""


async def _cancel(client: "Extended") -> int:
    """Cancel until no order is left; how many are, after some time."""
    until = time.monotonic() + LEFT_S
    while True:
        await client.cancel_all()
        left = len(await client.orders())
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(0.25)


def _no_nonce() -> int:
    raise AssertionError("kill places no order")
