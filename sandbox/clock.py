"""Travel in time: the one row that all processes of a sandbox add to the wall clock."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.clock import wall_time
from billing.errors import Conflict, Forbidden
from billing.models import ClockOffset
from billing.runtime import Sessions
from billing.settings import Settings


class ClockIsReal(Forbidden):
    """Time passes by itself here, and no faster."""

    code = "CLOCK_IS_REAL"


class TimeRunsForward(Conflict):
    """What was closed and sent after that instant cannot be undone by going back to it."""

    code = "TIME_RUNS_FORWARD"


async def travel(sessions: Sessions, settings: Settings, to: datetime) -> datetime:
    """Make it the instant `to` for web, worker, CLI, simulator and fake Stripe, from where time
    passes as ever. Answers that instant.

    Raises `ClockIsReal` outside the sandbox and beside the real Stripe, whose clock nobody moves,
    and `TimeRunsForward` for an instant that has passed.
    """
    refuse_real_time(settings)
    async with sessions.begin() as session:
        wall = wall_time()
        now = wall + await _locked_offset(session)
        if to < now:
            raise TimeRunsForward(f"In the sandbox it is {now:%Y-%m-%d %H:%M} UTC already.")
        await _write(session, to - wall)
    return to


async def travel_by(sessions: Sessions, settings: Settings, by: timedelta) -> datetime:
    """`travel`, by so much from the sandbox's own present."""
    refuse_real_time(settings)
    async with sessions() as session:
        now = wall_time() + await _offset(session)
    return await travel(sessions, settings, now + by)


async def set_out(session: AsyncSession, settings: Settings, at: datetime) -> None:
    """Begin a sandbox's history at any instant, while it has none: a past one too.

    Raises `ClockIsReal` as `travel` does.
    """
    refuse_real_time(settings)
    await _locked_offset(session)
    await _write(session, at - wall_time())


def refuse_real_time(settings: Settings) -> None:
    """Raise `ClockIsReal` unless all who share the clock can be moved along."""
    if not settings.is_sandbox:
        raise ClockIsReal("Only a sandbox travels in time: ENVIRONMENT is not sandbox.")
    if settings.stripe_api_base is None:
        raise ClockIsReal("Stripe's own clock cannot be moved: use the fake Stripe to travel.")


async def _offset(session: AsyncSession) -> timedelta:
    """How far the sandbox is from the wall clock; nothing until it has travelled."""
    return await session.scalar(select(ClockOffset.ahead)) or timedelta(0)


async def _locked_offset(session: AsyncSession) -> timedelta:
    """The offset, ours alone to move until the transaction ends."""
    row = insert(ClockOffset).values(id=1, ahead=timedelta(0))
    await session.execute(row.on_conflict_do_nothing())
    return (await session.get_one(ClockOffset, 1, with_for_update=True)).ahead


async def _write(session: AsyncSession, ahead: timedelta) -> None:
    (await session.get_one(ClockOffset, 1)).ahead = ahead
