"""Everything a demo or a test needs that production brings itself. The product never imports it."""

import sys

# Here, because set-up starts with whatever Python there is and this is what it reads first.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}.")
