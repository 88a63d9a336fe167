"""What somebody voided in Stripe is void here, and is never sent again."""

from datetime import timedelta

from sqlalchemy import update

from billing.invoice_sync import push_due
from billing.models import InvoiceStatus, InvoiceSync, SyncState, SyncStep
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from sandbox.stripe.app import FakeStripe
from tests.billing.pushing import held, sync_of
from tests.billing.test_stripe_events import a_pushed_invoice, hear, local, told
from tests.world import Clock


async def test_what_stripe_says_is_void_is_not_pushed_after_a_restored_backup(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """A push looks for what is not void: it would make another, and bill what was given back."""
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    clock.advance(timedelta(days=2))
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(
                state=SyncState.PENDING,
                step=SyncStep.NEW,
                stripe_invoice_id=None,
                next_attempt_at=clock.at + timedelta(minutes=1),
            )
        )
    await connected.stripe.void_invoice((held(fake)[0]).id, "by-hand")  # type: ignore[arg-type]
    await hear(connected, told("invoice.voided", stripe_id))
    await handle_due(connected)
    assert (await local(connected, invoice_id)).status is InvoiceStatus.VOID

    clock.advance(timedelta(minutes=2))
    assert await push_due(connected) == 0
    assert [invoice.status for invoice in held(fake)] == ["void"]
    assert (await sync_of(connected, invoice_id)).state is SyncState.NOT_NEEDED
