"""Do the migrations make the schema that the models describe? Asked of a database of our own."""

import sys

from alembic import command
from alembic.util import CommandError

from migrations import config_for
from sandbox.postgres import postgres


def main() -> None:
    """Migrate an empty database to the newest schema and compare; exits with what is missing."""
    with postgres(root=None) as url:
        try:
            command.upgrade(config_for(url), "head")
            command.check(config_for(url))
        except CommandError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
