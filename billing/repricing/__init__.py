"""What-if: periods gone by, rated again at other prices or on another plan. Nothing is written.

Compared is what usage and fees come to, before coupons, maxima, credits and tax: those depend on
what was billed, not on what might have been. The other prices hold as if they always had.
"""

from billing.repricing.books import reprice
from billing.repricing.effects import PERIODS_MAX, Effect, OrganizationEffect
from billing.repricing.plans import on_plan

__all__ = ["PERIODS_MAX", "Effect", "OrganizationEffect", "on_plan", "reprice"]
