"""What a gateway takes up of the one before it, from topics that are read one after the other."""

from collections.abc import Iterator
from typing import Any

import pytest

from consumers.gateways import memory
from consumers.reader import Received
from infra.settings import Settings, load_settings
from schemas import Record
from schemas.codec import Codec
from schemas.position import Position, Times
from tests.consumers.gateways.running import INSTRUMENT, SECOND, ask
from tests.consumers.gateways.test_ledger import TOLD, TRADE, ledger


def test_a_busy_hour_leaves_no_order_open_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, written = ledger(), ledger(), list[Record]()
    for number in range(200):
        name = f"id-{number}"
        written.append(ask(name))
        before.ask(ask(name))
        written += before.tell(TOLD._replace(client_id=name, venue_id=f"v{number}"))
        written += before.trade(TRADE._replace(fill_id=f"t{number}", venue_id=f"v{number}"))

    def read(_settings: Settings, _codec: Codec, kinds: tuple[type[Record], ...], **_: Any) -> Iterator[Any]:
        for kind in kinds:
            for at, record in enumerate(written, 1):
                if isinstance(record, kind):
                    yield Received(record, (kind.topic, 0), at, Position(kind.topic, 0, at), Times(0, 0, at))

    monkeypatch.setattr(memory, "read", read)
    after.recall(memory.recalled(load_settings(env_file=None), Codec(), "extended", [INSTRUMENT], SECOND))
    assert after.live() == []
    assert after.holding(INSTRUMENT) == before.holding(INSTRUMENT)
