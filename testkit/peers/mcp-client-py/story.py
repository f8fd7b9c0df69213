"""The story of `mcp-clients-ts/story.mjs`, told by the official Python client: one line of JSON for each step.

    story.py URL ERA        ERA is `legacy` or `modern`
"""

import asyncio
import json
import sys
import warnings

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

POLLS_MAX = 200
POLL_SECONDS = 0.025
"""Asking how many calls were cancelled: a cancellation travels on its own."""

READ_SECONDS_MAX = 60
"""A resumed stream may be silent for a while."""

asked = []
resumptions = []


def say(step, **seen):
    print(json.dumps({"step": step, **seen}), flush=True)


def plain(value):
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def drain(seen):
    taken = list(seen)
    seen.clear()
    return taken


async def elicit(_context, params):
    asked.append(params.message)
    fields = params.requested_schema["properties"].items()
    content = {name: True if field["type"] == "boolean" else "Ada" for name, field in fields}
    return ElicitResult(action="accept", content=content)


async def sample(_context, params):
    asked.append(params.messages[0].content.text)
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="Paris"), model="none")


async def roots(_context):
    asked.append("roots")
    return ListRootsResult(roots=[Root(uri="file:///work", name="work")])


async def watch(request):
    if request.method == "GET" and "last-event-id" in request.headers:
        resumptions.append(str(request.url))


async def text(client, name, arguments=None, progress=None):
    result = await client.call_tool(name, arguments or {}, progress_callback=progress)
    return result.content[0].text


async def cancel(client):
    """Cancels a call that has begun, and sees it end in the server: the fixture counts."""
    before = int(await text(client, "count_cancelled"))
    answered = False

    with anyio.CancelScope() as scope:

        async def begun(*_report):
            scope.cancel()

        await text(client, "wait_until_cancelled", progress=begun)
        answered = True
    cancelled = 0
    for _ in range(POLLS_MAX):
        cancelled = int(await text(client, "count_cancelled")) - before
        if cancelled:
            break
        await anyio.sleep(POLL_SECONDS)
    return {"refused": not answered, "cancelled": cancelled}


async def resume(client):
    """Calls a tool whose stream the server hangs up: its answer comes on the resumed one."""
    try:
        answered = {"text": await text(client, "test_reconnection")}
    except MCPError as refusal:
        answered = {"refused": (refusal.error.data or {}).get("error", refusal.error.message)}
    return {**answered, "resumptions": len(drain(resumptions))}


async def listen(client):
    """Whether a change that a tool announces arrives on a stream of subscriptions."""
    async with client.listen(tools_list_changed=True) as subscription:
        await text(client, "test_trigger_tool_change")
        async for _event in subscription:
            return True
    return False


async def tell(client, era):
    negotiated = "modern" if client.protocol_version >= "2026-07-28" else "legacy"
    say("connect", era=negotiated)
    listed = [await client.list_tools(), await client.list_resources(), await client.list_prompts()]
    tools, resources, prompts = (plain(page) for page in listed)
    say("list", tools=tools["tools"], resources=resources["resources"], prompts=prompts["prompts"])

    image = await client.call_tool("test_image_content", {})
    say("call", text=await text(client, "test_simple_text"), image=plain(image.content[0]))
    failed = await client.call_tool("test_error_handling", {})
    say("fail", isError=failed.is_error, text=failed.content[0].text)
    read = await client.read_resource("test://template/7/data")
    say("read", contents=plain(read)["contents"])

    progress = []

    async def report(value, _total, _message):
        progress.append(int(value))

    say("progress", text=await text(client, "test_tool_with_progress", progress=report), progress=progress)

    say("elicit", text=await text(client, "test_elicitation", {"message": "Who?"}), asked=drain(asked))
    say("sample", text=await text(client, "test_sampling", {"prompt": "Where?"}), asked=drain(asked))
    several = await text(client, "test_input_required_result_multiple_inputs")
    say("several", text=several, asked=sorted(drain(asked)))
    say("rounds", text=await text(client, "test_input_required_result_multi_round"), asked=drain(asked))

    say("cancel", **await cancel(client))
    if era == "modern":
        say("listen", changed=await listen(client))
    else:
        say("resume", **await resume(client))
        await client.subscribe_resource("test://watched-resource")
        await client.unsubscribe_resource("test://watched-resource")
        say("subscribe", changed=True)


async def main(url, era):
    hooks = {"request": [watch]}
    async with httpx2.AsyncClient(event_hooks=hooks, timeout=READ_SECONDS_MAX) as http:
        client = Client(
            streamable_http_client(url, http_client=http),
            mode="auto" if era == "modern" else "legacy",
            sampling_callback=sample,
            elicitation_callback=elicit,
            list_roots_callback=roots,
        )
        async with client:
            await tell(client, era)


if __name__ == "__main__":
    # Sampling, roots and subscriptions are deprecated since 2026-07-28 and still part of the story.
    warnings.simplefilter("ignore")
    asyncio.run(main(*sys.argv[1:]))
