"""`python -m api.export_schema [--check]`: write docs/schema.graphql, or fail when it is stale."""

import sys
from pathlib import Path

from api.schema import schema

SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "schema.graphql"


def exported() -> str:
    """The schema in GraphQL's own language, as it is committed."""
    return schema.as_str().rstrip() + "\n"


def is_fresh(file: Path = SCHEMA_FILE) -> bool:
    """Whether the committed schema is the one the code has."""
    return file.is_file() and file.read_text() == exported()


def main(arguments: list[str], file: Path = SCHEMA_FILE) -> int:
    """The process's exit code: 1 when a check finds the file stale."""
    if arguments == ["--check"]:
        if is_fresh(file):
            return 0
        sys.stderr.write("docs/schema.graphql is stale: run python -m api.export_schema\n")
        return 1
    file.parent.mkdir(exist_ok=True)
    file.write_text(exported())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
