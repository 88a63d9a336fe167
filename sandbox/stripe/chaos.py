"""Faults, switched on for all calls or for the next few, of every operation or of one."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec


class Fault(StrEnum):
    """What can go wrong. `…_commit` says on which side of the saved change it goes wrong; a cut
    answer is one of a change that is saved. WEBHOOKS_FIRST tells of a change before the call that
    made it is answered. REORDER sends an event before those that wait; HIDE is
    Stripe failing to make the event at all, so that no list has it either.
    """

    DOWN = "down"
    RATE_LIMIT = "rate_limit"
    SLOW = "slow"
    CUT_MID_BODY = "cut_mid_body"
    TIMEOUT_AFTER_COMMIT = "timeout_after_commit"
    WEBHOOKS_FIRST = "webhooks_first"
    ERROR_BEFORE_COMMIT = "error_before_commit"
    ERROR_AFTER_COMMIT = "error_after_commit"
    DROP_WEBHOOK = "drop_webhook"
    DUPLICATE_WEBHOOK = "duplicate_webhook"
    DELAY_WEBHOOK = "delay_webhook"
    REORDER_WEBHOOK = "reorder_webhook"
    HIDE_EVENT = "hide_event"


EVENT_FAULTS = (
    Fault.DROP_WEBHOOK,
    Fault.DUPLICATE_WEBHOOK,
    Fault.DELAY_WEBHOOK,
    Fault.REORDER_WEBHOOK,
    Fault.HIDE_EVENT,
)

RateLimitReason = Literal[
    "global-rate",
    "endpoint-rate",
    "global-concurrency",
    "endpoint-concurrency",
    "resource-specific",
]


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    """One fault, switched on.

    `operation` is spelled `POST /v1/invoices/{invoice}/add_lines`; for a fault of events it is an
    event type; None means any. `calls` counts down and the switch goes off at zero; None stays.
    `how` is for DOWN: a 503, or the connection closed without a byte. `delay_ms` is for SLOW and,
    in whole seconds of the fake's clock, for DELAY_WEBHOOK.
    """

    operation: str | None = None
    calls: Annotated[int, msgspec.Meta(ge=1)] | None = None
    how: Literal["503", "close"] = "503"
    reason: RateLimitReason = "endpoint-rate"
    delay_ms: Annotated[int, msgspec.Meta(ge=0)] = 1000


class Chaos:
    """The switches that are on."""

    def __init__(self) -> None:
        self.switches: dict[Fault, list[Switch]] = {}

    def turn_on(self, fault: Fault, *switches: Switch) -> None:
        """Let these switches, or one that hits every call, be all there are of this fault."""
        self.switches[fault] = list(switches) or [Switch()]

    def turn_off(self, fault: Fault) -> None:
        """End a fault."""
        self.switches.pop(fault, None)

    def take(self, fault: Fault, operation: str) -> Switch | None:
        """The switch that hits this call, if one does; counts the hit."""
        for switch in self.switches.get(fault, []):
            if switch.operation in (None, operation):
                self._count_down(fault, switch)
                return switch
        return None

    def _count_down(self, fault: Fault, switch: Switch) -> None:
        if switch.calls is None:
            return
        switch.calls -= 1
        if switch.calls == 0:
            self.switches[fault].remove(switch)
            if not self.switches[fault]:
                self.turn_off(fault)
