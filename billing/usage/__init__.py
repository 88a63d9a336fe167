"""The UsageStore door: usage recorded, and what was recorded read. Nothing else sees its tables."""

from billing.usage.events import (
    EventVerdict,
    IncomingEvent,
    MalformedEvent,
    NumberText,
    malformed_text,
)
from billing.usage.evidence import (
    EventBehind,
    EventPage,
    EventPosition,
    HourBehind,
    HourPage,
    Matches,
    events_behind,
    hours_behind,
)
from billing.usage.folding import fold_shard, fold_tail, settle_usage
from billing.usage.packing import pack_hours
from billing.usage.quarantine import purge_quarantine
from billing.usage.replay import Wanted, count_replayable, replay_quarantined
from billing.usage.rescan import usage_from_readings
from billing.usage.shapes import incoming_event, parse_event
from billing.usage.shards import SHARDS, shard_of
from billing.usage.store import Delivery, record_deliveries, record_usage, require_write
from billing.usage.totals import usage_by_series

__all__ = [
    "SHARDS",
    "Delivery",
    "EventBehind",
    "EventPage",
    "EventPosition",
    "EventVerdict",
    "HourBehind",
    "HourPage",
    "IncomingEvent",
    "MalformedEvent",
    "Matches",
    "NumberText",
    "Wanted",
    "count_replayable",
    "events_behind",
    "fold_shard",
    "fold_tail",
    "hours_behind",
    "incoming_event",
    "malformed_text",
    "pack_hours",
    "parse_event",
    "purge_quarantine",
    "record_deliveries",
    "record_usage",
    "replay_quarantined",
    "require_write",
    "settle_usage",
    "shard_of",
    "usage_by_series",
    "usage_from_readings",
]
