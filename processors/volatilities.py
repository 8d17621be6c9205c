"""Topic ``volatilities``: how much an instrument moves, from the mids of its tops on a grid of event time.

- A return spans one step of the grid; the mid at a border is the last one before it, so a quiet step counts as 0.
- A book that is not valid, and a silence that is too long to be quiet, break the series: no return spans the break,
  and the forecast stands still.
- Four methods: ``simple``, the root mean square of the window; ``garch`` and ``garch_t``, GARCH(1,1) with normal and
  with Student-t shocks (processors/online/garch.py), fitted anew every so many returns from where the last fit ended,
  the variance carried on with every return between; ``arch``, the slow search of processors/online/garch_search.py.

sigma is what the next step is expected to move, per square root of a second: sqrt(variance / step) / 100.
``sigma_quote`` is sigma times the mid. Where nothing can be said, both are 0 and ``reason`` says why.
"""

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from processors.online.garch import LEAST_RETURNS, Garch, fit, unfit
from processors.online.garch_likelihood import Floats
from processors.online.garch_search import search
from processors.stage import Stage
from schemas import Top, Volatility

MILLISECOND = 1_000_000
NO_SLOT = -1
METHODS = ("simple", "garch", "garch_t", "arch")
LEAST_SHARE = 0.01  # of the window's variance that a forecast of the next step's must have
INVALID, SILENT = "the book is not valid", "no top for too long"
VANISHED = f"the forecast is below {LEAST_SHARE:.0%} of the window's variance"


@dataclass(frozen=True, slots=True)
class VolatilityOptions:
    """What is estimated, from how much, and how often."""

    method: Literal["simple", "garch", "garch_t", "arch"] = "garch_t"
    step_ms: int = 5_000  # at a second, most mids stand still and no t distribution with a variance fits them
    window: int = 720  # returns
    refit_every: int = 12  # returns
    silence_ms: int = 60_000  # between two tops, from which the series is broken
    trials: int = 100  # of arch

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.window < LEAST_RETURNS:
            raise ValueError(f"window must be at least {LEAST_RETURNS}, not {self.window}")
        for name in ("step_ms", "refit_every", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.silence_ms < self.step_ms:
            raise ValueError(f"silence_ms must not be below step_ms, not {self.silence_ms}")
        if self.method == "arch" and importlib.util.find_spec("arch") is None:
            raise ValueError("method arch needs the extra research: pip install 'tidemill[research]'")


@dataclass(slots=True)
class VolatilityState:
    """The window, the model, and the step that is open."""

    slot: int = NO_SLOT  # step that is open
    event_ns: int = 0  # of the last top
    mid: float = 0.0  # 0 while the series is broken
    border: float = 0.0  # mid at the border of the open step; 0 where none is known
    percent: list[float] = field(default_factory=list)  # a ring of returns
    count: int = 0  # returns ever taken
    unfitted: int = 0  # returns since the last fit
    fitted: int = 0  # returns that it was made of
    model: list[float] = field(default_factory=lambda: [0.0] * 6)  # the numbers of a Garch
    reason: str = "no fit yet"


class Volatilities(Stage[Top, Volatility]):
    """Says anew with the first top of each step.

    >>> stage = Volatilities("kraken:ETH-USD", VolatilityOptions(method="simple", step_ms=1_000))
    >>> def top(second, mid):
    ...     return Top("kraken:ETH-USD", second * 10**9, True, 0, mid, 1.0, mid, 1.0, 0.0, 0)
    >>> said = [found for second in range(130) for found in stage.on_event(top(second, 100.0 + second % 2))]
    >>> said[50].reason, said[-1].usable, round(said[-1].sigma, 5), round(said[-1].sigma_quote, 2)
    ('51 returns, 100 are needed', True, 0.00995, 1.0)
    """

    Options = VolatilityOptions
    State = VolatilityState
    options: VolatilityOptions
    state: VolatilityState

    def __init__(self, key: str, options: VolatilityOptions | None = None) -> None:
        super().__init__(key, options)
        self.state.percent = [0.0] * self.options.window
        self._step_ns = self.options.step_ms * MILLISECOND

    @classmethod
    def warm(cls) -> None:
        fit(np.sin(np.arange(2.0 * LEAST_RETURNS)))

    def on_event(self, event: Top) -> Iterator[Volatility]:
        state, slot = self.state, event.event_ns // self._step_ns
        if not event.valid or event.bid <= 0.0 or event.ask <= 0.0:
            if state.mid > 0.0:
                self._break()
                yield self._said(INVALID)
            return
        if state.mid > 0.0 and event.event_ns - state.event_ns > self.options.silence_ms * MILLISECOND:
            self._break()
            yield self._said(SILENT)
        if slot > state.slot:
            closed = self._close(slot) if state.mid > 0.0 else False
            state.slot = slot
        else:
            closed = False
        state.mid, state.event_ns = (event.bid + event.ask) / 2.0, max(state.event_ns, event.event_ns)
        if closed:
            yield self._said(state.reason or self._collapsed())

    def _break(self) -> None:
        self.state.mid = self.state.border = 0.0

    def _close(self, slot: int) -> bool:
        """End the open step and the quiet ones after it; whether there was a return."""
        state = self.state
        before, state.border = state.border, state.mid
        for move in ([100.0 * math.log(state.mid / before)] if before > 0.0 else []) + [0.0] * (slot - state.slot - 1):
            self._take(move)
        return before > 0.0 or slot > state.slot + 1

    def _take(self, percent: float) -> None:
        state = self.state
        state.percent[state.count % self.options.window] = percent
        state.count += 1
        state.unfitted += 1
        model = Garch._make([*state.model, state.reason]).after(percent)
        if self.options.method == "simple" or state.unfitted >= self.options.refit_every or state.fitted == 0:
            model = self._fit(model)
        state.model = list(model[:6])

    def _fit(self, before: Garch) -> Garch:
        state, window = self.state, self._window()
        if len(window) < LEAST_RETURNS:
            state.reason = unfit(window)
            return Garch()
        model = self._model(window, before)
        state.unfitted, state.fitted, state.reason = 0, len(window), model.reason
        return model

    def _model(self, window: Floats, before: Garch) -> Garch:
        method = self.options.method
        if method == "simple":
            return Garch(variance=float(np.mean(window * window)), reason=unfit(window))
        return search(window, self.options.trials) if method == "arch" else fit(window, method == "garch_t", before)

    def _collapsed(self) -> str:
        """Why a forecast is not to be believed: where mids mostly stand still, the likelihood has it vanish."""
        squares = np.square(self._window())
        vanished = self.state.model[-1] < LEAST_SHARE * float(squares.mean())
        return VANISHED if vanished else ""

    def _window(self) -> Floats:
        """The returns, oldest first."""
        state, size = self.state, self.options.window
        if state.count <= size:
            return np.array(state.percent[: state.count])
        head = state.count % size
        return np.array(state.percent[head:] + state.percent[:head])

    def _said(self, reason: str) -> Volatility:
        state = self.state
        omega, alpha, beta, nu, likelihood, variance = state.model if not reason else [0.0] * 6
        sigma = math.sqrt(variance * 1_000.0 / self.options.step_ms) / 100.0
        return Volatility(
            instrument=self.key,
            event_ns=state.slot * self._step_ns,
            method=self.options.method,
            sigma=sigma,
            sigma_quote=sigma * state.mid,
            mid=state.mid,
            step_ms=self.options.step_ms,
            returns=state.fitted,
            omega=omega,
            alpha=alpha,
            beta=beta,
            nu=nu,
            log_likelihood=likelihood,
            usable=not reason,
            reason=reason,
        )
