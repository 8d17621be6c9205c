"""What Binance's numbers and times are made of, for its feeds and for the history.

- Prices and sizes come as decimal strings. They are read in the decoder's lax mode, which takes the digits of a JSON
  number out of a string and nothing else: no "nan", no "1_000", no blanks. The bounds keep out what is not finite.
- Times come in milliseconds or microseconds since the epoch, as asked for and by the venue's defaults; the size of the
  number says which.
"""

from typing import Annotated, Any

import msgspec

from schemas import Rejected

Price = Annotated[float, msgspec.Meta(gt=0.0, lt=1e18)]
Amount = Annotated[float, msgspec.Meta(ge=0.0, lt=1e18)]
Rate = Annotated[float, msgspec.Meta(gt=-1e6, lt=1e6)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
LAST_MS = (2**63 - 1) // 1_000_000  # beyond it, ns no longer fit into 64 bits
FIRST_US = 10**15
LAST_US = (2**63 - 1) // 1_000


def nanoseconds(stamp: int) -> int:
    """A time of the venue in ns since the epoch.

    Raises:
        Rejected: it is neither one in milliseconds nor one in microseconds.

    >>> nanoseconds(1735689600010), nanoseconds(1735689600010866)
    (1735689600010000000, 1735689600010866000)

    """
    if stamp <= LAST_MS:
        return stamp * 1_000_000
    if FIRST_US <= stamp <= LAST_US:
        return stamp * 1_000
    raise Rejected(f"time {stamp} is neither in milliseconds nor in microseconds")


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that takes numbers out of strings."""
    return msgspec.json.Decoder(kind, strict=False)
