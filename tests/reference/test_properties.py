"""What must hold on any world, seen from outside: on the invoices, not on how they are made."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from random import Random

import pytest

from tests.reference.generate import world_of
from tests.reference.in_force import as_known
from tests.reference.invoices import RefInvoice
from tests.reference.money import currency_of
from tests.reference.periods import period_at_index
from tests.reference.pricing import usage_charges
from tests.reference.reference import estimate_of, invoices_of
from tests.reference.world import CapChange, Subscription, World

SEEDS = range(200)
SOME_SEEDS = SEEDS[::4]  # for what bills every world once more


@cache
def billed(seed: int) -> tuple[World, list[RefInvoice]]:
    """A world and its invoices, for all tests."""
    world = world_of(seed, "small")
    return world, invoices_of(world)


def of_kind(invoice: RefInvoice, *kinds: str) -> int:
    """The sum of the lines of these kinds."""
    return sum(line.amount_minor for line in invoice.lines if line.kind in kinds)


def test_every_world_is_billed_once_per_period() -> None:
    for seed in SEEDS:
        world, invoices = billed(seed)
        indexes = [i.period.index for i in invoices if i.kind == "PERIOD"]

        assert indexes == list(range(len(world.closes)))


def test_a_world_is_a_pure_function_of_its_seed() -> None:
    assert world_of(7, "large") == world_of(7, "large")
    assert world_of(7, "large") != world_of(8, "large")


def test_worlds_meet_every_kind_of_line() -> None:
    met = {line.kind for seed in SEEDS for invoice in billed(seed)[1] for line in invoice.lines}

    assert met == {
        *("USAGE", "FEE", "UNUSED_FEE", "FEE_IN_ADVANCE", "ONE_OFF", "COUPON", "CAP_CREDIT"),
        *("TRUE_UP", "PROMOTIONAL_GRANT", "TAX", "PREPAID_GRANT", "CREDIT_BALANCE"),
        *("CARRIED_IN", "CARRIED_OUT", "TO_CREDIT_BALANCE"),
    }


def test_a_total_is_the_sum_of_its_lines_and_never_small_or_negative() -> None:
    for seed in SEEDS:
        world, invoices = billed(seed)
        currency = currency_of(world)
        for invoice in invoices:
            assert invoice.total_minor == sum(line.amount_minor for line in invoice.lines)
            assert invoice.total_minor == 0 or invoice.total_minor >= currency.smallest_minor
            assert all(line.amount_minor % currency.step == 0 for line in invoice.lines)


def test_carry_and_credit_are_conserved() -> None:
    for seed in SEEDS:
        carry = credit = 0
        for invoice in billed(seed)[1]:
            assert of_kind(invoice, "CARRIED_IN") == carry
            carry = -of_kind(invoice, "CARRIED_OUT")
            credit += of_kind(invoice, "CREDIT_BALANCE", "TO_CREDIT_BALANCE")
            assert (invoice.carry_minor, invoice.credit_balance_minor) == (carry, credit)
            assert credit >= 0


def test_no_grant_is_overdrawn() -> None:
    for seed in SEEDS:
        world, invoices = billed(seed)
        for grant in world.grants:
            drawn = [
                -line.amount_minor
                for invoice in invoices
                for line in invoice.lines
                if line.name == grant.name
            ]
            assert sum(drawn) <= grant.amount_minor
            assert all(part > 0 for part in drawn)


def costs_by_period(world: World) -> Iterator[int]:
    """What each closed period costs before tax, on whichever invoices (without coupons)."""
    invoices = invoices_of(world)
    for index in range(len(world.closes)):
        yield sum(
            line.amount_minor for invoice in invoices for line in invoice.lines if line.of == index
        )


def test_a_maximum_bill_is_a_maximum() -> None:
    reached = 0
    for seed in SOME_SEEDS:
        world, _ = billed(seed)
        start = period_at_index(world.organization, 0).start
        capped = replace(world, coupons=(), caps=(CapChange(start, 2000),))
        for cost in costs_by_period(capped):
            assert cost <= 2000
            reached += cost == 2000

    assert reached > 5


def test_lines_and_true_ups_add_up_to_the_corrected_usage() -> None:
    for seed in SOME_SEEDS:
        plain = replace(billed(seed)[0], coupons=(), caps=(), one_offs=())
        invoices = invoices_of(plain)
        for closed in range(len(plain.closes)):
            period = period_at_index(plain.organization, closed)
            on_invoices = sum(
                line.amount_minor
                for invoice in invoices
                for line in invoice.lines
                if line.kind in ("USAGE", "TRUE_UP") and line.of == closed
            )
            known = as_known(plain, plain.closes[-1])
            corrected = usage_charges(known, period, plain.closes[-1])
            assert on_invoices == sum(charge.amount for charge in corrected)


def test_switching_between_identical_plans_changes_nothing() -> None:
    for seed in SOME_SEEDS:
        rng = Random(seed)
        world, _ = billed(seed)
        basic = world.plans[0]
        start = world.organization.opened_at
        hours = int((world.closes[-1] - start) / timedelta(hours=1))
        cuts = [start + timedelta(hours=rng.randint(1, hours)) for _ in range(3)]
        instants = [start, *sorted(set(cuts))]
        switching = tuple(
            Subscription(
                key=f"s{number}",
                plan=basic.slug if number % 2 == 0 else "copy",
                created_at=at,
                starts_at=at,
                ends_at=end,
                end_recorded_at=end,
                changes=f"s{number - 1}" if number else None,
            )
            for number, (at, end) in enumerate(zip(instants, [*instants[1:], None], strict=True))
        )
        plans = (basic, replace(basic, slug="copy"))
        stays = replace(
            world,
            plans=plans,
            overrides=(),
            subscriptions=(Subscription("s", "basic", start, start),),
        )
        moves = replace(stays, subscriptions=switching)

        assert [i.total_minor for i in invoices_of(moves)] == [
            i.total_minor for i in invoices_of(stays)
        ]


@pytest.mark.parametrize("seed", range(40))
def test_an_estimate_is_the_invoice_if_it_closed_now(seed: int) -> None:
    world, _ = billed(seed)
    last = period_at_index(world.organization, len(world.closes) - 1)
    now = last.start + (last.end - last.start) * 3 / 4
    if now <= world.closes[-2]:
        return
    closed_now = replace(world, closes=(*world.closes[:-1], now))

    assert estimate_of(world, now).total_minor == invoices_of(closed_now)[-1].total_minor


def test_large_worlds_run() -> None:
    for seed in range(5):
        assert invoices_of(world_of(seed, "large"))
