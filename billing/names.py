"""What people and other apps may call things: names, slugs, e-mail addresses, and near misses."""

import difflib
import re
from collections.abc import Iterable

from billing.errors import Invalid

NAME_CHARACTERS_MAX = 100
SLUG_CHARACTERS_MAX = 64
CODE_CHARACTERS_MAX = 64
EMAIL_CHARACTERS_MAX = 254
"""RFC 5321 §4.5.3.1: a path has 256 octets, two of them brackets."""

_SLUG = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_CODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def checked_name(text: str, *, field: str = "name") -> str:
    """A name for people, without spaces around it. Raises `Invalid` `INVALID_NAME`."""
    name = text.strip()
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(
            f"{field} must have 1 to {NAME_CHARACTERS_MAX} printable characters.",
            code="INVALID_NAME",
            field=field,
        )
    return name


def checked_slug(text: str, *, field: str = "slug") -> str:
    """A name for addresses and files. Raises `Invalid` `INVALID_SLUG`."""
    if len(text) > SLUG_CHARACTERS_MAX or not _SLUG.fullmatch(text):
        raise Invalid(
            f"{field} must be 1 to {SLUG_CHARACTERS_MAX} lower-case letters and digits,"
            f" with single - or _ between them, not {text[:40]!r}.",
            code="INVALID_SLUG",
            field=field,
        )
    return text


def checked_code(text: str, *, field: str = "code") -> str:
    """A name somebody made up for a thing, to find it again. Raises `Invalid` `INVALID_CODE`."""
    if len(text) > CODE_CHARACTERS_MAX or not _CODE.fullmatch(text):
        raise Invalid(
            f"{field} must be 1 to {CODE_CHARACTERS_MAX} letters, digits, dots, - or _,"
            f" starting and ending with a letter or digit, not {text[:40]!r}.",
            code="INVALID_CODE",
            field=field,
        )
    return text


def checked_email(text: str, *, field: str = "email") -> str:
    """An address in lower case, as we store it. Raises `Invalid` `INVALID_EMAIL`.

    Only its shape is checked: whether it is somebody's, only a mail can tell.
    """
    email = text.strip().lower()
    if len(email) > EMAIL_CHARACTERS_MAX or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise Invalid(
            f"{field} must be an e-mail address such as dana@acme.example, not {text[:60]!r}.",
            code="INVALID_EMAIL",
            field=field,
        )
    return email


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if one is near."""
    return next(iter(difflib.get_close_matches(word, [str(one) for one in known], n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence to add to a refusal: " Did you mean 'egress'?", or nothing."""
    near = nearest(word, known)
    return f" Did you mean {near!r}?" if near else ""
