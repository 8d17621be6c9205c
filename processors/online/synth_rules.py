"""The rules of the Synth subnet (Bittensor netuid 50) as data: competitions, their scoring intervals, and since when.

Sources: synthdataco/synth-subnet, competition_config.py, reward.py and CHANGELOG.md. An interval whose name ends in
``_abs`` is scored on prices, in ``_gaps`` on its first step only; all others on returns. Scores of different rules are
not comparable: a backtest takes one set for all its days.
"""

from datetime import UTC, date, datetime
from typing import NamedTuple

CRYPTO = ("BTC", "ETH", "SOL", "XRP", "HYPE")
OTHERS = ("XAU", "SP500", "NVDAX", "GOOGLX", "TSLAX", "AAPLX", "WTIOIL", "SPCX")
PATHS = 1_000  # that a prompt asks for

DAY = {"5min": 300, "30min": 1_800, "3hour": 10_800, "24hour_abs": 86_400}
HOUR = {
    "1min": 60, "2min": 120, "5min": 300, "15min": 900, "30min": 1_800, "60min_abs": 3_600,
    **{f"0_{minutes}min_gaps": minutes * 60 for minutes in range(5, 65, 5)},
}  # fmt: skip
CADENCE = {86_400: {"BTC": 4, "": 12}, 3_600: {"BTC": 1, "HYPE": 1, "": 5}}  # minutes between prompts, July 2026
NAMES = {86_400: "24h", 3_600: "1h"}  # of the competitions, by the length of their paths
STEPS_S = {86_400: 300, 3_600: 60}
LEAD_MINUTES = 1  # before the start of its paths a prompt comes, so that a forecast knows the bars until then
VOLATILITY_WEIGHT = 5.25
VOLATILITY_BLOCKS_S = (3_600, 900, 300)


class Competition(NamedTuple):
    """A kind of prompt, how it is scored and how scores become rewards."""

    name: str
    assets: tuple[str, ...]
    length_s: int
    increment_s: int
    intervals: dict[str, int]  # name: seconds
    blocks: dict[int, float]  # volatility: seconds of a block, its weight
    window_days: int
    beta: float  # of the softmax

    @property
    def points(self) -> int:
        """Values in a path."""
        return self.length_s // self.increment_s + 1


class Rules(NamedTuple):
    """What holds from a day on (UTC)."""

    since: date
    fill_percentile: float  # of the valid scores of a prompt: what an invalid response gets
    capped: bool  # valid scores above that percentile count as it
    truth: str  # whose prices are the truth
    competitions: tuple[Competition, ...]

    def competition(self, asset: str, length_s: int) -> Competition:
        """The competition that an asset takes part in with paths of a length.

        >>> newest().competition("BTC", 3_600).points
        61
        """
        for competition in self.competitions:
            if asset in competition.assets and competition.length_s == length_s:
                return competition
        raise ValueError(f"asset: {asset!r} has no competition over {length_s} s since {self.since}")


def _blocks(length_s: int, weight: float) -> dict[int, float]:
    """Each size of blocks weighs the same, however many there are of it."""
    share = weight / len(VOLATILITY_BLOCKS_S)
    return {block_s: share * block_s / length_s for block_s in VOLATILITY_BLOCKS_S}


_hour = Competition("1h", CRYPTO, 3_600, 60, HOUR, {}, 5, -0.3)
_day = Competition("24h", CRYPTO, 86_400, 300, DAY, {}, 10, -0.15)
_others = _day._replace(name="24h others", assets=OTHERS)
_split = (_day, _others, _hour)
# Before the split XAU was in both and SPCX in none; weights of the softmax are those of today.
_low = _day._replace(assets=(*CRYPTO, *OTHERS[:-1]))
_joint = (_low, _hour._replace(assets=("BTC", "ETH", "SOL", "HYPE", "XAU")))
_volatility = (_day, _others, _hour._replace(blocks=_blocks(3_600, VOLATILITY_WEIGHT)))

RULES = (
    Rules(date(2026, 3, 11), 90.0, True, "pyth", _joint),
    Rules(date(2026, 6, 23), 90.0, True, "pyth", _split),
    Rules(date(2026, 7, 16), 95.0, False, "pyth", _split),
    Rules(date(2026, 7, 23), 95.0, False, "binance, hyperliquid", _split),
    Rules(date(2026, 9, 22), 95.0, False, "binance, hyperliquid", _volatility),
)


def newest() -> Rules:
    """The rules of today."""
    return RULES[-1]


def rules_on(day: date) -> Rules:
    """The rules that held on a day.

    >>> rules_on(date(2026, 7, 1)).since.isoformat()
    '2026-06-23'

    Raises:
        ValueError: a day before the first rules known here.

    """
    for rules in reversed(RULES):
        if day >= rules.since:
            return rules
    raise ValueError(f"day: the rules before {RULES[0].since} are not known, {day} is earlier")


def rules_at(start_s: int) -> Rules:
    """The rules for a forecast that starts then (unix); before the first rules known here, those.

    >>> rules_at(0).since.isoformat()
    '2026-03-11'
    """
    day = datetime.fromtimestamp(start_s, UTC).date()
    return rules_on(max(day, RULES[0].since))


def competition_at(start_s: int, asset: str, length_s: int, step_s: int) -> Competition | None:
    """The competition that a prompt belongs to; None for other assets, lengths or steps."""
    for competition in rules_at(start_s).competitions:
        if asset in competition.assets and (competition.length_s, competition.increment_s) == (length_s, step_s):
            return competition
    return None


def cadence(asset: str, length_s: int) -> int:
    """Minutes between two prompts.

    >>> cadence("BTC", 86_400), cadence("XAU", 86_400)
    (4, 12)
    """
    return CADENCE[length_s].get(asset, CADENCE[length_s][""])
