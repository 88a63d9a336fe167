"""Differences between our books and Stripe's: their kinds, and which may be mended by themselves.

Money is never moved by a repair. What would move it is for a person.
"""

from dataclasses import dataclass
from enum import StrEnum


class DriftKind(StrEnum):
    """What differs. The names are a public contract: reports and alarms use them."""

    MISSING = "MISSING"
    NOT_SYNCED = "NOT_SYNCED"
    ORPHAN = "ORPHAN"
    FOREIGN = "FOREIGN"
    DUPLICATE = "DUPLICATE"
    AMOUNT_DRIFT = "AMOUNT_DRIFT"
    STATUS_DRIFT = "STATUS_DRIFT"
    STUCK_DRAFT = "STUCK_DRAFT"
    PAYMENT_DRIFT = "PAYMENT_DRIFT"


class Repair(StrEnum):
    """What mends a difference. PERSON: somebody has to decide; NOTHING: it is none of ours."""

    PUSH = "PUSH"
    REFETCH = "REFETCH"
    DELETE_DRAFT = "DELETE_DRAFT"
    PERSON = "PERSON"
    NOTHING = "NOTHING"


SAFE = frozenset({Repair.PUSH, Repair.REFETCH, Repair.DELETE_DRAFT})

MEANINGS = {
    DriftKind.MISSING: "Sent, but Stripe does not list it.",
    DriftKind.NOT_SYNCED: "Issued over an hour ago, and not in Stripe yet.",
    DriftKind.ORPHAN: "Carries an id of ours that we do not have.",
    DriftKind.FOREIGN: "Not made by us.",
    DriftKind.DUPLICATE: "Another Stripe invoice stands for the same one of ours.",
    DriftKind.AMOUNT_DRIFT: "The totals, the currency or the number of lines differ.",
    DriftKind.STATUS_DRIFT: "The statuses differ.",
    DriftKind.STUCK_DRAFT: "A draft of ours for over an hour.",
    DriftKind.PAYMENT_DRIFT: "What was paid or credited differs, or a customer balance was used.",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides on a repair. `is_stopped`: a push that waits for a person already.

    `is_settled`: not open here, so that pushing it could charge twice. `is_void`: void here.
    `is_issued`, of a duplicate: no mere draft. `is_unexplained`: money moved at Stripe that our
    books know nothing of, a customer balance or a credit note of somebody else's.
    """

    kind: DriftKind
    is_stopped: bool = False
    is_settled: bool = False
    is_void: bool = False
    is_issued: bool = False
    is_unexplained: bool = False


def repair_of(situation: Situation) -> Repair:
    """The safe repair of a difference, or who else it is for."""
    usual, unless = _REPAIRS[situation.kind]
    return Repair.PERSON if any(getattr(situation, claim) for claim in unless) else usual


_REPAIRS: dict[DriftKind, tuple[Repair, tuple[str, ...]]] = {
    DriftKind.MISSING: (Repair.PUSH, ("is_stopped", "is_settled")),
    DriftKind.NOT_SYNCED: (Repair.PUSH, ("is_stopped", "is_settled")),
    DriftKind.ORPHAN: (Repair.PERSON, ()),
    DriftKind.FOREIGN: (Repair.NOTHING, ()),
    DriftKind.DUPLICATE: (Repair.DELETE_DRAFT, ("is_issued",)),
    DriftKind.AMOUNT_DRIFT: (Repair.PERSON, ()),
    DriftKind.STATUS_DRIFT: (Repair.REFETCH, ("is_void",)),
    DriftKind.STUCK_DRAFT: (Repair.PUSH, ("is_stopped", "is_settled")),
    DriftKind.PAYMENT_DRIFT: (Repair.REFETCH, ("is_unexplained",)),
}
"""The usual repair of each kind, and what makes it a person's."""
