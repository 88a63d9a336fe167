"""The domain: knows nothing of HTTP, GraphQL, HTML or queues."""
