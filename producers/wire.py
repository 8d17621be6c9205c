"""What the numbers and times of venues' JSON are made of.

- Decimal strings are read in the decoder's lax mode, which takes the digits of a JSON number out of a string and
  nothing else: no "nan", no "1_000", no blanks. The bounds keep out what is not finite.
- Where exact decimals matter they stay strings; see schemas/levels.py.
"""

from typing import Annotated, Any

import msgspec

Price = Annotated[float, msgspec.Meta(gt=0.0, lt=1e18)]
Size = Annotated[float, msgspec.Meta(gt=0.0, lt=1e18)]  # of a trade
Amount = Annotated[float, msgspec.Meta(ge=0.0, lt=1e18)]
Rate = Annotated[float, msgspec.Meta(gt=-1e6, lt=1e6)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # up to 2255: as ns they fit into 64 bits

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
MILLISECOND = 1_000_000
MINUTE_MS = 60_000


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that takes numbers out of strings."""
    return msgspec.json.Decoder(kind, strict=False)


def encoded(message: Any) -> str:
    """A message as a frame."""
    return msgspec.json.encode(message).decode()
