"""How long to leave a venue alone: after a lost connection, and after it has said stop."""

import dataclasses
import email.utils
import random
import time
from collections.abc import Callable, Mapping

STOP_STATUSES = frozenset({403, 418, 429, 451})
LONGEST_REST_S = 259_200.0  # the longest ban that a venue here is known to speak


@dataclasses.dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before trying again, in seconds."""

    base_s: float = 1.0
    cap_s: float = 60.0
    steady_s: float = 30.0
    spacing_s: float = 1.0

    def wait_s(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Full jitter: anything from nothing to the exponential bound; ``chance`` draws from [0, 1).

        >>> [Backoff().wait_s(failures, lambda: 0.5) for failures in (0, 1, 5, 900)]
        [0.5, 1.0, 16.0, 30.0]
        """
        return chance() * min(self.cap_s, self.base_s * 2.0 ** min(failures, 30))

    def rest_s(self, status: int, headers: Mapping[str, str]) -> float | None:
        """How long to leave alone a venue that says stop with an HTTP status; None for any other.

        At least half a cap's length, and what its Retry-After asks.
        """
        if status not in STOP_STATUSES:
            return None
        shortest = self.cap_s * random.uniform(0.5, 1.0)
        return min(max(shortest, _asked_s(headers.get("Retry-After", ""))), LONGEST_REST_S)


def _asked_s(retry_after: str) -> float:
    """Retry-After in seconds, whether it is a number or a date; 0 for neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return 0.0
    return seconds if seconds > 0.0 else 0.0  # not NaN either
