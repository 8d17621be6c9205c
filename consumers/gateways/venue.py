"""What the gateway asks of a venue, and the words in which one answers: the same for every venue.

An answer is one of three. The venue has done it; the venue says no (``Refused``); or nobody knows (``Ambiguous``): the
time ran out, the reply was cut, the venue failed inside. Unknown is not refused: the venue is asked what it knows of
the order, by our id of it, before anything else is done about it.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from schemas import OrderRequest


class Refused(Exception):
    """The venue says no, or would: nothing was done. ``missing``: because it knows no such order."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


class Ambiguous(Exception):
    """Nobody knows whether the venue has done it."""


class Told(NamedTuple):
    """The venue's word on an order; ``status`` in the words of ``schemas.OrderState``, sizes in base units."""

    instrument: str
    client_id: str
    venue_id: str
    status: str
    side: str
    price: Decimal
    size: Decimal
    filled: Decimal
    post_only: bool
    reduce_only: bool
    expires_ns: int
    event_ns: int
    reason: str = ""


class Traded(NamedTuple):
    """A trade of ours; ``client_id`` is empty where the venue names its own id alone."""

    instrument: str
    fill_id: str
    client_id: str
    venue_id: str
    side: str
    price: Decimal
    size: Decimal
    fee: Decimal
    maker: bool
    event_ns: int


class Held(NamedTuple):
    """What is held of an instrument: ``size`` below 0 when short."""

    instrument: str
    size: Decimal
    entry: Decimal
    mark: Decimal
    event_ns: int


class Funds(NamedTuple):
    """The account's equity in quote currency."""

    equity: Decimal
    event_ns: int


class Connected(NamedTuple):
    """The account's stream is up; what happened before may have been missed."""


class Disconnected(NamedTuple):
    """It is down."""

    reason: str


Update = Told | Traded | Held | Funds | Connected | Disconnected


class Paid(NamedTuple):
    """A funding payment: ``amount`` above 0 was received."""

    instrument: str
    payment_id: str
    amount: Decimal
    event_ns: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order ready to be sent: signed once, so that sending it again is the same order."""

    told: Told  # as it would stand at the venue
    body: dict[str, Any]
    price_decimals: int
    size_decimals: int


class Venue(Protocol):
    """A venue as the gateway sees it. Every call but ``prepare`` and ``decimals`` may raise Refused and Ambiguous."""

    name: str

    async def open(self) -> None:
        """Learn how the instruments trade, and that the account is ours."""
        ...

    async def close(self) -> None: ...

    def prepare(self, request: OrderRequest) -> Prepared:
        """Round, check and sign the order of a request; raises Refused."""
        ...

    def decimals(self, instrument: str) -> tuple[int, int]:
        """Decimals of an instrument's prices and sizes."""
        ...

    async def place(self, order: Prepared) -> str:
        """Send an order once; the venue's id of it."""
        ...

    async def find(self, client_id: str) -> Told | None:
        """What the venue says of an order, ended ones too; None where it knows of none."""
        ...

    async def cancel(self, client_id: str) -> None: ...

    async def cancel_all(self, instrument: str = "") -> None:
        """Cancel the orders of an instrument, or all of the account's."""
        ...

    async def arm(self, countdown_s: int) -> None:
        """Have the venue cancel everything unless this is said again in time; 0 takes it back."""
        ...

    async def orders(self) -> Sequence[Told]:
        """Every open order of the account, ours or not."""
        ...

    async def holdings(self) -> Sequence[Held]:
        """What is held; an instrument of which nothing is held may be left out."""
        ...

    async def trades(self, since_ns: int) -> Sequence[Traded]:
        """Our trades since a time, oldest first."""
        ...

    async def payments(self, since_ns: int) -> Sequence[Paid]:
        """Our funding payments since a time."""
        ...

    async def funds(self) -> Funds: ...

    def updates(self) -> AsyncGenerator[Update]:
        """What the account's stream tells, for ever: it reconnects by itself."""
        ...
