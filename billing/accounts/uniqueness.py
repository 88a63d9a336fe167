"""What is taken already: unique constraints answered as refusals, also between two at once."""

from collections.abc import Mapping

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict
from billing.models import Base


class Taken(Conflict):
    """Somebody else has it: choose another."""

    code = "TAKEN"


async def add_unique(session: AsyncSession, row: Base, taken: Mapping[str, Taken]) -> None:
    """Insert `row` now. Raises the `Taken` that belongs to the constraint it would break.

    The database decides, so two requests at once cannot both succeed; the savepoint keeps the
    rest of the caller's transaction.
    """
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        refusal = taken.get(_constraint(error))
        if refusal is None:
            raise
        raise refusal from error


def _constraint(error: IntegrityError) -> str:
    cause = error.orig.__cause__ if error.orig else None
    return str(getattr(cause, "constraint_name", ""))
