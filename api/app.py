"""Every door for machines: GraphQL, usage events, heartbeats, Stripe's webhooks."""

from starlette.routing import BaseRoute, Route

from api import stripe_webhook
from api.endpoint import graphql
from api.heartbeats import route as heartbeats_route
from api.ingest import route as usage_route
from api.problems import METHODS

__all__ = ["api_routes", "usage_route"]

api_routes: list[BaseRoute] = [
    Route("/graphql", graphql, methods=METHODS),
    usage_route,
    heartbeats_route,
    *stripe_webhook.routes,
]
