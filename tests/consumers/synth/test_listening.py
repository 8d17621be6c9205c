"""States from topics on a broker: bars and variances that others wrote, and answers that others read."""

import threading

import msgspec
from structlog.testing import capture_logs

from consumers.reader import Reader
from consumers.synth.listening import Listening, listen
from consumers.synth.miner import Miner, Terms
from consumers.synth.serve_command import Publications
from consumers.synth.state import LOGGED, MINUTE_NS, load, place
from consumers.synth.tracking import Tracking
from infra.publisher import Publisher
from processors.online.synth_assets import ASSETS
from schemas import Bar, Prompt, VolatilityState
from schemas.codec import Codec
from tests.consumers.synth.kept import NOW_NS, put, state
from tests.consumers.synth.made import MONDAY
from tests.consumers.synth.served import INPUT, starting
from tests.consumers.synth.venues import bar, ended

BTC = {"BTC": ASSETS["BTC"]}


def published(settings, first, last):
    """What a feed and a worker write for some minutes, with what is nobody's concern among it."""
    bars = [bar(MONDAY + place) for place in range(first, last)]
    tracking = Tracking(ASSETS["BTC"])
    with Publisher(settings, Codec()) as publisher:
        for one in bars:
            tracking.take([one])
            publisher.publish(one)
            publisher.publish(msgspec.structs.replace(one, width_ms=300_000, event_ns=one.event_ns + 7))
            publisher.publish(msgspec.structs.replace(one, instrument="binance:DOGEUSDT"))
            publisher.publish(tracking.kept().volatility_state)
    return tracking.kept()


def test_bars_and_states_of_the_topics_become_the_file(make_topics, tmp_path):
    settings = make_topics()
    for first, last in ((0, 30), (30, 40)):
        made = published(settings, first, last)
        listen(settings, tmp_path, BTC, 1.0, threading.Event(), to_end=True)
        found = load(tmp_path, ASSETS["BTC"], ended(100))
        assert found.volatility_state == made.volatility_state
        assert found.bars[-10:].tolist() == made.bars[-10:].tolist()
        assert found.bars[:, 0].tolist() == [float(MONDAY + place) for place in range(last)]
        assert found.chain == {}
    before = place(tmp_path, "BTC").read_bytes()
    listen(settings, tmp_path, BTC, 1.0, threading.Event(), to_end=True)  # all of it once more
    assert place(tmp_path, "BTC").read_bytes() == before


def test_an_asset_that_cannot_be_saved_is_told_and_the_others_are(tmp_path):
    listening = Listening(tmp_path, {name: ASSETS[name] for name in ("BTC", "ETH")}, NOW_NS)
    place(tmp_path, "BTC").mkdir()
    listening.take([], [state("BTC"), state("ETH")])
    with capture_logs() as told:
        assert listening.save() == ["BTC"]
    assert [line["asset"] for line in told if line["log_level"] == "error"] == ["BTC"]
    assert load(tmp_path, ASSETS["ETH"], NOW_NS).volatility_state == state("ETH")
    place(tmp_path, "BTC").rmdir()
    assert listening.save() == []
    assert load(tmp_path, ASSETS["BTC"], NOW_NS).volatility_state == state("BTC")


def test_it_follows_the_topics_until_it_is_stopped(make_topics, tmp_path):
    settings = make_topics()
    stopping = threading.Event()
    thread = threading.Thread(target=listen, args=(settings, tmp_path, BTC, 0.05, stopping))
    thread.start()
    with Publisher(settings, Codec()) as publisher:
        publisher.publish(state(end_ns=MONDAY * MINUTE_NS, price=7.0))
    for _ in range(300):
        if place(tmp_path, "BTC").exists():
            break
        assert thread.is_alive()
        thread.join(0.1)
    stopping.set()
    thread.join(30)
    assert load(tmp_path, ASSETS["BTC"], NOW_NS).volatility_state.price == 7.0


def test_answers_are_published_as_prompts_beside_the_bars(make_topics, tmp_path):
    settings = make_topics()
    put(tmp_path, parameters=LOGGED)
    put(tmp_path, "ETH")
    miner = Miner(tmp_path, Terms(), lambda: NOW_NS, ASSETS)
    answer = miner.answer(miner.asked(INPUT | {"start_time": starting(), "num_simulations": 5}))
    publications = Publications(settings, "validator")
    publications(answer, NOW_NS, NOW_NS + 2_000_000)
    of_venue = miner.answer(miner.asked(INPUT | {"asset": "ETH", "start_time": starting(), "num_simulations": 5}))
    publications(of_venue, NOW_NS, NOW_NS + 2_000_000)  # which no log could repeat
    publications.close()
    with Reader(settings, Codec(), Prompt, start="earliest", to_end=True) as reader:
        found = []
        while not reader.finished:
            found += [one.record for one in reader.poll()]
    assert found == [answer.record("validator", NOW_NS, NOW_NS + 2_000_000)]


def test_a_broker_that_is_away_costs_no_answer(make_settings, tmp_path):
    put(tmp_path, parameters=LOGGED)
    miner = Miner(tmp_path, Terms(), lambda: NOW_NS, ASSETS)
    answer = miner.answer(miner.asked(INPUT | {"start_time": starting(), "num_simulations": 5}))
    publications = Publications(make_settings(brokers="127.0.0.1:1"), "http")
    publications(answer, NOW_NS, NOW_NS)


def test_types_are_those_of_the_topics():
    assert (Bar.topic, VolatilityState.topic, Prompt.topic) == ("bars", "volatility_states", "bars")
