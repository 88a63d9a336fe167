"""The UsageStore door: usage recorded, and what was recorded read. Nothing else sees its tables."""

from billing.usage.events import (
    EventVerdict,
    IncomingEvent,
    MalformedEvent,
    NumberText,
    malformed_text,
)
from billing.usage.quarantine import purge_quarantine
from billing.usage.replay import Wanted, count_replayable, replay_quarantined
from billing.usage.shapes import incoming_event, parse_event
from billing.usage.store import record_usage, require_write

__all__ = [
    "EventVerdict",
    "IncomingEvent",
    "MalformedEvent",
    "NumberText",
    "Wanted",
    "count_replayable",
    "incoming_event",
    "malformed_text",
    "parse_event",
    "purge_quarantine",
    "record_usage",
    "replay_quarantined",
    "require_write",
]
