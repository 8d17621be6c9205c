"""How often virtual quotes were filled and how long they stood, by depth, in blocks of event time.

A window is a ring of blocks of equal width on the grid of event time; what is older than the window falls out a block
at a time. Blocks are what intervals are made of: trades come in bursts, so an interval from the number of fills alone
would be too narrow, while blocks differ by as much as the market does.
"""

from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

ASK, BID = 0, 1
SIDES = {"ask": (ASK,), "bid": (BID,), "both": (ASK, BID)}
SECOND = 1_000_000_000

Floats = NDArray[np.float64]


class Block(TypedDict):
    """Plain values; lists of a list for each side, of a number for each depth, nearest first."""

    fills: list[list[int]]
    seconds: list[list[float]]
    offset: list[float]  # sum of seconds times ticks by which quotes stood farther out than wanted, by rounding
    trades: int
    own_fills: list[list[int]]
    own_seconds: list[list[float]]
    own_expected: float


class Counts(NamedTuple):
    """Fills and seconds of a window, shape (blocks, depths), and where the depths are."""

    fills: Floats
    seconds: Floats
    depths: Floats  # ticks from the mid
    trades: int = 0
    own_fills: Floats = np.zeros(0)  # by depth, over the window
    own_seconds: Floats = np.zeros(0)
    own_expected: float = 0.0


def empty(depths: int) -> Block:
    """A block in which nothing has happened."""
    return Block(
        fills=[[0] * depths, [0] * depths],
        seconds=[[0.0] * depths, [0.0] * depths],
        offset=[0.0, 0.0],
        trades=0,
        own_fills=[[0] * depths, [0] * depths],
        own_seconds=[[0.0] * depths, [0.0] * depths],
        own_expected=0.0,
    )


def counts(blocks: list[Block], side: str, spacing: int) -> Counts:
    """The window of one side, or of both together: then a rate is that of one side, averaged over the two.

    >>> block = empty(2)
    >>> block["fills"], block["seconds"] = [[3, 1], [5, 0]], [[10.0, 10.0], [10.0, 10.0]]
    >>> counts([block], "both", 4).fills.tolist(), counts([block], "bid", 4).depths.tolist()
    ([[8.0, 1.0]], [4.0, 8.0])
    """
    chosen = SIDES[side]
    fills = np.array([[block["fills"][one] for one in chosen] for block in blocks], np.float64).sum(axis=1)
    seconds = np.array([[block["seconds"][one] for one in chosen] for block in blocks]).sum(axis=1)
    whole = float(seconds.sum())
    offset = sum(block["offset"][one] for block in blocks for one in chosen) / whole if whole > 0.0 else 0.0
    return Counts(
        fills,
        seconds,
        spacing * np.arange(1.0, fills.shape[1] + 1) + offset,
        sum(block["trades"] for block in blocks),
        np.array([[block["own_fills"][one] for one in chosen] for block in blocks], np.float64).sum(axis=(0, 1)),
        np.array([[block["own_seconds"][one] for one in chosen] for block in blocks]).sum(axis=(0, 1)),
        sum(block["own_expected"] for block in blocks),
    )
