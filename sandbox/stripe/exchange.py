"""One HTTP exchange with the fake: the gates in Stripe's order, the operation, its saved answer."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import stripe
from starlette.requests import Request
from starlette.responses import Response

from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.connection import CutShort, HangUp
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
from sandbox.stripe.world import Cause, World, unix

TEST_KEY = re.compile(r"[sr]k_test_\w+")
TRIGGER = "Stripe-Request-Trigger"
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")


Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds."""


@dataclass(slots=True)
class Exchange:
    """One call of `operation`, made at `instant`; `sleep` is how a slow answer takes its time."""

    world: World
    operation: Operation
    request: Request
    instant: datetime
    sleep: Sleep
    cause: Cause = field(init=False)

    def __post_init__(self) -> None:
        is_post = self.operation.method == "POST"
        key = self.request.headers.get("Idempotency-Key") if is_post else None
        self.cause = Cause(unix(self.instant), self.world.ids.new("req"), key)

    async def answer(self) -> Response:
        """Answer as Stripe would; a fault that closes the connection answers nothing."""
        self.world.calls[self.operation.name] += 1
        down = self._take(Fault.DOWN)
        if down is not None and down.how == "close":
            return HangUp()
        try:
            if down is not None:
                raise unavailable()
            answer = await self._admit()
        except StripeError as error:
            answer = _refusal(error, self.cause)
        if self._take(Fault.TIMEOUT_AFTER_COMMIT):
            return HangUp()
        response = _response(answer, self.cause, self.request.headers.get("Stripe-Version"))
        return CutShort(response) if self._take(Fault.CUT_MID_BODY) else response

    async def _admit(self) -> Answer:
        """What is refused here never ran, so it is not saved under the idempotency key."""
        _check_key(self.request.headers.get("Authorization", ""))
        _check_version(self.request.headers.get("Stripe-Version"))
        if (limit := self._take(Fault.RATE_LIMIT)) is not None:
            raise rate_limited(limit.reason)
        world = self.world
        with world.traffic.admitted(world.limits, self.operation.name, self.instant):
            tree = await _tree(self.request)
            wanted = read_params(self.operation.params, tree)
            refuse_unmodelled(wanted, self.operation.modelled)
            call = Call(self.request.path_params, wanted, self.cause)
            if self.cause.idempotency_key is None:
                return await self._run(call)
            sent = msgspec.json.encode(tree, order="sorted")
            return await self._run_once(call, Attempt(self.request.url.path, sent))

    async def _run_once(self, call: Call, attempt: Attempt) -> Answer:
        """Run the operation, or give the answer its key already has.

        A lock that could not be had is not saved: the key is free for another try.
        """
        replays, key = self.world.replays, self.cause.idempotency_key
        assert key is not None
        saved = replays.begin(key, attempt, call.now)
        if saved is not None:
            return replace(saved, replayed=True)
        try:
            answer = await self._run(call)
        except BaseException:
            replays.drop(key)
            raise
        replays.save(key, answer)
        return answer

    async def _run(self, call: Call) -> Answer:
        world, written = self.world, self.operation.writes_to(self.world, call)
        with world.traffic.writing(world.limits, written):
            if (slow := self._take(Fault.SLOW)) is not None:
                await self.sleep(slow.delay_ms / 1000)
            return self._perform(call)

    def _perform(self, call: Call) -> Answer:
        if self._take(Fault.ERROR_BEFORE_COMMIT):
            return _refusal(internal_error(), call.cause)
        try:
            answer = _answer(200, self.operation.run(self.world, call), call.cause)
        except StripeError as error:
            answer = _refusal(error, call.cause)
        if self._take(Fault.ERROR_AFTER_COMMIT):
            return _refusal(internal_error(), call.cause)
        return answer

    def _take(self, fault: Fault) -> Switch | None:
        return self.world.chaos.take(fault, self.operation.name)


async def _tree(request: Request) -> dict[str, Node]:
    if request.method == "POST":
        return decode_form((await request.body()).decode("utf-8", errors="replace"))
    tree = decode_form(request.url.query)
    if TRIGGER in request.headers:  # stripe-python 16.1 lets this word of its own slip in here
        tree.pop("usage", None)
    return tree


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
