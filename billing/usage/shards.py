"""Shards: what is folded at once. An organization's usage is all in one of them."""

from billing.ids import OrgId

SHARDS = 16
"""Few, so that a batch of a thousand organizations is few rows; many, so that a fold is short."""


def shard_of(org_id: OrgId) -> int:
    """By the random end of its id."""
    return org_id.bytes[-1] % SHARDS
