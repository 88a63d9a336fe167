"""A fake Stripe that speaks Stripe's HTTP: invoicing, payment, events, webhooks, and faults.

NOT REAL, in memory, for demos and tests. Its yardstick is recorded answers of real Stripe; what a
docstring calls "recorded" comes from there. What it does not model it refuses, never ignores.
"""
