"""The stream as a browser reads it: server-sent events that carry htmx's partials."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from billing.runtime import Runtime
from tests.web.site import Acme, text_of, use
from web.parts import PARTS

_PARTIAL = re.compile(
    r'<hx-partial hx-target="#([\w-]+)" hx-swap="innerMorph">(.*?)</hx-partial>', re.DOTALL
)


class Messages:
    """What has arrived on one stream, message by message."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The next message's partials: what goes where."""
        data: list[str] = []
        async with asyncio.timeout(20):
            async for line in self._lines:
                if line.startswith("data:"):
                    data.append(line.removeprefix("data:").removeprefix(" "))
                elif not line and data:
                    return dict(_PARTIAL.findall("\n".join(data)))
        raise AssertionError("the stream ended")

    async def until(self, target: str, text: str) -> dict[str, str]:
        """The first message that puts `text` there."""
        while text not in (found := await self.next()).get(target, ""):
            pass
        return found


@asynccontextmanager
async def streaming(
    browser: httpx.AsyncClient, acme: Acme, query: str = ""
) -> AsyncIterator[Messages]:
    async with browser.stream("GET", f"{acme.path}/stream{query}") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in answer.headers
        yield Messages(answer)


async def test_everything_first_as_the_page_itself_has_it(
    dana: httpx.AsyncClient, acme: Acme
) -> None:
    dana.headers["Accept-Encoding"] = "gzip"
    page = (await dana.get(acme.path)).text

    async with streaming(dana, acme) as messages:
        first = await messages.next()

    assert tuple(first) == PARTS
    for target, html in first.items():
        assert f'id="{target}"' in page
        assert html.strip() in page


async def test_usage_is_seen_at_once_and_only_what_changed_is_sent(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    async with streaming(dana, acme) as messages:
        first = await messages.next()
        assert '<data value="5.94">$5.94</data>' in first["now"]

        await use(runtime, acme, "100", "one", app="worker", region="fra")
        news = await messages.until("now", '<data value="7.44">$7.44</data>')

    assert "costs" not in news, "rows stay where the reader has them"
    assert {"chart", "banner", "unpriced"}.isdisjoint(news)
    rows = {target: html for target, html in news.items() if target.startswith("cost-")}
    assert any("worker" in html for html in rows.values())
    assert '<data value="7.44">' in rows["cost-total"]
    assert "512.6 GB" in text_of(news["lines"])


async def test_a_new_row_brings_the_whole_table(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    async with streaming(dana, acme, "?group=region") as messages:
        await messages.next()
        await use(runtime, acme, "10", "one", app="api", region="<b>mars</b>")
        news = await messages.until("now", "$6.09")

    assert "&lt;b&gt;mars&lt;/b&gt;" in news["costs"]
    assert not any(target.startswith("cost-") for target in news)


async def test_two_tabs_see_the_same(dana: httpx.AsyncClient, runtime: Runtime, acme: Acme) -> None:
    async with streaming(dana, acme) as one, streaming(dana, acme) as other:
        await asyncio.gather(one.next(), other.next())
        await use(runtime, acme, "100", "one", app="worker", region="fra")
        seen = await asyncio.gather(one.until("now", "$7.44"), other.until("now", "$7.44"))

    assert seen[0]["now"] == seen[1]["now"]
