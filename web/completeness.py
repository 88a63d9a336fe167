"""How complete usage is, as a sentence on a page."""

import re
from collections.abc import Iterable
from datetime import datetime

from markupsafe import Markup, escape

from billing.rules.completeness import SourceState, completeness_sentence

_NAMED = re.compile("`([^`]*)`")


def completeness(sources: Iterable[SourceState], now: datetime) -> Markup:
    """ "Bandwidth from <code>syd</code> is 40 minutes behind, everything else is current." """
    told = completeness_sentence(sources, now)
    if not told:
        return Markup()
    sentence = f"{told[0].upper()}{told[1:]}."
    return Markup(_NAMED.sub(r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped
