"""Faults between the rules and the rows: tests on a real database catch them."""

from tests.mutants.fault import fault
from tests.mutants.stripe_faults import STRIPE_FAULTS

_TRUE_UPS, _CLOSING = "tests/billing/test_true_ups.py", "tests/billing/test_closing.py"
_VERIFYING, _LATE = "tests/billing/test_verifying.py", "tests/billing/test_late_items.py"
_CANCELLING = "tests/billing/subscribing/test_cancelling.py"

STORED_FAULTS = (
    fault(
        "a true-up that stands alone",
        "billing/charges/corrections.py",
        "missing = sum(map(_billed, ours)) - sum(map(_billed, theirs))",
        "missing = sum(map(_billed, ours))",
        f"{_TRUE_UPS}::test_late_usage_is_a_true_up_of_the_next_invoice",
    ),
    fault(
        "late usage leaves no note",
        "billing/usage/folding.py",
        "      AND (each.occurred_at AT TIME ZONE 'UTC')::date\n",
        "      AND false AND (each.occurred_at AT TIME ZONE 'UTC')::date\n",
        f"{_TRUE_UPS}::test_late_usage_is_a_true_up_of_the_next_invoice",
    ),
    fault(
        "a voided event still counts",
        "billing/usage/voids.py",
        "    await recount(connection, shard, list(places))\n",
        "",
        f"{_TRUE_UPS}::test_a_voided_event_is_given_back_and_late_plus_void_never_happened",
    ),
    fault(
        "a bucket that is one too many",
        "billing/usage/folding.py",
        "           count(*), sum(quantity), max(quantity)\n",
        "           count(*), sum(quantity) + 1, max(quantity)\n",
        f"{_VERIFYING}::test_nobody_tampered",
    ),
    fault(
        "a row of two hours is taken for a chunk of one",
        "billing/usage/folding.py",
        " AND first_hour = last_hour AS is_whole",
        " AS is_whole",
        "tests/billing/usage/test_aggregations.py"
        "::test_any_story_leaves_what_a_rescan_of_its_events_says",
    ),
    fault(
        "what is verified is what was billed from",
        "billing/charges/basis.py",
        "if not self.reads_events and self.known_at is None:",
        "if self.now:",
        f"{_VERIFYING}::test_what_was_tampered_with_is_named",
    ),
    fault(
        "what was carried is lost",
        "billing/charges/items.py",
        "    if not balance:\n",
        "    if balance:\n",
        f"{_CLOSING}::test_pennies_are_carried_until_they_can_be_collected",
    ),
    fault(
        "a fee in advance billed twice",
        "billing/charges/fees.py",
        "_FEES = (LineKind.FEE, LineKind.FEE_IN_ADVANCE, LineKind.UNUSED_FEE)",
        "_FEES = (LineKind.UNUSED_FEE,)",
        "tests/billing/test_subscribing.py::test_every_later_period_is_paid_for_once",
    ),
    fault(
        "an unused fee is kept",
        "billing/charges/fees.py",
        "    if missing < 0 and ",
        "    if missing < -1_000_000 and ",
        f"{_CANCELLING}::test_worked_example_14_what_is_not_used_becomes_credit",
    ),
    fault(
        "unpriced usage closes silently",
        "billing/closing/causes.py",
        "    if charges.unpriced:\n",
        "    if len(charges.unpriced) > 100:\n",
        "tests/billing/test_holds.py",
    ),
    fault(
        "an estimate of its own",
        "billing/estimates.py",
        "    charges = await charges_for(session, org, period, Basis(now))\n",
        "    charges = await charges_for(session, org, period, Basis(period.start))\n",
        "tests/reference/test_against_product.py",
    ),
    fault(
        "a gauge forgotten at the edge of a period",
        "billing/usage/stretches.py",
        "                SELECT max(hour) FROM usage_buckets\n"
        "                WHERE series_id = series.id AND hour < asked.first\n",
        "                SELECT asked.first\n",
        "tests/reference/test_against_product.py",
    ),
    fault(
        "a late item over the maximum of its period when its invoice is corrected",
        "billing/rules/reductions.py",
        "again[place] = replace(lines[place], granted_minor=0)",
        "again[place] = replace(again[place], granted_minor=0)",
        f"{_LATE}::test_a_late_item_stays_under_the_maximum_of_its_period_when_its_invoice_is"
        "_corrected",
    ),
    fault(
        "an estimate of the past without its corrections",
        "billing/charges/corrections.py",
        "    if basis.known_at is not None:\n        return await _all_before(",
        "    if basis.known_at == period.start:\n        return await _all_before(",
        f"{_LATE}::test_an_estimate_of_the_past_has_the_corrections_that_were_due_then",
    ),
    *STRIPE_FAULTS,
)
