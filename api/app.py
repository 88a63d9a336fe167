"""Every door for machines: GraphQL, usage events, Stripe's webhooks."""

from starlette.routing import BaseRoute, Route

from api import ingest, stripe_webhook
from api.endpoint import graphql
from api.problems import METHODS

api_routes: list[BaseRoute] = [
    Route("/graphql", graphql, methods=METHODS),
    *ingest.routes,
    *stripe_webhook.routes,
]
