"""Faults in what listens to Stripe, and in what compares our books with its."""

from tests.mutants.fault import Fault, fault

_EVENTS = "tests/billing/test_stripe_events.py"
_PROOF = "tests/billing/reconciling/test_proof.py::test_just_what_was_planted_is_found[period]"
_REPAIRS = "tests/billing/reconciling/test_repairs.py"
_JOIN = "billing/reconciling/joining.py"


def _blind(kind: str, stands: str, planted: str) -> Fault:
    return fault(f"reconcile blind to {kind}", _JOIN, stands, planted, _PROOF)


STRIPE_FAULTS = (
    fault(
        "a webhook trusted without a fetch",
        "billing/stripe_events/handling.py",
        "        outcome, reason = await _acted_upon(runtime, about, now)\n",
        "        outcome, reason = Outcome.PROCESSED, 'trusted'\n"
        "        if any(event.type == 'invoice.paid' for event in events):\n"
        "            async with runtime.sessions.begin() as session:\n"
        "                statement = __import__('sqlalchemy').text(\n"
        "                    'UPDATE invoices SET status = :paid FROM invoice_syncs y'\n"
        "                    ' WHERE y.invoice_id = invoices.id AND stripe_invoice_id = :id'\n"
        "                )\n"
        "                await session.execute(statement, {'id': about.id, 'paid': 'PAID'})\n",
        "tests/billing/test_event_stories.py::test_a_payload_that_says_paid_pays_nothing",
    ),
    fault(
        "an old answer that overwrites a newer one",
        "billing/stripe_events/applying.py",
        "    if ticket <= sync.applied_ticket:\n",
        "    if ticket < 0:\n",
        f"{_EVENTS}::test_an_old_answer_that_arrives_late_does_not_undo_a_newer_one",
    ),
    fault(
        "an event of the other mode is acted upon",
        "billing/stripe_events/inbox.py",
        "    if foreign is not None:\n",
        "    if foreign is not None and 'account' in foreign:\n",
        "tests/api/test_stripe_webhook.py"
        "::test_an_event_of_another_account_or_mode_is_kept_and_ignored",
    ),
    fault(
        "a back-fill without an overlap",
        "billing/stripe_events/backfill.py",
        "    start = max((cursor.read_until or now - LISTED_FOR) - OVERLAP, now - LISTED_FOR)\n",
        "    start = max(cursor.read_until or now - LISTED_FOR, now - LISTED_FOR)\n",
        "tests/billing/test_backfill.py::test_what_came_late_into_the_list_is_within_the_overlap",
    ),
    fault(
        "a back-fill that begins anew when it is cut off",
        "billing/stripe_events/backfill.py",
        "            cursor.slice_end, cursor.page_after = place.end, page.cursor\n",
        "            cursor.slice_end = cursor.page_after = None\n",
        "tests/billing/test_backfill.py"
        "::test_a_day_of_more_events_than_one_job_can_read_is_read_in_several",
    ),
    fault(
        "an old signature behind a second timestamp",
        "billing/stripe_wire.py",
        "    if len(told) == 1 and _SECONDS.fullmatch(told[0]):\n",
        "    told = [each for each in told if _SECONDS.fullmatch(each)]\n    if told:\n",
        "tests/api/test_stripe_webhook.py::test_what_stripe_did_not_send_changes_nothing",
    ),
    fault(
        "a failed comparison clears the alarm",
        "billing/reconciling/reading.py",
        "ReconciliationRun.state == RunState.DONE,",
        "ReconciliationRun.finished_at.is_not(None),",
        "tests/billing/reconciling/test_telling.py::test_a_run_that_failed_clears_no_alarm",
    ),
    fault(
        "what Stripe voided is pushed again",
        "billing/stripe_events/applying.py",
        "        if sync.state is not SyncState.PUSHED:  # a push would",
        "        if False:  # a push would",
        "tests/billing/test_void_by_stripe.py",
    ),
    _blind("MISSING", "CASE WHEN NOT :is_unsettled THEN 'MISSING'", "CASE WHEN false THEN NULL"),
    _blind("NOT_SYNCED", "ELSE 'NOT_SYNCED' END AS kind", "ELSE NULL END AS kind"),
    _blind("ORPHAN", "WHEN snap.claimed_id IS NOT NULL THEN 'ORPHAN' ELSE", "ELSE"),
    _blind("FOREIGN", "(snap.ours_id IS NULL OR (", "(snap.claimed_id IS NOT NULL AND ("),
    _blind("DUPLICATE", "CASE WHEN snap.ours_id IS NOT NULL THEN 'DUPLICATE'", "CASE"),
    _blind("AMOUNT_DRIFT", "WHEN {_WRONG_AMOUNT} THEN", "WHEN false AND {_WRONG_AMOUNT} THEN"),
    _blind(
        "STATUS_DRIFT", "            THEN 'STATUS_DRIFT'\n        WHEN", "THEN NULL\n        WHEN"
    ),
    _blind(
        "STUCK_DRAFT",
        "WHEN their_status = 'draft' AND {_ON_ITS_WAY} THEN",
        "WHEN their_status = 'draft' THEN NULL WHEN false THEN",
    ),
    _blind(
        "PAYMENT_DRIFT", "OR {_UNEXPLAINED} THEN 'PAYMENT_DRIFT'", "OR {_UNEXPLAINED} THEN NULL"
    ),
    fault(
        "a paid invoice that Stripe lost is charged again",
        "billing/rules/drift.py",
        'DriftKind.MISSING: (Repair.PUSH, ("is_stopped", "is_settled")),',
        'DriftKind.MISSING: (Repair.PUSH, ("is_stopped",)),',
        f"{_REPAIRS}::test_a_paid_one_that_stripe_lost_is_never_charged_again",
    ),
    fault(
        "a surplus draft is not looked at before it goes",
        "billing/reconciling/repairing.py",
        "    if found.status != _DRAFT or found.invoice_id != str(invoice_id):\n",
        "    if found.invoice_id != str(invoice_id):\n",
        f"{_REPAIRS}::test_a_draft_that_was_issued_meanwhile_is_not_touched",
    ),
    fault(
        "repairs without a cap",
        "billing/reconciling/repairing.py",
        "    if run.repaired >= REPAIRS_PER_RUN_MAX:\n",
        "    if run.repaired < 0:\n",
        f"{_REPAIRS}::test_repairs_are_capped_and_each_is_audited",
    ),
)
