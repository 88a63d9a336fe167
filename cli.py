"""`stripe-sync …`: every operator verb. Each noun is a module of `commands`, imported when used."""

from importlib import import_module

import click

from commands.console import sentences

VERBS = {
    "demo": "commands.sandbox:demo",
    "story": "commands.sandbox:story",
    "catalog": "commands.catalog:catalog",
    "close": "commands.close:close",
    "keys": "commands.keys:keys",
    "migrate": "commands.migrate:migrate",
    "orgs": "commands.orgs:orgs",
    "reconcile": "commands.reconcile:reconcile",
    "replay": "commands.replay:replay",
    "reprice": "commands.reprice:reprice_command",
    "seed": "commands.sandbox:seed",
    "sync": "commands.sync:sync",
    "usage": "commands.usage:usage",
    "users": "commands.users:users",
    "verify": "commands.verify:verify",
}
"""Verb to `module:attribute`, so that `stripe-sync migrate` does not wait for the others."""


class Verbs(click.Group):
    """The verbs above, found by name; what goes wrong in one is answered in a sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, for the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb's module; None for a verb we do not have."""
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run one verb."""
        if ctx.params["trace"]:
            return super().invoke(ctx)
        with sentences():
            return super().invoke(ctx)


@click.group(cls=Verbs)
@click.option("--trace", is_flag=True, help="Show the stack trace of an error.")
def main(trace: bool) -> None:
    """Bills usage: keeps and rates it, shows live estimates, sends Stripe finished invoices."""
