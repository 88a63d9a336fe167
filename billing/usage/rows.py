"""Many rows in one statement: one array a column, unnested by PostgreSQL.

So a batch costs the same few statements whatever its size, each built once and for all, and never
nears the 32,767 parameters that one statement may have.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Table, TableValuedAlias, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert

from billing.models import Base


def given(model: type[Base], names: Sequence[str]) -> TableValuedAlias:
    """The rows as a table `given`, its columns named and typed as the model's."""
    types = [model.__table__.c[name].type for name in names]
    arrays = [
        bindparam(_parameter(name), type_=ARRAY(kind, dimensions=1))
        for name, kind in zip(names, types, strict=True)
    ]
    columns = [column(name, kind) for name, kind in zip(names, types, strict=True)]
    return func.unnest(*arrays).table_valued(*columns).render_derived("given")


def insert_rows(model: type[Base], names: Sequence[str]) -> Insert:
    """`INSERT … SELECT` of the rows, in their order; every column is given, defaults are not used.

    Rows that other transactions may insert or update too must come sorted: whoever takes its
    locks in the same order as everybody else cannot be part of a deadlock.
    """
    rows = select(*given(model, names).c)
    table = model.__table__  # not the model, for which parameters would be rows of their own
    assert isinstance(table, Table)
    return insert(table).from_select(list(names), rows, include_defaults=False)


def as_given(names: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, list[object]]:
    """The rows as the parameters of a statement over `given`."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {_parameter(name): list(c) for name, c in zip(names, columns, strict=True)}


def _parameter(name: str) -> str:
    """No column's own name: a parameter of that would be taken for the column's value."""
    return f"given_{name}"
