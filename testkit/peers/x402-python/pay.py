"""Calls one tool of an MCP server with the published x402 client and pays if the server asks for it.

    pay.py URL PRIVATE_KEY TOOL ARGUMENTS [HEADERS]

ARGUMENTS and HEADERS are JSON objects. Everything is the package's default, above all its spend controls: only the
default asset of the chain, at most one dollar a call. One line of JSON on standard output:

    is_error, content, structured, meta   what the last tool result said
    payment_made, payment_response        what the client made of it
    payment                               the payload it signed, to be replayed by negative tests, or null
"""

import asyncio
import json
import sys

from eth_account import Account
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from x402 import x402Client
from x402.mcp import x402MCPSession
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner


def plain(value):
    """A pydantic model as its wire form; anything else as it is."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


async def main(url, private_key, tool, arguments, headers):
    signed = []
    wallet = x402Client()
    wallet.register("eip155:*", ExactEvmScheme(EthAccountSigner(Account.from_key(private_key))))
    wallet.on_after_payment_creation(lambda context: signed.append(plain(context.payment_payload)))
    async with streamablehttp_client(url, headers=headers) as (read, write, _session_id):
        async with ClientSession(read, write) as session:
            payer = x402MCPSession(session, wallet)
            await payer.initialize()
            result = await payer.call_tool(tool, arguments)
    raw = result.raw_result
    return {
        "is_error": result.is_error,
        "content": [plain(item) for item in result.content],
        "structured": raw.structuredContent,
        "meta": raw.meta,
        "payment_made": result.payment_made,
        "payment_response": plain(result.payment_response),
        "payment": signed[-1] if signed else None,
    }


if __name__ == "__main__":
    url, private_key, tool, arguments, *rest = sys.argv[1:]
    headers = json.loads(rest[0]) if rest else None
    print(json.dumps(asyncio.run(main(url, private_key, tool, json.loads(arguments), headers))))
