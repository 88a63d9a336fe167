"""Against forged requests: a cookie alone does not say that our own page sent the request."""

from urllib.parse import urlsplit

from starlette.requests import Request

from billing.errors import Forbidden


class CrossSiteRequest(Forbidden):
    """Another site's page sent it, with its visitor's cookie."""

    code = "CROSS_SITE_REQUEST"

    def __init__(self) -> None:
        super().__init__("A signed-in browser may send this from our own pages only.")


def refuse_cross_site(request: Request, base_url: str) -> None:
    """Raise `CrossSiteRequest` when a cookie would speak for another site's page.

    Browsers name the sender in `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (Fetch §3.2); scripts
    cannot forge either. A client that sends neither is no browser, so nobody else's cookie is in
    it. An `Authorization` header is never sent by a browser on its own. Requiring
    `application/json`, which no form can send, is a second lock.
    """
    if "authorization" in request.headers:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site in {"same-origin", "none"}
    else:
        is_ours = origin is None or _is_ours(origin, request, base_url)
    if not is_ours:
        raise CrossSiteRequest


def _is_ours(origin: str, request: Request, base_url: str) -> bool:
    ours = urlsplit(base_url)
    return origin == f"{ours.scheme}://{ours.netloc}" or (
        urlsplit(origin).netloc == request.headers.get("host")
    )
