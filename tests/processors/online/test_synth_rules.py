"""Which rules and which competition a prompt belongs to, by its date."""

from datetime import UTC, datetime

import pytest

from processors.online.synth_rules import RULES, competition_at, rules_at


def seconds(*day):
    return int(datetime(*day, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("day", "since"),
    [((2026, 9, 21, 23, 59), 3), ((2026, 9, 22), 4), ((2026, 3, 11), 0), ((2020, 1, 1), 0), ((2030, 1, 1), 4)],
)
def test_rules_are_those_of_the_day_or_the_first_there_are(day, since):
    assert rules_at(seconds(*day)) == RULES[since]


@pytest.mark.parametrize(
    ("day", "asset", "length_s", "step_s", "name"),
    [
        ((2026, 11, 1), "XAU", 86_400, 300, "24h others"),
        ((2026, 11, 1), "XAU", 3_600, 60, None),
        ((2026, 4, 1), "XAU", 3_600, 60, "1h"),
        ((2026, 11, 1), "BTC", 3_600, 300, None),
        ((2026, 11, 1), "BTC", 86_400, 300, "24h"),
        ((2026, 4, 1), "SPCX", 86_400, 300, None),
        ((2026, 11, 1), "DOGE", 86_400, 300, None),
    ],
)
def test_a_prompt_belongs_to_the_competition_of_its_asset_length_and_step(day, asset, length_s, step_s, name):
    found = competition_at(seconds(*day), asset, length_s, step_s)
    assert (found.name if found else None) == name
