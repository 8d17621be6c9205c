"""Whether a message about an order book comes next after those before it, by the venue's update ids.

- ids of single changes, U to u (Binance spot): U <= last + 1 <= u;
- the same with the last id of the message before, pu (Binance futures): pu = last; the first one after a snapshot was
  under way when that was made and only has to reach over it: U <= last + 1 <= u;
- ids of messages (Extended): the first rule with U = u.

A message that ends at or before ``last`` was known and changes nothing.
"""

from dataclasses import dataclass

KNOWN, NEXT, BROKEN, UNCHAINED = range(4)
NOT_SAID = -1  # previous id where the venue gives none


@dataclass(slots=True)
class UpdateChain:
    """How far one instrument's messages have come.

    >>> chain = UpdateChain(last=160)
    >>> [chain.take(first, last, NOT_SAID) == NEXT for first, last in ((157, 165), (166, 166), (168, 170))]
    [True, True, False]
    """

    last: int = 0  # 0: the venue has no ids
    fresh: bool = True  # no message since the snapshot
    counts: bool = True  # every message since the snapshot had one id only: the venue counts messages, as far as seen

    def take(self, first: int, last: int, previous: int) -> int:
        """Take a message by its ids."""
        if self.last == 0 or last == 0:
            self.last = max(self.last, last)
            return UNCHAINED
        if last <= self.last:
            return KNOWN
        reaches_over = first <= self.last + 1 and (previous == NOT_SAID or self.fresh)
        if previous != self.last and not reaches_over:
            return BROKEN
        self.counts &= first == last and previous == NOT_SAID
        self.last, self.fresh = last, False
        return NEXT

    def reaches(self, snapshot: int) -> int:
        """Where a snapshot stands: KNOWN before the last message, NEXT at it, BROKEN beyond it, UNCHAINED without ids.

        A venue that counts messages counts the snapshot as well; one that has not shown otherwise may be such.
        """
        if self.last == 0 or snapshot == 0:
            return UNCHAINED
        if snapshot < self.last:
            return KNOWN
        return NEXT if snapshot == self.last or (self.counts and snapshot == self.last + 1) else BROKEN
