"""Which stages a worker runs."""

import pytest

from infra.errors import UserError
from infra.settings import load_settings
from processors.live.app import build, selected
from processors.stage import name
from schemas.codec import Codec


def test_without_names_a_worker_leaves_out_what_reads_a_merged_log() -> None:
    assert {name(stage) for stage in selected(None)} & {"paper", "market_maker", "buckets"} == {"buckets"}
    assert [name(stage) for stage in selected(["paper"])] == ["paper"]


def test_two_stages_on_a_merged_log_are_not_run_in_one_worker() -> None:
    with pytest.raises(UserError, match="run each stage in a worker of its own"):
        build(load_settings(env_file=None), ["paper", "market_maker"], Codec())
