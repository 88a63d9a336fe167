"""Settings: the environment, read once, here. A wrong value stops the start with a sentence."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from billing.stripe_limits.rates import (
    ENDPOINT_PER_SECOND,
    LIVE_PER_SECOND,
    SHARE,
    TEST_PER_SECOND,
    StripeLimits,
)


class Environment(StrEnum):
    """Where we run. Only the sandbox may travel in time or sign people in by one click."""

    SANDBOX = "sandbox"
    TEST = "test"
    PRODUCTION = "production"


class SettingError(Exception):
    """A setting is missing or unusable; the message says which, and what to give instead."""


_STRIPE_LIVE_PREFIXES = ("sk_live_", "rk_live_")
_STRIPE_TEST_PREFIXES = ("sk_test_", "rk_test_")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_SECRET_KEY_CHARACTERS_MIN = 32
_DAYS = re.compile(r"[1-9]\d?")
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """All there is to configure. `stripe_api_base` None means Stripe itself.

    `payment_retry_days` are the days after one attempt to collect on which the next is made, as set
    up in Stripe's Dashboard; empty where Stripe's Smart Retries choose. `reconcile_repairs` says
    whether scheduled comparisons mend what is safe, or only tell.
    """

    environment: Environment
    database_url: str
    redis_url: str
    stripe_api_key: str
    stripe_api_base: str | None
    stripe_webhook_secrets: tuple[str, ...]
    secret_key: str
    base_url: str
    log_level: str
    stripe_limits: StripeLimits = field(default_factory=StripeLimits)
    payment_retry_days: tuple[int, ...] = ()
    reconcile_repairs: bool = True

    @property
    def is_sandbox(self) -> bool:
        """Whether demo controls, time travel and one-click sign-in exist at all."""
        return self.environment is Environment.SANDBOX

    @property
    def stripe_is_live(self) -> bool:
        """Whether the key moves real money, so also the mode every webhook must be of."""
        return self.stripe_api_key.startswith(_STRIPE_LIVE_PREFIXES)

    @property
    def is_https(self) -> bool:
        """Whether cookies may demand TLS."""
        return self.base_url.startswith("https://")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the process's environment (or the given one). Raises `SettingError`."""
    given = os.environ if environ is None else environ  # noqa: TID251 - the one place
    settings = Settings(
        environment=_environment(given.get("ENVIRONMENT", "production")),
        database_url=async_database_url(_required(given, "DATABASE_URL")),
        redis_url=_redis_url(_required(given, "REDIS_URL")),
        stripe_api_key=_stripe_key(_required(given, "STRIPE_API_KEY")),
        stripe_api_base=given.get("STRIPE_API_BASE", "").rstrip("/") or None,
        stripe_webhook_secrets=_list(given.get("STRIPE_WEBHOOK_SECRETS", "")),
        secret_key=_secret_key(_required(given, "SECRET_KEY")),
        base_url=_base_url(given.get("BASE_URL", "http://127.0.0.1:8000")),
        log_level=_log_level(given.get("LOG_LEVEL", "INFO")),
        stripe_limits=_stripe_limits(given),
        payment_retry_days=_retry_days(given.get("PAYMENT_RETRY_DAYS", "")),
        reconcile_repairs=_switch(given, "RECONCILE_REPAIRS", default=True),
    )
    _refuse_dangerous(settings)
    return settings


def load_database_url(environ: Mapping[str, str] | None = None) -> str:
    """Where the database is, which is all that migrations need. Raises `SettingError`."""
    given = os.environ if environ is None else environ  # noqa: TID251 - the one place
    return async_database_url(_required(given, "DATABASE_URL"))


def async_database_url(url: str) -> str:
    """`postgres://` or `postgresql://` as SQLAlchemy's asyncpg dialect wants it.

    SQLAlchemy 2.1 takes the plain scheme for psycopg, and asyncpg spells libpq's `sslmode` `ssl`.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
        raise SettingError("DATABASE_URL must start with postgresql:// or postgres://.")
    query = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "sslmode" and value not in _SSL_MODES:
            raise SettingError(f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}.")
        query.append(("ssl" if name == "sslmode" else name, value))
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query)))


def _refuse_dangerous(settings: Settings) -> None:
    live = settings.environment is Environment.PRODUCTION
    if settings.stripe_is_live and not live:
        raise SettingError(
            "STRIPE_API_KEY is a live key: use it only with ENVIRONMENT=production,"
            " or give a key that starts with sk_test_ or rk_test_."
        )
    if settings.stripe_is_live and settings.stripe_api_base:
        raise SettingError("STRIPE_API_BASE would send a live key to another host: unset it.")
    if live and not settings.stripe_webhook_secrets:
        raise SettingError(
            "STRIPE_WEBHOOK_SECRETS is empty: give the signing secret of the webhook endpoint"
            " (whsec_…), several separated by commas while one is being rolled."
        )


def _required(given: Mapping[str, str], name: str) -> str:
    if value := given.get(name, "").strip():
        return value
    raise SettingError(
        f"{name} is not set. `make demo` needs no settings; see README for the rest."
    )


def _environment(value: str) -> Environment:
    try:
        return Environment(value)
    except ValueError:
        raise SettingError("ENVIRONMENT must be production, test or sandbox.") from None


def _redis_url(url: str) -> str:
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise SettingError("REDIS_URL must start with redis://, rediss:// or unix://.")
    return url


def _stripe_key(key: str) -> str:
    if not key.startswith(_STRIPE_LIVE_PREFIXES + _STRIPE_TEST_PREFIXES):
        raise SettingError(
            "STRIPE_API_KEY must start with rk_test_, sk_test_, rk_live_ or sk_live_."
        )
    return key


def _stripe_limits(given: Mapping[str, str]) -> StripeLimits:
    """Stripe raises and lowers limits by account, so each figure can be given."""
    is_live = given.get("STRIPE_API_KEY", "").strip().startswith(_STRIPE_LIVE_PREFIXES)
    share = _positive(given, "STRIPE_RATE_SHARE", SHARE)
    if share > 1:
        raise SettingError("STRIPE_RATE_SHARE is a share of Stripe's limits: at most 1.")
    of_all = LIVE_PER_SECOND if is_live else TEST_PER_SECOND
    return StripeLimits(
        global_per_second=_positive(given, "STRIPE_GLOBAL_PER_SECOND", of_all),
        endpoint_per_second=_positive(given, "STRIPE_ENDPOINT_PER_SECOND", ENDPOINT_PER_SECOND),
        share=share,
    )


def _positive(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name, "").strip()
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or float(text) == 0:
        raise SettingError(f"{name} must be a positive number, as 20 or 0.8.")
    return float(text)


def _retry_days(value: str) -> tuple[int, ...]:
    days = _list(value)
    if not all(_DAYS.fullmatch(day) for day in days):
        raise SettingError(
            "PAYMENT_RETRY_DAYS must be days separated by commas, as 3,5,7: those after one attempt"
            " on which Stripe makes the next. Leave it empty for Stripe's Smart Retries."
        )
    return tuple(map(int, days))


def _switch(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = given.get(name, "").strip().lower()
    if text not in {"", "on", "off"}:
        raise SettingError(f"{name} must be on or off.")
    return default if not text else text == "on"


def _secret_key(value: str) -> str:
    if len(value) < _SECRET_KEY_CHARACTERS_MIN:
        raise SettingError(
            f"SECRET_KEY must have at least {_SECRET_KEY_CHARACTERS_MIN} characters, all random."
        )
    return value


def _base_url(value: str) -> str:
    if urlsplit(value).scheme not in {"http", "https"}:
        raise SettingError("BASE_URL must start with http:// or https://.")
    return value.rstrip("/")


def _log_level(value: str) -> str:
    if value.upper() not in _LOG_LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}.")
    return value.upper()


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())
