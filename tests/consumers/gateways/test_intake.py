"""A thread that no longer hears ends the gateway."""

import asyncio
from typing import Any

import pytest

from consumers.gateways import intake
from infra.publisher import PublishError
from infra.settings import load_settings
from schemas.codec import Codec


def test_a_thread_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise PublishError("a dead letter was not taken")

    monkeypatch.setattr(intake, "Reader", Failing)

    async def run() -> None:
        hearing = intake.Intake(load_settings(env_file=None), Codec())
        hearing.controls(lambda _: None)
        try:
            await hearing.failed
        finally:
            hearing.stop()

    with pytest.raises(PublishError, match="a dead letter"):
        asyncio.run(run())
