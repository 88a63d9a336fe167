"""Voiding in tests."""

from collections.abc import Sequence
from datetime import datetime

from billing.accounts import Viewer
from billing.usage.voids import Voiding, VoidRequest, VoidVerdict, void_usage
from tests.billing.usage.conftest import Usage, a_key

VOIDED, ALREADY_VOIDED, REJECTED = Voiding
WHOLE_HOUR = "egress_gb app=web region=eu 13h"


async def void(
    usage: Usage,
    *ids: str,
    subject: str = "acme",
    source: str = "phoenix/eu-1",
    reason: str = "sent twice",
    viewer: Viewer | None = None,
    now: datetime | None = None,
) -> list[VoidVerdict]:
    """With the platform's key unless told otherwise."""
    return await void_usage(
        usage.runtime,
        [VoidRequest(subject, source, id) for id in ids],
        reason=reason,
        viewer=viewer or a_key(),
        now=now or usage.clock.at,
    )


def kinds(verdicts: Sequence[VoidVerdict]) -> list[Voiding]:
    return [one.verdict for one in verdicts]


def codes(verdicts: Sequence[VoidVerdict]) -> list[tuple[str | None, str | None]]:
    return [(one.code, one.field) for one in verdicts]
