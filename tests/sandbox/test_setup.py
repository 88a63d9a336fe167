"""What set-up rests on: contents pinned, hosts not named, targets listed, refusals in words."""

import json
import re
import subprocess
import sys

from sandbox.toolchain import REPOSITORY, environment


def test_npm_packages_are_pinned_by_content_and_not_by_host() -> None:
    packages = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    own = packages.pop("")
    assert own["dependencies"] == {"htmx.org": packages["node_modules/htmx.org"]["version"]}
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_make_alone_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: help (.+)$", makefile, re.MULTILINE)[0].split()
    alone = ["make", "--no-print-directory"]  # `make test` runs this inside of make
    listed = subprocess.check_output(alone, cwd=REPOSITORY, text=True, env=environment({}))
    assert [line.split()[1] for line in listed.splitlines()] == targets


def test_a_browser_that_is_not_there_is_named() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "from sandbox.chromium import require; require()"],
        env=environment({"CHROMIUM": "/no/such/browser"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode
    assert "CHROMIUM is /no/such/browser, and there is no such program." in asked.stderr
