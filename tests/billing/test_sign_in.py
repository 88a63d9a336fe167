from datetime import timedelta

import pytest
from sqlalchemy import event

from billing.accounts import NewUser, add_member, create_user
from billing.errors import BillingError
from billing.models import Role, Scope, User
from billing.runtime import Runtime, Sessions
from billing.sign_in import (
    SESSION_LIFETIME,
    WrongCredentials,
    sign_in,
    sign_in_as,
    sign_out,
    viewer_for_session,
)
from tests.factories import an_organization
from tests.world import NOVEMBER_10

PASSWORD = "correct horse battery"


@pytest.fixture
async def dana(sessions: Sessions) -> User:
    async with sessions.begin() as session:
        new = NewUser("dana@acme.example", "Dana", PASSWORD)
        return await create_user(session, new, actor="cli", now=NOVEMBER_10)


async def test_a_session_is_its_persons_until_it_expires(sessions: Sessions, dana: User) -> None:
    token = await sign_in(sessions, "Dana@ACME.example", PASSWORD, NOVEMBER_10)

    last = NOVEMBER_10 + SESSION_LIFETIME
    async with sessions() as session:
        viewer = await viewer_for_session(session, token, last - timedelta(seconds=1))
        assert viewer is not None
        assert (viewer.user_id, viewer.actor) == (dana.id, "person:dana@acme.example")
        assert await viewer_for_session(session, token, last) is None
        assert await viewer_for_session(session, token + "x", NOVEMBER_10) is None


@pytest.mark.usefixtures("dana")
@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("dana@acme.example", PASSWORD + "!"),
        ("dana@acme.example", ""),
        ("dana@acme.example", PASSWORD + "x" * 2000),
        ("nobody@acme.example", PASSWORD),
        ("no address\0", "\ud800"),
    ],
)
async def test_a_wrong_password_and_an_unknown_address_read_alike(
    sessions: Sessions, email: str, password: str
) -> None:
    with pytest.raises(WrongCredentials, match=r"^The e-mail or the password is wrong\.$"):
        await sign_in(sessions, email, password, NOVEMBER_10)


@pytest.mark.usefixtures("dana")
async def test_no_connection_is_held_while_a_password_is_checked(
    runtime: Runtime, sessions: Sessions
) -> None:
    pool, seen = runtime.engine.sync_engine.pool, []
    for moment in ("checkout", "checkin"):
        event.listen(pool, moment, lambda *_, moment=moment: seen.append(moment))

    await sign_in(sessions, "dana@acme.example", PASSWORD, NOVEMBER_10)
    with pytest.raises(WrongCredentials):
        await sign_in(sessions, "dana@acme.example", "a guess", NOVEMBER_10)

    found, started = ["checkout", "checkin"], ["checkout", "checkin"]
    assert seen == [*found, *started, *found]


async def test_somebody_without_a_password_cannot_sign_in_by_one(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        new = NewUser("sam@solo.example", "Sam")
        user = await create_user(session, new, actor="cli", now=NOVEMBER_10)
    with pytest.raises(WrongCredentials):
        await sign_in(sessions, user.email, "the password of nobody at all", NOVEMBER_10)
    async with sessions.begin() as session:
        token = await sign_in_as(session, user.id, NOVEMBER_10)
        travelled = NOVEMBER_10 + timedelta(days=60)
        assert await viewer_for_session(session, token, travelled)


async def test_a_weak_password_is_refused(sessions: Sessions) -> None:
    new = NewUser("sam@solo.example", "Sam", "eleven char")
    async with sessions.begin() as session:
        with pytest.raises(BillingError) as refused:
            await create_user(session, new, actor="cli", now=NOVEMBER_10)
    assert (refused.value.code, refused.value.field) == ("WEAK_PASSWORD", "password")


async def test_roles_are_those_of_the_moment(sessions: Sessions, dana: User) -> None:
    async with sessions.begin() as session:
        token = await sign_in_as(session, dana.id, NOVEMBER_10)
        org = await an_organization(session, key="acme")
        await add_member(session, org, dana, Role.BILLING, actor="cli", now=NOVEMBER_10)
        viewer = await viewer_for_session(session, token, NOVEMBER_10)
    assert viewer is not None
    assert viewer.may(Scope.BILLING_WRITE, org.id)


async def test_signing_out_ends_the_session(sessions: Sessions, dana: User) -> None:
    async with sessions.begin() as session:
        token = await sign_in_as(session, dana.id, NOVEMBER_10)
        await sign_out(session, token)
        assert await viewer_for_session(session, token, NOVEMBER_10) is None
