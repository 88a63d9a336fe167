"""Signing in and out; in the sandbox, by one click as the people of the demo."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from billing.accounts import get_user_by_email
from billing.errors import Forbidden, Unauthenticated
from billing.runtime import Runtime
from billing.sign_in import (
    DEMO_EMAIL_ENDING,
    people_of_the_demo,
    sign_in,
    sign_in_as,
    sign_out,
)
from web.auth import find_viewer, form
from web.cookies import SESSION, drop_cookie, set_cookie
from web.rendering import render

_HOME = "/"


async def login(request: Request) -> Response:
    """The form; whoever is signed in already goes where they wanted."""
    if await find_viewer(request) is not None:
        return RedirectResponse(_wanted(request.query_params.get("next")), 303)
    return await _login_page(request, next_path=request.query_params.get("next"))


async def submit_login(request: Request) -> Response:
    """E-mail and password against a session; the form again when they do not fit."""
    runtime: Runtime = request.state.runtime
    given = {
        name: value for name, value in (await request.form()).items() if isinstance(value, str)
    }
    email = given.get("email", "")
    try:
        now = await runtime.now()
        token = await sign_in(runtime.sessions, email, given.get("password", ""), now)
    except Unauthenticated as error:
        return await _login_page(
            request, next_path=given.get("next"), email=email, error=str(error), status=422
        )
    return _signed_in(request, token, given.get("next"))


async def submit_demo_login(request: Request) -> Response:
    """One click as somebody of the demo. This route exists in the sandbox only."""
    runtime: Runtime = request.state.runtime
    given = await request.form()
    email, wanted = str(given.get("email", "")), str(given.get("next", ""))
    if not email.endswith(DEMO_EMAIL_ENDING):
        raise Forbidden("Only the people of the demo sign in without a password.")
    async with runtime.sessions.begin() as session:
        user = await get_user_by_email(session, email)
        token = await sign_in_as(session, user.id, await runtime.now())
    return _signed_in(request, token, wanted)


async def logout(request: Request) -> Response:
    """End the session here and in the database."""
    runtime: Runtime = request.state.runtime
    if token := request.cookies.get(SESSION):
        async with runtime.sessions.begin() as session:
            await sign_out(session, token)
    response = RedirectResponse("/login", 303)
    drop_cookie(response, SESSION)
    return response


async def _login_page(
    request: Request,
    *,
    next_path: str | None,
    email: str = "",
    error: str | None = None,
    status: int = 200,
) -> Response:
    runtime: Runtime = request.state.runtime
    people = []
    if runtime.settings.is_sandbox:
        async with runtime.sessions() as session:
            people = [*await people_of_the_demo(session)]
    return render(
        request,
        "login.html",
        status=status,
        next=_wanted(next_path),
        email=email,
        error=error,
        people=people,
    )


def _signed_in(request: Request, token: str, next_path: str | None) -> Response:
    response = RedirectResponse(_wanted(next_path), 303)
    set_cookie(request, response, SESSION, token)
    return response


def _wanted(path: str | None) -> str:
    """`path` when it is one of ours, else home: never another site's address.

    Browsers read `//host` and `/\\host` as one, and skip tabs and line ends before looking.
    """
    is_ours = path and path.isprintable() and re.match(r"/(?!/)[^\\]*\Z", path)
    return path if path and is_ours else _HOME


def routes(*, is_sandbox: bool) -> list[BaseRoute]:
    """The one-click form exists in the sandbox only."""
    demo = [form("/_demo/sign-in", submit_demo_login)] if is_sandbox else []
    return [
        Route("/login", login),
        form("/login", submit_login),
        form("/logout", logout),
        *demo,
    ]
