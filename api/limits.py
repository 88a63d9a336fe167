"""How deep and how wide a query may be, checked once per query text.

Own rules instead of Strawberry's `QueryDepthLimiter` and `MaxAliasesLimiter`: those walk a fragment
again at every spread, so thirty fragments that each spread the next one twice cost 2^30 steps; they
end in a `KeyError` at an unknown fragment; and they make a new rule class per request, which no
validation cache can ever hit.
"""

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
)
from graphql.validation import ValidationRule
from strawberry.extensions import AddValidationRules

DEPTH_MAX = 10
ALIASES_MAX = 30
TOKENS_MAX = 2_000
QUERY_CHARACTERS_MAX = 20_000

COMPLEXITY = "COMPLEXITY"


def too_complex(message: str) -> GraphQLError:
    """The query asks for too much at once; it was not run."""
    return GraphQLError(message, extensions={"code": COMPLEXITY})


class Shape:
    """Depth and aliases of a document's operations; every fragment is walked once."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        """(levels of fields, aliased fields) below. Introspection is free: it cannot multiply."""
        depth = aliases = 0
        for selection in selections.selections if selections else ():
            below, named = self._of_one(selection)
            depth, aliases = max(depth, below), aliases + named
        return depth, aliases

    def _of_one(self, selection: object) -> tuple[int, int]:
        match selection:
            case FieldNode(name=name) if name.value.startswith("__"):
                return 0, 0
            case FieldNode():
                depth, aliases = self.of(selection.selection_set)
                return depth + 1, aliases + (selection.alias is not None)
            case FragmentSpreadNode():
                return self._of_fragment(selection.name.value)
            case InlineFragmentNode():
                return self.of(selection.selection_set)
        raise AssertionError(f"not a selection: {selection!r}")

    def _of_fragment(self, name: str) -> tuple[int, int]:
        if name not in self._known:
            self._known[name] = (0, 0)  # a cycle ends here; another rule reports it
            fragment = self._fragments.get(name)  # as it does one that does not exist
            self._known[name] = self.of(fragment.selection_set if fragment else None)
        return self._known[name]


class WithinLimits(ValidationRule):
    """Refuses an operation that is too deep or has too many aliases."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        nodes = context.document.definitions
        self._shape = Shape(
            {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
        )

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: object) -> None:
        """Each operation by itself, though only one will be run."""
        depth, aliases = self._shape.of(node.selection_set)
        if depth > DEPTH_MAX:
            self.report_error(
                too_complex(f"The query is {depth} levels deep; {DEPTH_MAX} are allowed.")
            )
        if aliases > ALIASES_MAX:
            self.report_error(
                too_complex(f"The query has {aliases} aliases; {ALIASES_MAX} are allowed.")
            )


class Limits(AddValidationRules):
    """`WithinLimits` as an extension; the same rule class each time, so validation is cached."""

    def __init__(self) -> None:
        super().__init__([WithinLimits])
