"""`stripe-sync orgs …`: who is billed."""

import click

from billing.accounts import NewOrganization, create_organization
from billing.models import Organization
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run


@click.group()
def orgs() -> None:
    """Organizations: who is billed."""


@orgs.command()
@click.option("--key", required=True, help="What usage events name as their subject; for ever.")
@click.option("--slug", required=True, help="Its name in addresses: /orgs/SLUG/billing.")
@click.option("--name", required=True)
@click.option("--currency", required=True, help="ISO 4217, such as USD.")
@click.option("--billing-email", required=True)
@click.option("--anchor-day", default=1, show_default=True, help="Day its periods start on.")
@json_option
def create(as_json: bool, **given: str | int) -> None:
    """Open an organization's books; its first period is the one that holds this instant."""
    new = NewOrganization(**given)  # type: ignore[arg-type] # click has checked the types
    org = run(lambda runtime: _create(runtime, new))
    answer = {
        "id": org.id,
        "key": org.key,
        "slug": org.slug,
        "invoice_prefix": org.invoice_prefix,
        "first_period_ends_at": org.open_period_end.isoformat(),
    }
    text = f"{org.name} is at /orgs/{org.slug}/billing; its invoices are {org.invoice_prefix}-…"
    show(answer, text, as_json=as_json)


async def _create(runtime: Runtime, new: NewOrganization) -> Organization:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await create_organization(session, new, actor=ACTOR, now=now)
