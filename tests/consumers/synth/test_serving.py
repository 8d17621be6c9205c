"""The miner as those see it who ask over HTTP."""

import contextlib
import json
import math
import re
import socket
import threading

import numpy as np
import pytest

from consumers.synth.miner import Terms
from consumers.synth.serving import SLOTS
from consumers.synth.state import MINUTE_NS, place
from infra import metrics
from processors.online.synth_assets import ASSETS
from processors.online.synth_forecast import digest, forecast, known_of
from processors.online.synth_response import Prompt, error_of, passes_both
from tests.consumers.synth.kept import NOW_NS, bars, put, state
from tests.consumers.synth.served import asked, serving, starting

START_S = NOW_NS // 10**9 + 60


@pytest.fixture
def folder(tmp_path):
    put(tmp_path)
    return tmp_path


@pytest.fixture
def client(folder):
    with serving(folder) as found:
        yield found


@pytest.mark.parametrize(("increment", "length"), [(300, 86_400), (60, 3_600), (10, 10)])
def test_an_answer_is_as_the_validator_wants_it(client, increment, length):
    found = client.post("/", json=asked(time_increment=increment, time_length=length, num_simulations=200))
    assert found.status_code == 200
    given = found.json()
    assert error_of(given, Prompt("BTC", START_S, increment, length, 200)) is None
    assert passes_both(given[2:])
    assert len({path[0] for path in given[2:]}) == 1


def test_the_paths_are_those_that_anyone_makes_from_the_same_state(client):
    given = client.post("/", json=asked(num_simulations=50)).json()
    btc = ASSETS["BTC"]
    made = forecast(known_of(state(), 86_400), btc, btc.day, START_S, 300, 288, 50)
    assert np.allclose(np.array(given[2:]).T, made, rtol=1e-7, atol=0.0)


def test_an_answer_is_told_with_the_digest_of_its_paths_and_what_it_was_made_from(folder):
    told = []
    with serving(folder, told=lambda *all_of_it: told.append(all_of_it)) as client:
        client.post("/", json=asked(num_simulations=50))
    ((answer, arrived_ns, answered_ns),) = told
    record = answer.record("validator", arrived_ns, answered_ns)
    btc = ASSETS["BTC"]
    assert record.digest == digest(forecast(known_of(state(), 86_400), btc, btc.day, START_S, 300, 288, 50))
    assert (record.instrument, record.topic, record.origin) == ("binance:BTCUSDT", "bars", "validator")
    assert (record.start_ns, record.step_ms, record.length_ms, record.paths) == (
        START_S * 10**9,
        300_000,
        86_400_000,
        50,
    )
    assert (record.state_ns, record.widened_s) == (NOW_NS, 0.0)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"asset": "DOGE"}, "asset: 'DOGE' is none of BTC, ETH"),
        ({"asset": ["BTC"]}, "asset"),
        ({"time_increment": 7}, "time_increment: 7 does not divide time_length 86400"),
        ({"time_increment": 0}, "time_increment: 0"),
        ({"time_increment": "300"}, "time_increment: '300'"),
        ({"time_length": -300}, "time_length: -300"),
        ({"time_length": 10**12}, "time_length"),
        ({"start_time": starting(-1.0)}, "start_time: .* in the past"),
        ({"start_time": starting(90_000.0)}, "start_time: .* ahead"),
        ({"start_time": "2026-06-21 12:01"}, "start_time: .* time zone"),
        ({"start_time": "soon"}, "start_time: 'soon'"),
        ({"start_time": 7}, "start_time: 7"),
        ({"num_simulations": 0}, "num_simulations: 0"),
        ({"num_simulations": True}, "num_simulations: True"),
        ({"num_simulations": 1.5}, "num_simulations: 1.5"),
        ({"num_simulations": 10**9}, "num_simulations: 1000000000"),
        ({"num_simulations": 10_000, "time_increment": 60}, "num_simulations: 10000 paths"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(client, changed, named):
    found = client.post("/", json=asked(**changed))
    assert found.status_code == 400
    assert re.search(named, found.json()["error"]), found.text


@pytest.mark.parametrize("missing", ["asset", "start_time", "time_increment", "time_length", "num_simulations"])
def test_a_missing_field_is_named(client, missing):
    body = asked()
    del body["simulation_input"][missing]
    found = client.post("/", json=body)
    assert (found.status_code, found.json()) == (400, {"error": f"{missing}: is missing"})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"simulation_input": 1}', b"[" * 5_000])
def test_a_body_that_is_no_request_is_refused(client, body):
    found = client.post("/", content=body)
    assert found.status_code == 400
    assert found.json()["error"].startswith("body: ")


def test_a_huge_body_is_refused(client):
    assert client.post("/", content=b" " * 100_000).status_code == 413


def test_other_methods_and_places_are_refused(client):
    assert client.get("/").status_code == 405
    assert client.post("/elsewhere").status_code == 404


def test_an_asset_without_a_state_is_told(client):
    found = client.post("/", json=asked(asset="ETH"))
    assert found.status_code == 503
    assert "asset: ETH" in found.json()["error"]
    assert "no state yet" in found.json()["error"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"warm": False, "reason": "72 h of minutes are needed"}, "not warm: 72 h of minutes"),
        ({"end_ns": NOW_NS + MINUTE_NS}, "lies in the future"),
        ({"end_ns": NOW_NS - 6 * MINUTE_NS}, "stale: 360 s old, more than 300 s"),
    ],
)
def test_a_state_that_is_not_fit_to_answer_from_is_told(tmp_path, changed, told):
    put(tmp_path, **changed)
    with serving(tmp_path) as client:
        found = client.post("/", json=asked())
    assert found.status_code == 503
    assert told in found.json()["error"]


def test_a_damaged_state_is_told_and_a_new_one_is_taken_at_once(folder):
    place(folder, "BTC").write_bytes(b"rubbish")
    with serving(folder) as client:
        assert "no state of ours" in client.post("/", json=asked()).json()["error"]
        put(folder, price=50_000.0)
        assert client.post("/", json=asked(num_simulations=1)).json()[2][0] == 50_000.0
        put(folder, price=51_000.0)
        assert client.post("/", json=asked(num_simulations=1)).json()[2][0] == 51_000.0


def test_a_stale_state_is_widened_by_the_time_that_nobody_saw_where_that_is_set(tmp_path):
    told = []
    with serving(tmp_path, Terms(stale="widen"), told=lambda *all_of_it: told.append(all_of_it[0])) as client:
        put(tmp_path)
        fresh = client.post("/", json=asked()).json()
        put(tmp_path, end_ns=NOW_NS - 600 * MINUTE_NS)
        old = client.post("/", json=asked()).json()
    assert [answer.widened_s for answer in told] == [0.0, 600 * 60.0 + 60.0]
    spread = [np.log(np.array(given[2:])[:, 1] / 60_000.0).std() for given in (fresh, old)]
    assert spread[1] > 5.0 * spread[0]


def test_an_answer_that_comes_after_its_start_is_not_sent(folder):
    times = iter([NOW_NS, NOW_NS])

    def clock():
        return next(times, NOW_NS + 61 * 10**9)

    with serving(folder, clock=clock) as client:
        found = client.post("/", json=asked())
    assert found.status_code == 504
    assert "start_time" in found.json()["error"]


def test_paths_of_several_assets_move_together_and_each_as_it_does_alone(tmp_path):
    put(tmp_path, "BTC")
    put(tmp_path, "ETH", rows=bars(price=3_000.0))
    put(tmp_path, "SOL", rows=bars(price=150.0, seed=2))
    with serving(tmp_path) as client:
        given = client.post("/joint", json=asked(asset=["BTC", "ETH", "SOL"])).json()
        alone = client.post("/", json=asked(asset="ETH")).json()
    ends = {name: np.log([path[-1] / path[0] for path in answer[2:]]) for name, answer in given.items()}
    assert np.corrcoef(ends["BTC"], ends["ETH"])[0, 1] > 0.5
    assert abs(np.corrcoef(ends["BTC"], ends["SOL"])[0, 1]) < 0.3
    assert math.isclose(ends["ETH"].std(), np.log([path[-1] / path[0] for path in alone[2:]]).std(), rel_tol=0.2)
    for name, answer in given.items():
        assert error_of(answer, Prompt(name, START_S, 300, 86_400, 1_000)) is None


@pytest.mark.parametrize("names", ["BTC", ["BTC"], ["BTC", "BTC"], ["BTC", "DOGE"], ["BTC", 7], []])
def test_assets_that_cannot_go_together_are_refused(client, names):
    found = client.post("/joint", json=asked(asset=names))
    assert found.status_code == 400
    assert found.json()["error"].startswith("asset: ")


def test_more_prices_than_fit_are_refused_jointly_too(client):
    found = client.post("/joint", json=asked(asset=["BTC", "ETH", "SOL"], num_simulations=5_000))
    assert found.status_code == 400
    assert found.json()["error"].startswith("num_simulations")


def test_health_tells_the_age_of_each_state(folder):
    with serving(folder, clock=lambda: NOW_NS + 7 * 10**9) as client:
        found = client.get("/health")
        assert (found.status_code, found.json()["state_age_s"]["BTC"]) == (200, 7.0)
        place(folder, "BTC").unlink()
        assert client.get("/health").status_code == 503


def test_fifty_at_once_are_all_answered(client):
    found = {}

    def ask(number):
        found[number] = client.post("/", json=asked(num_simulations=100 + number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in found.values()} == {200}
    assert all(len(answer.json()) == 102 + number for number, answer in found.items())


def test_who_does_not_read_holds_up_others_for_a_moment_only(folder, monkeypatch):
    monkeypatch.setattr("consumers.synth.serving.PATIENCE_S", 1.0)
    body = json.dumps(asked(num_simulations=10_000)).encode()
    with serving(folder) as client, contextlib.ExitStack() as closing:
        for _ in range(SLOTS):
            deaf = closing.enter_context(socket.create_connection((client.base_url.host, client.base_url.port)))
            deaf.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.post("/", json=asked(num_simulations=10)).status_code == 200
        outcome = metrics.SYNTH_ANSWERS.labels("unread")
        assert outcome._value.get() > 0


def test_answers_are_counted_by_how_they_ended_and_timed(client):
    def seen():
        found = [sample for metric in METRICS for sample in metric.collect()[0].samples]
        samples = {f"{sample.name}{sample.labels}": sample.value for sample in found}
        return [samples.get(name, 0.0) for name in NAMES]

    before = seen()
    client.post("/", json=asked(num_simulations=10))
    client.post("/", json=asked(num_simulations=0))
    client.post("/", json=asked(asset="ETH"))
    assert [after - was for was, after in zip(before, seen(), strict=True)] == [1.0, 1.0, 1.0, 1.0, 1.0]


METRICS = (metrics.SYNTH_ANSWERS, metrics.SYNTH_ANSWER, metrics.SYNTH_LEFT)
NAMES = (
    *(f"tidemill_synth_answers_total{{'outcome': '{outcome}'}}" for outcome in ("answered", "refused", "stateless")),
    *(f"tidemill_synth_{name}_seconds_count{{}}" for name in ("answer", "left")),
)
