"""The product's web with the demo's controls beside it: what the sandbox serves."""

from starlette.applications import Starlette

from billing.settings import SettingError, load_settings
from sandbox.controls import routes
from web.app import create_app


def app_factory() -> Starlette:
    """For `uvicorn --factory`, in the sandbox only. Raises `SettingError`."""
    settings = load_settings()
    if not settings.is_sandbox:
        raise SettingError("The demo's controls exist with ENVIRONMENT=sandbox only.")
    return create_app(settings, routes)
