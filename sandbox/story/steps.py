"""The story: a month in which everything goes wrong but the money."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from billing.closing import GRACE
from billing.rules.periods import Period, period_at
from sandbox.clock import travel, travel_by
from sandbox.fleet import Series, Usage, acme
from sandbox.patience import until
from sandbox.proof import prove
from sandbox.story.scene import Charges, Fields, Scene
from sandbox.story.teller import Step, expect, expect_true

NEWCOMER = "newco"
SWEEP_SECONDS_MAX = 40.0
_FIRST_HOURS = Decimal(2)
_LATE_HOURS = Decimal(100)
_LATE_AMOUNT = Decimal("2.15")
"""A hundred hours of machine time at 0.0215 each, the first tier of the plan Pro."""
_WAITING = ("PENDING", "PUSHING")
_KEYS_FORGOTTEN = timedelta(hours=25)
_CREATE = "POST /v1/invoices"


@dataclass(slots=True)
class Story:
    """What the steps hand on to each other."""

    scene: Scene
    month: Period
    sent: list[Usage] = field(default_factory=list)
    last_estimates: dict[str, Charges] = field(default_factory=dict)
    held_before: dict[str, int] = field(default_factory=dict)

    def steps(self) -> Sequence[Step]:
        """In order: each relies on those before it."""
        return (
            ("Usage comes in", self.usage_comes_in),
            ("Page, GraphQL and JSON agree", self.one_figure_everywhere),
            ("The same usage comes again", self.same_usage_again),
            ("Stripe goes down", self.stripe_goes_down),
            ("The estimate goes on", self.estimate_goes_on),
            ("Redis is flushed, the worker killed", self.redis_and_worker_go),
            ("The month is about to end", self.month_about_to_end),
            ("Usage comes two hours late", self.usage_comes_late),
            ("The books close", self.books_close),
            ("Invoices wait for Stripe", self.invoices_wait),
            ("Stripe creates, and hangs up", self.stripe_hangs_up),
            ("A day later Stripe is well", self.stripe_is_well),
            ("Each is there exactly once", self.exactly_once),
            ("Paid, by webhook", self.paid_by_webhook),
            ("As if nothing had been", self.all_is_well),
        )

    async def usage_comes_in(self) -> str:
        before = (await self.scene.estimate())["accrued"]
        self.sent = _two_hours(acme(), await self.scene.now(), "first/")
        verdicts = Counter(await self.scene.send(self.sent))
        expect("verdicts", {"ACCEPTED": len(self.sent)}, dict(verdicts))
        return f"{len(self.sent)} events: {await self._risen(before)}"

    async def one_figure_everywhere(self) -> str:
        page = await self.scene.headline()
        charges = (await self.scene.charges())["acme"]
        twin = await self.scene.estimate()
        expect("GraphQL and the page", page, charges.accrued)
        expect("JSON and the page", page, twin["accrued"])
        expect("the digests of GraphQL and JSON", charges.digest, twin["digest"])
        return f"{page} USD, digest {charges.digest[:8]}…"

    async def same_usage_again(self) -> str:
        before = (await self.scene.charges())["acme"]
        answers = await asyncio.gather(*(self.scene.send(self.sent) for _ in range(5)))
        verdicts = Counter(verdict for answer in answers for verdict in answer)
        expect("verdicts", {"DUPLICATE": 5 * len(self.sent)}, dict(verdicts))
        expect("the estimate", before, (await self.scene.charges())["acme"])
        return f"5 times at once: {verdicts.total()} duplicates, still {before.accrued} USD"

    async def stripe_goes_down(self) -> str:
        """Somebody signs up meanwhile, and their first fee cannot be sent."""
        expect("the notice before", None, await self.scene.banner())
        self.held_before = await self.scene.held_by_stripe()
        await self.scene.order({"down": True})
        await self._sign_up()
        said = await until(self.scene.banner, SWEEP_SECONDS_MAX)
        return f"{NEWCOMER} signs up; the page says “{said}”"

    async def estimate_goes_on(self) -> str:
        before = (await self.scene.estimate())["accrued"]
        await self.scene.send(_two_hours(acme(), await self.scene.now(), "second/"))
        risen = await self._risen(before)
        expect(
            "the page's headline",
            (await self.scene.estimate())["accrued"],
            await self.scene.headline(),
        )
        return f"Stripe down: {risen}"

    async def redis_and_worker_go(self) -> str:
        before = (await self.scene.charges())["acme"]
        await self.scene.runtime.nudges.redis.flushall()
        self.scene.supervisor.end("worker")
        ended = await until(self._worker_ended, SWEEP_SECONDS_MAX)
        expect("the estimate", before, (await self.scene.charges())["acme"])
        return f"{before.accrued} USD as before; {ended}"

    async def month_about_to_end(self) -> str:
        await self._travel(self.month.end - timedelta(seconds=30))
        self.last_estimates = await self.scene.charges()
        totals = [f"{slug} {x.total}" for slug, x in self.last_estimates.items()]
        return f"last estimates: {', '.join(totals)}"

    async def usage_comes_late(self) -> str:
        await self._travel(self.month.end + timedelta(hours=2))
        machine = Series(
            NEWCOMER, "platform/machines", "machine.usage", "hours", Decimal(1), {"app": "site"}
        )
        at = self.month.end - timedelta(hours=1)
        late = Usage(
            "late", machine.source, machine.type, NEWCOMER, at, {"hours": f"{_LATE_HOURS}"}
        )
        expect("verdicts", ["ACCEPTED"], await self.scene.send([late]))
        return f"accepted for {NEWCOMER}: {_LATE_AMOUNT} USD of {at:%-d %B, %H:%M}"

    async def books_close(self) -> str:
        await self._travel(self.month.end + GRACE + timedelta(minutes=1))
        closed = await until(self._all_closed, SWEEP_SECONDS_MAX)
        late = closed.pop(NEWCOMER)
        before = Decimal(self.last_estimates[NEWCOMER].total)
        expect(f"{NEWCOMER}'s invoice", before + _LATE_AMOUNT, Decimal(late["total"]["amount"]))
        for slug, invoice in closed.items():
            expect(f"{slug}'s digest", self.last_estimates[slug].digest, invoice["digest"])
            expect(f"{slug}'s total", self.last_estimates[slug].total, invoice["total"]["amount"])
        return f"{len(closed)} equal their last estimate, {NEWCOMER}'s that and {_LATE_AMOUNT} late"

    async def invoices_wait(self) -> str:
        invoices = await self.scene.invoices()
        waiting = _in_state(invoices, *_WAITING)
        nothing_due = [x for x in invoices if x["total"]["amount"] == "0.00"]
        states = {x["stripe"]["syncState"] for x in nothing_due}
        expect("where nothing is due", {"NOT_NEEDED"}, states)
        expect("what Stripe holds", self.held_before, await self.scene.held_by_stripe())
        expect_true("invoices that wait", waiting, "none")
        return f"{len(waiting)} wait; where 0.00 is due, none has to"

    async def stripe_hangs_up(self) -> str:
        """Every invoice is created, and no answer comes."""
        wanted = len(_in_state(await self.scene.invoices(), *_WAITING))
        await self.scene.order(
            {
                "down": False,
                "timeout_after_commit": {"operation": _CREATE},
                "rate_limit": {"calls": 3},
            }
        )
        await self._travel(await self.scene.now() + timedelta(minutes=10))

        async def all_created() -> bool:
            return (await self.scene.held_by_stripe()).get("draft", 0) >= wanted

        await until(all_created, SWEEP_SECONDS_MAX)
        expect(
            "invoices known as sent", wanted, len(_in_state(await self.scene.invoices(), *_WAITING))
        )
        return f"{wanted} created there, none of them known here"

    async def stripe_is_well(self) -> str:
        """By then neither side may rely on the idempotency keys of the day before."""
        await self.scene.order({"timeout_after_commit": False, "rate_limit": False})
        await self._travel(await self.scene.now() + _KEYS_FORGOTTEN)

        async def none_waits() -> bool:
            return not _in_state(await self.scene.invoices(), *_WAITING)

        await until(none_waits, SWEEP_SECONDS_MAX)
        states = Counter(x["stripe"]["syncState"] for x in await self.scene.invoices())
        expect("states", {"PUSHED", "NOT_NEEDED"}, set(states))
        return f"{states['PUSHED']} sent, {states['NOT_NEEDED']} not needed, none waits"

    async def exactly_once(self) -> str:
        proof = await prove(self.scene.runtime.sessions, self.scene.deployment.stripe_url)
        expect_true("each exactly once, with our total", proof.holds, proof)
        return str(proof)

    async def paid_by_webhook(self) -> str:
        await travel_by(
            self.scene.runtime.sessions, self.scene.runtime.settings, timedelta(minutes=1)
        )

        async def all_paid() -> bool:
            return all(x["status"] == "PAID" for x in await self.scene.invoices())

        await until(all_paid, SWEEP_SECONDS_MAX)
        number = next(x["number"] for x in await self.scene.invoices() if x["slug"] == "acme")
        page = await self.scene.page(f"/orgs/acme/billing/invoices/{number}")
        expect_true(f"Paid on the page of {number}", "Paid" in page, "something else")
        webhooks = await self.scene.webhooks_handled()
        return f"{webhooks} webhooks; all PAID in GraphQL, {number} Paid on its page"

    async def all_is_well(self) -> str:
        expect("the notice", None, await self.scene.banner())
        page = await self.scene.headline()
        expect("GraphQL and the page", page, (await self.scene.charges())["acme"].accrued)
        proof = await prove(self.scene.runtime.sessions, self.scene.deployment.stripe_url)
        expect_true("nothing twice, nothing missing", proof.holds, proof)
        return f"no notice; duplicates {len(proof.duplicated)}, difference {proof.difference}"

    async def _risen(self, before: str) -> str:
        after = (await self.scene.estimate())["accrued"]
        expect_true(f"more than {before} USD", Decimal(after) > Decimal(before), after)
        return f"{before} to {after} USD"

    async def _travel(self, to: datetime) -> None:
        await travel(self.scene.runtime.sessions, self.scene.runtime.settings, to)

    async def _sign_up(self) -> None:
        organization = {
            "key": NEWCOMER,
            "slug": NEWCOMER,
            "name": "Newco",
            "currency": "USD",
            "billingEmail": "billing@newco.example",
        }
        await self.scene.ask(
            "mutation($input: CreateOrganizationInput!)"
            " {createOrganization(input: $input) {userErrors {code message}}}",
            {"input": organization},
        )
        await self.scene.ask(
            "mutation($input: StartSubscriptionInput!)"
            " {startSubscription(input: $input) {userErrors {code message}}}",
            {"input": {"organization": NEWCOMER, "plan": "pro"}},
        )

    async def _worker_ended(self) -> str | None:
        lines = (line.split("| ")[1] for line in self.scene.said if line.startswith("worker"))
        return next((f"worker {line}" for line in lines if line.startswith("ended")), None)

    async def _all_closed(self) -> dict[str, Fields] | None:
        start = self.month.start.isoformat()
        closed = {
            x["slug"]: x
            for x in await self.scene.invoices()
            if x["kind"] == "PERIOD" and x["status"] != "CLOSING" and _starts_at(x, start)
        }
        return closed if closed.keys() == self.last_estimates.keys() else None


async def story_of(scene: Scene) -> Story:
    """The story of the month that the sandbox is in."""
    return Story(scene, period_at(await scene.now(), anchor_day=1))


def _two_hours(series: Sequence[Series], now: datetime, run: str) -> list[Usage]:
    start = now - timedelta(hours=int(_FIRST_HOURS))
    return [one.usage(start, _FIRST_HOURS, run) for one in series]


def _in_state(invoices: Sequence[Fields], *states: str) -> list[Fields]:
    return [x for x in invoices if x["stripe"] and x["stripe"]["syncState"] in states]


def _starts_at(invoice: Fields, start: str) -> bool:
    return datetime.fromisoformat(invoice["period"]["start"]) == datetime.fromisoformat(start)
