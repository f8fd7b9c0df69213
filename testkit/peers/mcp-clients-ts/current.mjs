// The story, told by `@modelcontextprotocol/client`.
//
//   current.mjs URL ERA        ERA is `legacy` or `modern`
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { answering, tell, verbs, watching } from "./story.mjs";

const [url, era] = process.argv.slice(2);
const { asked, capabilities, elicit, sample, roots } = answering();
const { resumptions, fetch } = watching();

const mode = era === "modern" ? "auto" : "legacy";
const client = new Client({ name: "tollgate-testkit", version: "1.0.0" }, { capabilities, versionNegotiation: { mode } });
client.setRequestHandler("elicitation/create", elicit);
client.setRequestHandler("sampling/createMessage", sample);
client.setRequestHandler("roots/list", roots);
await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }));

const call = (name, given = {}, options = {}) => client.callTool({ name, arguments: given }, options);

/** Whether a change that a tool announces arrives on a stream of subscriptions. */
async function listen(trigger) {
  const changed = new Promise((done) => client.setNotificationHandler("notifications/tools/list_changed", () => done(true)));
  const subscription = await client.listen({ toolsListChanged: true });
  await call(trigger);
  const seen = await changed;
  await subscription.close();
  return seen;
}

await tell({ asked, resumptions, client: { ...verbs(client), era: client.getProtocolEra(), call, listen } });
process.exit(0);
