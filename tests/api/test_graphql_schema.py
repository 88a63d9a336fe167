"""What the schema promises as a whole."""

import re
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLNamedType,
    get_named_type,
    parse,
    validate,
)

from api import export_schema
from api.limits import Limits
from api.schema import schema

BUILT_IN = {"String", "Int", "Boolean", "ID"}


def our_types() -> list[GraphQLNamedType]:
    named = schema._schema.type_map.values()
    return [x for x in named if not x.name.startswith("__") and x.name not in BUILT_IN]


def our_fields() -> list[tuple[str, GraphQLField | GraphQLInputField]]:
    return [
        (f"{named.name}.{name}", field)
        for named in our_types()
        for name, field in getattr(named, "fields", {}).items()
    ]


def our_arguments() -> list[tuple[str, GraphQLArgument]]:
    return [
        (f"{name}({argument})", definition)
        for name, field in our_fields()
        for argument, definition in getattr(field, "args", {}).items()
    ]


def test_every_type_field_and_argument_says_what_it_is() -> None:
    things: list[tuple[str, Any]] = [(x.name, x) for x in our_types()]
    things += our_fields()
    things += [(name, one) for name, one in our_arguments() if not name.endswith("(input)")]
    assert [name for name, thing in things if not thing.description] == []


def test_there_is_no_float_anywhere() -> None:
    typed = [*our_fields(), *our_arguments()]
    assert [name for name, thing in typed if get_named_type(thing.type).name == "Float"] == []
    assert "Float" not in schema._schema.type_map


def test_enums_are_in_capitals() -> None:
    values = [v for x in our_types() if isinstance(x, GraphQLEnumType) for v in x.values]
    assert [value for value in values if not re.fullmatch(r"[A-Z]+(_[A-Z]+)*", value)] == []


def test_mutations_take_one_input_and_answer_user_errors() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert list(field.args) == ["input"], name
        assert "userErrors" in get_named_type(field.type).fields, name


def test_the_committed_schema_is_the_one_we_serve() -> None:
    assert export_schema.is_fresh(), "run: python -m api.export_schema"
    assert export_schema.main(["--check"]) == 0


def test_a_stale_schema_is_told(tmp_path: Path) -> None:
    committed = tmp_path / "schema.graphql"
    assert export_schema.main(["--check"], committed) == 1
    assert export_schema.main([], committed) == 0
    assert export_schema.main(["--check"], committed) == 0


def test_the_guides_operations_fit_the_schema() -> None:
    guide = (export_schema.SCHEMA_FILE.parent / "graphql.md").read_text()
    operations = re.findall(r"```graphql\n(.*?)```", guide, re.DOTALL)

    assert len(operations) == 12
    assert [validate(schema._schema, parse(operation)) for operation in operations] == [[]] * 12


def test_limits_do_not_defeat_the_validation_cache() -> None:
    """It is keyed by the rules: a new rule class for each request would never be found in it."""
    assert Limits().validation_rules == Limits().validation_rules
