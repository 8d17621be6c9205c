"""What keeps a gateway from placing orders: halts, which last until somebody resets them, and lapses, which mend.

- A halt is a ``Control`` record: for all (``*``), an instrument, an executor or a gateway. It outlives every restart,
  as the record does. A reset ends the halt of its scope, one of ``*`` all of them, and one without a reason none.
- A lapse is something that has not been seen for too long: data, the broker, the executor, the account's stream, the
  dead man's switch. It ends when it is seen again.

Both forbid placing and never forbid cancelling.
"""

from dataclasses import dataclass, field

from schemas import EVERY_KEY, Control


@dataclass(slots=True)
class Halts:
    """The halts in force. Controls may come more than once and in any order: their times say which was later.

    >>> halts = Halts()
    >>> halts.take(Control(1, "*", "halt", "me", "enough")), halts.take(Control(2, "*", "reset", "me", " "))
    (True, False)
    >>> halts.reason("extended:BTC-USD", "market_maker")
    'halted by me: enough'
    >>> halts.take(Control(3, "*", "reset", "me", "looked into it")), halts.reason("extended:BTC-USD")
    (True, '')
    """

    by_scope: dict[str, Control] = field(default_factory=dict)
    resets_ns: dict[str, int] = field(default_factory=dict)

    def take(self, control: Control) -> bool:
        """Follow a word; False where it changes nothing, as a note or a reset without a reason."""
        scope, event_ns = control.scope, control.event_ns
        if control.action == "halt":
            reset_ns = max(self.resets_ns.get(scope, -1), self.resets_ns.get(EVERY_KEY, -1))
            known = self.by_scope.get(scope)
            if event_ns <= reset_ns or (known is not None and event_ns <= known.event_ns):
                return False
            self.by_scope[scope] = control
            return True
        if control.action != "reset" or not control.reason.strip() or event_ns <= self.resets_ns.get(scope, -1):
            return False
        self.resets_ns[scope] = event_ns
        ended = list(self.by_scope) if scope == EVERY_KEY else [scope]
        for name in ended:
            if name in self.by_scope and self.by_scope[name].event_ns <= event_ns:
                del self.by_scope[name]
        return True

    def reasons(self) -> dict[str, str]:
        """Why, by scope."""
        return {scope: f"halted by {halt.by}: {halt.reason}" for scope, halt in self.by_scope.items()}

    def reason(self, *scopes: str) -> str:
        """Why nothing may be placed under any of some scopes; empty where it may."""
        reasons = self.reasons()
        return next((reasons[scope] for scope in (EVERY_KEY, *scopes) if scope in reasons), "")


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
