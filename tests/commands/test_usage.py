"""`stripe-sync usage …`: voiding events, and months in and out of the database."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from billing.models import UsageBucket
from billing.runtime import Runtime, Sessions
from billing.usage import fold_tail, parse_event, record_usage
from tests.billing.usage.conftest import a_key, an_event
from tests.commands.conftest import StripeSync
from tests.factories import a_meter, an_organization

VOID = ("usage", "void", "--org", "acme", "--source", "phoenix/eu-1")


@pytest.fixture
async def spring(runtime: Runtime, sessions: Sessions) -> AsyncIterator[Runtime]:
    """Three events of a May that has long been settled, for the command's clock as well."""
    async with sessions.begin() as session:
        await an_organization(session, key="acme")
        await a_meter(session, "egress_gb")
    events = [an_event(id=f"m{n}", time=f"2025-05-{n + 1:02}T10:00:00Z") for n in range(3)]
    verdicts = await record_usage(
        runtime,
        [parse_event(event) for event in events],
        viewer=a_key(),
        now=datetime(2025, 5, 20, tzinfo=UTC),
    )
    assert {one.verdict for one in verdicts} == {"ACCEPTED"}
    await fold_tail(runtime)
    yield runtime
    async with runtime.engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE IF EXISTS usage_archive_2025_05")


async def state_of_may(stripe_sync: StripeSync) -> str:
    rows = json.loads((await stripe_sync("usage", "months", "--json")).stdout)
    [state] = [row["state"] for row in rows if row["month"] == "2025-05"]
    return str(state)


async def total(sessions: Sessions) -> str:
    async with sessions() as session:
        return str(await session.scalar(select(func.sum(UsageBucket.total))))


async def test_a_month_goes_and_comes_back(
    spring: Runtime, sessions: Sessions, stripe_sync: StripeSync, tmp_path: Path
) -> None:
    file = str(tmp_path / "2025-05.copy")
    contents = {"month": "2025-05", "chunks": 3, "readings": 3}
    before = await total(sessions)

    for arguments, state in (
        (("detach", "2025-05"), "DETACHED"),
        (("export", "2025-05", file), "DETACHED"),
        (("remove", "2025-05", file), "REMOVED"),
        (("import", "2025-05", file), "DETACHED"),
        (("attach", "2025-05"), "ATTACHED"),
    ):
        done = await stripe_sync("usage", *arguments, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == contents
        assert await state_of_may(stripe_sync) == state
        assert await total(sessions) == before

    shown = await stripe_sync("usage", "months")
    assert "2025-05  ATTACHED" in shown.stdout
    async with sessions() as session:
        assert await session.scalar(text("SELECT count(*) FROM usage_events")) == 3


async def test_a_month_is_told_in_words(spring: Runtime, stripe_sync: StripeSync) -> None:
    detached = await stripe_sync("usage", "detach", "2025-05")
    attached = await stripe_sync("usage", "attach", "2025-05")

    assert detached.stdout == "2025-05: 3 readings are detached.\n"
    assert attached.stdout == "2025-05: 3 readings are attached.\n"


async def test_a_file_is_never_written_over_nor_left_half_written(
    spring: Runtime, stripe_sync: StripeSync, tmp_path: Path
) -> None:
    file, absent = tmp_path / "precious", tmp_path / "absent"
    file.write_text("precious")

    over = await stripe_sync("usage", "export", "2025-05", str(file))
    nothing = await stripe_sync("usage", "export", "2020-01", str(absent))

    assert over.stderr.startswith("error: FILE_EXISTS: ")
    assert file.read_text() == "precious"
    assert nothing.stderr.startswith("error: MONTH_NOT_FOUND: There are no readings of 2020-01")
    assert not absent.exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        (("detach", "2199-05"), 1, "error: MONTH_OPEN: 2199-05 may still change: it can be"),
        (("detach", "May"), 2, "Error: Invalid value for 'MONTH'"),
        (("attach", "2025-05"), 1, "error: MONTH_NOT_ARCHIVED: 2025-05 is not archived."),
        (("import", "2025-05", "/nowhere"), 2, "Error: Invalid value for 'FILE'"),
    ],
)
async def test_a_refusal_is_a_sentence(
    spring: Runtime,
    stripe_sync: StripeSync,
    arguments: tuple[str, ...],
    exit_code: int,
    error: str,
) -> None:
    refused = await stripe_sync("usage", *arguments)

    assert refused.exit_code == exit_code
    assert error in refused.stderr
    assert refused.stdout == ""


async def test_a_file_that_is_no_export_is_refused(
    spring: Runtime, stripe_sync: StripeSync, tmp_path: Path
) -> None:
    file, other = tmp_path / "may", tmp_path / "other"
    other.write_text("no export")
    await stripe_sync("usage", "detach", "2025-05")
    await stripe_sync("usage", "export", "2025-05", str(file))

    kept = await stripe_sync("usage", "remove", "2025-05", str(other))
    await stripe_sync("usage", "remove", "2025-05", str(file))
    refused = await stripe_sync("usage", "import", "2025-05", str(other))

    assert kept.stderr.startswith("error: EXPORT_DIFFERS: ")
    assert refused.stderr.startswith("error: NOT_AN_EXPORT: ")
    assert await state_of_may(stripe_sync) == "REMOVED"


async def test_events_of_any_age_are_voided(
    spring: Runtime, sessions: Sessions, stripe_sync: StripeSync
) -> None:
    first = await stripe_sync(*VOID, "--reason", "load test", "m0", "m1", "--json")
    again = await stripe_sync(*VOID, "--reason", "load test", "m0", "m2")
    wrong = await stripe_sync(*VOID, "--reason", "load test", "m2", "m9")

    assert json.loads(first.stdout) == {"voided": 2, "already_voided": 0, "rejected": []}
    assert again.stdout == "1 voided, 1 were voided before, 0 rejected.\n"
    assert wrong.stdout == "0 voided, 1 were voided before, 1 rejected.\n"
    assert wrong.exit_code == 1
    assert (
        "error: NOT_ALL_VOIDED: Some events were not voided.\n  m9: UNKNOWN_EVENT: " in wrong.stderr
    )
    assert await total(sessions) == "None"


async def test_a_void_needs_a_reason(spring: Runtime, stripe_sync: StripeSync) -> None:
    refused = await stripe_sync(*VOID, "--reason", " ", "m0")

    assert refused.exit_code == 1
    assert "error: MISSING_REASON: " in refused.stderr
