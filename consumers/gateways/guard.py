"""What keeps a gateway from placing orders: halts, which last until somebody resets them, and lapses, which mend.

- A halt is a ``Control`` record: for all (``*``), an instrument, an executor or a gateway. It outlives every restart,
  as the record does. A reset ends the halt of its scope, one of ``*`` all of them, and one without a reason none.
- A lapse is something that has not been seen for too long: data, the broker, the executor, the account's stream, the
  dead man's switch. It ends when it is seen again.

Both forbid placing and never forbid cancelling.
"""

from dataclasses import dataclass, field

from schemas import Control

EVERYTHING = "*"


@dataclass(slots=True)
class Halts:
    """The halts in force: why, by scope.

    >>> halts = Halts()
    >>> halts.take(Control(1, "*", "halt", "me", "enough")), halts.take(Control(2, "*", "reset", "me", " "))
    (True, False)
    >>> halts.reason("extended:BTC-USD", "market_maker")
    'halted by me: enough'
    >>> halts.take(Control(3, "*", "reset", "me", "looked into it")), halts.reason("extended:BTC-USD")
    (True, '')
    """

    by_scope: dict[str, str] = field(default_factory=dict)

    def take(self, control: Control) -> bool:
        """Follow a word; False where it changes nothing, as a note or a reset without a reason."""
        if control.action == "halt":
            self.by_scope[control.scope] = f"halted by {control.by}: {control.reason}"
            return True
        if control.action != "reset" or not control.reason.strip():
            return False
        if control.scope == EVERYTHING:
            self.by_scope.clear()
        else:
            self.by_scope.pop(control.scope, None)
        return True

    def reason(self, *scopes: str) -> str:
        """Why nothing may be placed under any of some scopes; empty where it may."""
        return next((self.by_scope[scope] for scope in (EVERYTHING, *scopes) if scope in self.by_scope), "")


@dataclass(slots=True)
class Watch:
    """What has to be seen again and again: how long each may stay away, and when it was seen last, in seconds.

    >>> watch = Watch({"data": 10.0})
    >>> watch.saw("data", 100.0)
    >>> watch.lapses(105.0), watch.lapses(111.0)
    ({}, {'data': 'no data for 11 s'})
    """

    allowed_s: dict[str, float]
    seen_s: dict[str, float] = field(default_factory=dict)

    def saw(self, name: str, now_s: float) -> None:
        """It is there."""
        self.seen_s[name] = now_s

    def lapses(self, now_s: float) -> dict[str, str]:
        """What has been away for too long; what was never seen is away."""
        away = {name: now_s - self.seen_s.get(name, float("-inf")) for name in self.allowed_s}
        return {
            name: f"no {name} for {since:.0f} s" if name in self.seen_s else f"no {name} yet"
            for name, since in away.items()
            if since > self.allowed_s[name]
        }
