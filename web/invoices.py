"""Invoices: the list, and each with the arithmetic of its lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing.bill_diffs import Compared, diff_with_previous
from billing.credit_notes import InvoiceCorrections, corrections_of
from billing.errors import NotFound
from billing.estimates import closing_totals
from billing.ids import InvoiceId
from billing.invoices import PAGE_SIZE_MAX, draft_line_of, get_invoice_by_number, invoices_for_org
from billing.models import Invoice, Organization
from billing.rules.lines import DraftLine
from billing.rules.money import Money
from billing.runtime import Runtime
from web.auth import data, organization_of, page
from web.exports import invoice_json, invoices_csv, invoices_json, lines_csv
from web.line_links import invoice_links
from web.paging import after, position
from web.payments import payment_of, payment_told
from web.rendering import render
from web.statement import sections

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an organization's invoices, newest first, and where the older ones are."""

    org: Organization
    invoices: Sequence[Invoice]
    closing: Mapping[InvoiceId, Money]
    older: str | None


async def invoices(request: Request) -> Response:
    """The list, a page at a time."""
    found = await _page_of(request)
    before = request.query_params.get("before")
    return render(
        request,
        "invoices/list.html",
        org=found.org,
        invoices=found.invoices,
        closing=found.closing,
        older=found.older,
        is_first=before is None,
        here="" if before is None else f"?before={before}",
    )


async def invoices_as_json(request: Request) -> Response:
    """The list for scripts; `next` is the address of the older ones."""
    found = await _page_of(request)
    path = f"/orgs/{found.org.slug}/billing/invoices.json?before={found.older}"
    return invoices_json(found.org, found.invoices, found.closing, path if found.older else None)


async def invoices_as_csv(request: Request) -> Response:
    """The list for spreadsheets: all of it, for they do not turn pages."""
    runtime: Runtime = request.state.runtime
    before = position(request.query_params.get("before"))
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
        found: list[Invoice] = []
        while rows := await invoices_for_org(session, org.id, limit=PAGE_SIZE_MAX, before=before):
            found += rows
            before = (rows[-1].period_start, rows[-1].id)
    return invoices_csv(org, found)


async def invoice(request: Request) -> Response:
    """One issued invoice, in the shape the draft had."""
    org, found = await invoice_of(request)
    return render(
        request,
        "invoices/invoice.html",
        org=org,
        invoice=found,
        period=found.period,
        sections=sections(_lines(found), found.currency),
        links=invoice_links(org, found),
        changes=await _changes(request, org, found),
        corrections=await _corrections(request, found),
        payment=await payment_of(request.state.runtime, found),
    )


async def invoice_state(request: Request) -> Response:
    """The page's head, asked for again and again until the state is final."""
    org, found = await invoice_of(request, with_lines=False)
    return render(
        request,
        "invoices/_state.html",
        org=org,
        invoice=found,
        corrections=await _corrections(request, found),
        payment=await payment_of(request.state.runtime, found),
    )


async def invoice_as_json(request: Request) -> Response:
    """The invoice for scripts."""
    org, found = await invoice_of(request)
    changes = await _changes(request, org, found)
    payment = payment_told(await payment_of(request.state.runtime, found))
    corrections = await _corrections(request, found)
    return invoice_json(org, found, corrections, _lines(found), changes, payment=payment)


async def invoice_as_csv(request: Request) -> Response:
    """Its lines for spreadsheets."""
    _, found = await invoice_of(request)
    return lines_csv(f"{found.number}.csv", _lines(found))


async def _page_of(request: Request) -> Page:
    runtime: Runtime = request.state.runtime
    before = position(request.query_params.get("before"))
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
        rows = await invoices_for_org(session, org.id, limit=PAGE_SIZE + 1, before=before)
    shown = rows[:PAGE_SIZE]
    closing = await closing_totals(runtime, org, shown, await runtime.now())
    return Page(org, shown, closing, after(shown[-1]) if len(rows) > PAGE_SIZE else None)


async def invoice_of(request: Request, *, with_lines: bool = True) -> tuple[Organization, Invoice]:
    """The invoice of the address and whose it is. Raises `NotFound`."""
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
        number = request.path_params["number"]
        if not number.isprintable():  # PostgreSQL takes no NUL
            raise NotFound("There is no such invoice.")
        found = await get_invoice_by_number(session, org.id, number, with_lines=with_lines)
    return org, found


async def _changes(request: Request, org: Organization, invoice: Invoice) -> Compared | None:
    runtime: Runtime = request.state.runtime
    now = await runtime.now()
    async with runtime.sessions() as session:
        return await diff_with_previous(session, org, invoice, now)


async def _corrections(request: Request, invoice: Invoice) -> InvoiceCorrections:
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        return await corrections_of(session, invoice)


def _lines(invoice: Invoice) -> list[DraftLine]:
    return [draft_line_of(line, invoice.currency) for line in invoice.lines]


routes = [
    page("/orgs/{slug}/billing/invoices", invoices),
    page("/orgs/{slug}/billing/invoices.csv", invoices_as_csv),
    data("/orgs/{slug}/billing/invoices.json", invoices_as_json),
    page("/orgs/{slug}/billing/invoices/{number}.csv", invoice_as_csv),
    data("/orgs/{slug}/billing/invoices/{number}.json", invoice_as_json),
    data("/orgs/{slug}/billing/invoices/{number}/state", invoice_state),
    page("/orgs/{slug}/billing/invoices/{number}", invoice),
]
