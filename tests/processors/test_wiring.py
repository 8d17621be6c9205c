from collections.abc import Iterator

import pytest

from processors.books import Books
from processors.buckets import Buckets
from processors.emas import Emas
from processors.gaps import Gaps
from processors.jump_losses import JumpLosses
from processors.stage import Stage
from processors.wiring import WiringError, plan, source, usual
from schemas import Bucket, Ema, Gap, JumpLoss, Tick


class Rival(Stage[Tick, Bucket]):
    def on_event(self, event: Tick) -> Iterator[Bucket]:
        yield from ()


class Circle(Stage[JumpLoss, Ema]):
    def on_event(self, event: JumpLoss) -> Iterator[Ema]:
        yield from ()


class Joiner(Stage[Tick | Ema, JumpLoss]):
    def on_event(self, event: Tick | Ema) -> Iterator[JumpLoss]:
        yield from ()


class Reader(Stage[Gap, JumpLoss]):
    def on_event(self, event: Gap) -> Iterator[JumpLoss]:
        yield from ()


def test_stages_that_feed_each_other_run_as_one_chain_in_order() -> None:
    chain = {"ticks": [Buckets, Gaps, Emas, JumpLosses]}
    assert plan([JumpLosses, Emas, Gaps, Buckets]) == plan([Buckets, Emas, Gaps, JumpLosses]) == chain


def test_stages_whose_makers_run_elsewhere_read_their_topics() -> None:
    assert plan([Gaps, JumpLosses]) == {"ticks": [Gaps], "emas": [JumpLosses]}


def test_two_writers_of_a_topic_are_refused() -> None:
    with pytest.raises(WiringError, match="topic buckets has two writers: buckets and test_wiring"):
        plan([Buckets, Rival])


def test_chains_of_different_logs_may_write_one_topic() -> None:
    assert plan([Books, Gaps]) == plan([Gaps, Books]) == {"depths": [Books], "ticks": [Gaps]}


def test_nobody_may_read_what_chains_of_different_logs_write() -> None:
    assert plan([Gaps, Reader]) == {"ticks": [Gaps, Reader]}
    with pytest.raises(WiringError, match="reads gaps, which would come from the separate logs depths, ticks"):
        plan([Gaps, Books, Reader])


def test_a_circle_is_refused() -> None:
    with pytest.raises(WiringError, match="read each other in a circle"):
        plan([JumpLosses, Circle])


def test_a_stage_that_would_join_two_logs_is_refused() -> None:
    with pytest.raises(WiringError, match="reads emas, ticks, which would come from the separate logs"):
        plan([Joiner])
    assert plan([Joiner, Emas, Buckets])["ticks"] == [Buckets, Emas, Joiner]


class Executor(Stage[JumpLoss | Gap, Ema]):
    log = "merges"

    def on_event(self, event: JumpLoss | Gap) -> Iterator[Ema]:
        yield from ()


def test_a_stage_on_a_merged_log_is_a_chain_by_itself_whatever_else_is_selected() -> None:
    alone = {"merges.test_wiring": [Executor]}
    assert plan([Executor]) == alone
    assert (
        plan([Executor, JumpLosses, Emas, Buckets, Gaps, Books])
        == plan([JumpLosses, Emas, Buckets, Gaps, Books]) | alone
    )
    assert usual([Executor, Emas]) == [Emas]
    assert [source(log) for log in plan([Executor, Emas])] == ["buckets", "merges"]
