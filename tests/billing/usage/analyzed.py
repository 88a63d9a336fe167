"""What an automatic ANALYZE would unpack of a table."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_ARRAYS = text("""
SELECT attname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = to_regclass(:table) AND attnum > 0 AND typcategory = 'A'
  AND (:of_any OR attstattarget IS DISTINCT FROM 0) ORDER BY attnum
""")


async def analyzed_arrays(session: AsyncSession, table: str) -> Sequence[str]:
    """Arrays of a table, which must have some, that statistics are gathered of."""
    assert (await session.scalars(_ARRAYS, {"table": table, "of_any": True})).all()
    return (await session.scalars(_ARRAYS, {"table": table, "of_any": False})).all()
