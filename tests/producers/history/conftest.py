"""A venue for each test."""

from collections.abc import Iterator

import pytest

from tests.producers.history.server import Venue, serve


@pytest.fixture
def venue() -> Iterator[Venue]:
    with serve(Venue()) as found:
        yield found
