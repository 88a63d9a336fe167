"""`stripe-sync migrate`."""

import click
from alembic import command
from alembic.script import ScriptDirectory

from billing.settings import load_database_url
from commands.console import json_option, reaching_database, show
from migrations import config_for


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Bring the database at DATABASE_URL to the newest schema.

    Needs no other setting, and does nothing where nothing is missing.
    """
    config = config_for(load_database_url())
    with reaching_database():
        command.upgrade(config, "head")
    head = ScriptDirectory.from_config(config).get_current_head()
    show({"revision": head}, f"The database is at revision {head}.", as_json=as_json)
