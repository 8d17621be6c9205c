"""What the miner has answered, the stage ``forecasts`` makes again from the log: the same paths, the same digest."""

import pytest

from consumers.synth.miner import Miner, Terms
from consumers.synth.state import MINUTE_NS, save
from consumers.synth.tracking import Tracking
from processors.chain import EventChain
from processors.forecasts import Forecasts
from processors.online.synth_assets import ASSETS
from processors.volatility_states import VolatilityStates
from processors.wide_bars import WideBars
from tests.consumers.synth.made import MONDAY
from tests.consumers.synth.served import INPUT, starting
from tests.consumers.synth.venues import bar

LAST = MONDAY + 4_400


@pytest.mark.parametrize(("increment", "length"), [(300, 86_400), (60, 3_600)])
@pytest.mark.parametrize("age_s", [20, 3_000])
def test_an_answer_is_made_again_from_the_log(tmp_path, increment, length, age_s):
    bars = [bar(minute) for minute in range(MONDAY, LAST)]
    tracking = Tracking(ASSETS["BTC"])
    tracking.take(bars)
    save(tmp_path, tracking.kept())
    now_ns = LAST * MINUTE_NS + age_s * 10**9
    miner = Miner(tmp_path, Terms(stale="widen"), lambda: now_ns, ASSETS)
    fields = INPUT | {"start_time": starting(60.0, now_ns), "time_increment": increment, "time_length": length}
    answer = miner.answer(miner.asked(fields))
    assert (answer.widened_s > 0.0) == (age_s > 300)

    chain = EventChain([WideBars, VolatilityStates, Forecasts])
    for one in bars:
        chain.on_event(one)
    record = answer.record("validator", now_ns, now_ns + 5_000_000)
    ((forecast,), refused) = chain.on_event(record)
    assert refused == []
    assert (forecast.origin, forecast.state_ns, forecast.paths) == ("validator", LAST * MINUTE_NS, 1_000)
    assert (record.answer_ms, record.widened_s) == (5.0, answer.widened_s)
