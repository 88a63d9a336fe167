"""Closing what has ended: the sweep is the job, and finding nothing is its usual day."""

import logging
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from billing import closing
from billing.errors import BillingError
from billing.ids import InvoiceId
from billing.runtime import Runtime

log = logging.getLogger(__name__)


async def close_periods(ctx: dict[str, Any]) -> None:
    """Begin closing every period that has ended, and issue every invoice whose grace is over.

    One organization that fails is logged and left for the next sweep; it stops nobody else's.
    """
    runtime: Runtime = ctx["runtime"]
    now = await runtime.now()
    while True:
        async with runtime.sessions.begin() as session:
            if not await closing.begin_closing(session, now):
                break
    issued = 0
    while batch := await _issue_due(runtime):
        issued += batch
    if issued:
        await runtime.nudges.enqueue("push_invoices")


async def _issue_due(runtime: Runtime) -> int:
    now = await runtime.now()
    async with runtime.sessions() as session:
        due = await closing.due_invoice_ids(session, now)
    return sum([await _issue(runtime, invoice_id) for invoice_id in due])


async def _issue(runtime: Runtime, invoice_id: InvoiceId) -> bool:
    now = await runtime.now()
    try:
        async with runtime.sessions.begin() as session:
            return await closing.close_invoice(session, invoice_id, now)
    except (SQLAlchemyError, BillingError, AssertionError):
        log.exception("invoice %s could not be issued; the next sweep tries again", invoice_id)
        return False
