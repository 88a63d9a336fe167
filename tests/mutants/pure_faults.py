"""Faults in the rules: pure tests catch them."""

from tests.mutants.fault import Fault, fault

_RATING, _MODELS = "tests/rules/test_rating.py", "tests/rules/test_models.py"
_MONEY, _CAPS = "tests/rules/test_money.py", "tests/rules/test_caps.py"
_REDUCTIONS, _INVOICING = "tests/rules/test_reductions.py", "tests/rules/test_invoicing.py"
_LADDERS, _PERIODS = "tests/rules/test_ladders.py", "tests/rules/test_periods.py"

_COUPONS = "    _apply_coupons(bill, terms.coupons)\n"
_CAP = "    _apply_caps(bill, terms.caps)\n"
_TAX = "    rest += _apply_taxes(bill, terms.taxes, rest)\n"
_PREPAID = "    prepaid = [x for x in terms.grants if x.kind is GrantKind.PREPAID]\n"

PURE_FAULTS = (
    fault(
        "a cent more on a line",
        "billing/rules/rating.py",
        "    amount = Money.rounded(exact, segment.terms.currency)\n",
        "    amount = Money(Money.rounded(exact, segment.terms.currency).minor + 1,"
        " segment.terms.currency)\n",
        f"{_RATING}::test_worked_example_1_graduated",
    ),
    fault(
        "rounding half to even",
        "billing/rules/money.py",
        "math.floor(steps + Fraction(1, 2))",
        "round(steps)",
        _MONEY,
    ),
    fault(
        "the allowance once for each part of a split period",
        "billing/rules/rating.py",
        "for quantity in (before, after))",
        "for quantity in (Fraction(0), after - before))",
        f"{_RATING}::test_worked_example_5_a_change_of_plan_at_half_the_period",
    ),
    fault(
        "a minimum that is not prorated",
        "billing/rules/rating.py",
        "            _prorated([x.terms.minimum for x in segments], segments, period),\n",
        "            sum((Fraction(x.terms.minimum) for x in segments), Fraction(0)),\n",
        f"{_MODELS}::test_bounds_are_prorated_by_the_hours_they_held",
    ),
    fault(
        "packages rounded down",
        "billing/rules/rating.py",
        "Fraction(math.ceil(high / size) - math.ceil(low / size))",
        "Fraction(math.floor(high / size) - math.floor(low / size))",
        f"{_MODELS}::test_worked_example_3_packages_are_whole_and_the_allowance_comes_first",
    ),
    fault(
        "VOLUME by the part instead of the total",
        "billing/rules/rating.py",
        "x.up_to < total]",
        "x.up_to < high - low]",
        f"{_MODELS}::test_volume_prices_every_part_by_the_tier_of_the_total",
    ),
    fault(
        "a tier that is only reached costs its flat amount",
        "billing/rules/rating.py",
        "        if tier.flat_amount and low <= floor < high:\n            steps",
        "        if tier.flat_amount and low <= floor <= high:\n            steps",
        f"{_RATING}::test_a_flat_amount_is_charged_once_on_entering_its_tier",
    ),
    fault(
        "LATEST summed over time",
        "billing/rules/ladders.py",
        "stretches = (priced or list(stretches))[-1:]",
        "stretches = priced or list(stretches)",
        f"{_LADDERS}::test_a_latest_value_is_wholly_the_last_price_that_it_had",
    ),
    fault(
        "the less specific filter wins",
        "billing/rules/prices.py",
        "return max(matching, key=lambda filters: filters.specificity, default=None)",
        "return min(matching, key=lambda filters: filters.specificity, default=None)",
        f"{_LADDERS}::test_the_price_that_names_more_dimensions_wins",
    ),
    fault(
        "an event exactly at the end in the old period",
        "billing/rules/periods.py",
        "return self.start <= instant < self.end",
        "return self.start <= instant <= self.end",
        f"{_PERIODS}::test_an_event_exactly_at_the_end_belongs_to_the_next_period",
    ),
    Fault(
        "tax before coupons",
        "billing/rules/reductions.py",
        (
            (_COUPONS, ""),
            (_TAX, _TAX + _COUPONS),
        ),
        (_REDUCTIONS,),
    ),
    Fault(
        "the maximum after tax",
        "billing/rules/reductions.py",
        ((_CAP, ""), (_TAX, _TAX + _CAP)),
        (f"{_REDUCTIONS}::test_worked_example_6_cap_then_promotional_credit_then_tax",),
    ),
    fault(
        "prepaid credit before tax",
        "billing/rules/reductions.py",
        "promotional = [x for x in terms.grants if x.kind is GrantKind.PROMOTIONAL]",
        "promotional = list(terms.grants)",
        f"{_REDUCTIONS}::test_promotional_credit_lowers_the_tax_and_prepaid_credit_pays_it",
    ),
    fault(
        "a coupon below zero",
        "billing/rules/reductions.py",
        "off = min(base, coupon.amount_minor or 0)",
        "off = coupon.amount_minor or 0",
        f"{_REDUCTIONS}::test_a_coupon_takes_no_more_than_there_is_and_no_line_for_nothing",
    ),
    fault(
        "amounts before percentages",
        "billing/rules/reductions.py",
        "key=lambda coupon: coupon.percent is None)",
        "key=lambda coupon: coupon.percent is not None)",
        f"{_REDUCTIONS}::test_percentages_come_before_amounts_and_each_sees_what_is_left",
    ),
    fault(
        "general grants before scoped ones",
        "billing/rules/reductions.py",
        "            self.meter is None,\n            self.priority,",
        "            self.meter is not None,\n            self.priority,",
        f"{_REDUCTIONS}::test_grants_are_drawn_scoped_first_then_by_priority_expiry_and_age",
    ),
    fault(
        "what was forgiven is billed after raising the maximum",
        "billing/rules/caps.py",
        "max(self.forgiven_minor, gross_minor - billable)",
        "0",
        f"{_CAPS}::test_raising_it_keeps_what_was_forgiven",
    ),
    fault(
        "lowering the maximum bills back",
        "billing/rules/caps.py",
        "floor = 0 if wanted_minor is None else billable",
        "floor = 0",
        f"{_CAPS}::test_lowering_it_never_goes_under_what_is_billable_already",
    ),
    fault(
        "a negative total is asked for",
        "billing/rules/invoicing.py",
        "if total.minor < 0:",
        "if total.minor < -1_000_000:",
        f"{_INVOICING}::test_a_negative_total_is_moved_to_the_credit_balance",
    ),
    fault(
        "less than the smallest charge is asked for",
        "billing/rules/invoicing.py",
        "if 0 < total.minor < draft.currency.smallest_charge_minor:",
        "if 0 < total.minor < 1:",
        f"{_INVOICING}::test_worked_example_7_a_total_below_the_smallest_charge_is_carried",
    ),
)
