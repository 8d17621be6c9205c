"""The messages of the pipeline: one .avsc file, one record class, one table."""

from schemas.record import EVERY_KEY, Record, Rejected
from schemas.records import *  # noqa: F403
from schemas.records import __all__ as _generated

__all__ = ["EVERY_KEY", "Record", "Rejected", *_generated]  # noqa: PLE0604
