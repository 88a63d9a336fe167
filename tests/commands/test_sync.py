import json

import pytest

from billing.runtime import Runtime
from tests.billing.pushing import an_issued_invoice
from tests.commands.conftest import StripeSync


async def test_watching_ends_at_once_where_nothing_waits(stripe_sync: StripeSync) -> None:
    result = await stripe_sync("sync", "--watch", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["waiting"] == 0


async def test_status_counts_what_waits(stripe_sync: StripeSync, runtime: Runtime) -> None:
    await an_issued_invoice(runtime)

    assert "1 waiting, 0 held, 0 failed." in (await stripe_sync("sync", "status")).output


@pytest.mark.parametrize("arguments", [("--watch", "status"), ("--json", "--nothing")])
async def test_watching_is_no_option_of_another_command(
    stripe_sync: StripeSync, arguments: tuple[str, ...]
) -> None:
    assert (await stripe_sync("sync", *arguments)).exit_code == 2


async def test_without_a_command_it_says_what_there_is(stripe_sync: StripeSync) -> None:
    assert "retry" in (await stripe_sync("sync")).output
