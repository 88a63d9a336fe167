"""Runs and what they found, for staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import organizations_by_id
from billing.errors import NotFound
from billing.models import Drift, Organization, ReconciliationRun, RunScope, RunState

PAGE_SIZE_MAX = 200


@dataclass(frozen=True, slots=True)
class Found:
    """One difference, and whose invoice it is about; None for nobody's."""

    drift: Drift
    org: Organization | None


async def latest_runs(session: AsyncSession, *, limit: int) -> Sequence[ReconciliationRun]:
    """The newest first."""
    rows = await session.scalars(
        select(ReconciliationRun)
        .order_by(ReconciliationRun.started_at.desc(), ReconciliationRun.id.desc())
        .limit(min(limit, PAGE_SIZE_MAX))
    )
    return rows.all()


async def find_run(session: AsyncSession, run_id: UUID) -> ReconciliationRun:
    """Raises `NotFound`."""
    run = await session.get(ReconciliationRun, run_id)
    if run is None:
        raise NotFound("There is no such run.", code="RUN_NOT_FOUND")
    return run


async def drifts_of(session: AsyncSession, run_id: UUID, *, limit: int) -> Sequence[Found]:
    """What a run found: what waits for a person first, what is none of ours last."""
    rows = await session.scalars(
        select(Drift)
        .where(Drift.run_id == run_id)
        .order_by(
            Drift.repair == "NOTHING",
            Drift.repaired_at.is_not(None),
            Drift.repair != "PERSON",
            Drift.kind,
            Drift.number,
            Drift.id,
        )
        .limit(min(limit, PAGE_SIZE_MAX * 50))
    )
    drifts = rows.all()
    orgs = await organizations_by_id(session, {x.org_id for x in drifts if x.org_id is not None})
    return [Found(x, orgs.get(x.org_id) if x.org_id else None) for x in drifts]


async def latest_comparison(session: AsyncSession) -> ReconciliationRun | None:
    """The last look at everything that came to its end: one that failed has compared nothing."""
    return await session.scalar(
        select(ReconciliationRun)
        .where(ReconciliationRun.state == RunState.DONE, ReconciliationRun.scope == RunScope.WINDOW)
        .order_by(ReconciliationRun.started_at.desc(), ReconciliationRun.id.desc())
        .limit(1)
    )


async def unrepaired_counts(session: AsyncSession) -> dict[str, int]:
    """Of the last finished look at everything: how many differences of each kind, for alarms.

    What it mended is none any more.
    """
    run = await latest_comparison(session)
    if run is None:
        return {}
    rows = await session.execute(
        select(Drift.kind, func.count().label("mended"))
        .where(Drift.run_id == run.id, Drift.repaired_at.is_not(None))
        .group_by(Drift.kind)
    )
    mended = {row.kind: row.mended for row in rows}
    left = {kind: count - mended.get(kind, 0) for kind, count in run.counts.items()}
    return {kind: count for kind, count in left.items() if count and kind != "FOREIGN"}
