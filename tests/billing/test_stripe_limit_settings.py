"""Which limit a request has, and the figures that an operator may give."""

import pytest

from billing.settings import SettingError, load_settings
from billing.stripe_limits import StripeLimits
from billing.stripe_limits.operations import operation_of


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("post", "/v1/invoices", "POST /v1/invoices"),
        ("get", "/v1/invoices?limit=100", "GET /v1/invoices"),
        ("post", "/v1/invoices/in_1/add_lines", "POST /v1/invoices/{id}/add_lines"),
        ("get", "/v1/invoices/in_1/lines", "GET /v1/invoices/{id}/lines"),
        ("post", "/v1/invoices/in_1/lines/il_1", "POST /v1/invoices/{id}/lines/{id}"),
        ("get", "/v1/invoices/search", "GET /v1/invoices/search"),
        ("delete", "/v1/invoices/in_1", "DELETE /v1/invoices/{id}"),
        ("get", "/v2/core/events/evt_1", "GET /v2/core/events/{id}"),
        ("get", "/v2/core/events", "GET /v2/core/events"),
    ],
)
def test_ids_share_the_limit_of_their_operation(method: str, path: str, operation: str) -> None:
    assert operation_of(method, f"https://api.stripe.com{path}") == operation


GIVEN = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://localhost/x",
    "REDIS_URL": "redis://localhost",
    "STRIPE_WEBHOOK_SECRETS": "whsec_x",
    "SECRET_KEY": "k" * 40,
}


@pytest.mark.parametrize(("key", "of_all"), [("rk_live_x", 100), ("rk_test_x", 25)])
def test_limits_are_stripes_own_for_the_mode(key: str, of_all: int) -> None:
    limits = load_settings(GIVEN | {"STRIPE_API_KEY": key}).stripe_limits

    assert limits == StripeLimits(of_all, 25, 0.8)
    assert (limits.of_endpoint.per_second, limits.of_endpoint.burst) == pytest.approx((20, 5))


def test_limits_can_be_given() -> None:
    given_ = {
        "STRIPE_API_KEY": "rk_live_x",
        "STRIPE_GLOBAL_PER_SECOND": "500",
        "STRIPE_ENDPOINT_PER_SECOND": "62.5",
        "STRIPE_RATE_SHARE": "0.5",
    }
    assert load_settings(GIVEN | given_).stripe_limits == StripeLimits(500, 62.5, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_RATE_SHARE", "1.2"),
        ("STRIPE_RATE_SHARE", "0"),
        ("STRIPE_GLOBAL_PER_SECOND", "-3"),
        ("STRIPE_ENDPOINT_PER_SECOND", "fast"),
    ],
)
def test_a_limit_that_is_none_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        load_settings(GIVEN | {"STRIPE_API_KEY": "rk_test_x", name: value})
