"""`stripe-sync keys …`: what other apps sign their requests with."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import click

from billing.accounts import get_organization, organizations_by_id
from billing.api_keys import NewKey, api_keys, create_key, revoke_key
from billing.ids import ApiKeyId, OrgId
from billing.models import ApiKey, Organization, Scope
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run

Row = dict[str, Any]


@click.group()
def keys() -> None:
    """API keys: what other apps sign their requests with."""


@keys.command()
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", "scopes", required=True, multiple=True, type=click.Choice([x.value for x in Scope])
)
@click.option("--org", "slug", help="The one organization it is for; else all of them.")
@click.option("--expires-in-days", type=click.IntRange(1, 36_500), help="Else it never expires.")
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    slug: str | None,
    expires_in_days: int | None,
    as_json: bool,
) -> None:
    """Make a key. It is printed once, and cannot be read again."""
    row, token = run(lambda runtime: _create(runtime, name, scopes, slug, expires_in_days))
    show({"key": token, **row}, token, as_json=as_json)
    click.echo("Keep it now: it is not shown again.", err=True)


async def _create(
    runtime: Runtime, name: str, scopes: Sequence[str], slug: str | None, days: int | None
) -> tuple[Row, str]:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        org = await get_organization(session, slug) if slug else None
        new = NewKey(
            name=name,
            scopes=scopes,
            org_id=org.id if org else None,
            expires_at=now + timedelta(days=days) if days else None,
        )
        key, token = await create_key(session, new, actor=ACTOR, now=now)
        return _row(key, {org.id: org} if org else {}), token


@keys.command("list")
@click.option("--org", "slug", help="Only those bound to this organization.")
@json_option
def list_keys(slug: str | None, as_json: bool) -> None:
    """Show every key, ended ones too; never its token."""
    rows = run(lambda runtime: _list(runtime, slug))
    text = "\n".join(_line(row) for row in rows) or "There are no keys."
    show(rows, text, as_json=as_json)


async def _list(runtime: Runtime, slug: str | None) -> list[Row]:
    async with runtime.sessions() as session:
        org = await get_organization(session, slug) if slug else None
        found = await api_keys(session, org.id if org else None)
        orgs = await organizations_by_id(session, {key.org_id for key in found if key.org_id})
    return [_row(key, orgs) for key in found]


@keys.command()
@click.argument("key_id", type=click.UUID)
@json_option
def revoke(key_id: UUID, as_json: bool) -> None:
    """End the key with this id for good; other processes notice within 30 seconds."""
    row = run(lambda runtime: _revoke(runtime, ApiKeyId(key_id)))
    show(row, f"{row['name']} ({row['hint']}…) is revoked.", as_json=as_json)


async def _revoke(runtime: Runtime, key_id: ApiKeyId) -> Row:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        key = await revoke_key(session, key_id, actor=ACTOR, now=now)
        orgs = await organizations_by_id(session, {key.org_id} if key.org_id else set())
        return _row(key, orgs)


def _row(key: ApiKey, orgs: Mapping[OrgId, Organization]) -> Row:
    return {
        "id": key.id,
        "hint": key.hint,
        "name": key.name,
        "scopes": key.scopes,
        "organization": orgs[key.org_id].slug if key.org_id else None,
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "last_used_at": _iso(key.last_used_at),
    }


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _line(row: Row) -> str:
    state = (
        f"revoked {row['revoked_at']}"
        if row["revoked_at"]
        else f"expires {row['expires_at'] or 'never'}"
    )
    bound = row["organization"] or "all organizations"
    scopes = " ".join(row["scopes"])
    return f"{row['id']}  {row['hint']}…  {row['name']}  {scopes}  {bound}  {state}"
