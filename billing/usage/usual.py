"""The usual batch: all of it right, of organizations and event types we know.

Where anything at all is unusual there is no such batch, and every event is judged by itself
(`intake.py`). Both ways come to the same rows and the same verdicts.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from billing.accounts import Viewer
from billing.usage.columns import microseconds_of
from billing.usage.desk import Desk, KnownOrganization
from billing.usage.intake import AHEAD_MAX, Sender
from billing.usage.months import SAFE_AGE
from billing.usage.scanning import Batch, Scan, gather

_MICROSECOND = timedelta(microseconds=1)
_AHEAD_US = AHEAD_MAX // _MICROSECOND
_AGE_US = SAFE_AGE // _MICROSECOND


def usual_batch(desk: Desk, scans: Sequence[Scan], now: datetime) -> Batch | None:
    """None where anything is unusual, as far as can be told without the database."""
    instant = microseconds_of(now)
    return gather(
        scans, desk.index, desk.event_types, instant, instant - _AGE_US, instant + _AHEAD_US
    )


def are_usual_senders(
    viewers: Iterable[Viewer], organizations: Callable[[], Iterable[KnownOrganization]]
) -> bool:
    """Whether each of them may record usage of all these organizations; hardly ever asked for."""
    different = {id(viewer): viewer for viewer in viewers}
    senders = [Sender(viewer, viewer.org_id) for viewer in different.values()]
    bound = [sender for sender in senders if not sender.may_write_all]
    return not bound or all(sender.may_write(org) for sender in bound for org in organizations())
