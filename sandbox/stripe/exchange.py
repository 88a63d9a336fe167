"""One HTTP exchange with the fake: the gates in Stripe's order, the operation, its saved answer."""

import base64
import binascii
import re
from dataclasses import replace

import anyio
import msgspec
import stripe
from starlette.requests import Request
from starlette.responses import Response

from sandbox.stripe.chaos import Fault
from sandbox.stripe.connection import HangUp
from sandbox.stripe.errors import (
    StripeError,
    internal_error,
    invalid_version,
    rate_limited,
    unavailable,
)
from sandbox.stripe.forms import Node, decode_form
from sandbox.stripe.idempotency import Answer, Attempt
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.params import read_params, refuse_unmodelled
from sandbox.stripe.world import Cause, World

TEST_KEY = re.compile(r"[sr]k_test_\w+")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")


async def exchange(world: World, operation: Operation, request: Request, now: int) -> Response:
    """Answer one call as Stripe would; a fault that closes the connection answers nothing."""
    world.calls[operation.name] += 1
    key = request.headers.get("Idempotency-Key") if operation.method == "POST" else None
    cause = Cause(now, world.ids.new("req"), key)
    down = world.chaos.take(Fault.DOWN, operation.name)
    if down is not None and down.how == "close":
        return HangUp()
    try:
        if down is not None:
            raise unavailable()
        answer = await _admit_and_run(world, operation, request, cause)
    except StripeError as error:
        answer = _refusal(error, cause)
    if world.chaos.take(Fault.TIMEOUT_AFTER_COMMIT, operation.name):
        return HangUp()
    return _response(answer, cause, request.headers.get("Stripe-Version"))


async def _admit_and_run(
    world: World, operation: Operation, request: Request, cause: Cause
) -> Answer:
    """What is refused here never ran, so it is not saved under the idempotency key."""
    _check_key(request.headers.get("Authorization", ""))
    _check_version(request.headers.get("Stripe-Version"))
    if (limit := world.chaos.take(Fault.RATE_LIMIT, operation.name)) is not None:
        raise rate_limited(limit.reason)
    tree = await _tree(request)
    wanted = read_params(operation.params, tree)
    refuse_unmodelled(wanted, operation.modelled)
    call = Call(request.path_params, wanted, cause)
    if cause.idempotency_key is None:
        return await _run(world, operation, call)
    attempt = Attempt(request.url.path, msgspec.json.encode(tree, order="sorted"))
    return await _run_once(world, operation, call, attempt)


async def _run_once(world: World, operation: Operation, call: Call, attempt: Attempt) -> Answer:
    """Run the operation, or give the answer its key already has."""
    key = call.cause.idempotency_key
    assert key is not None
    saved = world.replays.begin(key, attempt, call.now)
    if saved is not None:
        return replace(saved, replayed=True)
    try:
        answer = await _run(world, operation, call)
    except BaseException:
        world.replays.drop(key)
        raise
    world.replays.save(key, answer)
    return answer


async def _run(world: World, operation: Operation, call: Call) -> Answer:
    if (slow := world.chaos.take(Fault.SLOW, operation.name)) is not None:
        await anyio.sleep(slow.delay_ms / 1000)
    if world.chaos.take(Fault.ERROR_BEFORE_COMMIT, operation.name):
        return _refusal(internal_error(), call.cause)
    try:
        answer = _answer(200, operation.run(world, call), call.cause)
    except StripeError as error:
        answer = _refusal(error, call.cause)
    if world.chaos.take(Fault.ERROR_AFTER_COMMIT, operation.name):
        return _refusal(internal_error(), call.cause)
    return answer


async def _tree(request: Request) -> dict[str, Node]:
    if request.method == "POST":
        return decode_form((await request.body()).decode("utf-8", errors="replace"))
    return decode_form(request.url.query)


def _check_key(authorization: str) -> None:
    """Any test key will do, as a bearer token or as the user name of basic authentication."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() == "basic":
        credential = _user_name(credential)
    if not credential:
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the Authorization"
            " header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See"
            " https://stripe.com/docs/api#authentication for details, or we can help at"
            " https://support.stripe.com/.",
            status=401,
        )
    if not TEST_KEY.fullmatch(credential):
        masked = credential[:8] + "*" * max(0, len(credential) - 12) + credential[8:][-4:]
        raise StripeError(f"Invalid API Key provided: {masked}", status=401)


def _user_name(credential: str) -> str:
    try:
        return base64.b64decode(credential).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_version(version: str | None) -> None:
    if version is not None and not VERSION.fullmatch(version):
        raise invalid_version(version)


def _response(answer: Answer, cause: Cause, version: str | None) -> Response:
    headers = {
        "Request-Id": cause.request_id or answer.request_id,
        "Stripe-Version": version or stripe.api_version,
        **answer.headers,
    }
    if cause.idempotency_key is not None:
        headers["Idempotency-Key"] = cause.idempotency_key
        headers["Original-Request"] = answer.request_id
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, media_type="application/json")


def _refusal(error: StripeError, cause: Cause) -> Answer:
    assert cause.request_id is not None
    answer = _answer(error.status, error.body(cause.request_id, cause.now), cause)
    return replace(answer, headers=error.headers)


def _answer(status: int, body: object, cause: Cause) -> Answer:
    assert cause.request_id is not None
    return Answer(status, msgspec.json.encode(body), cause.request_id)
