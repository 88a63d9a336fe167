"""`stripe-sync close`: what it issues, what it says is held, and letting that go."""

import json
from datetime import UTC, datetime, timedelta

from billing.runtime import Sessions
from tests.commands.conftest import StripeSync
from tests.factories import a_meter, an_organization, counted
from tests.world import NOVEMBER_10


async def test_what_is_held_is_told_and_let_go_with_a_note(
    stripe_sync: StripeSync, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        org = await an_organization(session, key="acme", opened_at=datetime(2026, 9, 1, tzinfo=UTC))
        meter = await a_meter(session, "builds")
        await counted(session, org.id, meter, 7, NOVEMBER_10 - timedelta(days=60))

    told = json.loads((await stripe_sync("close", "--json")).stdout)
    [held] = told["holds"]
    assert (told["issued"], held["organization"], held["reason"]) == (0, "acme", "UNPRICED")

    release = ("close", "--release", "acme", "--reason", "UNPRICED")
    assert "INVALID_NOTE" in (await stripe_sync(*release)).stderr
    assert (await stripe_sync("close", "--release", "acme")).exit_code == 2
    done = await stripe_sync(*release, "--note", "Free of charge")
    assert done.stdout == "acme is held for UNPRICED no longer.\n"
    assert json.loads((await stripe_sync("close", "--json")).stdout)["issued"] >= 1
