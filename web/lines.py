"""One line of a bill, down to the hours it was counted from, and an hour down to its events."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from billing.accounts import Viewer
from billing.charges import Basis
from billing.errors import NotFound
from billing.estimates import current_estimate
from billing.explaining import EXPLAINED_KINDS, Evidence, events_of, find_evidence, hours_of
from billing.invoices import draft_line_of
from billing.models import Organization, Scope
from billing.rules.lines import DraftLine
from billing.rules.periods import Period
from billing.runtime import Runtime
from billing.usage import EventBehind, HourBehind
from billing.usage.attached import MonthArchived
from web.auth import data, organization_of, page
from web.charts import UsageChart, usage_chart
from web.invoices import invoice_of
from web.line_exports import events_csv, events_json, hours_csv, hours_json, line_json
from web.line_links import draft_path, invoice_path
from web.paging import after_event, after_hour, event_position, hour
from web.rendering import render

PAGE_SIZE = 48
"""So many hours, two days of them, or so many events."""

HOURS_MAX = 999
"""A month has at most 744."""

CSV_EVENTS_MAX = 10_000
_EVENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Explained:
    """A line and what is behind it. `path` is its page, `bill` the page that it stands on."""

    org: Organization
    line: DraftLine
    evidence: Evidence | None
    path: str
    bill: str
    bill_name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The events of an `hour`, or else the line's hours; those after where a page had ended."""

    hour: datetime | None
    after: str | None

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Raises `UnknownPage` for an hour that is none."""
        given = request.query_params
        return cls(hour(given.get("hour")), given.get("after"))

    def followed_by(self, after: str | None) -> str | None:
        """How the address of the next page ends; None when there is none."""
        if after is None:
            return None
        return f"?hour={after_hour(self.hour)}&after={after}" if self.hour else f"?after={after}"


@dataclass(frozen=True, slots=True)
class Part:
    """One page of hours, or of an hour's events. `every_hour` is only known on the first one."""

    hours: Sequence[HourBehind] = ()
    events: Sequence[EventBehind] = ()
    every_hour: Sequence[HourBehind] = ()
    next: str | None = None


async def line(request: Request) -> Response:
    """The page, whole without any script."""
    asked, part, missing = Asked.of(request), Part(), None
    async with _opened(request) as (session, found):
        try:
            part = await _part(session, found.evidence, asked)
        except MonthArchived as error:
            missing = str(error)
    return render(
        request,
        "lines/line.html",
        org=found.org,
        found=found,
        line=found.line,
        asked=asked,
        part=part,
        missing=missing,
        chart=_chart(found, part),
        hour_word=after_hour,
        here=f"?{request.url.query}" if request.url.query else "",
    )


async def line_as_json(request: Request) -> Response:
    """The same page for scripts; `next` is the address of the one that follows."""
    asked = Asked.of(request)
    async with _opened(request) as (session, found):
        part = await _part(session, found.evidence, asked)
    following = f"{found.path}.json{part.next}" if part.next else None
    told = line_json(found.org, found.line, found.evidence)
    if asked.hour:
        return events_json(told, asked.hour, part.events, following)
    return hours_json(told, part.hours, following)


async def line_as_csv(request: Request) -> Response:
    """All its hours; or the hour's events, up to 10,000, and a `Link` to those that follow."""
    asked = Asked.of(request)
    async with _opened(request) as (session, found):
        name = f"{found.org.slug}-{found.line.key.replace('/', '-')}"
        if found.evidence is None:
            return hours_csv(name, [])
        if asked.hour is None:
            after = hour(asked.after)
            page_ = await hours_of(session, found.evidence, limit=HOURS_MAX, after=after)
            return hours_csv(name, page_.hours)
        events, last = await _many_events(session, found.evidence, asked)
    following = f"{found.path}.csv{asked.followed_by(last)}" if last else None
    return events_csv(f"{name}-{after_hour(asked.hour)}", events, following)


async def _part(session: AsyncSession, evidence: Evidence | None, asked: Asked) -> Part:
    if evidence is None:
        return Part()
    if asked.hour:
        last, within = event_position(asked.after), Period.of_hour(asked.hour)
        some = await events_of(session, evidence, limit=PAGE_SIZE, after=last, within=within)
        after = after_event(some.events[-1].position) if some.has_more else None
        return Part(events=some.events, next=asked.followed_by(after))
    is_first = asked.after is None
    limit = HOURS_MAX if is_first else PAGE_SIZE
    found = await hours_of(session, evidence, limit=limit, after=hour(asked.after))
    shown = found.hours[:PAGE_SIZE]
    has_more = found.has_more or len(found.hours) > PAGE_SIZE
    return Part(
        hours=shown,
        every_hour=found.hours if is_first else (),
        next=asked.followed_by(after_hour(shown[-1].hour) if has_more else None),
    )


async def _many_events(
    session: AsyncSession, evidence: Evidence, asked: Asked
) -> tuple[list[EventBehind], str | None]:
    assert asked.hour is not None, "an hour's"
    found: list[EventBehind] = []
    last, within = event_position(asked.after), Period.of_hour(asked.hour)
    while len(found) < CSV_EVENTS_MAX:
        some = await events_of(session, evidence, limit=_EVENTS_AT_ONCE, after=last, within=within)
        found += some.events
        if not some.has_more:
            return found, None
        last = some.events[-1].position
    return found, after_event(found[-1].position)


def _chart(found: Explained, part: Part) -> UsageChart | None:
    if found.evidence is None or not part.every_hour:
        return None
    meter = found.evidence.meter
    return usage_chart(part.every_hour, found.line.span, meter.aggregation, meter.unit)


@asynccontextmanager
async def _opened(request: Request) -> AsyncIterator[tuple[AsyncSession, Explained]]:
    """The line, and the snapshot it is of. Raises `NotFound` for a line of nobody."""
    opened = _invoiced(request) if "number" in request.path_params else _drafted(request)
    async with opened as found:
        yield found


@asynccontextmanager
async def _drafted(request: Request) -> AsyncIterator[tuple[AsyncSession, Explained]]:
    runtime: Runtime = request.state.runtime
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
    _require_usage(request, org)
    key, segment = request.path_params["key"], request.path_params["segment"]
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, org, now)
        line = _only(x for x in estimate.lines if (x.key, x.segment) == (key, segment))
        evidence = await find_evidence(session, org, line, estimate.basis)
        bill = f"/orgs/{org.slug}/billing"
        path = draft_path(org, key, segment)
        yield session, Explained(org, line, evidence, path, bill, "Current period")


@asynccontextmanager
async def _invoiced(request: Request) -> AsyncIterator[tuple[AsyncSession, Explained]]:
    runtime: Runtime = request.state.runtime
    org, invoice = await invoice_of(request)
    _require_usage(request, org)
    position = request.path_params["position"]
    rows = [row for row in invoice.lines if row.position == position]
    line = _only(draft_line_of(row, invoice.currency) for row in rows)
    bill = f"/orgs/{org.slug}/billing/invoices/{invoice.number}"
    path = invoice_path(org, invoice, position)
    async with runtime.sessions() as session:
        evidence = await find_evidence(session, org, line, Basis.of_invoice(invoice))
        name = f"Invoice {invoice.number}"
        yield session, Explained(org, line, evidence, path, bill, name)


def _require_usage(request: Request, org: Organization) -> None:
    viewer: Viewer = request.state.viewer
    viewer.require(Scope.USAGE_READ, org.id)


def _only(lines: Iterable[DraftLine]) -> DraftLine:
    found = next((line for line in lines if line.kind in EXPLAINED_KINDS), None)
    if found is None:
        raise NotFound("There is no such line.", code="LINE_NOT_FOUND")
    return found


routes = [
    page("/orgs/{slug}/billing/lines/{segment:int}/{key:path}.csv", line_as_csv),
    data("/orgs/{slug}/billing/lines/{segment:int}/{key:path}.json", line_as_json),
    page("/orgs/{slug}/billing/lines/{segment:int}/{key:path}", line),
    page("/orgs/{slug}/billing/invoices/{number}/lines/{position:int}.csv", line_as_csv),
    data("/orgs/{slug}/billing/invoices/{number}/lines/{position:int}.json", line_as_json),
    page("/orgs/{slug}/billing/invoices/{number}/lines/{position:int}", line),
]
