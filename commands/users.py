"""`stripe-sync users …`: people, and the organizations they belong to."""

import sys

import click

from billing.accounts import (
    NewUser,
    add_member,
    create_user,
    get_organization,
    get_user_by_email,
)
from billing.models import Role, User
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run


@click.group()
def users() -> None:
    """People, and the organizations they belong to."""


@users.command()
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--ops", is_flag=True, help="Staff: may see and do everything.")
@click.option("--password-stdin", is_flag=True, help="Read the password's line from stdin.")
@json_option
def create(email: str, name: str, ops: bool, password_stdin: bool, as_json: bool) -> None:
    """Add a person; the first member of staff is made here. The password is asked for."""
    new = NewUser(email=email, name=name, password=_password(password_stdin), is_ops=ops)
    user = run(lambda runtime: _create(runtime, new))
    answer = {"id": user.id, "email": user.email, "name": user.name, "is_ops": user.is_ops}
    text = f"{user.name} may sign in as {user.email}{', as staff' if user.is_ops else ''}."
    show(answer, text, as_json=as_json)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)


async def _create(runtime: Runtime, new: NewUser) -> User:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await create_user(session, new, actor=ACTOR, now=now)


@users.command("add-member")
@click.option("--email", required=True)
@click.option("--org", "slug", required=True, help="The organization's slug.")
@click.option("--role", required=True, type=click.Choice(list(Role), case_sensitive=False))
@json_option
def add_to_organization(email: str, slug: str, role: Role, as_json: bool) -> None:
    """Give a person a role in an organization, instead of one they had there."""
    run(lambda runtime: _add_member(runtime, email, slug, role))
    answer = {"email": email, "organization": slug, "role": role}
    show(answer, f"{email} is {role} of {slug}.", as_json=as_json)


async def _add_member(runtime: Runtime, email: str, slug: str, role: Role) -> None:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        user = await get_user_by_email(session, email)
        org = await get_organization(session, slug)
        await add_member(session, org, user, role, actor=ACTOR, now=now)
