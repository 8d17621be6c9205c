"""The README's map is what the code says."""

from pathlib import Path

import pytest

from infra import map as topic_map

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readmes_map_is_up_to_date() -> None:
    assert topic_map.block(README) == topic_map.markdown(topic_map.survey()), "run make map"
