"""Markouts: what the mid has done a while after our fills, the measure of whom we trade with.

A fill's markout is the move of the mid from the fill to ``after_ns`` later, counted in our favour: up after a buy, down
after a sale. Each side keeps an exponential average over its fills, weight 1/fills for the newest. State is a list of
plain values: of each fill that waits [due_ns, +1 bid or -1 ask, mid], at most ``WAITING`` of them.
"""

from typing import Any

WAITING = 256


class Markouts:
    """The averages of both sides, over a list of waiting fills and the averages that a stage keeps in its state.

    >>> waiting, means = [], [0.0, 0.0]
    >>> markouts = Markouts(waiting, means, fills=4, after_ns=10)
    >>> markouts.fill("buy", 0, 100.0)
    >>> markouts.mid(9, 90.0)
    >>> markouts.mid(10, 98.0)
    >>> means
    [-0.5, 0.0]
    """

    def __init__(self, waiting: list[list[Any]], means: list[float], fills: int, after_ns: int) -> None:
        self._waiting, self._means, self._weight, self._after_ns = waiting, means, 1.0 / fills, after_ns

    def fill(self, side: str, event_ns: int, mid: float) -> None:
        """Take a fill of ours with the mid at that time."""
        if len(self._waiting) == WAITING:
            del self._waiting[0]
        self._waiting.append([event_ns + self._after_ns, 1 if side == "buy" else -1, mid])

    def mid(self, now_ns: int, mid: float) -> None:
        """Take the mid of now: it judges every fill that is due."""
        while self._waiting and self._waiting[0][0] <= now_ns:
            _, sign, before = self._waiting.pop(0)
            side = 0 if sign > 0 else 1
            self._means[side] += self._weight * (sign * (mid - before) - self._means[side])
