"""What a query may cost: a budget of points per request, counted before anything is fetched.

An object is one point, a page of a list as many as it may hold. What does real work says so in its
field's metadata: `strawberry.field(metadata=priced(50))`; what does more of it where an argument is
given, `priced(50, asOf=450)`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    get_operation_ast,
    is_composite_type,
    is_list_type,
)
from strawberry.extensions import SchemaExtension

from api.connections import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from api.limits import too_complex

BUDGET = 5_000
LIST_SIZE_ASSUMED = 5
"""Lists without paging are short (lines, steps, people): counted as if they held this many."""

_PRICE = "cost"


@dataclass(frozen=True, slots=True)
class _Price:
    points: int
    more: Mapping[str, int]


def priced(points: int, **more: int) -> dict[str, _Price]:
    """Metadata of a field that costs more than its object does; `more` where arguments are given.

    They are named as clients name them. Null is as good as not given.
    """
    return {_PRICE: _Price(points, more)}


_FREE = _Price(0, {})


@dataclass(slots=True)
class Bill:
    """Adds up one operation. Fragments are walked once per way they are reached."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, object]
    _known: dict[tuple[str, bool], int] = field(default_factory=dict)

    def of(self, selections: SelectionSetNode, parent: GraphQLNamedType, sized: bool) -> int:
        """Points of everything selected. `sized`: `parent` already counted how many there are."""
        return sum(self._of_one(selection, parent, sized) for selection in selections.selections)

    def _of_one(self, selection: object, parent: GraphQLNamedType, sized: bool) -> int:
        match selection:
            case FieldNode():
                return self._of_field(selection, parent, sized)
            case FragmentSpreadNode():
                return self._of_fragment(selection.name.value, sized)
            case InlineFragmentNode():
                named = selection.type_condition
                return self.of(selection.selection_set, self._named(named, parent), sized)
        raise AssertionError(f"not a selection: {selection!r}")

    def _of_field(self, node: FieldNode, parent: GraphQLNamedType, sized: bool) -> int:
        fields: Mapping[str, GraphQLField] = getattr(parent, "fields", {})
        known = fields.get(node.name.value)
        if known is None or node.selection_set is None:  # __typename, __schema, scalars
            return 0
        named = get_named_type(known.type)
        pages = "first" in known.args
        times = self._first(node) if pages else _assumed(known, sized)
        return self._price(known, node) + times * (
            (not pages and is_composite_type(named)) + self.of(node.selection_set, named, pages)
        )

    def _of_fragment(self, name: str, sized: bool) -> int:
        if (name, sized) not in self._known:
            fragment = self.fragments[name]
            parent = self.schema.type_map[fragment.type_condition.name.value]
            self._known[name, sized] = self.of(fragment.selection_set, parent, sized)
        return self._known[name, sized]

    def _named(self, condition: NamedTypeNode | None, parent: GraphQLNamedType) -> GraphQLNamedType:
        return self.schema.type_map[condition.name.value] if condition else parent

    def _price(self, known: GraphQLField, node: FieldNode) -> int:
        definition = known.extensions.get("strawberry-definition")
        price: _Price = getattr(definition, "metadata", {}).get(_PRICE, _FREE)
        given = {x.name.value for x in node.arguments or () if self._is_given(x.value)}
        return price.points + sum(points for name, points in price.more.items() if name in given)

    def _is_given(self, value: ValueNode) -> bool:
        if isinstance(value, VariableNode):
            return self.variables.get(value.name.value) is not None
        return not isinstance(value, NullValueNode)

    def _first(self, node: FieldNode) -> int:
        """The page's size as asked for; the resolver refuses what is out of range."""
        given = next((x.value for x in node.arguments or () if x.name.value == "first"), None)
        asked: object = None
        if isinstance(given, IntValueNode):
            asked = int(given.value)
        elif isinstance(given, VariableNode):
            asked = self.variables.get(given.name.value)
        size = asked if isinstance(asked, int) else PAGE_SIZE_DEFAULT
        return min(max(size, 1), PAGE_SIZE_MAX)


def _defaults(operation: OperationDefinitionNode) -> dict[str, object]:
    """What variables have when nothing is sent: whole numbers and text are told apart from null."""
    found: dict[str, object] = {}
    for definition in operation.variable_definitions or ():
        match definition.default_value:
            case IntValueNode(value=text):
                found[definition.variable.name.value] = int(text)
            case StringValueNode(value=text):
                found[definition.variable.name.value] = text
            case _:
                pass
    return found


def _assumed(known: GraphQLField, sized: bool) -> int:
    return LIST_SIZE_ASSUMED if is_list_type(get_nullable_type(known.type)) and not sized else 1


class CostLimit(SchemaExtension):
    """Refuses a query over `BUDGET`, and tells what each query cost in `extensions.cost`."""

    requested: int | None = None

    def on_validate(self) -> Iterator[None]:
        """Listed after `ValidationCache`, so every name in the document is known to exist."""
        context = self.execution_context
        assert context.pre_execution_errors is not None, "validated by now"
        if not context.pre_execution_errors:
            self.requested = self._points()
            if self.requested > BUDGET:
                context.pre_execution_errors = [over_budget(self.requested)]
        yield

    def get_results(self) -> dict[str, Any]:
        """Points asked for, and the most one request may ask for."""
        if self.requested is None:
            return {}
        return {"cost": {"requested": self.requested, "maximum": BUDGET}}

    def _points(self) -> int:
        context = self.execution_context
        schema, document = context.schema._schema, context.graphql_document
        assert document is not None, "parsed"
        operation = get_operation_ast(document, context.operation_name)
        assert operation is not None, "its type was found"
        root = schema.get_root_type(operation.operation)
        assert root is not None, "validated"
        nodes = document.definitions
        fragments = {x.name.value: x for x in nodes if isinstance(x, FragmentDefinitionNode)}
        variables = _defaults(operation) | (context.variables or {})
        bill = Bill(schema, fragments, variables)
        return bill.of(operation.selection_set, root, sized=False)


def over_budget(requested: int) -> GraphQLError:
    """What to do about it is in the message."""
    return too_complex(
        f"The query costs {requested} points of {BUDGET}: ask for fewer items (`first`),"
        " or in several requests."
    )
