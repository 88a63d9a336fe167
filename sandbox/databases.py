"""Databases made for an occasion, on whatever server is at hand."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg


async def fresh_database(server_url: str, name: str) -> str:
    """Make the database `name` on the server and give its URL. It must not exist yet."""
    # Alike on every server: neither its template nor its locale shows.
    await _execute(
        server_url, f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
    )
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def drop_database(server_url: str, name: str) -> None:
    """Drop the database `name`, and the connections that are still on it."""
    await _execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def plain_url(url: str) -> str:
    """As asyncpg itself has it, from the URL of SQLAlchemy's dialect or from a plain one."""
    parts = urlsplit(url)
    query = [
        ("sslmode" if name == "ssl" else name, value) for name, value in parse_qsl(parts.query)
    ]
    scheme = parts.scheme.removesuffix("+asyncpg")
    return urlunsplit(parts._replace(scheme=scheme, query=urlencode(query)))


async def _execute(server_url: str, statement: str) -> None:
    connection = await asyncpg.connect(plain_url(server_url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
