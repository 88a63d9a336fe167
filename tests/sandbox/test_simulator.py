"""Usage over real HTTP: the same in every run, and counted once whatever happens to the web."""

from collections import Counter

from sqlalchemy import text
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.price_book import apply_price_book, read_price_book
from billing.runtime import Runtime
from sandbox.seed.history import PRICE_BOOK
from sandbox.simulator import client_of, deliver, usage_of_tick
from sandbox.stripe.server import serving
from tests.api.graphql import a_key
from tests.factories import an_organization
from tests.world import NOVEMBER_10
from web.app import create_app


class LosesAnswers:
    """Does what it is asked, and answers 503 the first few times all the same."""

    def __init__(self, app: ASGIApp, times: int) -> None:
        self.app = app
        self.left = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.left:
            await self.app(scope, receive, send)
            return
        self.left -= 1
        await self.app(scope, receive, _nowhere)
        await Response(status_code=503)(scope, receive, send)


async def _nowhere(_message: Message) -> None:
    pass


def test_a_tick_is_the_same_in_every_run() -> None:
    once, again = usage_of_tick(3, NOVEMBER_10), usage_of_tick(3, NOVEMBER_10)
    assert once == again


def test_no_two_reports_have_the_same_name() -> None:
    ticks = [usage_of_tick(tick, NOVEMBER_10.replace(second=2 * tick)) for tick in range(20)]
    names = Counter((usage.subject, usage.source, usage.id) for tick in ticks for usage in tick)
    assert set(names.values()) == {1}
    assert {subject for subject, _, _ in names} == {"acme", "solo", "bigco"}


async def test_what_is_not_acknowledged_is_sent_again_and_counted_once(runtime: Runtime) -> None:
    async with runtime.sessions.begin() as session:
        await an_organization(session, key="acme")
        book = read_price_book(PRICE_BOOK.read_bytes())
        await apply_price_book(session, book, actor="test", now=NOVEMBER_10)
    key = await a_key(runtime.sessions, "usage:write")
    usage = [x for x in usage_of_tick(1, NOVEMBER_10) if x.subject == "acme"]

    app = LosesAnswers(create_app(runtime), times=2)
    async with serving(app) as url, client_of(url, key) as client:
        await deliver(client, usage, retry_seconds=0.01)

    assert app.left == 0
    async with runtime.sessions() as session:
        counted = await session.scalar(text("SELECT count(*) FROM usage_events"))
    assert counted == len(usage)
