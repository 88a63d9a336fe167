"""Form decoding: Stripe's `a[b][0][c]=v` spelling of nested values."""

import re
from urllib.parse import parse_qsl

Node = str | dict[str, "Node"]
"""A value as it arrived: text, or named parts (a list's parts are named by their indexes)."""

KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
PART = re.compile(r"\[([^\[\]]*)\]")


def decode_form(text: str) -> dict[str, Node]:
    """The tree behind a query string or a form body; the last of two equal names wins.

    `a[]=x&a[]=y` numbers its parts in order of arrival. A name with unbalanced brackets stays as
    it is, and so is refused later as an unknown parameter.
    """
    tree: dict[str, Node] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *outer, last = _path(name)
        branch = tree
        for part in outer:
            inner = branch.get(part)
            if not isinstance(inner, dict):
                inner = branch[part] = {}
            branch = inner
        branch[last or str(len(branch))] = value
    return tree


def _path(name: str) -> list[str]:
    match = KEY.fullmatch(name)
    return [match[1], *PART.findall(match[2])] if match else [name]
