"""How much an automatic ANALYZE unpacks of a table."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_LARGEST = text("""
SELECT max(coalesce(attstattarget, -1)) FILTER (WHERE attstattarget >= 0) AS most,
       count(*) FILTER (WHERE coalesce(attstattarget, -1) < 0) AS by_default
FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0
""")


async def is_sampled(session: AsyncSession, table: str) -> bool:
    """Whether 300 rows are: as many as the largest of all columns' targets asks for."""
    found = (await session.execute(_LARGEST, {"table": table})).one()
    return bool(found.most == 1 and found.by_default == 0)
