import pytest
from typer.testing import CliRunner

from consumers.merging.merger import Merger
from infra import cli
from infra.errors import UserError
from infra.settings import load_settings
from schemas.codec import Codec


@pytest.mark.parametrize(
    ("topic", "told"),
    [("merges", "topic merges is what is written: it cannot be merged into itself"), ("fils", "no topic 'fils'")],
)
def test_a_topic_that_cannot_be_merged_is_refused_before_a_broker_is_asked(topic: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Merger(load_settings(env_file=None, brokers="127.0.0.1:1"), Codec(), ["ticks", topic])


@pytest.mark.parametrize("name", ["ETH-USD", "extended:", ":ETH-USD"])
def test_what_is_no_instrument_is_refused_before_a_broker_is_asked(name: str) -> None:
    result = CliRunner().invoke(cli.app, ["merge", "--instrument", name], env={"TIDEMILL_BROKERS": "127.0.0.1:1"})
    assert isinstance(result.exception, UserError)
    assert f"--instrument: {name}: expected venue:SYMBOL" in str(result.exception)
