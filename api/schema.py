"""The schema, and what stands between a query text and its resolvers."""

import strawberry
from graphql import GraphQLError
from strawberry.extensions import MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from api.cost import CostLimit
from api.limits import TOKENS_MAX, Limits
from api.mutations.accounts import AccountMutations
from api.mutations.charges import ChargeMutations
from api.mutations.corrections import CorrectionMutations
from api.mutations.organizations import OrganizationMutations
from api.mutations.overrides import OverrideMutations
from api.mutations.reductions import ReductionMutations
from api.mutations.subscriptions import SubscriptionMutations
from api.mutations.usage import UsageMutations
from api.queries import Query
from api.scalars import SCALARS


@strawberry.type(description="What can be done. Expected failures are data: `userErrors`.")
class Mutation(
    UsageMutations,
    ChargeMutations,
    CorrectionMutations,
    SubscriptionMutations,
    OverrideMutations,
    ReductionMutations,
    AccountMutations,
    OrganizationMutations,
):
    """By noun."""


class Schema(strawberry.Schema):
    """Errors are logged where they are answered, with the request's id; not here too."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """`api.errors.shown` logs those that are ours."""


schema = Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(scalar_map=SCALARS),
    extensions=[
        lambda: MaxTokensLimiter(TOKENS_MAX),
        Limits,
        ParserCache,  # these two are worth a factor of 4 to 5
        ValidationCache,
        CostLimit,  # after validation
    ],
)
