"""Moments as people give them."""

from infra.moments import parse_moment, parse_since


def test_moments_are_utc_unless_they_say_otherwise() -> None:
    assert parse_moment("2025-11-25T18:00", "--start") == 1_764_093_600_000_000_000
    assert parse_moment("2025-11-25T19:00:00+01:00", "--start") == 1_764_093_600_000_000_000


def test_microseconds_are_kept_whatever_the_option() -> None:
    text, expected = "2025-11-25T18:00:00.000001", 1_764_093_600_000_001_000
    assert parse_moment(text, "--start") == expected
    assert parse_since(text) == expected
