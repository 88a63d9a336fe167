"""The one way usage becomes money: page, GraphQL, alerts and invoices all call `charges_for`."""

from billing.charges.agreement import Agreement, agreement_for
from billing.charges.basis import Basis
from billing.charges.issuing import issue_charges, restore_credits
from billing.charges.period import Charges, charges_for, usage_charges
from billing.charges.reducing import cap_terms, period_cap, reductions_for

__all__ = [
    "Agreement",
    "Basis",
    "Charges",
    "agreement_for",
    "cap_terms",
    "charges_for",
    "issue_charges",
    "period_cap",
    "reductions_for",
    "restore_credits",
    "usage_charges",
]
