"""What the doors for machines say to whoever opens them with a browser."""

import httpx


async def test_only_posts_are_answered(http: httpx.AsyncClient) -> None:
    for path, guide in (("/graphql", "docs/graphql.md"), ("/api/v1/events", "README.md")):
        answer = await http.get(path, headers={"Accept": "text/html,*/*;q=0.8"})

        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.headers["content-type"].split(";")[0].endswith("json")
        assert guide in answer.text
