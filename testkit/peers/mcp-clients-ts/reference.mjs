// Uses all that the reference server (2025-11-25) offers, with `@modelcontextprotocol/sdk` 1: one line of JSON for each step.
//
//   reference.mjs URL
//
// The words that a step prints are the same however the server is reached; ids of sessions and times of day are left out.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

import { answering } from "./story.mjs";

const POLLS_MAX = 400;
const POLL_MS = 25;
const WATCHED = "demo://resource/dynamic/text/7";

const [url] = process.argv.slice(2);
const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }));
const { asked, capabilities, sample, roots } = answering();
const logged = [];
const updated = [];

const client = new Client({ name: "tollgate-testkit", version: "1.0.0" }, { capabilities });
client.setRequestHandler(CreateMessageRequestSchema, sample);
client.setRequestHandler(ListRootsRequestSchema, roots);
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  asked.push(params.message);
  return { action: "accept", content: { name: "Ada" } };
});
client.setNotificationHandler(LoggingMessageNotificationSchema, async ({ params }) => logged.push(String(params.data)));
client.setNotificationHandler(ResourceUpdatedNotificationSchema, async ({ params }) => updated.push(params.uri));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

/** What the server says of itself travels on a stream of its own. */
async function until(seen) {
  for (let polls = 0; !seen() && polls < POLLS_MAX; polls += 1) {
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  return seen();
}

const call = (name, given = {}, options = {}) =>
  client.callTool({ name, arguments: given }, CallToolResultSchema, options);
const texts = ({ content }) => content.filter(({ type }) => type === "text").map(({ text }) => text);

say("introduction", { server: client.getServerVersion(), offers: client.getServerCapabilities() });
// The server asks for the roots by itself, a moment after the handshake.
say("asked", { roots: await until(() => asked.includes("roots")), logged: await until(() => logged.length > 0) });
asked.splice(0);
const { tools } = await client.listTools();
const { prompts } = await client.listPrompts();
const { resourceTemplates } = await client.listResourceTemplates();
say("list", { tools, prompts, resourceTemplates });
say("echo", { text: texts(await call("echo", { message: "żółw \u{1f422}" })) });
say("structured", { content: (await call("get-structured-content", { location: "Chicago" })).structuredContent });
say("image", { content: (await call("get-tiny-image")).content });
say("links", { content: (await call("get-resource-links", { count: 3 })).content });
say("roots", { text: texts(await call("get-roots-list")).join().includes("file:///work") });

const progress = [];
const onprogress = ({ progress: done, total }) => progress.push([done, total]);
const long = await call("trigger-long-running-operation", { duration: 0.4, steps: 4 }, { onprogress });
say("progress", { text: texts(long), progress });
const sampled = await call("trigger-sampling-request", { prompt: "Where?", maxTokens: 7 });
say("sample", { text: texts(sampled), asked: asked.splice(0) });
const elicited = await call("trigger-elicitation-request");
say("elicit", { text: texts(elicited)[0], asked: asked.splice(0) });

const controller = new AbortController();
const endless = { onprogress: () => controller.abort(new Error("no longer wanted")), signal: controller.signal };
const refused = await call("trigger-long-running-operation", { duration: 600, steps: 6000 }, endless).then(
  () => false,
  () => true,
);
say("cancel", { refused });
const wrong = await call("echo", {});
say("wrong", { isError: wrong.isError, text: texts(wrong)[0] });
const unknown = await call("no-such-tool").then(
  ({ isError, content }) => ({ isError, content }),
  ({ code }) => ({ code }),
);
say("unknown", unknown);

const { contents } = await client.readResource({ uri: WATCHED });
say("read", { contents: contents.map(({ uri, mimeType }) => ({ uri, mimeType })) });
const prompt = await client.getPrompt({ name: "completable-prompt", arguments: { department: "Sales", name: "Eve" } });
say("prompt", { messages: prompt.messages });
const argument = { name: "department", value: "S" };
const { completion } = await client.complete({ ref: { type: "ref/prompt", name: "completable-prompt" }, argument });
say("complete", { values: completion.values });

await client.setLoggingLevel("debug");
logged.splice(0);
await client.subscribeResource({ uri: WATCHED });
say("subscribe", { logged: await until(() => logged.some((line) => line.includes(WATCHED))) });
await call("toggle-subscriber-updates");
say("update", { uri: (await until(() => updated.length > 0)) && updated[0] });
await call("toggle-subscriber-updates");
await client.unsubscribeResource({ uri: WATCHED });
await client.close();
process.exit(0);
