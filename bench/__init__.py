"""Measured claims: each figure beside a limit of PostgreSQL or Starlette, of the same run."""
