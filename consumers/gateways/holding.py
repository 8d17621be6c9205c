"""What is held of an instrument, and what trading it has brought: average cost, exact decimals.

With a position q at an average price e, a trade of d at price p: while d adds to q, e moves to the average of the two;
as far as d takes from q, (p − e) × the part taken is realised; what is left of d opens the other side at p.
"""

from dataclasses import dataclass
from decimal import Decimal

NOTHING = Decimal()


@dataclass(slots=True)
class Holding:
    """A position and its ledger, in base units and quote currency.

    >>> holding = Holding()
    >>> for size, price in ((2, 10), (2, 12), (-5, 15)):
    ...     holding.trade(Decimal(size), Decimal(price), Decimal("0.1"))
    >>> holding.size, holding.entry, holding.realised, holding.fees
    (Decimal('-1'), Decimal('15'), Decimal('16'), Decimal('0.3'))
    """

    size: Decimal = NOTHING  # below 0 when short
    entry: Decimal = NOTHING
    mark: Decimal = NOTHING  # 0: not known
    realised: Decimal = NOTHING
    fees: Decimal = NOTHING
    funding: Decimal = NOTHING

    @property
    def unrealised(self) -> Decimal:
        """Profit of what is held at the mark; 0 while that is not known."""
        return self.size * (self.mark - self.entry) if self.mark else NOTHING

    def trade(self, size: Decimal, price: Decimal, fee: Decimal) -> None:
        """Take a trade of ours; ``size`` is below 0 for a sale."""
        self.fees += fee
        if self.size * size >= 0:
            total = self.size + size
            self.entry = (self.size * self.entry + size * price) / total if total else NOTHING
            self.size = total
            return
        closed = min(abs(size), abs(self.size)) * (1 if self.size > 0 else -1)
        self.realised += closed * (price - self.entry)
        left = self.size + size
        if left * self.size <= 0:
            self.entry = price if left else NOTHING
        self.size = left

    def become(self, size: Decimal, entry: Decimal) -> None:
        """Take the venue's word for what is held."""
        self.size, self.entry = size, entry
