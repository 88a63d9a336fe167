"""Nothing reaches Stripe past the limiter, and each kind of work is in its lane."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx
import pytest

from billing.errors import Unavailable
from billing.invoice_sync import push_due
from billing.models import Invoice, Organization
from billing.runtime import Runtime, open_runtime
from billing.stripe_gateway import open_stripe
from billing.stripe_limits import Lane, Limiter, Paced
from billing.stripe_limits.lanes import current_lane
from billing.stripe_limits.limiter import Answered
from billing.voiding import void_invoice
from jobs.worker import one_at_a_time
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.many import many_issued_invoices
from tests.billing.pushing import ADD_LINES, an_issued_invoice, held, sync_of
from tests.world import Clock


@dataclass(slots=True)
class Recorder:
    """Lets everything through and knows who asked; `paced` are not let through."""

    asked: list[tuple[str, Lane]] = field(default_factory=list)
    told: list[Answered] = field(default_factory=list)
    paced: str = ""

    @asynccontextmanager
    async def turn(self, operation: str) -> AsyncIterator[None]:
        if operation == self.paced:
            raise Paced("Not now.", is_rate_limit=True)
        self.asked.append((operation, current_lane()))
        yield

    async def answered(self, _operation: str, answer: Answered) -> None:
        self.told.append(answer)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def recorded(
    runtime: Runtime, fake: FakeStripe, recorder: Recorder
) -> AsyncIterator[Runtime]:
    wire = httpx.ASGITransport(app=fake)
    settings = replace(runtime.settings, stripe_api_base="http://stripe.test")
    async with open_stripe(settings, recorder, wire=wire) as stripe:
        yield replace(runtime, stripe=stripe, settings=settings)


async def test_every_request_waits_for_its_turn(
    recorded: Runtime, fake: FakeStripe, recorder: Recorder
) -> None:
    await an_issued_invoice(recorded, *[100] * 150)
    await push_due(recorded)
    (there,) = held(fake)
    assert len(await recorded.stripe.line_ids(there.id)) == 150  # type: ignore[arg-type] # an id

    assert Counter(operation for operation, _ in recorder.asked) == {
        "POST /v1/customers": 1,
        "POST /v1/invoices": 1,
        "POST /v1/invoices/{id}/add_lines": 2,
        "POST /v1/invoices/{id}/finalize": 1,
        "GET /v1/invoices/{id}/lines": 2,
    }
    assert len(recorder.asked) == fake.world.calls.total() == len(recorder.told)


async def test_a_sweep_is_in_the_lane_of_the_months_close_and_a_job_in_that_of_refetches(
    recorded: Runtime, recorder: Recorder
) -> None:
    await an_issued_invoice(recorded)
    seen = []

    async def job(ctx: dict[str, object]) -> None:
        seen.append(current_lane())
        await push_due(recorded)

    await one_at_a_time(job)({"running": set()})

    assert seen == [Lane.REFETCH]
    assert {lane for _, lane in recorder.asked} == {Lane.MONTH_CLOSE}
    assert current_lane() is Lane.INTERACTIVE, "for the next who asks"


async def test_a_429_and_a_lock_are_told_to_the_limiter(
    recorded: Runtime, fake: FakeStripe, recorder: Recorder
) -> None:
    await an_issued_invoice(recorded)
    fake.world.chaos.turn_on(
        Fault.RATE_LIMIT, Switch(operation=ADD_LINES, calls=1, reason="global-concurrency")
    )
    await push_due(recorded)

    (refused,) = [answer for answer in recorder.told if answer.status == 429]
    assert (refused.reason, refused.is_crowded) == ("global-concurrency", True)


async def test_a_sweep_ends_where_stripe_is_not_to_be_asked_and_nothing_is_lost(
    recorded: Runtime, fake: FakeStripe, recorder: Recorder, clock: Clock
) -> None:
    ids = await many_issued_invoices(recorded, 60, 1, clock.at)
    recorder.paced = "POST /v1/customers"
    await push_due(recorded)

    syncs = [await sync_of(recorded, id_) for id_ in ids]
    assert {(x.state, x.attempts) for x in syncs} == {("PENDING", 0)}
    tried = [x for x in syncs if x.error_code]
    assert {x.error_code for x in tried} == {"STRIPE_PACED"}
    assert len(tried) < len(ids), "those not begun are given back, and their lease with them"

    recorder.paced = ""
    clock.at = max(x.next_attempt_at for x in syncs)
    await push_due(recorded)
    assert len(held(fake)) == len(ids)


async def test_voiding_waits_for_its_turn_too(recorded: Runtime, recorder: Recorder) -> None:
    invoice_id = await an_issued_invoice(recorded)
    await push_due(recorded)
    recorder.paced = "GET /v1/invoices/{id}"
    async with recorded.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
        org = await session.get_one(Organization, invoice.org_id)

    with pytest.raises(Unavailable, match="Not now"):
        await void_invoice(recorded, org, str(invoice.number), reason="mistake", actor="cli")


async def test_a_real_process_is_limited(runtime: Runtime) -> None:
    async with open_runtime(runtime.settings) as opened:
        client = opened.stripe.client  # type: ignore[attr-defined] # the gateway's own
        transport = client._requestor._client
        assert isinstance(transport._limits, Limiter)
        assert transport._limits.limits == runtime.settings.stripe_limits
