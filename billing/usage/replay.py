"""Replaying the quarantine: what was refused is judged again by the catalogue of today."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, not_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.audit import record_act
from billing.ids import OrgId
from billing.models import QuarantinedEvent, Verdict
from billing.runtime import Runtime
from billing.usage.desk import Desk
from billing.usage.events import EventVerdict
from billing.usage.intake import Sender, Submission
from billing.usage.quarantine import EXCERPT, Refused, restored, write_refused
from billing.usage.recording import Settled, record
from billing.usage.store import again_on_deadlock, moved_by

_CHUNK_ROWS = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which refused events: of one organization, of one code, or all that are whole."""

    org_id: OrgId | None = None
    code: str | None = None

    @property
    def rows(self) -> ColumnElement[bool]:
        """As a condition. A conflict stays one: its identity is used for ever."""
        conditions = [
            QuarantinedEvent.verdict == Verdict.REJECTED,
            not_(QuarantinedEvent.event.has_key(EXCERPT)),
        ]
        if self.org_id is not None:
            conditions.append(QuarantinedEvent.org_id == self.org_id)
        if self.code is not None:
            conditions.append(QuarantinedEvent.code == self.code)
        return and_(*conditions)


async def count_replayable(session: AsyncSession, wanted: Wanted) -> int:
    """How many a replay would look at."""
    rows = select(func.count()).select_from(QuarantinedEvent).where(wanted.rows)
    return await session.scalar(rows) or 0


async def replay_quarantined(
    runtime: Runtime, wanted: Wanted, *, viewer: Viewer, now: datetime, dry_run: bool = False
) -> AsyncIterator[list[EventVerdict]]:
    """Judge refused events again, oldest first, each chunk in one transaction; yields verdicts.

    An event is judged as at its first receipt: time limits as they held then, one without a time
    happened then, and one that was somebody's counts for that organization alone. What is counted
    now leaves the quarantine; the rest is given its latest reason. A dry run only answers.
    Raises `Forbidden` unless the viewer is staff.
    """
    viewer.require_ops()
    run = _Run(wanted, viewer, now, dry_run, runtime.remembered(Desk))
    chunk = await again_on_deadlock(partial(run.chunk, runtime, None))
    while chunk.last is not None:
        if not dry_run:
            await runtime.nudges.moved(moved_by(chunk.settled))
        yield [one.verdict for one in chunk.settled]
        chunk = await again_on_deadlock(partial(run.chunk, runtime, chunk.last))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some rows in order, settled; `last` is where they end, None when there were none."""

    settled: Sequence[Settled]
    last: tuple[datetime, UUID] | None


@dataclass(frozen=True, slots=True)
class _Run:
    wanted: Wanted
    viewer: Viewer
    now: datetime
    dry_run: bool
    desk: Desk

    async def chunk(self, runtime: Runtime, after: tuple[datetime, UUID] | None) -> _Chunk:
        async with runtime.sessions.begin() as session:
            rows = await self._rows(session, after)
            last = (rows[-1].recorded_at, rows[-1].id) if rows else None
            settled = await self._settle(session, rows)
            if self.dry_run:
                await session.rollback()
        return _Chunk(settled, last)

    async def _rows(
        self, session: AsyncSession, after: tuple[datetime, UUID] | None
    ) -> Sequence[QuarantinedEvent]:
        """Locked, and past those that another replay is at."""
        position = tuple_(QuarantinedEvent.recorded_at, QuarantinedEvent.id)
        statement = select(QuarantinedEvent).where(self.wanted.rows)
        if after is not None:
            statement = statement.where(position > after)
        statement = statement.order_by(position).limit(_CHUNK_ROWS)
        return (await session.scalars(statement.with_for_update(skip_locked=True))).all()

    async def _settle(
        self, session: AsyncSession, rows: Sequence[QuarantinedEvent]
    ) -> Sequence[Settled]:
        submissions = [
            Submission(restored(row.event), row.recorded_at, Sender(self.viewer, row.org_id))
            for row in rows
        ]
        settled = (await record(session, self.desk, submissions, self.now)).settled
        by_row = list(zip(rows, settled, strict=True))
        counted = [row.id for row, one in by_row if not one.verdict.is_refused]
        await session.execute(delete(QuarantinedEvent).where(QuarantinedEvent.id.in_(counted)))
        await write_refused(
            session,
            [
                Refused(row.id, row.org_id or one.org_id, one.verdict, row.event, row.recorded_at)
                for row, one in by_row
                if one.verdict.is_refused
            ],
        )
        if counted:
            await self._leave_trace(session, len(counted))
        return settled

    async def _leave_trace(self, session: AsyncSession, counted: int) -> None:
        await record_act(
            session,
            actor=self.viewer.actor,
            action="quarantine.replayed",
            subject=self.wanted.code or "all codes",
            org_id=self.wanted.org_id,
            details={"counted": counted},
            now=self.now,
        )
