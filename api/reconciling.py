"""How our books and Stripe's differ: for staff."""

from datetime import datetime
from typing import Self

import strawberry

from api.connections import First, Page
from api.context import Info
from billing import reconciling
from billing.models import ReconciliationRun as RunRow
from billing.models import RunScope, RunState
from billing.reconciling import Found
from billing.rules.drift import DriftKind, Repair

strawberry.enum(RunScope, description="What a run looks at.")
strawberry.enum(RunState, description="How far a run is.")
strawberry.enum(DriftKind, description="What differs between our books and Stripe's.")
strawberry.enum(
    Repair, description="What mends a difference; PERSON: somebody must decide, NOTHING: not ours."
)


@strawberry.type(description="One difference between our books and Stripe's.")
class Drift:
    """Both sides as they were when compared."""

    kind: DriftKind = strawberry.field(description="What differs.")
    organization: str | None = strawberry.field(description="Its slug; null for nobody's.")
    number: str | None = strawberry.field(description="Our invoice; null for none of ours.")
    stripe_invoice_id: str | None = strawberry.field(description="Stripe's; null if it has none.")
    message: str = strawberry.field(description="For people: what each side says.")
    repair: Repair = strawberry.field(description="What mends it.")
    repaired_at: datetime | None = strawberry.field(description="When that was done; null if not.")
    result: str | None = strawberry.field(description="What came of it; null while not tried.")

    @classmethod
    def of(cls, found: Found) -> Self:
        """A row, shown."""
        row = found.drift
        return cls(
            kind=row.kind,
            organization=found.org.slug if found.org else None,
            number=row.number,
            stripe_invoice_id=row.stripe_invoice_id,
            message=row.message,
            repair=row.repair,
            repaired_at=row.repaired_at,
            result=row.result,
        )


@strawberry.type(description="One comparison of our books with Stripe's.")
class Reconciliation:
    """The newest, and what it found."""

    scope: RunScope = strawberry.field(description="What it looks at.")
    state: RunState = strawberry.field(description="How far it is.")
    period: str | None = strawberry.field(description="The month it is of; null for a window.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null if not yet.")
    is_repairing: bool = strawberry.field(description="Whether it mends what is safe.")
    invoices_read: int = strawberry.field(description="How many Stripe listed.")
    repaired: int = strawberry.field(description="How many differences it mended.")
    drifts: list[Drift] = strawberry.field(
        description="What it found, what waits for a person first."
    )

    @classmethod
    def of(cls, row: RunRow, found: list[Found]) -> Self:
        """A row, shown."""
        return cls(
            scope=row.scope,
            state=row.state,
            period=row.period,
            started_at=row.started_at,
            finished_at=row.finished_at,
            is_repairing=row.is_repairing,
            invoices_read=row.invoices_read,
            repaired=row.repaired,
            drifts=[Drift.of(one) for one in found],
        )


async def latest_reconciliation(info: Info, first: First) -> Reconciliation | None:
    """None before the first run. Raises `Forbidden` unless asked by staff."""
    info.context.viewer.require_ops()
    limit = Page.asked(first, None).size
    async with info.context.reading() as session:
        runs = await reconciling.latest_runs(session, limit=1)
        if not runs:
            return None
        found = await reconciling.drifts_of(session, runs[0].id, limit=limit)
    return Reconciliation.of(runs[0], list(found))
