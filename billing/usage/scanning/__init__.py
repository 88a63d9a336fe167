"""Usual bodies read straight into columns, by compiled code: half of what recording costs was this.

The code is compiled when the project is installed (`hatch_build.py`). Where that could not be,
nothing is usual, and every event is decoded and judged by itself: slower, and the same outcome.
"""

from enum import IntEnum

try:
    from billing.usage.scanning.compiled import (
        Batch,
        Index,
        Recent,
        Scan,
        gather,
        scan,
        unknown_subjects,
    )
except ImportError:  # pragma: no cover - there was no C compiler
    from billing.usage.scanning.interpreted import (  # type: ignore[assignment]
        Batch,
        Index,
        Recent,
        Scan,
        gather,
        scan,
        unknown_subjects,
    )

__all__ = [
    "EVENTS_MAX",
    "IS_COMPILED",
    "Batch",
    "BodyKind",
    "Index",
    "Recent",
    "Scan",
    "gather",
    "scan",
    "unknown_subjects",
]

IS_COMPILED = Scan.__module__.endswith(".compiled")

EVENTS_MAX = 10_000
"""In one body."""


class BodyKind(IntEnum):
    """How events lie in a body."""

    SINGLE = 0
    BATCH = 1
    LINES = 2
