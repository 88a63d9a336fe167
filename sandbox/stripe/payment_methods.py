"""Payment methods: Stripe's test cards and bank accounts, and how each behaves when charged."""

from stripe import params

from sandbox.stripe.errors import Body, StripeError, no_such, not_found, not_modelled
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.params import merge_metadata
from sandbox.stripe.records import Card, Customer, PaymentMethod
from sandbox.stripe.world import World

# docs.stripe.com/testing. Real Stripe refuses already to attach tok_chargeDeclined (the faithful
# one is tok_chargeCustomerFail); here both attach and decline when charged.
TEST_CARDS = {
    "visa": (Card.PAY, "visa", "4242"),
    "visa_debit": (Card.PAY, "visa", "5556"),
    "mastercard": (Card.PAY, "mastercard", "4444"),
    "amex": (Card.PAY, "amex", "0005"),
    "chargeDeclined": (Card.DECLINE, "visa", "0002"),
    "visa_chargeDeclined": (Card.DECLINE, "visa", "0002"),
    "chargeDeclinedInsufficientFunds": (Card.DECLINE, "visa", "9995"),
    "visa_chargeDeclinedInsufficientFunds": (Card.DECLINE, "visa", "9995"),
    "chargeCustomerFail": (Card.DECLINE, "visa", "0341"),
}
# A bank debit is accepted at once and clears days later.
TEST_BANK_ACCOUNTS = {
    "pm_usBankAccount_success": Card.LATER,
    "pm_usBankAccount_insufficientFunds": Card.DECLINE,
}


def create(world: World, call: Call) -> Body:
    """POST /v1/payment_methods, for `card[token]` only."""
    if call.params.get("type") != "card":
        raise not_modelled("type")
    token = (call.params.get("card") or {}).get("token")
    if token is None:
        raise not_modelled("card")
    if token.removeprefix("tok_") not in TEST_CARDS:
        raise no_such("token", token, "card[token]")
    method = _test_card(world, token.removeprefix("tok_"), call.now)
    method.metadata = merge_metadata({}, call.params.get("metadata", {}))
    return payment_method_body(method)


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/payment_methods/{payment_method}"""
    method_id = call.path["payment_method"]
    method = world.payment_methods.find(method_id)
    if method is None:
        raise not_found("PaymentMethod", method_id, "payment_method")
    return payment_method_body(method)


def attach(world: World, call: Call) -> Body:
    """POST /v1/payment_methods/{payment_method}/attach"""
    customer_id = call.params.get("customer", "")
    customer = world.customers.find_live(customer_id)
    if customer is None:
        raise no_such("customer", customer_id, "customer")
    method_id = call.path["payment_method"]
    method = find_or_make(world, method_id, call.now)
    if method is None:
        raise not_found("PaymentMethod", method_id, "payment_method")
    attach_to(method, customer)
    return payment_method_body(method)


def find_or_make(world: World, method_id: str, now: int) -> PaymentMethod | None:
    """A payment method by id; a test name such as `pm_card_visa` makes a new one, as at Stripe."""
    card = method_id.removeprefix("pm_card_")
    if card != method_id and card in TEST_CARDS:
        return _test_card(world, card, now)
    if method_id in TEST_BANK_ACCOUNTS:
        return _test_bank_account(world, TEST_BANK_ACCOUNTS[method_id], now)
    return world.payment_methods.find(method_id)


def attach_to(method: PaymentMethod, customer: Customer) -> None:
    """Give a method to a customer; raises `StripeError` if another customer has it."""
    if method.customer not in (None, customer.id):
        raise StripeError(
            "The payment method you provided has already been attached to a customer."
        )
    method.customer = customer.id


def payment_method_body(method: PaymentMethod) -> Body:
    """The payment_method object."""
    return {
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "created": method.created,
        "customer": method.customer,
        "livemode": False,
        "metadata": method.metadata,
        "type": method.kind,
        method.kind: _card(method) if method.kind == "card" else _bank_account(method),
    }


def _card(method: PaymentMethod) -> Body:
    return {
        "brand": method.brand,
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "funding": "credit",
        "last4": method.last4,
    }


def _bank_account(method: PaymentMethod) -> Body:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": method.brand,
        "last4": method.last4,
    }


def _test_card(world: World, name: str, now: int) -> PaymentMethod:
    card, brand, last4 = TEST_CARDS[name]
    return world.payment_methods.add(
        PaymentMethod(
            id=world.ids.new("pm"),
            created=now,
            kind="card",
            card=card,
            brand=brand,
            last4=last4,
            metadata={},
        )
    )


def _test_bank_account(world: World, card: Card, now: int) -> PaymentMethod:
    return world.payment_methods.add(
        PaymentMethod(
            id=world.ids.new("pm"),
            created=now,
            kind="us_bank_account",
            card=card,
            brand="STRIPE TEST BANK",
            last4="6789",
            metadata={},
        )
    )


OPERATIONS = [
    Operation(
        "POST",
        "/v1/payment_methods",
        params.PaymentMethodCreateParams,
        create,
        ("type", "card", "metadata"),
    ),
    Operation(
        "GET",
        "/v1/payment_methods/{payment_method}",
        params.PaymentMethodRetrieveParams,
        retrieve,
    ),
    Operation(
        "POST",
        "/v1/payment_methods/{payment_method}/attach",
        params.PaymentMethodAttachParams,
        attach,
        ("customer",),
    ),
]
