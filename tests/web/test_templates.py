"""Templates keep to what the strict Content-Security-Policy lets work."""

import re
from pathlib import Path

import pytest

from web.rendering import TEMPLATES

ALL = sorted(TEMPLATES.rglob("*.html"))
FORBIDDEN = {
    "an inline handler": r"\son\w+\s*=",
    "hx-on": r"hx-on",
    "an evaluated value": r"[\"'\s]js:|javascript:",
    "an inline style": r"\sstyle\s*=|<style",
    "an inline script": r"<script(?![^>]*\ssrc=)",
    "a script that may run before the page is read": r"<script[^>]*\s(defer|async|type)\b",
    "a trigger filter": r"hx-trigger=\"[^\"]*\[",
    "another host": r"(?:src|href)=\"(?:https?:)?//",
    "unescaped text": r"\|\s*safe\b|autoescape",
    "a live region around figures": r"<output|aria-live",
}


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_a_template_needs_nothing_that_is_forbidden(path: Path) -> None:
    text = path.read_text()
    found = [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]

    assert found == []
    assert "<html" not in text or path.name == "base.html", "one page, many fragments"


@pytest.mark.parametrize(
    "text",
    [
        '<a onclick="x()">',
        '<div hx-on:click="x()">',
        "<div hx-vals='js:{a: 1}'>",
        '<p style="width:4%">',
        "<script>x()</script>",
        '<script src="/static/x.js" defer></script>',
        '<div hx-trigger="every 1s [isOpen]">',
        '<script src="//cdn.example/x.js">',
        "{{ name | safe }}",
        "<output>$1</output>",
    ],
)
def test_the_rules_find_what_they_are_for(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in FORBIDDEN.values())
