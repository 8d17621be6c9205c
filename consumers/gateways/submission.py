"""From an order request to an order at the venue, and to its end on request.

- An order is sent once. Where nobody knows what became of it, the venue is asked for it by our id until it is found,
  or until it cannot come any more: then it is told as rejected. It is never sent again.
- A request that is too old by our clock, or that comes while nothing may be placed, is told as rejected and counted;
  one that came before is only counted. A cancel is always carried out, but for one that is too old and asks for nothing
  new: of an order that has ended, that nobody knows, or that was asked to go before.
- What forbids placing, and what was asked to go, is looked at again after an order was placed or found: it may have
  come meanwhile.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

from aiolimiter import AsyncLimiter

from consumers.gateways.ledger import Ledger, asked
from consumers.gateways.venue import Ambiguous, Prepared, Refused, Told, Venue
from consumers.orders import FINAL
from infra import logs, metrics
from schemas import OrderRequest, Record

log = logs.logger(__name__)


class Submission:
    """Carries requests out.

    ``forbids`` says why nothing may be placed for an instrument and a strategy; ``doubt`` is called where the books
    should be held against the venue's soon. ``resolve_s`` is how long an order can be on its way.
    """

    def __init__(
        self,
        venue: Venue,
        ledger: Ledger,
        tell: Callable[[Iterable[Record]], None],
        forbids: Callable[[str, str], str],
        doubt: Callable[[], None],
        orders_per_s: float,
        resolve_s: float,
    ) -> None:
        self.busy: set[str] = set()  # orders that are being sent, or asked for
        self._venue, self._ledger, self._tell, self._forbids, self._doubt = venue, ledger, tell, forbids, doubt
        self._rate = AsyncLimiter(max(orders_per_s, 1.0), max(1.0, 1.0 / orders_per_s))
        self._resolve_s = resolve_s
        self._resolving: set[asyncio.Task[None]] = set()
        self._log = log.bind(gateway=venue.name)

    async def close(self) -> None:
        """Ask no more what became of orders."""
        for task in self._resolving:
            task.cancel()
        await asyncio.gather(*self._resolving, return_exceptions=True)

    async def carry_out(self, request: OrderRequest) -> None:
        """Do what a request asks."""
        try:
            if request.action in ("place", "replace"):
                await self._order(request)
            elif request.action in ("cancel", "cancel_all"):
                if not self._ledger.ask(request) and time.time_ns() > request.valid_until_ns:
                    self._count("stale")
                elif request.action == "cancel":
                    await self.cancel(request.instrument, request.client_id)
                else:
                    await self._venue.cancel_all(request.instrument)
            else:
                self._log.error("unknown action", action=request.action, client_id=request.client_id)
        except (Ambiguous, Refused) as error:
            self._log.warning("not cancelled", action=request.action, client_id=request.client_id, error=str(error))
            self._doubt()

    async def _order(self, request: OrderRequest) -> None:
        if not self._ledger.ask(request):
            self._count("duplicate")
            return
        self.busy.add(request.client_id)
        if not await self._try(request):
            self.busy.discard(request.client_id)

    async def _try(self, request: OrderRequest) -> bool:
        """Whether it is still to be found out what became of the order."""
        in_turn = True
        try:  # too many orders: it may be too old before its turn comes
            left_s = (request.valid_until_ns - time.time_ns()) / 1e9
            await asyncio.wait_for(self._rate.acquire(), max(left_s, 0.0))
        except TimeoutError:
            in_turn = False
        now_ns = time.time_ns()
        if now_ns > request.valid_until_ns or not in_turn:
            late_s = max((now_ns - request.valid_until_ns) / 1e9, 0.0)
            self._reject(asked(request, now_ns), f"stale: {late_s:.3f} s too late", "stale")
            return False
        if reason := self._unwanted(request):
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
            order = self._ledger.of(request.instrument, request.client_id)
            if order is None or order["status"] != "requested":  # the stream has told of it already
                await self._take_back(request)
                return False
            unknown = prepared.told._replace(status="unknown", reason=str(doubt), event_ns=time.time_ns())
            self._tell(self._ledger.tell(unknown))
            task = asyncio.create_task(self._resolve(request, prepared))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
            return True
        self._count("placed")
        self._tell(self._ledger.tell(prepared.told._replace(venue_id=venue_id, event_ns=time.time_ns())))
        await self._take_back(request)
        return False

    async def _take_back(self, request: OrderRequest) -> None:
        if self._unwanted(request):
            await self.cancel(request.instrument, request.client_id)

    def _unwanted(self, request: OrderRequest) -> str:
        """Why an order should not be there; empty where it may."""
        going = "asked to be cancelled before it was sent" if request.client_id in self._ledger.going else ""
        return self._forbids(request.instrument, request.strategy) or going

    async def _resolve(self, request: OrderRequest, prepared: Prepared) -> None:
        """Ask for an order until it is found, or can no longer come."""
        told, wait_s, until_s = prepared.told, 0.2, time.monotonic() + self._resolve_s
        try:
            while True:
                with contextlib.suppress(Ambiguous, Refused):
                    found = await self._venue.find(told.client_id)
                    if found is not None:
                        self._tell(self._ledger.tell(found))
                        break
                    if time.monotonic() >= until_s:
                        reason = f"it has not reached the venue within {self._resolve_s:g} s"
                        self._reject(told._replace(event_ns=time.time_ns()), reason, "lost")
                        break
                await asyncio.sleep(wait_s)
                wait_s = min(2.0 * wait_s, 2.0)
        finally:
            self.busy.discard(told.client_id)
        try:
            await self._take_back(request)
        except (Ambiguous, Refused):
            self._doubt()

    async def cancel(self, instrument: str, client_id: str) -> None:
        """Cancel an order, unless it has ended.

        Raises:
            Ambiguous, Refused: the venue does not answer, or does not want to.

        """
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
            self._doubt()

    async def cancel_unwanted(self, withdrawn: Callable[[str, str], str]) -> bool:
        """Cancel each open order of ours that may not stay, or was asked to go; whether there was one.

        ``withdrawn`` says why the orders of an instrument and a strategy may not stay. One that is on its way is looked
        at when it has arrived.
        """
        unwanted = [
            (instrument, order["client_id"])
            for instrument, order in self._ledger.live()
            if order["strategy"]
            and order["client_id"] not in self.busy
            and (order["client_id"] in self._ledger.going or withdrawn(instrument, order["strategy"]))
        ]
        for instrument, client_id in unwanted:
            try:
                await self.cancel(instrument, client_id)
            except (Ambiguous, Refused) as error:
                self._log.error("order not cancelled; tried again", client_id=client_id, error=str(error))
        return bool(unwanted)

    def _reject(self, told: Told, reason: str, outcome: str) -> None:
        self._count(outcome)
        self._log.info("rejected", client_id=told.client_id, reason=reason)
        self._tell(self._ledger.tell(told._replace(status="rejected", reason=reason)))

    def _count(self, outcome: str) -> None:
        metrics.ORDER_REQUESTS.labels(self._venue.name, outcome).inc()
