"""Where a list goes on: the last row shown, as a word for the address."""

from datetime import datetime
from uuid import UUID

from billing.errors import Invalid
from billing.ids import InvoiceId
from billing.models import Invoice


class UnknownPage(Invalid):
    """An address that no list of ours has shown."""

    code = "UNKNOWN_PAGE"

    def __init__(self) -> None:
        super().__init__("This page of the list does not exist. Start from its first page.")


def after_slug(text: str | None) -> str | None:
    """The last slug shown; None for the first page. Raises `UnknownPage`."""
    if text is not None and not text.isprintable():  # PostgreSQL takes no NUL
        raise UnknownPage
    return text


def after(invoice: Invoice) -> str:
    """The address's word for the invoices that follow this one."""
    return f"{invoice.period_start:%Y%m%d%H}-{invoice.id.hex}"


def position(text: str | None) -> tuple[datetime, InvoiceId] | None:
    """What `after` wrote; None for the first page. Raises `UnknownPage`."""
    if text is None:
        return None
    start, _, invoice_id = text.partition("-")
    try:
        return datetime.strptime(f"{start}+0000", "%Y%m%d%H%z"), InvoiceId(UUID(hex=invoice_id))
    except ValueError:
        raise UnknownPage from None
