"""A customer's discount goes over to their invoices, unless it is told not to."""

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stripe.coupons import Coupon
from tests.sandbox.stripe.conftest import Stage

amounts = st.lists(st.integers(0, 10**9), max_size=8)


async def a_discounted_customer(stage: Stage, **coupon: int) -> str:
    customer = await stage.a_customer()
    await stage.order(discounts={customer: coupon})
    return customer


async def test_an_invoice_inherits_it_and_every_line_bears_its_share(stage: Stage) -> None:
    customer = await a_discounted_customer(stage, percent_off=10)
    draft = await stage.a_draft(1005, 1000, customer=customer)

    assert (draft.subtotal, draft.total, draft.amount_due) == (2005, 1804, 1804)
    shares = [line.discount_amounts for line in draft.lines.data]
    assert [[each.amount for each in share or []] for share in shares] == [[101], [100]]
    discount = (await stage.client.v1.customers.retrieve_async(customer)).discount
    assert discount is not None
    assert draft.discounts == [discount.id]
    assert draft.total_discount_amounts is not None
    assert [each.amount for each in draft.total_discount_amounts] == [201]
    await stage.order(discounts={customer: None})
    final = await stage.client.v1.invoices.finalize_invoice_async(draft.id)
    assert (final.total, final.amount_due) == (1804, 1804)


async def test_told_not_to_it_does_not_and_a_draft_can_be_rid_of_it(stage: Stage) -> None:
    customer = await a_discounted_customer(stage, amount_off=300)
    without = await stage.a_draft(1000, customer=customer, discounts="")
    assert (without.total, without.discounts) == (1000, [])

    inherited = await stage.a_draft(1000, customer=customer)
    assert inherited.total == 700
    rid = await stage.client.v1.invoices.update_async(inherited.id, {"discounts": ""})
    assert rid.total == 1000
    with pytest.raises(stripe.InvalidRequestError, match="does not model"):
        await stage.a_draft(customer=customer, discounts=[{"coupon": "x"}])


async def test_a_line_that_is_not_discountable_is_let_alone(stage: Stage) -> None:
    customer = await a_discounted_customer(stage, percent_off=50)
    draft = await stage.a_draft(customer=customer)
    changed = await stage.client.v1.invoices.add_lines_async(
        draft.id, {"lines": [{"amount": 1000, "discountable": False}, {"amount": 1000}]}
    )
    assert changed.total == 1500


async def test_all_of_it_off_is_paid_by_finalizing(stage: Stage) -> None:
    customer = await a_discounted_customer(stage, amount_off=5000)
    invoice = await stage.an_open_invoice(1000, customer=customer)
    assert (invoice.total, invoice.status) == (0, "paid")


@given(amounts, st.integers(1, 100))
def test_shares_of_a_percentage_add_up_to_it(amounts: list[int], percent: int) -> None:
    off = Coupon(percent_off=percent).off(amounts, "usd")
    assert abs(100 * sum(off) - percent * sum(amounts)) <= 50
    assert all(0 <= share <= amount for share, amount in zip(off, amounts, strict=True))


@given(amounts, st.integers(1, 10**9))
def test_shares_of_an_amount_add_up_to_it_or_to_all_there_is(
    amounts: list[int], amount: int
) -> None:
    coupon = Coupon(amount_off=amount)
    assert sum(coupon.off(amounts, "usd")) == min(amount, sum(amounts))
    assert sum(coupon.off(amounts, "eur")) == 0
