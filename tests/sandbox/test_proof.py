"""The proof holds for each exactly once with one total, and for nothing else."""

import pytest

from billing.ids import InvoiceId, new_id
from billing.models import Invoice
from billing.rules.money import Currency
from sandbox.proof import Theirs, compared

OURS = Invoice(id=InvoiceId(new_id()), number="ACME-0001", total_minor=1200, currency=Currency.USD)


def held(*, total: int = 1200, currency: str = "usd", of: str | None = None) -> Theirs:
    metadata = {"invoice_id": of or str(OURS.id)}
    return Theirs("in_1", metadata, total, currency, "open")


def test_it_holds_for_each_once_with_the_same_total() -> None:
    proof = compared([OURS], [held()])
    assert proof.holds
    assert str(proof) == "1 sent, 0 duplicates, difference 0.00 USD"


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ([], "difference 12.00 USD; not in Stripe: ACME-0001"),
        ([held(), held()], "difference -12.00 USD; twice in Stripe: ACME-0001"),
        ([held(total=1199)], "difference 0.01 USD; with another total: ACME-0001"),
        ([held(currency="eur")], "with another total: ACME-0001"),
        ([held(), held(of="somebody", total=0)], "1 of nobody's"),
    ],
)
def test_it_says_what_is_wrong(theirs: list[Theirs], said: str) -> None:
    proof = compared([OURS], theirs)
    assert not proof.holds
    assert said in str(proof)
