"""Faults of the push: random schedules of crashes and faults must end in a violation."""

from tests.mutants.fault import Fault, fault

_SCHEDULES = "tests/soak/test_schedules.py::test_where_it_has_gone_wrong_before"
_PUSH, _LIMITS = "billing/invoice_sync/push.py", "tests/billing/test_stripe_limits.py"

PUSH_FAULTS: tuple[Fault, ...] = (
    fault(
        "a random idempotency key",
        _PUSH,
        '-{verb}{again}"',
        '-{verb}{again}-{hashlib.sha256(str(object()).encode()).hexdigest()[:8]}"',
        _SCHEDULES,
    ),
    fault(
        "no gate before finalizing",
        _PUSH,
        "    if held.currency.upper() != sent.currency:\n",
        "    if held.currency.upper() == sent.currency:\n        return\n"
        "    if held.currency.upper() != sent.currency:\n",
        _SCHEDULES,
    ),
    fault(
        "lines added again on a retry",
        _PUSH,
        "if line.line_id not in there]",
        "if there is not None]",
        _SCHEDULES,
    ),
    fault(
        "an invoice made anew without looking",
        _PUSH,
        "        if found:\n            return await _adopt(",
        "        if len(found) > 1:\n            return await _adopt(",
        _SCHEDULES,
    ),
    fault(
        "two invoices of a customer at once",
        "billing/invoice_sync/claiming.py",
        "            ~_has_another_before_it(now),\n",
        "",
        "tests/billing/test_push_calls.py::test_two_invoices_of_a_customer_are_never_written_at_once",
    ),
    fault(
        "the month's close before people",
        "billing/stripe_limits/lanes.py",
        "    INTERACTIVE = 0.0\n    REFETCH = 0.25\n    MONTH_CLOSE = 0.5\n",
        "    INTERACTIVE = 0.5\n    REFETCH = 0.25\n    MONTH_CLOSE = 0.0\n",
        f"{_LIMITS}::test_a_person_never_waits_behind_the_months_close",
    ),
    fault(
        "a 429 that pauses nothing",
        "billing/stripe_limits/limiter.py",
        "        await self._pause(name, now, answer.least_pause)\n",
        "",
        f"{_LIMITS}::test_a_429_pauses_its_endpoint_and_no_other",
    ),
    fault(
        "a request past the limiter",
        "billing/stripe_gateway/transport.py",
        "        async with self._limits.turn(operation):\n",
        "        if method == 'get':\n"
        "            return await super().request_async(method, url, headers, post_data)\n"
        "        async with self._limits.turn(operation):\n",
        "tests/billing/test_gateway_limits.py::test_every_request_waits_for_its_turn",
    ),
)
