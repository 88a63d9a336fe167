import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from click.testing import CliRunner

import cli
from billing.settings import SettingError
from commands.console import Refusal, sentences
from sandbox.databases import drop_database, fresh_database
from tests.commands.conftest import StripeSync


@pytest.fixture
async def empty_url(database_url: str) -> AsyncIterator[str]:
    name = f"stripe_sync_test_{uuid4().hex}"
    yield await fresh_database(database_url, name)
    await drop_database(database_url, name)


async def test_migrate_needs_nothing_but_the_database(
    stripe_sync: StripeSync, environ: dict[str, str], empty_url: str
) -> None:
    environ.clear()
    environ["DATABASE_URL"] = empty_url

    first = await stripe_sync("migrate", "--json")
    again = await stripe_sync("migrate")

    assert first.exit_code == 0, first.output
    revision = json.loads(first.stdout)["revision"]
    assert again.stdout == f"The database is at revision {revision}.\n"


async def test_a_database_that_is_not_migrated_says_so(
    stripe_sync: StripeSync, environ: dict[str, str], empty_url: str
) -> None:
    environ["DATABASE_URL"] = empty_url
    listed = await stripe_sync("keys", "list")
    assert listed.exit_code == 1
    assert listed.stderr.startswith("error: NOT_MIGRATED: ")


@pytest.mark.parametrize("verb", [("keys", "list"), ("migrate",)])
async def test_a_database_that_is_away_is_a_sentence(
    stripe_sync: StripeSync, environ: dict[str, str], verb: tuple[str, ...]
) -> None:
    environ["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
    refused = await stripe_sync(*verb)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: DATABASE_UNAVAILABLE: ")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", None, "SECRET_KEY is not set."),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL must start with postgresql://"),
        ("STRIPE_API_KEY", "sk_live_x", "STRIPE_API_KEY is a live key"),
    ],
)
async def test_a_wrong_setting_is_a_sentence(
    stripe_sync: StripeSync, environ: dict[str, str], name: str, value: str | None, sentence: str
) -> None:
    environ.pop(name)
    if value:
        environ[name] = value
    refused = await stripe_sync("keys", "list")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: SETTINGS: {sentence}")


async def test_every_verb_can_be_imported_and_explains_itself() -> None:
    runner = CliRunner()
    for verb in cli.VERBS:
        shown = await asyncio.to_thread(runner.invoke, cli.main, [verb, "--help"])
        assert shown.exit_code == 0, (verb, shown.output)
        assert "Usage:" in shown.output


def test_a_bug_of_ours_is_a_sentence_too() -> None:
    with (
        pytest.raises(Refusal, match="ZeroDivisionError: division by zero") as refused,
        sentences(),
    ):
        1 / 0  # noqa: B018 - the bug
    assert refused.value.code == "UNEXPECTED"


def test_a_trace_is_shown_when_asked_for() -> None:
    traced = CliRunner(env={"DATABASE_URL": None}).invoke(cli.main, ["--trace", "migrate"])
    assert isinstance(traced.exception, SettingError)
