"""The real product beside the reference: one world played into it, every invoice compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from sqlalchemy import select, text
from sqlalchemy.orm import selectinload

from billing.accounts import get_organization
from billing.estimates import Estimate, current_estimate, estimate_as_of
from billing.models import CreditEntry, Invoice, InvoiceLine, InvoiceStatus
from billing.rules.money import Currency
from billing.rules.periods import period_at
from billing.rules.quantities import plain
from billing.runtime import Runtime
from tests.reference.generate import world_of
from tests.reference.invoices import RefInvoice, RefLine
from tests.reference.periods import period_at_index
from tests.reference.playing import Player
from tests.reference.reference import estimate_of, invoices_of
from tests.reference.world import World
from tests.world import EMPTY_EVERYTHING, Clock

OUR_KINDS = {
    "PROMOTIONAL_GRANT": "PROMOTIONAL_CREDIT",
    "PREPAID_GRANT": "PREPAID_CREDIT",
    "TO_CREDIT_BALANCE": "MOVED_TO_CREDIT",
}
NAMELESS = ("CARRIED_IN", "CARRIED_OUT", "CREDIT_BALANCE", "MOVED_TO_CREDIT")
CARRIES = ("CARRIED_IN", "CARRIED_OUT")
Key = tuple[str, str]
Figures = tuple[int, int, int]


@dataclass(frozen=True)
class Seen:
    """An invoice as both sides can tell it; `lines` are sums by kind and price."""

    kind: str
    period_start: datetime
    lines: Mapping[Key, tuple[int, str]]
    total_minor: int
    credit_minor: int
    carry_minor: int

    def __str__(self) -> str:
        head = f"{self.kind} of {self.period_start:%Y-%m-%d}: {self.total_minor}"
        rest = f"credit {self.credit_minor}, carry {self.carry_minor}"
        lines = [
            f"    {kind} {name}: {amount} for {quantity}"
            for (kind, name), (amount, quantity) in sorted(self.lines.items())
        ]
        return "\n".join([f"{head}, {rest}", *lines])


def disagreement(
    theirs: Sequence[object], ours: Sequence[object], world: World, title: str
) -> str | None:
    """Both sides, from the first difference on; None when there is none."""
    if list(theirs) == list(ours):
        return None
    at = next(
        (i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b),
        min(len(theirs), len(ours)),
    )
    reference = theirs[at] if at < len(theirs) else "nothing"
    product = ours[at] if at < len(ours) else "nothing"
    who = world.organization
    return (
        f"{title} {at}, {who.currency}, anchor {who.anchor_day}\n"
        f"  reference: {reference}\n  product:   {product}"
    )


async def compared(
    runtime: Runtime, seed: int, size: Literal["small", "large"] = "small"
) -> list[str]:
    """Play the world of a seed on a database that is emptied first; answers what disagrees."""
    async with runtime.engine.begin() as connection:
        await connection.execute(text(EMPTY_EVERYTHING))
    world = world_with_our_settings(seed, size)
    rng = Random(seed)
    looks = list(instants(world, rng))
    clock = Clock(world.organization.opened_at)
    runtime = replace(runtime, now=clock, _memory={})
    shown: list[Figures] = []

    async def look(at: datetime) -> None:
        shown.append(await estimated(runtime, world, at))

    player = Player(world, runtime, clock, rng, looks, look)
    await player.play()
    anchor_day = world.organization.anchor_day
    theirs = [seen_theirs(invoice) for invoice in invoices_of(world)]
    at_first = [expected_estimate(world, at) for at in looks]
    afterwards = [await remembered(runtime, world, at) for at in looks]
    found = [
        disagreement(theirs, await seen_ours(runtime, anchor_day), world, "invoice"),
        disagreement(at_first, shown, world, "estimate"),
        disagreement(shown, afterwards, world, "estimate as of"),
    ]
    return [f"seed {seed}: {one}" for one in found if one]


def world_with_our_settings(seed: int, size: Literal["small", "large"]) -> World:
    """The page leaves BHD's smallest charge to a setting: the product's."""
    smallest = Currency.BHD.smallest_charge_minor
    return replace(world_of(seed, size), bhd_smallest_minor=smallest)


def instants(world: World, rng: Random) -> Iterable[datetime]:
    """When to look at the estimate: now and then while the period before waits to be closed."""
    index = rng.randrange(len(world.closes))
    start = world.closes[index - 1] if index else world.organization.opened_at
    end = period_at_index(world.organization, index).end
    if index and rng.random() < 0.3:
        start, end = period_at_index(world.organization, index).start, start
    minutes = (end - start) // timedelta(minutes=1)
    if minutes > 2:
        yield start + timedelta(minutes=rng.randrange(1, minutes), seconds=1)


async def estimated(runtime: Runtime, world: World, at: datetime) -> Figures:
    """What the product shows: accrued, in advance, total."""
    async with runtime.sessions() as session:
        org = await get_organization(session, world.organization.key)
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, org, at)
    return _figures(estimate)


async def remembered(runtime: Runtime, world: World, at: datetime) -> Figures:
    """What the product says, at the end, that it had shown."""
    async with runtime.sessions() as session:
        org = await get_organization(session, world.organization.key)
    async with runtime.sessions() as session:
        estimate = await estimate_as_of(session, org, at, await runtime.now())
    return _figures(estimate)


def _figures(estimate: Estimate) -> Figures:
    return (estimate.accrued.minor, estimate.in_advance.minor, estimate.total.minor)


def expected_estimate(world: World, at: datetime) -> Figures:
    """What the reference shows."""
    estimate = estimate_of(world, at)
    return (estimate.accrued_minor, estimate.in_advance_minor, estimate.total_minor)


async def seen_ours(runtime: Runtime, anchor_day: int) -> list[Seen]:
    """The product's invoices, in the order of issue."""
    async with runtime.sessions() as session:
        rows = await session.scalars(
            select(Invoice)
            .where(Invoice.status != InvoiceStatus.CLOSING)
            .options(selectinload(Invoice.lines))
        )
        invoices = sorted(rows, key=lambda row: int(str(row.number).rpartition("-")[2]))
        entries = await session.scalars(select(CreditEntry).where(CreditEntry.grant_id.is_(None)))
        moved: dict[object, int] = {}
        for entry in entries:
            moved[entry.invoice_id] = moved.get(entry.invoice_id, 0) + entry.amount_minor
    credit = carry = 0
    found = []
    for invoice in invoices:
        credit += moved.get(invoice.id, 0)
        carry -= sum(x.amount_minor for x in invoice.lines if x.kind in CARRIES)
        lines = _summed(_ours(line) for line in invoice.lines if line.amount_minor)
        kind, start = str(invoice.kind), period_at(invoice.period_start, anchor_day).start
        found.append(Seen(kind, start, lines, invoice.total_minor, credit, carry))
    return found


def _ours(line: InvoiceLine) -> tuple[Key, int, Decimal]:
    kind = str(line.kind)
    quantity = line.quantity if kind == "USAGE" and line.quantity else Decimal(0)
    return (kind, "" if kind in NAMELESS else _name(line.key)), line.amount_minor, quantity


def _name(key: str) -> str:
    """`pro/egress` of `pro/egress/USD@2`, `vat` of `tax/vat`, and so on."""
    key = key.rpartition("~")[0] or key
    family, _, rest = key.partition("/")
    if family in ("coupon", "grant", "tax", "one-off"):
        return rest
    if family == "cap":
        return "cap"
    return "/".join(key.split("/")[:2])


def seen_theirs(invoice: RefInvoice) -> Seen:
    """An invoice of the reference."""
    return Seen(
        invoice.kind,
        invoice.period.start,
        _summed(_theirs(line) for line in invoice.lines),
        invoice.total_minor,
        invoice.credit_balance_minor,
        invoice.carry_minor,
    )


def _theirs(line: RefLine) -> tuple[Key, int, Decimal]:
    kind = OUR_KINDS.get(line.kind, line.kind)
    quantity = Decimal(0)
    if kind == "USAGE" and line.quantity:
        quantity = Decimal(plain(line.quantity))
    return (kind, "" if kind in NAMELESS else line.name), line.amount_minor, quantity


def _summed(lines: Iterable[tuple[Key, int, Decimal]]) -> dict[Key, tuple[int, str]]:
    sums: dict[Key, tuple[int, Decimal]] = {}
    for key, amount, quantity in lines:
        before = sums.get(key, (0, Decimal(0)))
        sums[key] = (before[0] + amount, before[1] + quantity)
    return {key: (amount, plain(quantity)) for key, (amount, quantity) in sums.items()}
