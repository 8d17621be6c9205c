"""The simple jump loss of an oracle fee.

mu is the average absolute move of a bucket, F the fee, both in percent of notional. A move beyond the fee is lost less
half of it; a move within the fee costs half the move:

    JL = mu - F/2   where mu > F
         mu/2       otherwise          (both F/2 at mu = F)
"""

from schemas.jit import shared

SECONDS_PER_BLOCK = 2  # Base
UNITS_PER_PERCENT = 100_000  # a fee unit is a thousandth of a basis point


def fee_percent(fee_units: int) -> float:
    """The fee in percent.

    >>> fee_percent(5000)
    0.05
    """
    return fee_units / UNITS_PER_PERCENT


@shared
def jump_loss(mu_percent: float, fee: float) -> float:
    """The jump loss in percent of notional.

    >>> jump_loss(0.03, 0.05), round(jump_loss(0.08, 0.05), 12)
    (0.015, 0.055)
    """
    return mu_percent - fee / 2.0 if mu_percent > fee else mu_percent / 2.0


def half_life_seconds(settlement_time: float, in_seconds: bool) -> float:
    """Half the settlement time, in seconds; a settlement time in blocks is one of Base's.

    >>> half_life_seconds(20, True), half_life_seconds(8, False)
    (10.0, 8.0)
    """
    return settlement_time * (1 if in_seconds else SECONDS_PER_BLOCK) / 2.0


def loss_in_dollars(jump_loss_percent: float, amount1_dollars: float, amount2_dollars: float) -> float:
    """The jump loss of a report in dollars, over the notional of both its amounts.

    >>> loss_in_dollars(0.05, 1000.0, 1000.0)
    1.0
    """
    return jump_loss_percent / 100.0 * (amount1_dollars + amount2_dollars)
