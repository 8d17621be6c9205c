"""A live or paper run beside the backtest of the same market: whether it decided, traded and earned the same.

decisions  the share of the time quoting, how wide, and how far apart the bids and asks were, each of the backtest's
taken as it stood when the live run told of a quote
requests   by action; those with the same client id were the same decision
fills      number, size, and the live ones that have a partner in the backtest: same side, within a second, each
partner once
profit     by its parts, both kept from fills alone and valued at the mids of the quotes; funding since the first Equity
"""

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from consumers.backtest.accounting import Ledger
from consumers.steps import unscaled
from schemas import Equity, Fill, OrderRequest, Quote, Record

SECOND = 1_000_000_000
DECISIONS = (Quote, OrderRequest, Fill, Equity)


class Line(NamedTuple):
    """A figure of both runs."""

    name: str
    live: float
    backtest: float


@dataclass(slots=True)
class Decisions:
    """What a run has decided, and what came of it."""

    quotes: list[Quote] = field(default_factory=list)
    requests: list[OrderRequest] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    funding: list[float] = field(default_factory=list)  # as the first and the last Equity told it, since the start

    @classmethod
    def of(cls, records: Iterable[Record], strategy: str = "market_maker") -> "Decisions":
        """What a decision log holds of a strategy."""
        made = cls()
        for record in records:
            made.take(record, strategy)
        for rows in (made.quotes, made.requests, made.fills):
            rows.sort(key=lambda record: record.event_ns)
        return made

    def take(self, record: Record, strategy: str = "market_maker") -> None:
        """Take a record; others than decisions are passed over."""
        if isinstance(record, Equity):
            self.funding = [*self.funding[:1], record.funding]
        elif isinstance(record, Quote | OrderRequest | Fill) and record.strategy == strategy:
            if isinstance(record, Quote):
                self.quotes.append(record)
            elif isinstance(record, OrderRequest):
                self.requests.append(record)
            else:
                self.fills.append(record)

    def ledger(self) -> Ledger:
        """The account, kept from the fills and valued at the last mid that a quote told of."""
        ledger = Ledger(funding=self.funding[-1] - self.funding[0] if self.funding else 0.0)
        for fill in self.fills:
            quote = _at(self.quotes, fill.event_ns)  # a gateway's fill names no mid
            ledger.fill(replace(fill, mid=quote.mid) if quote is not None and not fill.mid else fill)
        mids = [quote.mid for quote in self.quotes if quote.mid]
        ledger.mid = mids[-1] if mids else 0.0
        return ledger

    def configurations(self) -> list[str]:
        """The hashes of the settings under which it quoted, each once."""
        return sorted({quote.configuration for quote in self.quotes})

    def quoting(self) -> float:
        """Share of the time quoting, from the first quote to the last."""
        pairs = zip(self.quotes, self.quotes[1:], strict=False)
        on = sum(after.event_ns - before.event_ns for before, after in pairs if before.quoting)
        span = self.quotes[-1].event_ns - self.quotes[0].event_ns if self.quotes else 0
        return on / span if span else 0.0

    def half_spread(self) -> float:
        """Mean half spread of the quotes, in basis points of the mid."""
        told = [quote.half_spread / quote.mid for quote in self.quotes if quote.quoting and quote.mid]
        return 1e4 * sum(told) / len(told) if told else 0.0


def compare(live: Decisions, backtest: Decisions) -> list[Line]:
    """Each figure of both."""
    lines = [
        Line("quotes", len(live.quotes), len(backtest.quotes)),
        Line("share of the time quoting", live.quoting(), backtest.quoting()),
        Line("mean half spread, bps", live.half_spread(), backtest.half_spread()),
    ]
    counts = [Counter(request.action for request in run.requests) for run in (live, backtest)]
    lines += [
        Line(f"requests: {action}", *(count[action] for count in counts)) for action in sorted(counts[0] | counts[1])
    ]
    ledgers = live.ledger(), backtest.ledger()
    sizes = [sum(unscaled(fill.size, fill.size_decimals) for fill in run.fills) for run in (live, backtest)]
    lines += [Line("fills", len(live.fills), len(backtest.fills)), Line("size filled", *sizes)]
    for part in ("spread", "inventory", "fees", "funding", "equity"):
        lines.append(Line(f"profit: {part}", *(getattr(ledger, part) for ledger in ledgers)))
    return lines


def agreement(live: Decisions, backtest: Decisions) -> dict[str, float]:
    """How far the two runs agree: gaps between their quotes in basis points, shares of requests and fills in both."""
    both = [(quote, other) for quote in live.quotes if (other := _at(backtest.quotes, quote.event_ns)) is not None]
    found: dict[str, float] = {}
    for side in ("bid", "ask"):
        pairs = [(getattr(quote, side), getattr(other, side)) for quote, other in both]
        gaps = [abs(one - two) / one for one, two in pairs if one and two]
        found[f"mean gap of the {side}s, bps"] = 1e4 * sum(gaps) / len(gaps) if gaps else 0.0
    same = sum(quote.quoting == other.quoting for quote, other in both)
    found["agreed on quoting"] = same / len(both) if both else 0.0
    ids = {request.client_id for request in backtest.requests if request.action in ("place", "replace")}
    placed = [request.client_id for request in live.requests if request.action in ("place", "replace")]
    found["requests that are the same decision"] = sum(name in ids for name in placed) / len(placed) if placed else 0.0
    found["fills with a partner"] = _partnered(live.fills, backtest.fills)
    return found


def _at(quotes: list[Quote], event_ns: int) -> Quote | None:
    place = bisect.bisect_right(quotes, event_ns, key=lambda quote: quote.event_ns)
    return quotes[place - 1] if place else None


def _partnered(fills: list[Fill], others: list[Fill]) -> float:
    free = list(others)
    found = 0
    for fill in fills:
        near = [other for other in free if other.side == fill.side and abs(other.event_ns - fill.event_ns) <= SECOND]
        if near:
            free.remove(min(near, key=lambda other: abs(other.event_ns - fill.event_ns)))
            found += 1
    return found / len(fills) if fills else 0.0
