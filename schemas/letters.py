"""How a dead letter is written: the same wherever something is refused."""

from schemas.records import DeadLetter

PAYLOAD_LIMIT = 4 << 20  # bytes of what was refused that are kept
NOWHERE = -1  # partition and offset of a frame that never became a record


def dead_letter(
    source: str,
    by: str,
    reason: str,
    payload: bytes,
    event_ns: int,
    *,
    partition: int = NOWHERE,
    offset: int = NOWHERE,
    key: bytes = b"",
) -> DeadLetter:
    """The dead letter of something refused for the first time; the fields are the record's.

    >>> dead_letter("coinbase", "coinbase", "unreadable", b"{", 7).size
    1
    """
    return DeadLetter(
        source=source,
        event_ns=event_ns,
        partition=partition,
        offset=offset,
        by=by,
        reason=reason,
        record_key=key,
        payload=payload[:PAYLOAD_LIMIT],
        size=len(payload),
        attempts=0,
    )
