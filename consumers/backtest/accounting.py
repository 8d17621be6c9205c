"""What trading has brought, and from what.

With fills of signed size s at price p while the mid was m, and the mid M now:

    spread      sum s (m - p)      what the quotes earned against the mid at the time
    inventory   sum s (M - m)      what the position then gained or lost
    fees        -sum fee
    funding     as the venue pays it
    equity      sum s (M - p) - sum fee + funding = spread + inventory + fees + funding

The parts add up to the equity by construction, and the equity is the venue's own at the same mid: ``drift`` is the
largest difference that was seen between the two. While no book is usable the venue values what is held at the mark.
"""

from dataclasses import dataclass, field

from consumers.steps import unscaled
from schemas import Equity, Fill


@dataclass(slots=True)
class Ledger:
    """The account of one instrument, kept from fills.

    >>> ledger = Ledger()
    >>> ledger.mid = 100.0
    >>> ledger.trade(2.0, 99.0, 0.1, 100.0)
    >>> ledger.mid = 98.0
    >>> ledger.spread, ledger.inventory, ledger.fees, ledger.equity
    (2.0, -4.0, -0.1, -2.1)
    """

    position: float = 0.0
    spread: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    entered: float = 0.0  # sum of s m
    traded: float = 0.0  # notional of all fills
    mid: float = 0.0
    drift: float = 0.0
    fills: list[tuple[int, float, float, float]] = field(default_factory=list)  # event_ns, signed size, price, mid

    def trade(self, signed: float, price: float, fee: float, mid: float) -> None:
        """Take a trade of ours."""
        self.position += signed
        self.spread += signed * (mid - price)
        self.entered += signed * mid
        self.traded += abs(signed) * price
        self.fees -= fee

    def fill(self, fill: Fill) -> None:
        """Take a fill; where no mid was known its price stands for it."""
        price, size = unscaled(fill.price, fill.price_decimals), unscaled(fill.size, fill.size_decimals)
        signed, mid = size if fill.side == "buy" else -size, fill.mid or price
        self.trade(signed, price, fill.fee, mid)
        self.fills.append((fill.event_ns, signed, price, mid))

    def told(self, equity: Equity, at_mid: bool) -> None:
        """Take the venue's word; it is comparable where the venue values what is held at our mid."""
        self.funding = equity.funding
        if at_mid or not self.position:
            self.drift = max(self.drift, abs(self.equity - equity.equity))

    @property
    def inventory(self) -> float:
        """What the position has gained since it was taken."""
        return self.position * self.mid - self.entered

    @property
    def equity(self) -> float:
        """All of it."""
        return self.spread + self.inventory + self.fees + self.funding
