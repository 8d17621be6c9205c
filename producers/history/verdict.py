"""What to do with an HTTP answer of a venue: take it, ask again later, ask another host, or give up.

- 429 is too fast and 418 a ban for having gone on: both say in ``Retry-After`` how long to wait, and mean the whole
  address. 451 and 403 are for good, at this host. 404 is no failure: the file is not there (yet).
- Everything else that can pass is asked for again with growing pauses, ``TRIES`` times in all.
"""

from enum import Enum
from typing import NamedTuple

TRIES = 6
LONGEST_S = 60.0  # pause that we choose
PATIENCE_S = 900.0  # pause that a venue may ask for


class Next(Enum):
    """What comes after an answer."""

    TAKE = "take"
    ABSENT = "absent"
    AGAIN = "again"
    ELSEWHERE = "elsewhere"


class Verdict(NamedTuple):
    """What to do, after which pause, and why; ``everyone`` pauses where the venue meant the address."""

    next: Next
    wait_s: float = 0.0
    reason: str = ""
    everyone: bool = False


def judge(status: int, retry_after: str, tries: int, pause_s: float = 1.0) -> Verdict:
    """What to do with an answer; ``tries`` counts it in.

    >>> judge(429, "7", 1)
    Verdict(next=<Next.AGAIN: 'again'>, wait_s=7.0, reason='HTTP 429', everyone=True)
    >>> judge(451, "", 1).next, judge(404, "", 1).next, judge(503, "", 3).wait_s, judge(503, "", TRIES).next
    (<Next.ELSEWHERE: 'elsewhere'>, <Next.ABSENT: 'absent'>, 4.0, <Next.ELSEWHERE: 'elsewhere'>)
    """
    reason = f"HTTP {status}"
    if status in (200, 206):
        return Verdict(Next.TAKE)
    if status == 404:
        return Verdict(Next.ABSENT, reason=reason)
    if status in (418, 429):
        wait_s = float(retry_after) if retry_after.isdigit() else backoff_s(tries, pause_s)
        if wait_s > PATIENCE_S or tries >= TRIES:
            return Verdict(Next.ELSEWHERE, reason=f"{reason}, to come back after {wait_s:g} s")
        return Verdict(Next.AGAIN, wait_s, reason, everyone=True)
    if (status >= 500 or status in (408, 425)) and tries < TRIES:
        return Verdict(Next.AGAIN, backoff_s(tries, pause_s), reason)
    return Verdict(Next.ELSEWHERE, reason=reason)


def cut(reason: str, tries: int, pause_s: float = 1.0) -> Verdict:
    """What to do after a connection that failed or broke.

    >>> cut("reset", 1), cut("reset", TRIES).next
    (Verdict(next=<Next.AGAIN: 'again'>, wait_s=1.0, reason='reset', everyone=False), <Next.ELSEWHERE: 'elsewhere'>)
    """
    if tries < TRIES:
        return Verdict(Next.AGAIN, backoff_s(tries, pause_s), reason)
    return Verdict(Next.ELSEWHERE, reason=reason)


def backoff_s(tries: int, pause_s: float = 1.0) -> float:
    """The pause before the next try."""
    return min(LONGEST_S, pause_s * 2.0 ** (tries - 1))
