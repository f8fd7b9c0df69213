// The story, told by `@modelcontextprotocol/sdk` 1, which speaks the legacy era only.
//
//   older.mjs URL
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

import { answering, tell, verbs, watching } from "./story.mjs";

const [url] = process.argv.slice(2);
const { asked, capabilities, elicit, sample, roots } = answering();
const { resumptions, fetch } = watching();

const client = new Client({ name: "tollgate-testkit", version: "1.0.0" }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, elicit);
client.setRequestHandler(CreateMessageRequestSchema, sample);
client.setRequestHandler(ListRootsRequestSchema, roots);
await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }));

const call = (name, given = {}, options = {}) =>
  client.callTool({ name, arguments: given }, CallToolResultSchema, options);
await tell({ asked, resumptions, client: { ...verbs(client), era: "legacy", call } });
process.exit(0);
