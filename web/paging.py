"""Where a list goes on: the last row shown, as a word for the address."""

from datetime import UTC, datetime
from uuid import UUID

from billing.errors import Invalid
from billing.ids import InvoiceId
from billing.models import Invoice, StripeEvent
from billing.rules.periods import is_within_years
from billing.usage import EventPosition


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


def after_hour(hour: datetime) -> str:
    """The address's word for an hour."""
    return f"{hour:%Y%m%d%H}"


def hour(text: str | None) -> datetime | None:
    """What `after_hour` wrote; None for none. Raises `UnknownPage`."""
    return None if text is None else _instant(text, "%Y%m%d%H")


def after_event(event: EventPosition) -> str:
    """The address's word for the events that follow this one; names may have any characters."""
    names = f"{event.source.encode().hex()}-{event.id.encode().hex()}"
    return f"{event.occurred_at:%Y%m%d%H%M%S%f}-{names}"


def event_position(text: str | None) -> EventPosition | None:
    """What `after_event` wrote; None for the first page. Raises `UnknownPage`."""
    if text is None:
        return None
    at, _, names = text.partition("-")
    source, _, external_id = names.partition("-")
    try:
        decoded = [bytes.fromhex(name).decode() for name in (source, external_id)]
    except ValueError:
        raise UnknownPage from None
    if any("\0" in name for name in decoded):  # PostgreSQL takes none
        raise UnknownPage
    return EventPosition(_instant(at, "%Y%m%d%H%M%S%f"), *decoded)


def after_received(event: StripeEvent) -> str:
    """The address's word for the webhooks that came before this one."""
    return f"{event.received_at:%Y%m%d%H%M%S%f}-{event.id.encode().hex()}"


def received_position(text: str | None) -> tuple[datetime, str] | None:
    """What `after_received` wrote; None for the first page. Raises `UnknownPage`."""
    if text is None:
        return None
    at, _, event_id = text.partition("-")
    try:
        decoded = bytes.fromhex(event_id).decode()
    except ValueError:
        raise UnknownPage from None
    if "\0" in decoded:  # PostgreSQL takes none
        raise UnknownPage
    return _instant(at, "%Y%m%d%H%M%S%f"), decoded


def _instant(text: str, shape: str) -> datetime:
    try:
        found = datetime.strptime(f"{text}+0000", f"{shape}%z").astimezone(UTC)
    except ValueError:
        raise UnknownPage from None
    if not is_within_years(found):
        raise UnknownPage
    return found
