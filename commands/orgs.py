"""`stripe-sync orgs …`: who is billed."""

import click

from billing.accounts import (
    NewOrganization,
    change_organization,
    create_organization,
    get_organization,
)
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


@orgs.command()
@click.argument("slug")
@click.option("--name", help="For people, and on invoices from now on.")
@click.option("--billing-email", help="Where invoices are sent from now on.")
@json_option
def change(slug: str, name: str | None, billing_email: str | None, as_json: bool) -> None:
    """Change the name or the billing address of SLUG; Stripe's customer follows."""
    if name is None and billing_email is None:
        raise click.UsageError("Give --name, --billing-email, or both.")
    org, is_other = run(lambda runtime: _change(runtime, slug, name, billing_email))
    answer = {"slug": slug, "name": org.name, "billing_email": org.billing_email}
    text = f"{org.name}, {org.billing_email}{'' if is_other else ': as before'}."
    show(answer | {"changed": is_other}, text, as_json=as_json)


async def _change(
    runtime: Runtime, slug: str, name: str | None, billing_email: str | None
) -> tuple[Organization, bool]:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        org = await get_organization(session, slug)
        is_other = await change_organization(
            session, org, name=name, billing_email=billing_email, actor=ACTOR, now=now
        )
    await runtime.nudges.enqueue("push_customers")
    return org, is_other
