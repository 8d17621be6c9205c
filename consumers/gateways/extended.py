"""Extended as the gateway sees it: its REST interface, its account stream, and our signature under each order."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from consumers.gateways import extended_wire as wire
from consumers.gateways.extended_client import Client
from consumers.gateways.extended_orders import Rules, Signer
from consumers.gateways.extended_signing import CHAINS, Account, public_key
from consumers.gateways.venue import (
    Ambiguous,
    Connected,
    Disconnected,
    Funds,
    Held,
    Paid,
    Prepared,
    Refused,
    Told,
    Traded,
    Update,
)
from infra import logs
from infra.errors import UserError
from producers.backoff import Backoff
from producers.keys import AGENT
from producers.streams import Lost, connected
from producers.streams import Refused as StreamRefused
from schemas import OrderRequest, Rejected

PAGES = 20
log = logs.logger(__name__)


class Hosts(NamedTuple):
    """Where the venue is."""

    api: str
    stream: str


HOSTS = {
    environment: Hosts(f"https://{host}/api/v1", f"wss://{host}/stream.extended.exchange/v1")
    for environment, host in (
        ("mainnet", "api.starknet.extended.exchange"),
        ("testnet", "api.starknet.sepolia.extended.exchange"),
    )
}


class Extended:
    """One account of the venue, trading some markets.

    ``draw`` gives a nonce that was never given before. ``hosts`` replaces the venue's addresses.
    """

    name = "extended"

    def __init__(
        self, symbols: Sequence[str], *, api_key: str, private_key: int, vault: int, environment: str,
        draw: Callable[[], int], hosts: Hosts | None = None, backoff: Backoff | None = None, tries_s: float = 10.0,
    ) -> None:  # fmt: skip
        self._symbols = list(symbols)
        self._hosts = hosts or HOSTS[environment]
        self._headers = AGENT | {"X-Api-Key": api_key}
        self._client = Client(self._hosts.api, self._headers, tries_s=tries_s)
        self._signer = Signer(Account(vault, public_key(private_key), CHAINS[environment]), private_key)
        self._draw = draw
        self._backoff = backoff or Backoff()
        self._rules: dict[str, Rules] = {}

    async def open(self) -> None:
        """Learn the markets' rules and fees, and see that the keys belong together.

        Raises:
            UserError: the account is another's or not active, or a market cannot be traded.

        """
        account = self._signer.account
        try:
            info: wire.AccountInfo = await self._ask(wire.AccountInfo, "/user/account/info")
            if info.status != "ACTIVE":
                raise UserError(f"the account is {info.status}, not ACTIVE")
            if int(info.l2_key, 16) != account.public_key or int(info.l2_vault) != account.vault:
                raise UserError("API_KEY opens another account than STARK_PUBLIC and VAULT_NUMBER name")
            for symbol in self._symbols:
                rules = await self._market(symbol)
                self._rules[rules.instrument] = rules
        except Refused as refusal:
            raise UserError(f"Extended refuses: {refusal}") from None

    async def close(self) -> None:
        await self._client.close()

    async def _market(self, symbol: str) -> Rules:
        rows: list[wire.Market] = await self._ask(list[wire.Market], "/info/markets", market=symbol)
        fees: list[wire.Fees] = await self._ask(list[wire.Fees], "/user/fees", market=symbol)
        for row in rows:
            for fee in fees:
                if row.name == fee.market == symbol:
                    return row.rules(fee)
        raise UserError(f"Extended has no market {symbol}, or tells no fees of it")

    def prepare(self, request: OrderRequest) -> Prepared:
        rules = self._rules.get(request.instrument)
        if rules is None:
            raise Refused(f"{request.instrument} is not traded here; traded are {', '.join(self._rules)}")
        return self._signer.order(request, rules, self._draw(), time.time_ns())

    def decimals(self, instrument: str) -> tuple[int, int]:
        rules = self._rules.get(instrument)
        return (rules.prices.decimals, rules.sizes.decimals) if rules is not None else (0, 0)

    async def place(self, order: Prepared) -> str:
        try:
            placed = wire.convert(await self._client.order(order.body), wire.Placed)
        except Rejected as error:
            raise Ambiguous(str(error)) from error
        return str(placed.id)

    async def find(self, client_id: str) -> Told | None:
        try:
            found = await self._ask(list[wire.Order], f"/user/orders/external/{quote(client_id, safe='')}")
        except Refused as refusal:
            if refusal.missing:
                return None
            raise
        orders = [order.told() for order in found if order.external_id == client_id]
        if len(orders) > 1:
            log.error("the venue has several orders of one id", client_id=client_id, orders=len(orders))
        return max(orders, key=lambda order: order.event_ns, default=None)

    async def cancel(self, client_id: str) -> None:
        await self._client.tell("DELETE", "/user/order", externalId=client_id)

    async def cancel_all(self, instrument: str = "") -> None:
        symbol = instrument.removeprefix(f"{self.name}:")
        await self._client.tell(
            "POST", "/user/order/massCancel", {"markets": [symbol]} if symbol else {"cancelAll": True}
        )

    async def arm(self, countdown_s: int) -> None:
        await self._client.tell("POST", "/user/deadmanswitch", countdownTime=countdown_s)

    async def orders(self) -> Sequence[Told]:
        return [order.told() for order in await self._ask(list[wire.Order], "/user/orders")]

    async def holdings(self) -> Sequence[Held]:
        return [position.held() for position in await self._ask(list[wire.Position], "/user/positions")]

    async def trades(self, since_ns: int) -> Sequence[Traded]:
        found = [row.traded() for row in await self._pages(wire.Trade, "/user/trades", since_ns)]
        return sorted((trade for trade in found if trade.event_ns >= since_ns), key=lambda trade: trade.event_ns)

    async def payments(self, since_ns: int) -> Sequence[Paid]:
        rows = await self._ask(list[wire.Payment], "/user/funding/history", fromTime=since_ns // 1_000_000)
        return [payment for row in rows if (payment := row.paid()).event_ns >= since_ns]

    async def funds(self) -> Funds:
        balance: wire.Balance = await self._ask(wire.Balance, "/user/balance")
        return balance.funds()

    async def updates(self) -> AsyncGenerator[Update]:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with connected(f"{self._hosts.stream}/account", self._headers) as stream:
                    yield Connected()
                    sequence = -1
                    while True:
                        heard = wire.message(await stream.receive())
                        if sequence >= 0 and heard.sequence != sequence + 1:
                            raise Lost(f"message {heard.sequence} where {sequence + 1} should have come")
                        sequence = heard.sequence
                        for update in heard.updates:
                            yield update
            except (Lost, StreamRefused, Rejected) as error:
                yield Disconnected(str(error))
            lived_s = time.monotonic() - began
            failures = 0 if lived_s >= self._backoff.steady_s else failures + 1
            await asyncio.sleep(max(self._backoff.wait_s(failures), self._backoff.spacing_s - lived_s))

    async def _ask(self, kind: Any, path: str, **query: Any) -> Any:
        try:
            return wire.convert(await self._client.ask(path, **query), kind)
        except Rejected as error:
            raise Ambiguous(str(error)) from error

    async def _pages(self, kind: type[wire.Trade], path: str, since_ns: int) -> list[wire.Trade]:
        """Rows of an answer in pages, newest first, back to some time."""
        rows: list[wire.Trade] = []
        query: dict[str, Any] = {"limit": 1_000}
        for _ in range(PAGES):
            page: list[wire.Trade] = await self._ask(list[kind], path, **query)  # type: ignore[valid-type]
            rows += page
            if len(page) < query["limit"] or wire.nanoseconds(page[-1].created_time) < since_ns:
                break
            query["cursor"] = page[-1].id
        return rows


def only(symbols: Collection[str]) -> list[str]:
    """The symbols of some instruments or symbols of this venue.

    Raises:
        UserError: one is another venue's.

    """
    wrong = [symbol for symbol in symbols if ":" in symbol and not symbol.startswith("extended:")]
    if wrong:
        raise UserError(f"{', '.join(wrong)}: not of Extended")
    return [symbol.removeprefix("extended:") for symbol in symbols]
