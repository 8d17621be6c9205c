"""A Depth of levels as venues write them, price and size as decimal strings.

For messages of few levels, and for venues whose levels are no plain pairs; schemas/level_texts.py reads large messages
of pairs in one pass.
"""

from collections.abc import Sequence

from schemas import Depth, Rejected
from schemas.levels import packed, packed_changes, scaled

Texts = Sequence[tuple[str, str]]  # price and size of each level


def depth(
    instrument: str,
    event_ns: int,
    received_ns: int,
    kind: str,
    bids: Texts = (),
    asks: Texts = (),
    *,
    cause: str = "",
    sequence: int = 0,
    previous: int = -1,
    changes: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Depth:
    """A message that counts as one; ``changes`` are those of the bids' and the asks' sizes, where the venue says them.

    Raises:
        Rejected: a price is not above zero, a size below, or a number is none or does not fit.

    >>> whole = depth("x:A", 1, 2, "snapshot", [("10.50", "3")], [("11", "0.25")], sequence=7)
    >>> whole.price_decimals, whole.size_decimals, whole.first_sequence, whole.last_sequence, whole.previous_sequence
    (1, 2, 7, 7, -1)

    """
    both = [*bids, *asks]
    count = len(both)
    prices = scaled([price for price, _ in both])
    sizes = scaled([*(size for _, size in both), *changes[0], *changes[1]])
    if count and (min(prices.numbers) <= 0 or min(sizes.numbers[:count]) < 0):
        raise Rejected("a level without a positive price or with a negative size")
    levels = list(zip(prices.numbers, sizes.numbers[:count], strict=True))
    increments = sizes.numbers[count:]
    return Depth(
        instrument=instrument,
        event_ns=event_ns,
        received_ns=received_ns,
        kind=kind,
        cause=cause,
        first_sequence=sequence,
        last_sequence=sequence,
        previous_sequence=previous,
        price_decimals=prices.decimals,
        size_decimals=sizes.decimals,
        bids=packed(levels[: len(bids)]) if bids else b"",
        asks=packed(levels[len(bids) :]) if asks else b"",
        bid_changes=packed_changes(increments[: len(changes[0])]) if changes[0] else b"",
        ask_changes=packed_changes(increments[len(changes[0]) :]) if changes[1] else b"",
        best_bid=0,
        best_ask=0,
        verified=False,
    )
