"""Why a market maker must not quote: the first of these that holds, in this order.

    halted          by a person, a gateway or a limit, until reset
    disabled        by its options
    clock           none yet, or a venue's time too far ahead of it
    market          unknown, not open, or its steps have changed and orders of the old steps are still out
    book            none, invalid, one-sided, crossed, or older than allowed
    orders          one of unknown state, or unanswered for too long
    rejects         the venue has refused orders: wait before the next
    position        just taken from the venue, as it was not the sum of the fills
    volatility      none, not usable, of no use, or older than allowed
    intensity       likewise

A reason is a fixed phrase, so that it is told once for as long as it holds.
"""

from consumers.limits import why_halted
from consumers.orders import Order
from consumers.policies.difference import MILLISECOND
from consumers.policies.making import MakerOptions, MakerState


def refusal(state: MakerState, options: MakerOptions, live: list[Order]) -> str:
    """The reason, empty where there is none; ``live`` are the orders that have not ended."""
    return (
        _given(state, options)
        or _market(state, live)
        or _book(state, options)
        or _orders(state, options, live)
        or _estimates(state, options)
    )


def _given(state: MakerState, options: MakerOptions) -> str:
    if why := why_halted(state.limits):
        return f"halted: {why}"
    if not options.enabled:
        return "trading is not enabled"
    if not state.clock_ns:
        return "no clock yet"
    if state.book_ns - state.clock_ns > options.skew_ms * MILLISECOND:
        return "clock skew: the venue's time is ahead of the clock"
    return ""


def _market(state: MakerState, live: list[Order]) -> str:
    if not state.status:
        return "no market"
    if state.status != "open":
        return f"market {state.status}"
    if state.steps != state.told_steps:
        return "steps changed" if live else ""
    return ""


def _book(state: MakerState, options: MakerOptions) -> str:
    if state.book_reason:
        return state.book_reason
    if state.clock_ns - state.book_ns > options.book_age_ms * MILLISECOND:
        return "book stale"
    return ""


def _orders(state: MakerState, options: MakerOptions, live: list[Order]) -> str:
    if any(order["status"] == "unknown" for order in live):
        return "order of unknown state"
    if any(state.now_ns - first > options.answer_ms * MILLISECOND for first, _ in state.asked.values()):
        return "order unanswered"
    if state.now_ns < state.retry_ns:
        return "rejected by the venue"
    if state.reconciled:
        return "position reconciled by the venue"
    return ""


def _estimates(state: MakerState, options: MakerOptions) -> str:
    if state.sigma_reason:
        return state.sigma_reason
    if state.now_ns - state.sigma_ns > options.sigma_age_ms * MILLISECOND:
        return "volatility stale"
    if state.kappa_reason:
        return state.kappa_reason
    if state.now_ns - state.kappa_ns > options.kappa_age_ms * MILLISECOND:
        return "intensity stale"
    return ""
