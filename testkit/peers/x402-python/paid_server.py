"""A paid MCP server made of nothing but the published packages, to prove `pay.py` and the chain without the gateway.

    paid_server.py PORT RPC_URL RELAYER_KEY PAYEE PRICE

One tool, `greet(name)`, for PRICE ("$0.01"), at http://127.0.0.1:PORT/mcp; the facilitator runs in this process.
"""

import sys

from mcp.server.fastmcp import FastMCP
from x402 import ResourceConfig, x402Facilitator, x402ResourceServer
from x402.mcp import create_payment_wrapper
from x402.mechanisms.evm.exact import register_exact_evm_facilitator, register_exact_evm_server
from x402.mechanisms.evm.signers import FacilitatorWeb3Signer

NETWORK = "eip155:84532"


def main(port, rpc_url, relayer_key, payee, price):
    facilitator = x402Facilitator()
    register_exact_evm_facilitator(
        facilitator, FacilitatorWeb3Signer(private_key=relayer_key, rpc_url=rpc_url), networks=NETWORK
    )
    seller = x402ResourceServer(facilitator)
    register_exact_evm_server(seller)
    seller.initialize()
    offers = seller.build_payment_requirements(
        ResourceConfig(scheme="exact", network=NETWORK, pay_to=payee, price=price)
    )
    server = FastMCP("paid", host="127.0.0.1", port=int(port))

    @server.tool(name="greet", description="Greets somebody.")
    @create_payment_wrapper(seller, accepts=offers)
    async def greet(name: str) -> str:
        return f"hello {name}"

    server.run(transport="streamable-http")


if __name__ == "__main__":
    main(*sys.argv[1:])
