"""Many rows in one statement: one array a column, unnested by PostgreSQL.

So a batch costs the same few statements whatever its size, and never nears the 32,767 parameters
that one statement may have.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, TableValuedAlias, column, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert

from billing.models import Base


def given(
    model: type[Base], names: Sequence[str], rows: Iterable[Sequence[object]]
) -> TableValuedAlias:
    """The rows as a table `given`, its columns named and typed as the model's."""
    types = [model.__table__.c[name].type for name in names]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = [literal(list(c), ARRAY(t)) for c, t in zip(columns, types, strict=True)]
    aliased = [column(name, t) for name, t in zip(names, types, strict=True)]
    return func.unnest(*arrays).table_valued(*aliased).render_derived("given")


def insert_rows(
    model: type[Base], names: Sequence[str], rows: Iterable[Sequence[object]]
) -> Insert:
    """`INSERT … SELECT` of the rows, in their order; every column is given, defaults are not used.

    Rows that other transactions may insert or update too must come sorted: whoever takes its
    locks in the same order as everybody else cannot be part of a deadlock.
    """
    table: Select[Any] = select(*given(model, names, rows).c)
    return insert(model).from_select(list(names), table, include_defaults=False)
