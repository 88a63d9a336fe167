"""What can happen, and schedules of it made from a seed: the same seed is the same schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from sandbox.stripe.chaos import Fault
from tests.billing.pushing import ADD_LINES, CREATE, FINALIZE


class What(StrEnum):
    """One kind of thing that happens."""

    CLOSE = "close"
    PUSH = "push"
    PUSH_TOGETHER = "push together"
    CRASH = "crash"
    FAULT = "fault"
    WAIT = "wait"
    FLUSH = "flush Redis"
    HEAR = "hear webhooks"
    COLLECT = "Stripe collects"
    EDIT = "edit a draft by hand"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Act:
    """`number` is a worker, a door, minutes or a choice; `fault` and `operation` are of a fault."""

    what: What
    number: int = 0
    fault: Fault | None = None
    operation: str | None = None

    def __str__(self) -> str:
        told = [self.what, str(self.number), self.fault, self.operation]
        return " ".join(str(x) for x in told if x not in (None, "0"))


FAULTS = (
    Fault.DOWN,
    Fault.RATE_LIMIT,
    Fault.CUT_MID_BODY,
    Fault.TIMEOUT_AFTER_COMMIT,
    Fault.ERROR_BEFORE_COMMIT,
    Fault.ERROR_AFTER_COMMIT,
)
OPERATIONS = ("POST /v1/customers", CREATE, ADD_LINES, ADD_LINES, FINALIZE, FINALIZE, None)
DAY = 25 * 60
"""Minutes after which Stripe has forgotten an idempotency key."""

MINUTES = (1, 6, 6, 30, DAY, DAY)
DOORS_MAX = 14
"""A push of one invoice passes about a dozen: before and after each call, and after each commit."""

_WEIGHTS = {
    What.CLOSE: 1,
    What.PUSH: 5,
    What.PUSH_TOGETHER: 2,
    What.CRASH: 4,
    What.FAULT: 4,
    What.WAIT: 4,
    What.FLUSH: 1,
    What.HEAR: 2,
    What.COLLECT: 1,
    What.EDIT: 2,
    What.RECONCILE: 1,
}
LENGTHS = (4, 14)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`lines` is how many each invoice has: a small world, so that many can be played."""

    seed: int
    lines: tuple[int, ...]
    acts: tuple[Act, ...]

    def __str__(self) -> str:
        acts = "".join(f"\n    {act}" for act in self.acts)
        return f"seed {self.seed}, invoices of {self.lines} lines:{acts}"


def schedule_of(seed: int) -> Schedule:
    """Closing comes first, mostly: without an invoice nothing can go wrong."""
    chance = Random(seed)
    lines = tuple(
        chance.choices((1, 2, 3, 101), (4, 2, 2, 1))[0] for _ in range(chance.choice((1, 1, 2, 3)))
    )
    acts = [_act(chance) for _ in range(chance.randint(*LENGTHS))]
    first = [Act(What.CLOSE)] if chance.random() < 0.9 else []
    return Schedule(seed, lines, (*first, *acts))


def _act(chance: Random) -> Act:
    what = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    match what:
        case What.FAULT:
            fault, operation = chance.choice(FAULTS), chance.choice(OPERATIONS)
            return Act(what, chance.choice((1, 1, 2, 3)), fault, operation)
        case What.CRASH:
            return Act(what, chance.randint(1, DOORS_MAX))
        case What.WAIT:
            return Act(what, chance.choice(MINUTES))
        case _:
            return Act(what, chance.randint(0, 3))


def _known(*acts: Act, lines: tuple[int, ...] = (2,)) -> Schedule:
    return Schedule(-1, lines, (Act(What.CLOSE), *acts))


def _fault(fault: Fault, operation: str, calls: int = 1) -> Act:
    return Act(What.FAULT, calls, fault, operation)


_PUSH, _WAIT, _DAY = Act(What.PUSH), Act(What.WAIT, 6), Act(What.WAIT, DAY)

KNOWN = {
    "an answer lost, and the key forgotten": _known(
        _fault(Fault.TIMEOUT_AFTER_COMMIT, CREATE), _PUSH, _DAY, _PUSH
    ),
    "lines added, their answer lost, and the key forgotten": _known(
        _fault(Fault.TIMEOUT_AFTER_COMMIT, ADD_LINES), _PUSH, _DAY, _PUSH, lines=(101, 2)
    ),
    "a failure saved under the key of the lines": _known(
        _fault(Fault.ERROR_AFTER_COMMIT, ADD_LINES), _PUSH, _WAIT, _PUSH, _WAIT, _PUSH
    ),
    "a draft edited by hand before it is finalized": _known(
        _fault(Fault.DOWN, FINALIZE), _PUSH, Act(What.EDIT), _WAIT, _PUSH
    ),
    "a draft edited by hand, and an old answer that says otherwise": _known(
        _fault(Fault.TIMEOUT_AFTER_COMMIT, ADD_LINES), _PUSH, Act(What.EDIT), _WAIT, _PUSH
    ),
    "a draft edited by hand while its lines are in doubt": _known(
        _fault(Fault.TIMEOUT_AFTER_COMMIT, ADD_LINES), _PUSH, Act(What.EDIT), _DAY, _PUSH
    ),
    "two workers after one has died": _known(
        Act(What.CRASH, 5), Act(What.FLUSH), _WAIT, Act(What.PUSH_TOGETHER), lines=(1, 101)
    ),
}
"""Where it has gone wrong before, here or elsewhere."""


def shorter(schedule: Schedule) -> Sequence[Schedule]:
    """The same without one act each, and with fewer or shorter invoices: what to try next."""
    without = [
        Schedule(schedule.seed, schedule.lines, (*schedule.acts[:n], *schedule.acts[n + 1 :]))
        for n in range(len(schedule.acts))
    ]
    if len(schedule.lines) > 1:
        without.append(Schedule(schedule.seed, schedule.lines[:1], schedule.acts))
    if max(schedule.lines) > 1:
        without.append(Schedule(schedule.seed, (1,) * len(schedule.lines), schedule.acts))
    return without
