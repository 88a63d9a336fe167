"""The join of both sides, as the database runs it. One row for each difference.

`snap` finds for each Stripe invoice the one of ours that it stands for: the one whose sync names
it, else the one its metadata names. `kept` is the one that speaks for ours, `named` first; whatever
else is not void beside it is a duplicate. A row that moved after the window's end is left alone:
its webhook may be on its way.
"""

_OURS = """
    invoices.id AS invoice_id, invoices.org_id, invoices.number, invoices.status AS our_status,
    invoices.currency AS our_currency, invoices.total_minor AS our_total_minor,
    invoices.settled_by, invoices.issued_at, syncs.state, syncs.stripe_invoice_id AS named_id
"""

_SNAP = """
snap AS (
    SELECT s.*, coalesce(named.invoice_id, claimed.id) AS ours_id,
        named.invoice_id IS NOT NULL AS is_named
    FROM stripe_snapshots s
    LEFT JOIN invoice_syncs named ON named.stripe_invoice_id = s.stripe_invoice_id
    LEFT JOIN invoices claimed ON claimed.id = s.invoice_id
    WHERE s.run_id = :run_id
),
kept AS (
    SELECT DISTINCT ON (ours_id) * FROM snap WHERE ours_id IS NOT NULL
    ORDER BY ours_id, is_named DESC, status = 'void',
        array_position(ARRAY['paid', 'uncollectible', 'open', 'draft', 'void'], status),
        created_at, stripe_invoice_id
)
"""

_MATCHED = f"""
matched AS (
    SELECT {_OURS}, kept.stripe_invoice_id, kept.status AS their_status,
        kept.currency AS their_currency, kept.total_minor AS their_total_minor,
        kept.line_count AS their_lines, kept.amount_paid_minor, kept.credited_before_minor,
        kept.credited_after_minor, kept.balance_minor, kept.created_at, kept.moved_at,
        coalesce(facts.amount_paid_minor, 0) AS known_paid_minor,
        coalesce(facts.credited_before_minor + facts.credited_after_minor, 0) AS known_credited,
        lines.count AS our_lines, notes.sent AS notes_sent, notes.made AS notes_made
    FROM kept
    JOIN invoices ON invoices.id = kept.ours_id
    JOIN invoice_syncs syncs ON syncs.invoice_id = invoices.id
    LEFT JOIN payment_facts facts ON facts.invoice_id = invoices.id
    CROSS JOIN LATERAL (
        SELECT count(*) FROM invoice_lines WHERE invoice_lines.invoice_id = invoices.id
    ) lines
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE state = 'SENT'), 0) AS sent,
            coalesce(sum(amount_minor) FILTER (WHERE state <> 'NOT_NEEDED'), 0) AS made
        FROM credit_notes WHERE credit_notes.invoice_id = invoices.id AND kind <> 'BALANCE'
    ) notes
    WHERE (:period_start IS NULL OR invoices.period_start >= :period_start)
        AND (:period_end IS NULL OR invoices.period_start < :period_end)
        AND (NOT :is_unsettled OR kept.is_named OR syncs.stripe_invoice_id IS NULL)
)
"""  # noqa: S608 - of constants alone

_WRONG_AMOUNT = """
    (lower(our_currency) <> their_currency OR our_total_minor <> their_total_minor
     OR (their_lines IS NOT NULL AND our_lines <= :lines_max AND their_lines <> our_lines))
"""
_ON_ITS_WAY = "state IN ('PENDING', 'PUSHING', 'FAILED')"
_UNEXPLAINED = """
    (balance_minor <> 0
     OR credited_before_minor + credited_after_minor NOT BETWEEN notes_sent AND notes_made)
"""

_JUDGED = f"""
judged AS (
    SELECT *, CASE
        WHEN their_status = 'draft' AND {_ON_ITS_WAY} THEN
            CASE WHEN created_at < :hour_ago THEN 'STUCK_DRAFT' END
        WHEN {_ON_ITS_WAY} THEN CASE WHEN issued_at < :hour_ago THEN 'NOT_SYNCED' END
        WHEN our_status = 'VOID' AND their_status = 'void' THEN NULL
        WHEN {_WRONG_AMOUNT} THEN 'AMOUNT_DRIFT'
        WHEN their_status = 'draft' THEN
            CASE WHEN created_at < :hour_ago THEN 'STUCK_DRAFT' END
        WHEN moved_at >= :window_end THEN NULL
        WHEN lower(our_status) <> their_status
            AND NOT (settled_by IS NOT DISTINCT FROM 'CREDIT_NOTE' AND their_status = 'open')
            THEN 'STATUS_DRIFT'
        WHEN amount_paid_minor <> known_paid_minor
            OR credited_before_minor + credited_after_minor <> known_credited
            OR {_UNEXPLAINED} THEN 'PAYMENT_DRIFT'
    END AS kind
    FROM matched
)
"""  # noqa: S608 - of constants alone

_THEIRS = """
    jsonb_build_object('status', their_status, 'currency', their_currency,
        'total_minor', their_total_minor, 'lines', their_lines,
        'amount_paid_minor', amount_paid_minor,
        'credited_minor', credited_before_minor + credited_after_minor,
        'balance_minor', balance_minor)
"""

_FROM_BOTH = f"""
    SELECT kind, invoice_id, org_id, number, stripe_invoice_id,
        jsonb_build_object('status', our_status, 'currency', lower(our_currency),
            'total_minor', our_total_minor, 'lines', our_lines, 'sync', state,
            'amount_paid_minor', known_paid_minor, 'credited_minor', known_credited,
            'balance_minor', 0) AS ours,
        {_THEIRS} AS theirs,
        state IN ('HELD', 'FAILED') AS is_stopped, our_status <> 'OPEN' AS is_settled,
        our_status = 'VOID' AS is_void, false AS is_issued, {_UNEXPLAINED} AS is_unexplained
    FROM judged WHERE kind IS NOT NULL
"""  # noqa: S608 - of constants alone

_ALONE_HERE = f"""
alone AS (
    SELECT {_OURS}, syncs.pushed_at FROM invoices
    JOIN invoice_syncs syncs ON syncs.invoice_id = invoices.id
    WHERE invoices.issued_at >= :window_start AND invoices.status <> 'CLOSING'
        AND invoices.status <> 'VOID' AND syncs.state <> 'NOT_NEEDED'
        AND (:period_start IS NULL OR invoices.period_start >= :period_start)
        AND (:period_end IS NULL OR invoices.period_start < :period_end)
        AND NOT EXISTS (SELECT FROM kept WHERE kept.ours_id = invoices.id)
)
"""  # noqa: S608 - of constants alone

_FROM_HERE = """
    SELECT CASE
            WHEN state IN ('PUSHED', 'HELD') AND named_id IS NOT NULL THEN
                CASE WHEN NOT :is_unsettled THEN 'MISSING'
                    WHEN our_status = 'OPEN' THEN 'STATUS_DRIFT' END
            ELSE 'NOT_SYNCED' END AS kind,
        invoice_id, org_id, number, named_id AS stripe_invoice_id,
        jsonb_build_object('status', our_status, 'currency', lower(our_currency),
            'total_minor', our_total_minor, 'sync', state) AS ours,
        CASE WHEN :is_unsettled AND state = 'PUSHED'
            THEN jsonb_build_object('status', 'not open any more') ELSE '{}'::jsonb END AS theirs,
        state IN ('HELD', 'FAILED') AS is_stopped, our_status <> 'OPEN' AS is_settled,
        false AS is_void, false AS is_issued, false AS is_unexplained
    FROM alone
    WHERE CASE WHEN state IN ('PUSHED', 'HELD') AND named_id IS NOT NULL
        THEN coalesce(pushed_at, issued_at) < :window_end ELSE issued_at < :hour_ago END
"""

_FROM_THERE = """
    SELECT CASE WHEN snap.ours_id IS NOT NULL THEN 'DUPLICATE'
            WHEN snap.claimed_id IS NOT NULL THEN 'ORPHAN' ELSE 'FOREIGN' END AS kind,
        invoices.id, invoices.org_id, invoices.number, snap.stripe_invoice_id,
        CASE WHEN invoices.id IS NULL THEN '{}'::jsonb
            ELSE jsonb_build_object('status', invoices.status,
                'currency', lower(invoices.currency), 'total_minor', invoices.total_minor,
                'stripe_invoice_id', kept.stripe_invoice_id) END,
        jsonb_build_object('status', snap.status, 'currency', snap.currency,
            'total_minor', snap.total_minor, 'claims', snap.claimed_id),
        false, false, false, snap.status <> 'draft' OR NOT coalesce(kept.is_named, false), false
    FROM snap
    LEFT JOIN kept ON kept.ours_id = snap.ours_id
    LEFT JOIN invoices ON invoices.id = snap.ours_id
    WHERE NOT :is_unsettled AND snap.status <> 'void'
        AND snap.stripe_invoice_id IS DISTINCT FROM kept.stripe_invoice_id
        AND (snap.ours_id IS NULL OR (
            (:period_start IS NULL OR invoices.period_start >= :period_start)
            AND (:period_end IS NULL OR invoices.period_start < :period_end)))
"""

DIFFERENCES = f"""
WITH {_SNAP}, {_MATCHED}, {_JUDGED}, {_ALONE_HERE},
found AS (
    {_FROM_BOTH} UNION ALL
    SELECT * FROM ({_FROM_HERE}) here WHERE kind IS NOT NULL UNION ALL
    {_FROM_THERE}
)
SELECT *, count(*) OVER (PARTITION BY kind) AS of_kind FROM (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY number, stripe_invoice_id) AS place
    FROM found
) numbered
"""  # noqa: S608 - of constants alone

TOTALS = f"""
WITH {_SNAP}
SELECT coalesce(ours.currency, upper(theirs.currency)) AS currency,
    coalesce(ours.count, 0) AS our_count, coalesce(ours.total, 0) AS our_total,
    coalesce(theirs.count, 0) AS their_count, coalesce(theirs.total, 0) AS their_total
FROM (
    SELECT invoices.currency, count(*), sum(invoices.total_minor) AS total
    FROM invoices JOIN invoice_syncs syncs ON syncs.invoice_id = invoices.id
    WHERE invoices.period_start >= :period_start AND invoices.period_start < :period_end
        AND invoices.status NOT IN ('CLOSING', 'VOID') AND syncs.state <> 'NOT_NEEDED'
    GROUP BY 1
) ours
FULL JOIN (
    SELECT snap.currency, count(*), sum(snap.total_minor) AS total
    FROM snap JOIN invoices ON invoices.id = snap.ours_id
    WHERE invoices.period_start >= :period_start AND invoices.period_start < :period_end
        AND snap.status NOT IN ('draft', 'void')
    GROUP BY 1
) theirs ON upper(theirs.currency) = ours.currency
ORDER BY 1
"""  # noqa: S608 - of constants alone
"""Both sides of a period per currency: what is owed by our books, and what Stripe has issued."""

BEING_SENT = f"""
WITH {_SNAP}
SELECT invoices.currency, count(*) AS invoices, sum(invoices.total_minor) AS total
FROM invoices JOIN invoice_syncs syncs ON syncs.invoice_id = invoices.id
LEFT JOIN kept ON kept.ours_id = invoices.id
WHERE invoices.period_start >= :period_start AND invoices.period_start < :period_end
    AND invoices.status NOT IN ('CLOSING', 'VOID') AND syncs.state <> 'NOT_NEEDED'
    AND (kept.ours_id IS NULL OR kept.status = 'draft')
    AND (invoices.issued_at >= :hour_ago OR syncs.pushed_at >= :window_end
        OR kept.created_at >= :hour_ago)
GROUP BY 1
ORDER BY 1
"""  # noqa: S608 - of constants alone
"""What is owed by our books and too young to be a difference: Stripe's side of it was not read."""
