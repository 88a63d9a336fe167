"""/v1/webhook_endpoints: where events go. A secret is told once, when the endpoint is made."""

from msgspec import structs
from stripe import params

from sandbox.stripe.errors import Body, StripeError, not_found
from sandbox.stripe.lists import Shelf, Window
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.params import merge_metadata
from sandbox.stripe.webhooks import Endpoint
from sandbox.stripe.world import World

EDITABLE = ("description", "enabled_events", "metadata", "url")
SCHEMES = ("http://", "https://")


def create(world: World, call: Call) -> Body:
    """POST /v1/webhook_endpoints. Without a version its events are of the account's."""
    wanted = call.params
    _check_url(wanted["url"])
    endpoint = Endpoint(
        url=wanted["url"],
        secrets=(world.ids.new("whsec"),),
        enabled_events=tuple(wanted["enabled_events"]),
        id=world.ids.new("we"),
        api_version=wanted.get("api_version"),
        created=call.now,
        description=wanted.get("description"),
        metadata=merge_metadata({}, wanted.get("metadata", {})),
    )
    world.postbox.put(endpoint)
    return endpoint_body(endpoint) | {"secret": endpoint.secrets[0]}


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/webhook_endpoints/{webhook_endpoint}"""
    return endpoint_body(_endpoint(world, call))


def update(world: World, call: Call) -> Body:
    """POST /v1/webhook_endpoints/{webhook_endpoint}. Its version is fixed for ever."""
    endpoint, wanted = _endpoint(world, call), call.params
    if "url" in wanted:
        _check_url(wanted["url"])
    status = endpoint.status
    if "disabled" in wanted:
        status = "disabled" if wanted["disabled"] else "enabled"
    changed = structs.replace(
        endpoint,
        url=wanted.get("url", endpoint.url),
        enabled_events=tuple(wanted.get("enabled_events", endpoint.enabled_events)),
        description=wanted.get("description", endpoint.description),
        metadata=merge_metadata(endpoint.metadata, wanted.get("metadata", {})),
        status=status,
    )
    world.postbox.put(changed)
    return endpoint_body(changed)


def delete(world: World, call: Call) -> Body:
    """DELETE /v1/webhook_endpoints/{webhook_endpoint}"""
    endpoint = _endpoint(world, call)
    world.postbox.remove(endpoint.id)
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


def list_endpoints(world: World, call: Call) -> Body:
    """GET /v1/webhook_endpoints"""
    shelf: Shelf[Endpoint] = Shelf("webhook endpoint")
    for endpoint in world.postbox.endpoints:
        shelf.add(endpoint)
    return shelf.page(Window.of(call.params)).body("/v1/webhook_endpoints", endpoint_body)


def endpoint_body(endpoint: Endpoint) -> Body:
    """The webhook_endpoint object."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": False,
        "metadata": endpoint.metadata,
        "status": endpoint.status,
        "url": endpoint.url,
    }


def _endpoint(world: World, call: Call) -> Endpoint:
    endpoint_id = call.path["webhook_endpoint"]
    endpoint = world.postbox.find(endpoint_id)
    if endpoint is None:
        raise not_found("webhook endpoint", endpoint_id, "webhook_endpoint")
    return endpoint


def _check_url(url: str) -> None:
    """Real Stripe wants https; the sandbox's receiver is on the loopback and has none."""
    if not url.startswith(SCHEMES):
        raise StripeError(
            "Invalid URL: An explicit scheme (such as https) must be provided.", param="url"
        )


ONE = "/v1/webhook_endpoints/{webhook_endpoint}"

OPERATIONS = [
    Operation(
        "POST",
        "/v1/webhook_endpoints",
        params.WebhookEndpointCreateParams,
        create,
        (*EDITABLE, "api_version"),
    ),
    Operation(
        "GET",
        "/v1/webhook_endpoints",
        params.WebhookEndpointListParams,
        list_endpoints,
        ("limit", "starting_after", "ending_before"),
    ),
    Operation("GET", ONE, params.WebhookEndpointRetrieveParams, retrieve),
    Operation("POST", ONE, params.WebhookEndpointUpdateParams, update, (*EDITABLE, "disabled")),
    Operation("DELETE", ONE, params.WebhookEndpointDeleteParams, delete),
]
