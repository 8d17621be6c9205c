import pytest

from processors.jump_losses import JumpLosses, JumpLossOptions
from processors.online.jump_loss import fee_percent, half_life_seconds, jump_loss, loss_in_dollars
from schemas import Ema, JumpLoss
from tests.data import reference

ETH = "coinbase:ETH-USD"


def loss(mu: float, error: float = 0.0, **options: object) -> JumpLoss:
    stage = JumpLosses(ETH, JumpLossOptions(**options))  # type: ignore[arg-type]
    (made,) = stage.on_event(Ema(ETH, 0, 4_800, mu, error, 10, 100.0, False, 0))
    return made


def test_above_the_fee_half_the_fee_is_taken_off_within_it_half_the_move() -> None:
    assert loss(0.08).jump_loss_percent == pytest.approx(0.08 - 0.025, rel=1e-12)
    assert loss(0.03).jump_loss_percent == pytest.approx(0.015, rel=1e-12)


def test_the_two_readings_meet_at_the_fee() -> None:
    assert jump_loss(0.05, 0.05) == pytest.approx(jump_loss(0.05 + 1e-15, 0.05), rel=1e-12)


def test_five_thousand_fee_units_are_five_basis_points() -> None:
    assert fee_percent(5_000) == 0.05
    assert loss(0.08, fee_units=6_000).fee_percent == 0.06


def test_the_interval_holds_the_loss_and_never_falls_below_zero() -> None:
    made = loss(0.06, 0.02)
    assert made.mu_low_percent == pytest.approx(0.06 - 1.959963984540054 * 0.02, rel=1e-12)
    assert made.low_percent < made.jump_loss_percent < made.high_percent
    assert loss(0.01, 0.02).low_percent == 0.0


def test_a_wider_confidence_widens_the_interval() -> None:
    assert loss(0.06, 0.01, confidence=0.99).high_percent > loss(0.06, 0.01, confidence=0.9).high_percent


def test_settlement_is_twice_the_half_life_and_a_block_two_seconds() -> None:
    assert loss(0.01).settlement_ms == 9_600
    assert half_life_seconds(12, in_seconds=True) == 6.0
    assert half_life_seconds(8, in_seconds=False) == 8.0


def test_dollars_are_the_share_of_both_amounts() -> None:
    assert loss_in_dollars(0.055, 1_000.0, 3_000.0) == pytest.approx(2.2, rel=1e-12)


def test_values_worked_independently() -> None:
    for case in reference("refs/jump_loss_formulas.json")["cases"]:
        if case["kind"] == "jl":
            assert fee_percent(case["fee_units"]) == pytest.approx(case["F_percent"], rel=1e-12)
            assert jump_loss(case["mu_percent"], case["F_percent"]) == pytest.approx(case["jl_percent"], rel=1e-12)
        elif case["kind"] == "half_life":
            given = half_life_seconds(case["settlement_time"], case["time_type"] == "seconds")
            assert 1_000 * given == pytest.approx(case["half_life_ms"], rel=1e-12)


@pytest.mark.parametrize("wrong", [{"fee_units": -1}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JumpLossOptions(**wrong)  # type: ignore[arg-type]
