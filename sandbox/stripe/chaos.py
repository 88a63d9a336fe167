"""Faults, switched on for all calls or for the next few, of every operation or of one."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec


class Fault(StrEnum):
    """What can go wrong. `…_commit` says on which side of the saved change it goes wrong."""

    DOWN = "down"
    RATE_LIMIT = "rate_limit"
    SLOW = "slow"
    TIMEOUT_AFTER_COMMIT = "timeout_after_commit"
    ERROR_BEFORE_COMMIT = "error_before_commit"
    ERROR_AFTER_COMMIT = "error_after_commit"
    DROP_WEBHOOK = "drop_webhook"
    DUPLICATE_WEBHOOK = "duplicate_webhook"


WEBHOOK_FAULTS = (Fault.DROP_WEBHOOK, Fault.DUPLICATE_WEBHOOK)

RateLimitReason = Literal[
    "global-rate",
    "endpoint-rate",
    "global-concurrency",
    "endpoint-concurrency",
    "resource-specific",
]


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    """One fault, switched on.

    `operation` is spelled `POST /v1/invoices/{invoice}/add_lines`; for a webhook fault it is an
    event type; None means any. `calls` counts down and the switch goes off at zero; None stays.
    `how` is for DOWN: a 503, or the connection closed without a byte. `delay_ms` is for SLOW.
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
