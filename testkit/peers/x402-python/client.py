"""Uses an MCP server with the official Python client (mcp 1.30, the era of sessions): lists everything, calls tools, reads.

    client.py URL CALLS READS

CALLS is a JSON array of [tool, arguments], READS one of URIs. Elicitations are accepted with the name Ada. One line of JSON on
standard output.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ElicitResult


async def accept(_context, _params):
    return ElicitResult(action="accept", content={"name": "Ada"})


async def every(listing, items):
    found, cursor = [], None
    while True:
        page = await listing(cursor) if cursor is not None else await listing()
        found.extend(getattr(page, items))
        cursor = page.nextCursor
        if cursor is None:
            return found


async def main(url, calls, reads):
    async with streamablehttp_client(url) as (read, write, _session_id):
        async with ClientSession(read, write, elicitation_callback=accept) as session:
            has = (await session.initialize()).capabilities
            tools = await every(session.list_tools, "tools")
            resources = await every(session.list_resources, "resources") if has.resources else []
            prompts = await every(session.list_prompts, "prompts") if has.prompts else []
            results = [await session.call_tool(name, given) for name, given in calls]
            contents = [item for uri in reads for item in (await session.read_resource(uri)).contents]
    plain = lambda value: value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "era": "legacy",
        "tools": [tool.name for tool in tools],
        "resources": [str(resource.uri) for resource in resources],
        "prompts": [prompt.name for prompt in prompts],
        "results": [plain(result) for result in results],
        "contents": [plain(item) for item in contents],
    }


if __name__ == "__main__":
    url, calls, reads = sys.argv[1:]
    print(json.dumps(asyncio.run(main(url, json.loads(calls), json.loads(reads)))))
