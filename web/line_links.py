"""Where the lines of a bill lead: to what they were counted from."""

from collections.abc import Iterable
from urllib.parse import quote

from billing.explaining import EXPLAINED_KINDS
from billing.models import Invoice, Organization
from billing.rules.lines import DraftLine, LineKind

LineName = tuple[LineKind, str, int]
"""Kind, key and segment: what tells a line from the others of its bill."""


def draft_links(org: Organization, lines: Iterable[DraftLine]) -> dict[LineName, str]:
    """For each line of the draft that may be explained, its page."""
    return {
        (line.kind, line.key, line.segment): draft_path(org, line.key, line.segment)
        for line in lines
        if line.kind in EXPLAINED_KINDS
    }


def invoice_links(org: Organization, invoice: Invoice) -> dict[LineName, str]:
    """The same for an issued invoice, whose lines have positions."""
    return {
        (line.kind, line.key, line.segment): invoice_path(org, invoice, line.position)
        for line in invoice.lines
        if line.kind in EXPLAINED_KINDS
    }


def draft_path(org: Organization, key: str, segment: int) -> str:
    """A line of the running period: it is named, for it may come to stand elsewhere."""
    return f"/orgs/{org.slug}/billing/lines/{segment}/{quote(key, safe='/@~')}"


def invoice_path(org: Organization, invoice: Invoice, position: int) -> str:
    """A line of an issued invoice, counted from 0."""
    return f"/orgs/{org.slug}/billing/invoices/{invoice.number}/lines/{position}"
