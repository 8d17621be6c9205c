"""The gateway: order requests to a venue, and its word on them back, for any venue.

Rules:

- Nothing is placed before a reconciliation after each connection of the account's stream.
- The dead man's switch is armed before the first order and for as long as the gateway lives.
- What begins to forbid placing also cancels every order, again and again until it is gone: orders may be on their way
  then, and the venue may not answer.
- At the end every order is cancelled, and the switch taken back; it stays armed where an order may still come.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consumers.gateways.guard import Halts, Watch
from consumers.gateways.lanes import Lanes
from consumers.gateways.ledger import Ledger, ended
from consumers.gateways.reconciliation import DOUBTFUL, reconcile
from consumers.gateways.submission import Submission
from consumers.gateways.venue import (
    Ambiguous,
    Connected,
    Disconnected,
    Funds,
    Held,
    Refused,
    Told,
    Traded,
    Update,
    Venue,
)
from consumers.orders import FINAL
from infra import logs, metrics
from schemas import EVERY_KEY, Control, OrderRequest, Record

SECOND = 1_000_000_000
LONGEST_SKEW_NS = 3_600 * SECOND  # of the venue's clock
AGAIN_S = 1.0
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway protects itself; times in seconds.

    ``countdown_s``: of the dead man's switch. ``away_s``: how long data, the broker, the executor or the account's
    stream may be away. ``resolve_s``: how long an order can be on its way to the venue. ``orders_per_s``: at most,
    after a burst of as many.
    """

    countdown_s: int = 60
    away_s: float = 10.0
    reconcile_s: float = 30.0
    resolve_s: float = 15.0
    orders_per_s: float = 5.0
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
        self._due = asyncio.Event()  # a reconciliation
        self._leaving = ""
        self._lapses: dict[str, str] = {}
        self._early: list[OrderRequest] = []  # came before the venue was open
        self._arrived_ns = 0  # when no order of an earlier gateway can be on its way any more
        self._submission = Submission(
            venue, ledger, self._tell, self.forbids, self._due.set, options.orders_per_s, options.resolve_s
        )
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
            for name in self.watch.allowed_s:
                self.watch.saw(name, time.monotonic())
            await self._arm()
            self._arrived_ns = time.time_ns() + int(self._options.resolve_s * SECOND)
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._lanes = tasks, Lanes(self._submission.carry_out, tasks)
                for scope in self._halts.by_scope:
                    tasks.create_task(self._withdraw(scope))
                for request in self._early:
                    self._lanes.put(request)
                for work in (self._follow, self._keep_armed, self._keep_reconciled, self._keep_watch):
                    tasks.create_task(work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._leave()

    def request(self, request: OrderRequest) -> None:
        """Take a request."""
        if request.instrument not in self._instruments or self._leaving:
            return
        if self._lanes is None:
            self._early.append(request)
        else:
            self._lanes.put(request)

    def control(self, control: Control) -> None:
        """Follow a word from outside."""
        if control.action == "reset" and not control.reason.strip():
            self._log.warning("a reset without a reason is none", scope=control.scope, by=control.by)
        if self._halts.take(control):
            self._log.warning(control.action, scope=control.scope, by=control.by, reason=control.reason)
            if control.action == "halt" and self._tasks is not None and not self._leaving:
                self._tasks.create_task(self._withdraw(control.scope))

    def forbids(self, instrument: str, strategy: str) -> str:
        """Why nothing may be placed; empty where it may."""
        unsure = "" if self.ready.is_set() else "not reconciled with the venue yet"
        return self._withdrawn(instrument, strategy) or unsure

    def _withdrawn(self, instrument: str, strategy: str) -> str:
        """Why no order may even stay; empty where it may."""
        halted = self._halts.reason(instrument, strategy, self._venue.name)
        lapsed = next(iter(self._lapses.values()), "")
        return self._leaving or halted or lapsed

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
                order = self._ledger.of(update.instrument, update.client_id)
                if order is not None and ended(order) and update.status not in FINAL:
                    self._due.set()  # open after all
            case Traded():
                self._tell(self._ledger.trade(update))
            case Held():
                self._ledger.hold(update)
            case Funds():
                self._ledger.funds = update

    def _tell(self, records: Iterable[Record]) -> None:
        for record in records:
            self._publish(record)

    # What protects.

    async def _keep_reconciled(self) -> None:
        told = False
        noted: list[str] = []  # strangers
        while True:
            self._due.clear()
            try:
                strangers = await reconcile(
                    self._venue, self._ledger, self._instruments, self._submission.busy, self._tell, time.time_ns,
                    self._arrived_ns,
                )  # fmt: skip
            except (Ambiguous, Refused) as error:
                self._log.warning("not reconciled", error=str(error))
                await self._submission.cancel_unwanted(self._withdrawn)
                await asyncio.sleep(AGAIN_S)
                continue
            if not told:  # an executor may begin with this gateway
                told = True
                now_ns = time.time_ns()
                self._tell(self._ledger.position(name, now_ns, "reconciled") for name in sorted(self._instruments))
            if strangers and strangers != noted:
                self._note(f"open orders that we know nothing of: {', '.join(strangers)}")
            noted = strangers
            if not self._due.is_set() and self.watch.seen_s.get("stream") == float("inf"):
                self.ready.set()
            if await self._submission.cancel_unwanted(self._withdrawn):
                await asyncio.sleep(AGAIN_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._rest_s())

    def _rest_s(self) -> float:
        """How long the books may rest: not beyond the time when what an earlier gateway had sent is there or lost."""
        coming_s = (self._arrived_ns - time.time_ns()) / SECOND
        return min(self._options.reconcile_s, max(coming_s, 0.0)) if self._awaits() else self._options.reconcile_s

    def _awaits(self) -> bool:
        """Whether an order of an earlier gateway may still come."""
        return time.time_ns() < self._arrived_ns and any(
            order["status"] in DOUBTFUL and order["client_id"] not in self._submission.busy
            for _, order in self._ledger.live()
        )

    async def _arm(self) -> None:
        began_s = time.monotonic()  # the venue counts from when it hears of it, and may be slow to answer
        await self._venue.arm(self._options.countdown_s)
        self.watch.saw("switch", began_s)

    async def _keep_armed(self) -> None:
        wait_s = every_s = self._options.countdown_s / 3
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._arm()
                wait_s = every_s
            except (Ambiguous, Refused) as error:
                self._log.warning("dead man's switch not armed", error=str(error))
                wait_s = min(AGAIN_S, every_s)

    async def _keep_watch(self) -> None:
        while True:
            lapses = self.watch.lapses(time.monotonic())
            begun = [lapses[name] for name in sorted(lapses.keys() - self._lapses.keys())]
            mended = sorted(self._lapses.keys() - lapses.keys())
            self._lapses = lapses
            if begun:
                self._note(f"nothing is placed: {'; '.join(begun)}")
                assert self._tasks is not None
                self._tasks.create_task(self._withdraw(EVERY_KEY))
            if mended:
                self._note(f"back again: {', '.join(mended)}")
                self._due.set()
            metrics.TRADING.labels(self._venue.name).set(not self.forbids("", ""))
            await asyncio.sleep(min(0.25, self._options.away_s / 10))

    def _note(self, text: str) -> None:
        self._log.warning(text)
        self._publish(Control(time.time_ns(), self._venue.name, "note", f"gateway {self._venue.name}", text))

    async def _withdraw(self, scope: str) -> None:
        """Cancel the orders of a scope."""
        try:
            if scope in (EVERY_KEY, self._venue.name):
                await self._venue.cancel_all()
            elif scope in self._instruments:
                await self._venue.cancel_all(scope)
            else:
                await self._submission.cancel_unwanted(self._withdrawn)
        except (Ambiguous, Refused) as error:
            self._log.error("orders not cancelled; tried again", scope=scope, error=str(error))
        self._due.set()

    async def _leave(self) -> None:
        """Cancel everything, see that nothing is left, and take the switch back."""
        self._leaving = "the gateway is leaving"
        metrics.TRADING.labels(self._venue.name).set(0)
        coming = bool(self._submission.busy) or self._awaits()
        try:
            await self._submission.close()
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
                self._venue, self._ledger, self._instruments, (), self._tell, time.time_ns, 0, -LONGEST_SKEW_NS
            )
            if coming:
                self._log.warning("an order was on its way: the dead man's switch stays armed")
            else:
                await self._venue.arm(0)
            self._log.info("left with no order open")
        except (Ambiguous, Refused) as error:
            self._log.error("orders may be left; the dead man's switch is to cancel them", error=str(error))
        finally:
            await self._venue.close()
