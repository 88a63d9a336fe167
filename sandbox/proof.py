"""The proof of the whole: what we sent, held against what the fake Stripe has."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
import msgspec
from sqlalchemy import select

from billing.models import Invoice, InvoiceSync, SyncState
from billing.rules.money import Currency, Money
from billing.runtime import Sessions

PATIENCE_SECONDS = 10.0
_PAGE_SIZE = 100


class Theirs(msgspec.Struct, frozen=True):
    """One invoice as Stripe holds it: the little of its body that has to be ours."""

    id: str
    metadata: dict[str, str]
    total: int
    currency: str
    status: str

    @property
    def invoice_id(self) -> str | None:
        """The id of ours that it carries."""
        return self.metadata.get("invoice_id")


class _Page(msgspec.Struct):
    data: list[Theirs]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """`sent` are ours that count as sent; the names are invoice numbers.

    `differences` are ours minus theirs, over everything, for each currency that was billed in.
    """

    sent: int
    duplicated: Sequence[str]
    missing: Sequence[str]
    unequal: Sequence[str]
    strangers: int
    differences: Mapping[Currency, Money]

    @property
    def holds(self) -> bool:
        """Each exactly once, with the same total, and nothing else."""
        faults = [*self.duplicated, *self.missing, *self.unequal]
        return (
            not faults
            and not self.strangers
            and not any(x.minor for x in self.differences.values())
        )

    @property
    def difference(self) -> str:
        """Such as `0.00 USD`."""
        return ", ".join(f"{x.major:f} {currency}" for currency, x in self.differences.items())

    def __str__(self) -> str:
        faults = {
            "twice in Stripe": self.duplicated,
            "not in Stripe": self.missing,
            "with another total": self.unequal,
        }
        named = [f"{what}: {', '.join(who)}" for what, who in faults.items() if who]
        counts = (
            f"{self.sent} sent, {len(self.duplicated)} duplicates, difference {self.difference}"
        )
        strange = [f"{self.strangers} of nobody's"] if self.strangers else []
        return "; ".join([counts, *named, *strange])


async def prove(
    sessions: Sessions, stripe_url: str, patience_seconds: float = PATIENCE_SECONDS
) -> Proof:
    """Compare every invoice. Raises `httpx.HTTPError` while Stripe does not answer in time."""
    async with sessions() as session:
        ours = (
            await session.scalars(
                select(Invoice)
                .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
                .where(InvoiceSync.state == SyncState.PUSHED)
                .order_by(Invoice.number)
            )
        ).all()
    return compared(ours, await _held(stripe_url, patience_seconds))


def compared(ours: Sequence[Invoice], held: Sequence[Theirs]) -> Proof:
    """Ours that count as sent against everything that Stripe holds."""
    by_id: defaultdict[str | None, list[Theirs]] = defaultdict(list)
    for theirs in held:
        by_id[theirs.invoice_id].append(theirs)
    known = {str(invoice.id) for invoice in ours}
    totals: Counter[Currency] = Counter()
    for invoice in ours:
        totals[invoice.currency] += invoice.total_minor
    for theirs in held:
        totals[Currency(theirs.currency.upper())] -= theirs.total
    return Proof(
        sent=len(ours),
        duplicated=[str(x.number) for x in ours if len(by_id[str(x.id)]) > 1],
        missing=[str(x.number) for x in ours if not by_id[str(x.id)]],
        unequal=[str(x.number) for x in ours if not _is_equal(x, by_id[str(x.id)])],
        strangers=sum(theirs.invoice_id not in known for theirs in held),
        differences={currency: Money(minor, currency) for currency, minor in totals.items()},
    )


def _is_equal(ours: Invoice, held: Sequence[Theirs]) -> bool:
    return all(
        (theirs.total, theirs.currency.upper()) == (ours.total_minor, ours.currency)
        for theirs in held
    )


async def _held(stripe_url: str, patience_seconds: float) -> list[Theirs]:
    """Everything but what was voided, over the public API, a page at a time."""
    held: list[Theirs] = []
    page: dict[str, str | int] = {"limit": _PAGE_SIZE}
    headers = {"Authorization": "Bearer sk_test_of_the_proof"}
    async with httpx.AsyncClient(
        base_url=stripe_url, headers=headers, timeout=patience_seconds, trust_env=False
    ) as client:
        while True:
            response = await client.get("/v1/invoices", params=page)
            found = msgspec.json.decode(response.raise_for_status().content, type=_Page)
            held += [theirs for theirs in found.data if theirs.status != "void"]
            if not found.has_more:
                return held
            page["starting_after"] = found.data[-1].id
