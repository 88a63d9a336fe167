"""The one way usage becomes money: page, GraphQL, alerts and invoices all call `charges_for`."""

from billing.charges.agreement import Agreement, agreement_for
from billing.charges.basis import Basis
from billing.charges.issuing import issue_charges, restore_credits
from billing.charges.off_cycle import first_fees, start_cause
from billing.charges.period import Charges, charges_for, outstanding_corrections, usage_charges
from billing.charges.reducing import cap_beside, cap_terms, reductions_for
from billing.charges.withdrawing import withdraw

__all__ = [
    "Agreement",
    "Basis",
    "Charges",
    "agreement_for",
    "cap_beside",
    "cap_terms",
    "charges_for",
    "first_fees",
    "issue_charges",
    "outstanding_corrections",
    "reductions_for",
    "restore_credits",
    "start_cause",
    "usage_charges",
    "withdraw",
]
