"""What trading has brought: position, exact cash, average cost, fees and funding.

    cash        -sum of signed size * price over all fills, exact
    cost        what the held position has cost, by average price
    realised    cash + cost
    unrealised  position * mid - cost

so realised + unrealised = cash + position * mid, whatever the average.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Account:
    """One instrument's account in the venue's whole numbers; fees and funding in quote currency.

    >>> account = Account()
    >>> for buy, price, size in ((True, 100, 2), (True, 104, 2), (False, 110, 3)):
    ...     account.fill(buy, price, size, 0.0)
    >>> account.position, account.cash, account.cost, account.cash + account.cost
    (1, -78, 102.0, 24.0)
    """

    position: int = 0
    cash: int = 0
    cost: float = 0.0
    fees: float = 0.0
    funding: float = 0.0

    def fill(self, buy: bool, price: int, size: int, fee: float) -> None:
        """Take a trade."""
        signed = size if buy else -size
        before, self.position = self.position, self.position + signed
        self.cash -= signed * price
        self.fees += fee
        if before * signed >= 0:
            self.cost += signed * price
        elif before * self.position > 0:
            self.cost *= self.position / before
        else:
            self.cost = float(self.position * price)

    def reducible(self, buy: bool) -> int:
        """How much an order of a side can make the position smaller."""
        return max(-self.position if buy else self.position, 0)

    def refine(self, price_factor: int, size_factor: int) -> None:
        """Go on with finer numbers."""
        self.position *= size_factor
        self.cash *= price_factor * size_factor
        self.cost *= price_factor * size_factor
