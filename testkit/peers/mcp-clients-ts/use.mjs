// Uses an MCP server with the official TypeScript client: lists everything, calls tools, reads what is listed.
//
//   use.mjs URL MODE CALLS READS
//
// MODE is `legacy` or `auto`; CALLS is a JSON array of [tool, arguments], READS one of URIs. Elicitations are accepted with the
// name Ada. One line of JSON on standard output.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, mode, calls, reads] = process.argv.slice(2);
const client = new Client(
  { name: "tollgate-testkit", version: "1.0.0" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode } },
);
client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

async function all(list, items) {
  const found = [];
  let cursor;
  do {
    const page = await list(cursor === undefined ? {} : { cursor });
    found.push(...page[items]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}

const has = client.getServerCapabilities() ?? {};
const tools = await all((params) => client.listTools(params), "tools");
const resources = has.resources ? await all((params) => client.listResources(params), "resources") : [];
const prompts = has.prompts ? await all((params) => client.listPrompts(params), "prompts") : [];
const results = [];
for (const [name, given] of JSON.parse(calls)) {
  results.push(await client.callTool({ name, arguments: given }));
}
const contents = [];
for (const uri of JSON.parse(reads)) {
  contents.push(...(await client.readResource({ uri })).contents);
}
const said = {
  era: client.getProtocolEra(),
  tools: tools.map(({ name }) => name),
  resources: resources.map(({ uri }) => uri),
  prompts: prompts.map(({ name }) => name),
  results,
  contents,
};
console.log(JSON.stringify(said));
await client.close();
process.exit(0);
