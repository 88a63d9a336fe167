"""Templates into pages and fragments. Whatever people named is escaped: autoescape is always on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from web import formats
from web.arithmetic import sentences
from web.assets import static_url
from web.completeness import completeness
from web.csrf import FIELD, csrf_token, remember_visitor
from web.labels import CLOSING, ESTIMATING, label_of

REASONS_SHOWN = 5
"""Why a bill changed: so many movements by name, the others summed up."""

TEMPLATES = Path(__file__).parent.parent / "templates"
_LOADER = FileSystemLoader(TEMPLATES)


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    **context: Any,  # noqa: ANN401
) -> Response:
    """A whole page, with what every page needs: who is looking, and a token for its forms."""
    page = _ENVIRONMENT.get_template(template)
    viewer = getattr(request.state, "viewer", None)
    shared = {"viewer": viewer, "org": None, "csrf_token": lambda: csrf_token(request)}
    response = HTMLResponse(page.render({**shared, **context}), status)
    remember_visitor(request, response)
    return response


def fragment(template: str, context: Mapping[str, Any]) -> str:
    """A part of a page, exactly as the page itself includes it."""
    return _ENVIRONMENT.get_template(template).render(context)


def add_templates(directory: Path) -> None:
    """Let pages of routes that are mounted beside ours be rendered as ours are."""
    _LOADER.searchpath.append(str(directory))


def _environment() -> Environment:
    environment = Environment(
        loader=_LOADER,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": formats.age,
        "clock": formats.clock,
        "completeness": completeness,
        "day": formats.day,
        "days": formats.days,
        "last_day": formats.last_day,
        "moment": formats.moment,
        "money": formats.money_data,
        "ordinal_day": formats.ordinal_day,
        "period": formats.period,
        "quantity": formats.quantity,
        "sentences": sentences,
        "short_quantity": formats.short_quantity,
        "so_far": formats.so_far,
    }
    environment.globals |= {
        "CLOSING": CLOSING,
        "CSRF_FIELD": FIELD,
        "ESTIMATING": ESTIMATING,
        "REASONS_SHOWN": REASONS_SHOWN,
        "label_of": label_of,
        "static": static_url,
    }
    return environment


_ENVIRONMENT = _environment()
