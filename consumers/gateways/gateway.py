"""The gateway: order requests to a venue, and its word on them back, for any venue.

Rules:

- An order is sent once. Where nobody knows what became of it, the venue is asked for it by our id until it is found,
  or until it cannot come any more: then it is told as rejected. It is never sent again.
- A request that is too old by our clock, or that comes while nothing may be placed, is told as rejected and counted;
  one that came before is only counted. A cancel is always carried out.
- Nothing is placed before a reconciliation after each connection of the account's stream.
- The dead man's switch is armed before the first order and for as long as the gateway lives.
- What begins to forbid placing also cancels every order, and is looked at again after each order that was placed.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from consumers.gateways.guard import EVERYTHING, Halts, Watch
from consumers.gateways.lanes import Lanes
from consumers.gateways.ledger import Ledger, asked
from consumers.gateways.reconciliation import reconcile
from consumers.gateways.venue import (
    Ambiguous,
    Connected,
    Disconnected,
    Funds,
    Held,
    Prepared,
    Refused,
    Told,
    Traded,
    Update,
    Venue,
)
from consumers.orders import FINAL
from infra import logs, metrics
from schemas import Control, OrderRequest, Record

LONGEST_SKEW_NS = 3_600_000_000_000  # of the venue's clock
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway protects itself; times in seconds.

    ``countdown_s``: of the dead man's switch. ``away_s``: how long data, the broker, the executor or the account's
    stream may be away. ``resolve_s``: how long an order can be on its way to the venue. ``orders_per_s``: at most.
    """

    countdown_s: int = 60
    away_s: float = 10.0
    reconcile_s: float = 30.0
    resolve_s: float = 15.0
    orders_per_s: float = 10.0
    watched: tuple[str, ...] = ("data", "broker")

    def watch(self) -> Watch:
        """What has to be seen."""
        switch_s = 0.8 * self.countdown_s
        return Watch({**dict.fromkeys((*self.watched, "stream"), self.away_s), "switch": switch_s})


class Gateway:
    """One account at one venue. ``publish`` takes each record that is to be written."""

    def __init__(
        self,
        venue: Venue,
        instruments: Iterable[str],
        publish: Callable[[Record], None],
        ledger: Ledger,
        halts: Halts,
        options: Options,
    ) -> None:
        self.watch = options.watch()
        self.ready = asyncio.Event()  # reconciled since the stream came up
        self._venue, self._publish, self._ledger, self._halts = venue, publish, ledger, halts
        self._instruments = frozenset(instruments)
        self._options = options
        self._rate = AsyncLimiter(options.orders_per_s, 1.0)
        self._due = asyncio.Event()  # a reconciliation
        self._leaving = ""
        self._lapses: dict[str, str] = {}
        self._busy: set[str] = set()  # orders that are being sent, or asked for
        self._tasks: asyncio.TaskGroup | None = None
        self._lanes: Lanes | None = None
        self._log = log.bind(gateway=venue.name)

    async def run(self) -> None:
        """Trade until cancelled; then, whatever ended it, cancel every order.

        Raises:
            UserError: the account or a market cannot be traded.
            Ambiguous, Refused: the venue does not answer at the start.

        """
        await self._venue.open()
        try:
            await self._arm()
            for name in self.watch.allowed_s:
                self.watch.saw(name, time.monotonic())
            for scope in self._halts.by_scope:
                await self._withdraw(scope)
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._lanes = tasks, Lanes(self._carry_out, tasks)
                for work in (self._follow, self._keep_armed, self._keep_reconciled, self._keep_watch):
                    tasks.create_task(work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._leave()

    def request(self, request: OrderRequest) -> None:
        """Take a request."""
        if request.instrument in self._instruments and self._lanes is not None:
            self._lanes.put(request)

    def control(self, control: Control) -> None:
        """Follow a word from outside."""
        if control.action == "reset" and not control.reason.strip():
            self._log.warning("a reset without a reason is none", scope=control.scope, by=control.by)
        if self._halts.take(control):
            self._log.warning(control.action, scope=control.scope, by=control.by, reason=control.reason)
            if control.action == "halt" and self._tasks is not None:
                self._tasks.create_task(self._withdraw(control.scope))

    def forbids(self, instrument: str, strategy: str) -> str:
        """Why nothing may be placed; empty where it may."""
        halted = self._halts.reason(instrument, strategy, self._venue.name)
        lapsed = next(iter(self._lapses.values()), "")
        unsure = "" if self.ready.is_set() else "not reconciled with the venue yet"
        return self._leaving or halted or lapsed or unsure

    # Requests.

    async def _carry_out(self, request: OrderRequest) -> None:
        try:
            if request.action in ("place", "replace"):
                await self._order(request)
            elif request.action == "cancel":
                self._ledger.ask(request)
                await self._cancel(request.instrument, request.client_id)
            elif request.action == "cancel_all":
                self._ledger.ask(request)
                await self._venue.cancel_all(request.instrument)
            else:
                self._log.error("unknown action", action=request.action, client_id=request.client_id)
        except (Ambiguous, Refused) as error:
            self._log.warning("not cancelled", action=request.action, client_id=request.client_id, error=str(error))
            self._due.set()

    async def _order(self, request: OrderRequest) -> None:
        if not self._ledger.ask(request):
            self._count("duplicate")
            return
        self._busy.add(request.client_id)
        if not await self._try(request):
            self._busy.discard(request.client_id)

    async def _try(self, request: OrderRequest) -> bool:
        """Whether it is still to be found out what became of the order."""
        with contextlib.suppress(TimeoutError):  # too many orders: it may be too old before its turn comes
            left_s = (request.valid_until_ns - time.time_ns()) / 1e9
            await asyncio.wait_for(self._rate.acquire(), max(left_s, 0.0))
        now_ns = time.time_ns()
        if now_ns > request.valid_until_ns:
            late_s = (now_ns - request.valid_until_ns) / 1e9
            self._reject(asked(request, now_ns), f"stale: {late_s:.3f} s too late", "stale")
            return False
        if reason := self.forbids(request.instrument, request.strategy):
            self._reject(asked(request, now_ns), reason, "forbidden")
            return False
        try:
            prepared = self._venue.prepare(request)
        except Refused as refusal:
            self._reject(asked(request, now_ns), str(refusal), "refused")
            return False
        return await self._place(request, prepared)

    async def _place(self, request: OrderRequest, prepared: Prepared) -> bool:
        try:
            venue_id = await self._venue.place(prepared)
        except Refused as refusal:
            self._reject(prepared.told._replace(event_ns=time.time_ns()), str(refusal), "refused")
            return False
        except Ambiguous as doubt:
            self._count("unknown")
            self._log.warning("nobody knows of an order", client_id=request.client_id, error=str(doubt))
            unknown = prepared.told._replace(status="unknown", reason=str(doubt), event_ns=time.time_ns())
            self._tell(self._ledger.tell(unknown))
            assert self._tasks is not None
            self._tasks.create_task(self._resolve(prepared))
            return True
        self._count("placed")
        self._tell(self._ledger.tell(prepared.told._replace(venue_id=venue_id, event_ns=time.time_ns())))
        if self.forbids(request.instrument, request.strategy):
            await self._cancel(request.instrument, request.client_id)
        return False

    async def _resolve(self, prepared: Prepared) -> None:
        """Ask for an order until it is found, or can no longer come."""
        told, wait_s, until_s = prepared.told, 0.2, time.monotonic() + self._options.resolve_s
        try:
            while True:
                with contextlib.suppress(Ambiguous, Refused):
                    found = await self._venue.find(told.client_id)
                    if found is not None:
                        self._tell(self._ledger.tell(found))
                        break
                    if time.monotonic() >= until_s:
                        reason = f"it has not reached the venue within {self._options.resolve_s:g} s"
                        self._reject(told._replace(event_ns=time.time_ns()), reason, "lost")
                        break
                await asyncio.sleep(wait_s)
                wait_s = min(2.0 * wait_s, 2.0)
        finally:
            self._busy.discard(told.client_id)
        if self.forbids(told.instrument, ""):
            with contextlib.suppress(Ambiguous, Refused):
                await self._cancel(told.instrument, told.client_id)

    async def _cancel(self, instrument: str, client_id: str) -> None:
        order = self._ledger.of(instrument, client_id)
        if order is not None and order["status"] in FINAL:
            return
        try:
            await self._venue.cancel(client_id)
        except Refused as refusal:
            if not refusal.missing:
                raise
            found = await self._venue.find(client_id)
            if found is not None:
                self._tell(self._ledger.tell(found))
            self._due.set()

    # What the venue tells.

    async def _follow(self) -> None:
        async with contextlib.aclosing(self._venue.updates()) as updates:
            async for update in updates:
                self._heard(update)

    def _heard(self, update: Update) -> None:
        match update:
            case Connected():
                self._log.info("account stream up")
                self.watch.saw("stream", float("inf"))
                self._due.set()
            case Disconnected(reason):
                self._log.warning("account stream down", reason=reason)
                self.watch.saw("stream", time.monotonic())
                self.ready.clear()
            case Told():
                self._tell(self._ledger.tell(update))
            case Traded():
                self._tell(self._ledger.trade(update))
            case Held():
                self._ledger.hold(update)
            case Funds():
                self._ledger.funds = update

    def _tell(self, records: Iterable[Record]) -> None:
        for record in records:
            self._publish(record)

    def _reject(self, told: Told, reason: str, outcome: str) -> None:
        self._count(outcome)
        self._log.info("rejected", client_id=told.client_id, reason=reason)
        self._tell(self._ledger.tell(told._replace(status="rejected", reason=reason)))

    def _count(self, outcome: str) -> None:
        metrics.ORDER_REQUESTS.labels(self._venue.name, outcome).inc()

    # What protects.

    async def _keep_reconciled(self) -> None:
        while True:
            self._due.clear()
            try:
                strangers = await reconcile(
                    self._venue, self._ledger, self._instruments, self._busy, self._tell, time.time_ns
                )
            except (Ambiguous, Refused) as error:
                self._log.warning("not reconciled", error=str(error))
                await asyncio.sleep(1.0)
                continue
            if strangers:
                self._note(f"open orders that we know nothing of: {', '.join(strangers)}")
            if not self._due.is_set() and self.watch.seen_s.get("stream") == float("inf"):
                self.ready.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._options.reconcile_s)

    async def _arm(self) -> None:
        await self._venue.arm(self._options.countdown_s)
        self.watch.saw("switch", time.monotonic())

    async def _keep_armed(self) -> None:
        while True:
            await asyncio.sleep(self._options.countdown_s / 3)
            try:
                await self._arm()
            except (Ambiguous, Refused) as error:
                self._log.warning("dead man's switch not armed", error=str(error))

    async def _keep_watch(self) -> None:
        while True:
            lapses = self.watch.lapses(time.monotonic())
            begun = [lapses[name] for name in sorted(lapses.keys() - self._lapses.keys())]
            mended = sorted(self._lapses.keys() - lapses.keys())
            self._lapses = lapses
            if begun:
                self._note(f"nothing is placed: {'; '.join(begun)}")
                await self._withdraw(EVERYTHING)
            if mended:
                self._note(f"back again: {', '.join(mended)}")
                self._due.set()
            metrics.TRADING.labels(self._venue.name).set(not self.forbids("", ""))
            await asyncio.sleep(min(0.25, self._options.away_s / 10))

    def _note(self, text: str) -> None:
        self._log.warning(text)
        self._publish(Control(time.time_ns(), self._venue.name, "note", f"gateway {self._venue.name}", text))

    async def _withdraw(self, scope: str) -> None:
        """Cancel the orders of a scope; where the venue does not answer, its dead man's switch will."""
        try:
            if scope in (EVERYTHING, self._venue.name):
                await self._venue.cancel_all()
            elif scope in self._instruments:
                await self._venue.cancel_all(scope)
            else:
                for instrument, order in self._ledger.live():
                    if order["strategy"] == scope:
                        await self._cancel(instrument, order["client_id"])
        except (Ambiguous, Refused) as error:
            self._log.error("orders not cancelled; the dead man's switch is to do it", scope=scope, error=str(error))

    async def _leave(self) -> None:
        """Cancel everything, see that nothing is left, and take the switch back."""
        self._leaving = "the gateway is leaving"
        metrics.TRADING.labels(self._venue.name).set(0)
        try:
            for _ in range(20):
                await self._venue.cancel_all()
                left = await self._venue.orders()
                if not left:
                    break
                await asyncio.sleep(0.25)
            else:
                self._log.error("orders left; the dead man's switch is to cancel them", orders=len(left))
                return
            await reconcile(
                self._venue, self._ledger, self._instruments, (), self._tell, time.time_ns, grace_ns=-LONGEST_SKEW_NS
            )
            await self._venue.arm(0)
            self._log.info("left with no order open")
        except (Ambiguous, Refused) as error:
            self._log.error("orders may be left; the dead man's switch is to cancel them", error=str(error))
        finally:
            await self._venue.close()
