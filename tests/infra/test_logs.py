"""Logs: no secret gets into them, whatever brings it, and a library cannot flood them."""

import json
import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import structlog

from infra import logs
from infra.settings import load_settings

CANARY = 'ca"nary ü\\x'


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = before
    structlog.reset_defaults()
    logging.captureWarnings(False)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_is_logged_whatever_brings_it(log_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.setup(load_settings(env_file=None, sasl_password=CANARY, log_format=log_format))
    log, library = logs.logger("tidemill"), logging.getLogger("library")
    log.info(f"message {CANARY}", value=CANARY, nested={"deep": [CANARY, {"api_key": "other"}]}, password="other")
    log.info("address", url=f"https://me:{quote(CANARY)}@host")
    library.warning("argument %s", CANARY, extra={"token": "other"})
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.exception("ours failed")
        library.exception("theirs failed")
    out, text = capfd.readouterr()
    assert (out, text.count("failed")) == ("", 2)
    assert [word for word in ("nary", "%C3%BC", "other") if word in text] == []


def test_json_lines_hold_message_level_time_and_fields(capfd: pytest.CaptureFixture[str]) -> None:
    logs.setup(load_settings(env_file=None, log_format="json"))
    logs.logger("tidemill").info("connected", feed="coinbase")
    line = json.loads(capfd.readouterr().err)
    assert (line["event"], line["level"], line["feed"]) == ("connected", "info", "coinbase")
    assert line["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_logged(capfd: pytest.CaptureFixture[str]) -> None:
    logs.setup(load_settings(env_file=None, log_level="ERROR"))
    logs.logger("tidemill").warning("quiet")
    assert capfd.readouterr().err == ""


def test_a_library_that_repeats_itself_is_held_back_and_the_number_told() -> None:
    now = [0.0]
    repeats = logs.Repeats(5.0, lambda: now[0])

    def passed(text: str) -> str | None:
        record = logging.LogRecord("library", logging.ERROR, "", 0, text, None, None)
        return record.getMessage() if repeats.filter(record) else None

    assert [passed("lost"), passed("lost"), passed("other"), passed("lost")] == ["lost", None, "other", None]
    now[0] = 5.0
    assert passed("lost") == "lost (2 more like it held back)"


def test_our_own_messages_always_pass(capfd: pytest.CaptureFixture[str]) -> None:
    logs.setup(load_settings(env_file=None))
    for _ in range(3):
        logs.logger("tidemill").info("again")
    sys.stderr.flush()
    assert capfd.readouterr().err.count("again") == 3
