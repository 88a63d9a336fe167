"""Parameters are checked against the SDK's own types, and refused in Stripe's words."""

from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import Stage, client_of


async def refusal(stage: Stage, method: str, path: str, form: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await stage.client.raw_request_async(method, path, **form)
    body = refused.value.json_body
    assert isinstance(body, dict)
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("method", "path", "form", "code", "param", "message"),
    [
        (
            "get",
            "/v1/customers",
            {"wat": "x"},
            "parameter_unknown",
            "wat",
            "unknown parameter: wat",
        ),
        ("get", "/v1/customers", {"limit": "abc"}, "parameter_invalid_integer", "limit", "abc"),
        (
            "post",
            "/v1/invoices/in_x/add_lines",
            {"lines": [{"amount": 1}, {"amount": 1, "period": {"start": 1, "end": 2, "no": 3}}]},
            "parameter_unknown",
            "lines[1][period][no]",
            "Received unknown parameter: lines[1][period][no]",
        ),
        (
            "post",
            "/v1/invoices/in_x/remove_lines",
            {"lines": [{"id": "il_x"}]},
            "parameter_missing",
            "lines[0][behavior]",
            "Missing required param: lines[0][behavior].",
        ),
        (
            "get",
            "/v1/invoices",
            {"status": "bogus"},
            None,
            "status",
            "Invalid status: must be one of draft, open, void, paid, or uncollectible",
        ),
        (
            "post",
            "/v1/invoices/in_x/add_lines",
            {"lines": [{"quantity_decimal": "1E-12"}]},
            None,
            "lines[0][quantity_decimal]",
            "Invalid decimal: 1E-12",
        ),
        ("post", "/v1/invoices", {"auto_advance": "yes"}, None, "auto_advance", "Invalid boolean"),
        ("post", "/v1/invoices", {"due_date": ""}, "parameter_invalid_empty", "due_date", "empty"),
        ("post", "/v1/customers", {"address": "x"}, None, "address", "Invalid object"),
        ("post", "/v1/invoices/in_x/add_lines", {"lines": "x"}, None, "lines", "Invalid array"),
    ],
)
async def test_refused(
    stage: Stage,
    method: str,
    path: str,
    form: dict[str, Any],
    code: str | None,
    param: str,
    message: str,
) -> None:
    error = await refusal(stage, method, path, form)

    assert (error.get("code"), error["param"]) == (code, param)
    assert message in error["message"]
    assert ("doc_url" in error) is (code is not None)


async def test_what_the_fake_does_not_model_it_refuses_unless_it_asks_for_nothing(
    stage: Stage,
) -> None:
    customer = await stage.a_customer()
    neutral: dict[str, Any] = {"discounts": "", "automatic_tax": {"enabled": False}}
    draft = await stage.a_draft(customer=customer, **neutral)

    with pytest.raises(stripe.InvalidRequestError, match="does not model the parameter disc"):
        await stage.a_draft(customer=customer, discounts=[{"coupon": "x"}])
    with pytest.raises(stripe.InvalidRequestError, match=r"parameter lines\[0\]\[tax_rates\]"):
        await stage.client.v1.invoices.add_lines_async(
            draft.id, {"lines": [{"amount": 1, "tax_rates": ["txr_x"]}]}
        )


async def test_metadata_is_merged_unset_and_limited(stage: Stage) -> None:
    customers = stage.client.v1.customers
    customer = await stage.a_customer(metadata={"a": "1", "b": "2"})

    changed = await customers.update_async(customer, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    emptied = await customers.update_async(customer, {"metadata": ""})
    assert emptied.metadata is not None
    assert emptied.metadata.to_dict() == {}
    for metadata in ({"k" * 41: "v"}, {"k": "v" * 501}, {f"k{n}": "v" for n in range(51)}):
        with pytest.raises(stripe.InvalidRequestError, match=r"[Mm]etadata"):
            await customers.update_async(customer, {"metadata": metadata})


@pytest.mark.parametrize("key", ["sk_live_x", "pk_test_x", "nonsense"])
async def test_only_test_keys_open_the_door(stage: Stage, key: str) -> None:
    async with client_of(stage.url, key) as client:
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            await client.v1.customers.list_async()


async def test_a_restricted_key_and_basic_authentication_open_it_too(stage: Stage) -> None:
    async with client_of(stage.url, "rk_test_x") as client:
        assert (await client.v1.customers.list_async()).data == []
    async with httpx.AsyncClient(base_url=stage.url) as browser:
        assert (await browser.get("/v1/customers", auth=("sk_test_x", ""))).status_code == 200
        assert (await browser.get("/v1/customers")).status_code == 401


async def test_versions_and_addresses(stage: Stage) -> None:
    listed = await stage.client.v1.customers.list_async()
    assert listed.last_response is not None
    assert listed.last_response.headers["stripe-version"] == stripe.api_version
    assert listed.last_response.headers["request-id"].startswith("req_")

    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version: newest"):
        await stage.client.v1.customers.list_async({}, {"stripe_version": "newest"})
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as unknown:
        await stage.client.raw_request_async("post", "/v1/subscriptions")
    assert unknown.value.http_status == 404
