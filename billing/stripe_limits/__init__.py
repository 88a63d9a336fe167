"""How fast Stripe is asked: buckets shared by all workers, lanes, and how many calls at once.

`rates` are the figures, `buckets` the rule, `shared` that rule inside Redis, `concurrency` what
adapts by itself, and `limiter` what every call to Stripe passes. Knows nothing of Stripe's SDK.
"""

from billing.stripe_limits.lanes import Lane, in_lane
from billing.stripe_limits.limiter import Limiter, Paced, Unlimited
from billing.stripe_limits.rates import StripeLimits

__all__ = ["Lane", "Limiter", "Paced", "StripeLimits", "Unlimited", "in_lane"]
