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

SETTINGS_EXIT_CODE = 2
_UNDEFINED_TABLE = "42P01"

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for scripts.")


class Refusal(click.ClickException):
    """Ends the command with `error: CODE: sentence`, and lines of detail, on standard error."""

    def __init__(
        self, code: str, message: str, *, details: Sequence[str] = (), exit_code: int = 1
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """To standard error, whatever else was printed."""
        click.echo(f"error: {self.code}: {self.message}", err=True, file=file)
        for line in self.details:
            click.echo(f"  {line}", err=True, file=file)


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
        raise Refusal("SETTINGS", str(error), exit_code=SETTINGS_EXIT_CODE) from error
    except (DBAPIError, asyncpg.PostgresError, OSError) as error:
        raise _database_refusal(error) from error
    except Exception as error:
        raise Refusal(
            "UNEXPECTED",
            f"{type(error).__name__}: {error}. This is a bug of ours; `stripe-sync --trace …`"
            " shows where.",
        ) from error


def _database_refusal(error: Exception) -> Refusal:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if getattr(cause, "sqlstate", None) == _UNDEFINED_TABLE:
        return Refusal("NOT_MIGRATED", "The database has no tables: run `stripe-sync migrate`.")
    reason = str(cause).strip().splitlines() or [type(cause).__name__]
    return Refusal("DATABASE_UNAVAILABLE", f"The database did not answer as it should: {reason[0]}")
