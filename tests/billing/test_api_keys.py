from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from billing.api_keys import NewKey, api_keys, create_key, revoke_key, viewer_for_key
from billing.errors import BillingError, NotFound, Unauthenticated
from billing.ids import ApiKeyId, new_id
from billing.models import ApiKey, Scope
from billing.runtime import Runtime
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock

SECOND = timedelta(seconds=1)
WRITER = NewKey("phoenix", [Scope.USAGE_WRITE])


async def create(runtime: Runtime, new: NewKey = WRITER) -> tuple[ApiKey, str]:
    async with runtime.sessions.begin() as session:
        return await create_key(session, new, actor="cli", now=NOVEMBER_10)


async def refusal(runtime: Runtime, token: str, clock: Clock) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await viewer_for_key(runtime, token, clock.at)
    return refused.value.code


async def last_used(runtime: Runtime) -> str:
    async with runtime.sessions() as session:
        [key] = await api_keys(session)
    return f"{key.last_used_at:%H:%M:%S}"


async def test_a_key_speaks_for_its_organization_with_its_scopes(runtime: Runtime) -> None:
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
    row, token = await create(runtime, NewKey("phoenix", ["usage:write"], org.id))

    viewer = await viewer_for_key(runtime, token, NOVEMBER_10)

    assert token.startswith("ssk_")
    assert len(token) == len("ssk_") + 43, "256 bits in base64"
    assert viewer.actor == f"key:{token[:8]}"
    assert viewer.org_id == org.id
    assert viewer.scopes == {Scope.USAGE_WRITE}
    assert token.encode() not in row.sha256


@pytest.mark.parametrize("token", ["", "ssk_", "ssk_" + "x" * 43, "\ud800"])
async def test_an_unknown_key_is_nobodys(runtime: Runtime, clock: Clock, token: str) -> None:
    assert await refusal(runtime, token, clock) == "KEY_UNKNOWN"


async def test_expiry_is_noticed_at_once_though_the_key_is_cached(
    runtime: Runtime, clock: Clock
) -> None:
    end = NOVEMBER_10 + 10 * SECOND
    _, token = await create(runtime, NewKey("short", ["usage:read"], expires_at=end))
    await viewer_for_key(runtime, token, NOVEMBER_10 + 9 * SECOND)

    clock.at = end

    assert await refusal(runtime, token, clock) == "KEY_EXPIRED"


async def test_a_revocation_here_is_noticed_at_once(runtime: Runtime, clock: Clock) -> None:
    key, token = await create(runtime)
    await viewer_for_key(runtime, token, clock.at)

    async with runtime.sessions.begin() as session:
        await revoke_key(session, key.id, actor="cli", now=clock.at)
        await viewer_for_key(runtime, token, clock.at)  # not committed yet

    assert await refusal(runtime, token, clock) == "KEY_REVOKED"


async def test_a_revocation_elsewhere_is_noticed_within_thirty_seconds(
    runtime: Runtime, clock: Clock
) -> None:
    key, token = await create(runtime)
    await viewer_for_key(runtime, token, clock.at)
    async with runtime.sessions.begin() as session:  # as another process would
        await session.execute(update(ApiKey).where(ApiKey.id == key.id).values(revoked_at=clock.at))

    clock.advance(29 * SECOND)
    await viewer_for_key(runtime, token, clock.at)  # still trusted
    clock.advance(SECOND)
    assert await refusal(runtime, token, clock) == "KEY_REVOKED"


async def test_its_last_use_is_kept_to_the_minute(runtime: Runtime, clock: Clock) -> None:
    _, token = await create(runtime)
    seen = []
    for _ in range(4):
        await viewer_for_key(runtime, token, clock.at)
        seen.append(await last_used(runtime))
        clock.advance(30 * SECOND)
    assert seen == ["14:00:00", "14:00:00", "14:01:00", "14:01:00"]


async def test_what_cannot_be_a_key_is_refused(runtime: Runtime) -> None:
    org_id = None
    async with runtime.sessions.begin() as session:
        org_id = (await an_organization(session)).id
    bad = {
        "MISSING_SCOPES": NewKey("x", []),
        "UNKNOWN_SCOPE": NewKey("x", ["usage:writ"]),
        "ADMIN_IS_PLATFORM_WIDE": NewKey("x", ["admin"], org_id),
        "EXPIRES_IN_PAST": NewKey("x", ["admin"], expires_at=NOVEMBER_10),
        "INVALID_EXPIRY": NewKey("x", ["admin"], expires_at=datetime.max.replace(tzinfo=UTC)),
        "INVALID_NAME": NewKey("", ["admin"]),
    }
    for code, new in bad.items():
        with pytest.raises(BillingError) as refused:
            await create(runtime, new)
        assert refused.value.code == code
    with pytest.raises(BillingError, match="Did you mean 'usage:write'"):
        await create(runtime, bad["UNKNOWN_SCOPE"])


async def test_revoking_an_unknown_key_is_refused(runtime: Runtime) -> None:
    async with runtime.sessions.begin() as session:
        with pytest.raises(NotFound):
            await revoke_key(session, ApiKeyId(new_id()), actor="cli", now=NOVEMBER_10)
