"""Issued invoices are frozen: a trigger refuses what the code would never do."""

from alembic import op

revision = "0002"
down_revision = "0001"

FROZEN_INVOICE = """
CREATE FUNCTION refuse_change_of_issued_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable constant text[] := ARRAY['status', 'paid_at', 'voided_at', 'settled_by'];
BEGIN
    IF OLD.status = 'CLOSING' AND TG_OP = 'UPDATE' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' OR to_jsonb(NEW) - movable <> to_jsonb(OLD) - movable THEN
        RAISE EXCEPTION 'invoice % is issued and cannot be changed', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""

FROZEN_LINES = """
CREATE FUNCTION refuse_change_of_issued_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END;
BEGIN
    IF TG_OP <> 'INSERT' OR (SELECT status FROM invoices WHERE id = invoice) <> 'CLOSING' THEN
        RAISE EXCEPTION 'the lines of invoice % cannot be changed', invoice
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FROZEN_INVOICE)
    op.execute(FROZEN_LINES)
    op.execute(
        "CREATE TRIGGER issued_invoices_are_frozen BEFORE UPDATE OR DELETE ON invoices"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_issued_invoice()"
    )
    op.execute(
        "CREATE TRIGGER issued_lines_are_frozen BEFORE INSERT OR UPDATE OR DELETE ON invoice_lines"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_issued_lines()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER issued_lines_are_frozen ON invoice_lines")
    op.execute("DROP TRIGGER issued_invoices_are_frozen ON invoices")
    op.execute("DROP FUNCTION refuse_change_of_issued_lines")
    op.execute("DROP FUNCTION refuse_change_of_issued_invoice")
