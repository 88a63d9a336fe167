import json

import pytest
from sqlalchemy import select

from billing.accounts import members_by_org
from billing.api_keys import viewer_for_key
from billing.errors import Unauthenticated
from billing.models import AuditEntry, Organization, Role, User
from billing.runtime import Runtime, Sessions
from billing.sign_in import sign_in
from tests.commands.conftest import StripeSync
from tests.world import NOVEMBER_10, Clock

PASSWORD = "correct horse battery"
ACME = (
    *("--key", "acme", "--slug", "acme", "--name", "Acme", "--currency", "USD"),
    *("--billing-email", "bills@acme.example"),
)
DANA = ("--email", "Dana@acme.example", "--name", "Dana")


async def test_the_first_member_of_staff_is_made_here(
    stripe_sync: StripeSync, sessions: Sessions
) -> None:
    made = await stripe_sync(
        "users", "create", *DANA, "--ops", "--password-stdin", "--json", stdin=f"{PASSWORD}\n"
    )

    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert (answer["email"], answer["is_ops"]) == ("dana@acme.example", True)
    assert PASSWORD not in made.output
    assert await sign_in(sessions, "dana@acme.example", PASSWORD, NOVEMBER_10)
    async with sessions() as session:
        act = await session.scalar(select(AuditEntry))
    assert act is not None
    assert (act.actor, act.action, act.details) == ("cli", "user.created", {"is_ops": True})


async def test_a_password_is_asked_for_twice_and_never_shown(
    stripe_sync: StripeSync, sessions: Sessions
) -> None:
    made = await stripe_sync("users", "create", *DANA, stdin=f"{PASSWORD}\n{PASSWORD}\n")

    assert made.exit_code == 0, made.output
    assert made.stdout == "Dana may sign in as dana@acme.example.\n"
    async with sessions() as session:
        user = await session.scalar(select(User))
    assert user is not None
    assert not user.is_ops


async def test_an_organization_and_its_owner(stripe_sync: StripeSync, sessions: Sessions) -> None:
    made = await stripe_sync("orgs", "create", *ACME, "--anchor-day", "15", "--json")
    await stripe_sync("users", "create", *DANA, "--password-stdin", stdin=PASSWORD)
    member = ("users", "add-member", "--email", "dana@acme.example", "--org", "acme")
    added = await stripe_sync(*member, "--role", "owner")

    assert json.loads(made.stdout)["invoice_prefix"] == "ACME"
    assert added.stdout == "dana@acme.example is OWNER of acme.\n"
    async with sessions() as session:
        org = await session.scalar(select(Organization))
        assert org is not None
        assert org.anchor_day == 15
        found = await members_by_org(session, [org.id])
        assert [x.role for x in found[org.id]] == [Role.OWNER]


async def test_a_key_is_printed_once_listed_and_revoked(
    stripe_sync: StripeSync, runtime: Runtime, clock: Clock
) -> None:
    await stripe_sync("orgs", "create", *ACME)
    made = await stripe_sync(
        *("keys", "create", "--name", "phoenix", "--scope", "usage:write", "--org", "acme"),
        *("--expires-in-days", "30"),
    )
    token = made.stdout.strip()
    viewer = await viewer_for_key(runtime, token, clock.at)
    assert viewer.scopes == {"usage:write"}

    [row] = json.loads((await stripe_sync("keys", "list", "--org", "acme", "--json")).stdout)
    assert (row["hint"], row["organization"], row["revoked_at"]) == (token[:8], "acme", None)
    revoked = await stripe_sync("keys", "revoke", row["id"])

    assert revoked.stdout == f"phoenix ({token[:8]}…) is revoked.\n"
    listed = (await stripe_sync("keys", "list")).stdout
    assert " revoked 2" in listed
    assert token not in listed
    with pytest.raises(Unauthenticated):
        await viewer_for_key(runtime, token, clock.at)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("orgs", "create", *ACME[:-1], "nobody"), "error: INVALID_EMAIL: billingEmail must be"),
        (
            ("users", "add-member", *DANA[:2], "--org", "x", "--role", "OWNER"),
            "error: USER_NOT_FOUND: Nobody has the address dana@acme.example.",
        ),
        (
            ("keys", "create", "--name", "x", "--scope", "admin", "--org", "nope"),
            "error: NOT_FOUND: There is no such organization",
        ),
        (("keys", "revoke", "00000000-0000-0000-0000-000000000000"), "error: KEY_NOT_FOUND:"),
        (("users", "create", *DANA, "--password-stdin"), "error: WEAK_PASSWORD: A password needs"),
    ],
)
async def test_a_refusal_is_a_sentence_with_its_code(
    stripe_sync: StripeSync, arguments: tuple[str, ...], error: str
) -> None:
    refused = await stripe_sync(*arguments, stdin="short\n")

    assert refused.exit_code == 1
    assert refused.stderr.startswith(error)
    assert refused.stdout == ""
