"""Trade at a venue with real money: carry out the executors' order requests, and tell what becomes of them."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from consumers.gateways.extended import HOSTS, Extended, Hosts, only
from consumers.gateways.extended_keys import ExtendedKeys, check_permitted, load_keys
from consumers.gateways.gateway import Options
from consumers.gateways.nonces import Nonces
from consumers.gateways.session import trade
from infra import logs, metrics
from infra.broker import ensure_topics
from infra.errors import UserError
from infra.registry import codec
from infra.settings import load_settings

app = typer.Typer(no_args_is_help=True, help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})

Markets = Annotated[list[str], typer.Argument(help="Markets as the venue writes them: ETH-USD.")]
Executors = Annotated[
    list[str] | None, typer.Option("--executor", help="Stage whose silence withdraws all orders; market_maker.")
]
Countdown = Annotated[int, typer.Option(min=3, help="The dead man's switch: seconds of silence until it cancels all.")]
Away = Annotated[float, typer.Option(min=1.0, help="Seconds for which data, broker, executor or stream may be away.")]
Rate = Annotated[float, typer.Option(min=0.1, help="Orders a second, after a burst of as many.")]
ApiUrl = Annotated[str, typer.Option(help="Another address than the venue's own, for requests.")]
StreamUrl = Annotated[str, typer.Option(help="Another address than the venue's own, for the account's stream.")]


@app.callback()
def _venues() -> None:
    pass


@app.command()
def extended(
    markets: Markets,
    executor: Executors = None,
    countdown: Countdown = 60,
    away: Away = 10.0,
    orders_per_second: Rate = 5.0,
    api_url: ApiUrl = "",
    stream_url: StreamUrl = "",
) -> None:
    """Trade at Extended until Ctrl-C or SIGTERM, which cancel every order. Off unless it is switched on thrice."""
    settings, keys = load_settings(), load_keys()
    check_permitted(settings, keys)
    logs.setup(settings, keys.secrets())
    symbols = only(markets)
    metrics.serve(settings)
    nonces = Nonces(settings.data_dir / f"extended-{keys.vault_number}.nonce")
    ensure_topics(settings)
    options = Options(countdown_s=countdown, away_s=away, orders_per_s=orders_per_second)
    client = account(keys, symbols, nonces.take, api_url, stream_url)
    instruments = [f"extended:{symbol}" for symbol in symbols]
    asyncio.run(trade(client, instruments, settings, codec(settings), options, executor or ["market_maker"]))


def account(
    keys: ExtendedKeys, symbols: list[str], draw: Callable[[], int], api_url: str = "", stream_url: str = ""
) -> Extended:
    """The account that the keys open.

    Raises:
        UserError: a key is missing or wrong.

    """
    if not keys.complete or keys.api_key is None or keys.vault_number is None:
        raise UserError(f"keys of Extended not given: {', '.join(keys.missing())}")
    venue = HOSTS[keys.extended_env]
    return Extended(
        symbols,
        api_key=keys.api_key.get_secret_value(),
        private_key=keys.private_key(),
        vault=keys.vault_number,
        environment=keys.extended_env,
        draw=draw,
        hosts=Hosts(api_url or venue.api, stream_url or venue.stream),
    )
