"""What both sides hold, decided by a seed: one plan, written here and into the fake Stripe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from billing.ids import InvoiceId
from billing.models import InvoiceStatus
from billing.rules.drift import DriftKind
from sandbox.stripe.bulk import Held, hold_customer, hold_invoices
from sandbox.stripe.records import CreditNote, Invoice, Status
from sandbox.stripe.world import World

INVOICES_PER_CUSTOMER = 10
OF_EACH_KIND_MIN = 4
VARIANTS = 3
_OLDEST, _NEWEST = timedelta(days=5), timedelta(hours=3)
_SHARES = {
    InvoiceStatus.PAID: 80,
    InvoiceStatus.OPEN: 15,
    InvoiceStatus.VOID: 3,
    InvoiceStatus.UNCOLLECTIBLE: 2,
}
_WITHOUT_OURS = (DriftKind.ORPHAN, DriftKind.FOREIGN)
_OPEN_HERE = (DriftKind.NOT_SYNCED, DriftKind.STATUS_DRIFT, DriftKind.STUCK_DRAFT)


@dataclass(frozen=True, slots=True)
class Planned:
    """One invoice of ours, and what of Stripe's side differs. `variant` is which way."""

    place: int
    id: InvoiceId
    status: InvoiceStatus
    amounts: tuple[int, int]
    issued_at: datetime
    drift: DriftKind | None = None
    variant: int = 0

    @property
    def number(self) -> str:
        """As ours is called."""
        return (
            f"PROOF{self.place // INVOICES_PER_CUSTOMER}-{self.place % INVOICES_PER_CUSTOMER:04d}"
        )

    @property
    def is_ours(self) -> bool:
        """Whether our books have it at all."""
        return self.drift not in _WITHOUT_OURS


@dataclass(slots=True)
class Stripe:
    """The fake's side: its account, and the ids it gave, by our invoice."""

    world: World
    ids: dict[InvoiceId, str] = field(default_factory=dict)
    expected: set[tuple[str, str]] = field(default_factory=set)
    """Each planted difference by its kind, and the number of ours or else Stripe's id."""


def plan(count: int, differences: int, now: datetime, seed: int) -> list[Planned]:
    """`count` invoices of ours, the oldest first; at least three of each kind differ."""
    chance = Random(seed)  # noqa: S311 - play money
    kinds = [kind for kind in DriftKind for _ in range(OF_EACH_KIND_MIN)]
    kinds += chance.choices(list(DriftKind), k=differences - len(kinds))
    total = count + sum(kind in _WITHOUT_OURS for kind in kinds)
    placed = dict(zip(chance.sample(range(total), len(kinds)), kinds, strict=True))
    step = (_OLDEST - _NEWEST) / total
    nth: dict[DriftKind | None, int] = {}
    planned = []
    for place in range(total):
        drift = placed.get(place)
        nth[drift] = nth.get(drift, -1) + 1
        planned.append(
            Planned(
                place=place,
                id=InvoiceId(UUID(int=chance.getrandbits(128), version=4)),
                status=_status(chance, drift),
                amounts=(chance.randint(100, 50_000), chance.randint(100, 50_000)),
                issued_at=now - _OLDEST + step * place,
                drift=drift,
                variant=nth[drift] % VARIANTS,
            )
        )
    return planned


def _status(chance: Random, drift: DriftKind | None) -> InvoiceStatus:
    drawn = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
    if drift in _OPEN_HERE:
        return InvoiceStatus.OPEN
    return drawn if drift is None else InvoiceStatus.PAID


def hold(world: World, planned: Sequence[Planned]) -> Stripe:
    """Put Stripe's side of a plan into the fake."""
    stripe = Stripe(world)
    start = int(planned[0].issued_at.timestamp())
    customers = [
        hold_customer(world, start).id for _ in range(len(planned) // INVOICES_PER_CUSTOMER + 1)
    ]
    wanted: list[tuple[Held, Planned]] = []
    for one in planned:
        customer = customers[one.place // INVOICES_PER_CUSTOMER]
        wanted += [(held, one) for held in _held(one, customer)]
    wanted.sort(key=lambda pair: pair[0].created)
    records = hold_invoices(world, [held for held, _ in wanted])
    for record, (_, one) in zip(records, wanted, strict=True):
        _settle(stripe, record, one)
    stripe.expected |= {
        (one.drift, one.number)
        for one in planned
        if one.drift is not None and one.is_ours and one.drift is not DriftKind.DUPLICATE
    }
    return stripe


def _held(one: Planned, customer: str) -> list[Held]:
    created = int(one.issued_at.timestamp()) + 30
    metadata: Mapping[str, str] = {"invoice_id": str(one.id), "rev": "0", "number": one.number}
    status, currency = Status(one.status.lower()), "usd"
    amounts: tuple[int, ...] = one.amounts
    match one.drift:
        case DriftKind.MISSING | DriftKind.NOT_SYNCED:
            return []
        case DriftKind.FOREIGN:
            metadata = {}
        case DriftKind.STUCK_DRAFT:
            status = Status.DRAFT
        case DriftKind.STATUS_DRIFT:
            status = (Status.PAID, Status.VOID, Status.UNCOLLECTIBLE)[one.variant]
        case DriftKind.AMOUNT_DRIFT:
            first, second = one.amounts
            odd = ((first + 1, second), amounts, (first, second - 1, 1))
            amounts = odd[one.variant]
            currency = "eur" if one.variant == 1 else "usd"
        case _:
            pass
    held = Held(
        customer=customer,
        created=created,
        amounts=amounts,
        currency=currency,
        status=status,
        metadata=metadata,
        number=None if status is Status.DRAFT else one.number,
    )
    if one.drift is not DriftKind.DUPLICATE:
        return [held]
    copy_status = Status.DRAFT if one.variant else Status.OPEN
    copy = Held(
        customer=customer,
        created=created + 600,
        amounts=amounts,
        status=copy_status,
        metadata=metadata,
    )
    return [held, copy]


def _settle(stripe: Stripe, record: Invoice, one: Planned) -> None:
    is_copy = one.id in stripe.ids
    if one.drift in _WITHOUT_OURS or is_copy:
        assert one.drift is not None
        stripe.expected.add((one.drift, record.id))
    if one.is_ours and not is_copy:
        stripe.ids[one.id] = record.id
    if one.drift is DriftKind.PAYMENT_DRIFT and one.variant == 1:
        record.starting_balance = 500  # the customer owed from before: Stripe's balance was used
    if one.drift is DriftKind.PAYMENT_DRIFT and one.variant == 2:
        _credit(stripe.world, record)


def _credit(world: World, record: Invoice) -> None:
    """Somebody credits it in the Dashboard: our books know nothing of it."""
    world.credit_notes.add(
        CreditNote(
            id=world.ids.new("cn"),
            created=record.created,
            invoice=record.id,
            customer=record.customer,
            currency=record.currency,
            amount=100,
            ways={"refund_amount": 100, "credit_amount": 0, "out_of_band_amount": 0},
            is_post_payment=True,
            number=f"{record.number}-CN-01",
            memo=None,
            reason=None,
            metadata={},
        )
    )
