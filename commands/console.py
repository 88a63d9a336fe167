"""What the command line says: results for people or for scripts, refusals as one sentence."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from billing.errors import BillingError
from billing.settings import SettingError

_UNDEFINED_TABLE = "42P01"

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for scripts.")


class Refusal(click.ClickException):
    """Ends the command with `error: CODE: sentence`, and lines of detail, on standard error."""

    exit_code = 1

    def __init__(self, code: str, message: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        """To standard error, whatever else was printed."""
        click.echo(f"error: {self.code}: {self.message}", err=True, file=file)
        for line in self.details:
            click.echo(f"  {line}", err=True, file=file)


class WrongSettings(Refusal):
    """The environment must be mended before anything can be tried."""

    exit_code = 2


def show(answer: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print the one or the other."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=str) if as_json else text)


@contextmanager
def sentences() -> Iterator[None]:
    """Every error as a sentence: a stack trace tells an operator nothing."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BillingError as error:
        raise Refusal(error.code, str(error)) from error
    except SettingError as error:
        raise WrongSettings("SETTINGS", str(error)) from error
    except Exception as error:
        raise Refusal(
            "UNEXPECTED",
            f"{type(error).__name__}: {error}. This is a bug of ours; `stripe-sync --trace …`"
            " shows where.",
        ) from error


@contextmanager
def reaching_database() -> Iterator[None]:
    """Around what only talks to the database: it may be away, or not be migrated yet."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        if getattr(cause, "sqlstate", None) == _UNDEFINED_TABLE:
            message = "The database lacks tables: run `stripe-sync migrate`."
            raise Refusal("NOT_MIGRATED", message) from error
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        message = f"The database did not answer as it should: {reason}"
        raise Refusal("DATABASE_UNAVAILABLE", message) from error
