"""The miner over HTTP: ``POST /`` with {"simulation_input": {...}} is answered with [start, increment, path, ...].

``POST /joint`` takes a list of assets and answers by asset. ``GET /health`` tells the age of each state. What is wrong
stands in {"error": ...}, by the field's name.

Answers are made one at a time in a thread, and as many as ``SLOTS`` are under way to their readers: who reads slowly
holds a slot and no more memory, and at the start time that was asked for the answer is worthless and dropped.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from consumers.synth.miner import Answer, Miner, Unanswered
from infra import logs, metrics
from processors.online.synth_response import Prompt

LARGEST_REQUEST = 65_536
PIECE = 65_536
SLOTS = 4
SECOND_NS = 1_000_000_000
PATIENCE_S = 10.0  # for a reader, however far its start time lies ahead
log = logs.logger(__name__)

Told = Callable[[Answer, int, int], None]  # an answer, when its request arrived, when it was made


class Asked(msgspec.Struct):
    """The body of a request."""

    simulation_input: dict[str, Any]


ASKED = msgspec.json.Decoder(Asked)


class Sent(Response):
    """A body in pieces, so that what a reader has not taken is not copied; after ``patience_s`` it is dropped."""

    def __init__(self, content: bytes, patience_s: float, slots: asyncio.Semaphore) -> None:
        super().__init__(media_type="application/json")
        self.headers["content-length"] = str(len(content))
        self._content, self._patience_s, self._slots = memoryview(content), patience_s, slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, then leave the slot."""
        try:
            async with asyncio.timeout(self._patience_s):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                for begin in range(0, len(self._content), PIECE):
                    piece = self._content[begin : begin + PIECE]
                    more = begin + PIECE < len(self._content)
                    await send({"type": "http.response.body", "body": bytes(piece), "more_body": more})
        except TimeoutError:  # the connection is closed, as the answer is not whole
            metrics.SYNTH_ANSWERS.labels("unread").inc()
            log.warning("answer not read in time", seconds=self._patience_s)
        finally:
            self._slots.release()


class Serving:
    """The web application; ``told`` hears of every answer."""

    def __init__(self, miner: Miner, told: Told | None = None, clock: Callable[[], int] = time.time_ns) -> None:
        self._miner, self._told, self._clock = miner, told, clock
        self._slots = asyncio.Semaphore(SLOTS)
        self._maker = ThreadPoolExecutor(1, "answers")
        routes = [
            Route("/", self._answer, methods=["POST"]),
            Route("/joint", self._joint, methods=["POST"]),
            Route("/health", self._health),
        ]
        self.app = Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        self._maker.shutdown(cancel_futures=True)

    async def _answer(self, request: Request) -> Response:
        def make(asked: list[Prompt], arrived_ns: int) -> bytes:
            answer = self._miner.answer(asked[0])
            if self._told is not None:
                self._told(answer, arrived_ns, self._clock())
            return msgspec.json.encode(answer.response)

        return await self._replied(request, lambda fields: [self._miner.asked(fields)], make)

    async def _joint(self, request: Request) -> Response:
        def make(asked: list[Prompt], _: int) -> bytes:
            return msgspec.json.encode(self._miner.joint(asked))

        return await self._replied(request, self._miner.asked_jointly, make)

    async def _replied(
        self,
        request: Request,
        read: Callable[[dict[str, Any]], list[Prompt]],
        make: Callable[[list[Prompt], int], bytes],
    ) -> Response:
        arrived_ns, name = self._clock(), ""
        try:
            asked = read(await _fields(request))
            name = "+".join(prompt.asset for prompt in asked)
            content = await self._content(make, asked, arrived_ns)
        except Unanswered as error:
            metrics.SYNTH_ANSWERS.labels(error.outcome).inc()
            log.warning("unanswered", asset=name, status=error.status, reason=str(error))
            return JSONResponse({"error": str(error)}, error.status)
        now_ns = self._clock()
        left_s = max(asked[0].start_s - now_ns / SECOND_NS, 0.0)
        metrics.SYNTH_ANSWERS.labels("answered").inc()
        metrics.SYNTH_ANSWER.observe((now_ns - arrived_ns) / SECOND_NS)
        metrics.SYNTH_LEFT.observe(left_s)
        return Sent(content, min(left_s, PATIENCE_S), self._slots)

    async def _content(self, make: Callable[[list[Prompt], int], bytes], asked: list[Prompt], arrived_ns: int) -> bytes:
        """The body of an answer, which holds a slot from then on."""
        await self._slots.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._maker, make, asked, arrived_ns)
        except BaseException:
            self._slots.release()
            raise

    async def _health(self, _: Request) -> Response:
        ages = self._miner.ages_s()
        for name, age_s in ages.items():
            metrics.SYNTH_STATE_AGE.labels(name).set(-1.0 if age_s is None else age_s)
        usable = any(age_s is not None for age_s in ages.values())
        return JSONResponse({"state_age_s": ages}, 200 if usable else 503)


async def _fields(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_REQUEST:
            raise Unanswered(413, "refused", f"body: more than {LARGEST_REQUEST} bytes")
    try:
        return ASKED.decode(bytes(body)).simulation_input
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unanswered(400, "refused", f"body: {error}") from None
