"""For machines: GraphQL, usage ingest and Stripe's webhooks. Parse, call the domain, answer."""
