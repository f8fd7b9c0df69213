"""Drives a stdio MCP server with the official Python client.

    stdio.py MODE FOLDER CALLS COMMAND [ARGUMENT ...]

MODE is `auto` (probe, then the handshake) or `legacy` (the handshake). The server runs in FOLDER. CALLS is a JSON array of
`{"tool": …, "arguments": {…}}`; they are made all at once. One line of JSON on standard output:

    protocol_version, tools   what was agreed on, and the names of the listed tools
    results                   for each call its result in wire form, or {"error": {"code", "message"}}
    noise                     whatever the server wrote that is no MCP message
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError


async def main(mode, folder, calls, command, arguments):
    noise = []

    async def heard(message):
        if isinstance(message, Exception):
            noise.append(str(message))

    async def call(client, tool, arguments):
        try:
            result = await client.call_tool(tool, arguments)
        except MCPError as error:
            return {"error": {"code": error.code, "message": error.message}}
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    server = StdioServerParameters(command=command, args=arguments, cwd=folder)
    async with Client(server, mode=mode, message_handler=heard, cache=None) as client:
        tools = await client.list_tools()
        results = await asyncio.gather(*[call(client, one["tool"], one["arguments"]) for one in calls])
        return {
            "protocol_version": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "results": results,
            "noise": noise,
        }


if __name__ == "__main__":
    mode, folder, calls, command, *arguments = sys.argv[1:]
    print(json.dumps(asyncio.run(main(mode, folder, json.loads(calls), command, arguments))))
