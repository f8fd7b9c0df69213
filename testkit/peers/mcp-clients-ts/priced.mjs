// Lists the tools of a server and calls each without arguments and without paying, with `@modelcontextprotocol/sdk` 1, which holds
// answers against the schemas that it was shown. One line of JSON for each tool: its name, and what the answer says.
//
//   priced.mjs URL
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url] = process.argv.slice(2);
const client = new Client({ name: "tollgate-testkit", version: "1.0.0" }, { capabilities: {} });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
for (const { name } of tools) {
  const said = await client.callTool({ name, arguments: {} }).then(
    ({ isError, content, structuredContent, _meta }) => ({ isError, text: content[0].text, structuredContent, _meta }),
    ({ message }) => ({ message }),
  );
  console.log(JSON.stringify({ name, ...said }));
}
process.exit(0);
