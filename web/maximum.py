"""The form that sets or removes the maximum bill."""

from decimal import Decimal

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.capping import set_cap
from billing.errors import Invalid
from billing.models import Scope
from billing.rules.quantities import exact_decimal
from billing.runtime import Runtime
from web.auth import find_viewer, form, organization_of
from web.dashboard import billing_page

AMOUNT_CHARACTERS_SHOWN = 40


async def submit_maximum(request: Request) -> Response:
    """Set it and come back to the page; what cannot be set is said on the page itself."""
    runtime: Runtime = request.state.runtime
    viewer = await find_viewer(request)
    slug = request.path_params["slug"]
    if viewer is None:
        return RedirectResponse(f"/login?next=/orgs/{slug}/billing", 303)
    request.state.viewer = viewer
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
    viewer.require(Scope.BILLING_WRITE, org.id)
    given = await request.form()
    text = str(given.get("amount", "")).strip()
    try:
        amount = None if "remove" in given else _amount(text, org.currency.symbol)
        async with runtime.sessions.begin() as session:
            now = await runtime.now()
            await set_cap(session, org, amount, actor=viewer.actor, now=now)
    except Invalid as error:
        shown = text[:AMOUNT_CHARACTERS_SHOWN]
        return await billing_page(request, status=422, refusal=str(error), given=shown)
    await runtime.nudges.moved([org.id])
    return RedirectResponse(f"/orgs/{slug}/billing#maximum-title", 303)


def _amount(text: str, symbol: str) -> Decimal:
    """As people write it: "50", "$50.00", "1,000"."""
    return exact_decimal(text.removeprefix(symbol).replace(",", ""), field="The maximum")


routes = [form("/orgs/{slug}/billing/maximum", submit_maximum)]
