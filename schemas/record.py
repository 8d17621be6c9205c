"""What every message is: an immutable, keyed fact with an event time."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

EVERY_KEY = "*"


class Rejected(ValueError):
    """Input that cannot be used; its text is the reason that goes to the dead letters.

    Feeds raise it for a frame, the codec for bytes, a stage for a record. Whoever raises it has
    yielded nothing and changed nothing for that input.
    """


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of the generated record classes, one class for each .avsc file."""

    topic: ClassVar[str]
    table: ClassVar[str]
    key_field: ClassVar[str]
    if TYPE_CHECKING:  # a field of every record, in the place that its schema gives it, and what the class below adds

        @property
        def event_ns(self) -> int: ...

        @property
        def key(self) -> str:
            """The partition key; ``*`` addresses every key of a partition."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if hasattr(cls, "key_field"):
            find = (lambda _: EVERY_KEY) if cls.key_field == EVERY_KEY else attrgetter(cls.key_field)
            cls.key = property(find)  # type: ignore[assignment,method-assign]
