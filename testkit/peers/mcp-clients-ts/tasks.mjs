// Uses the tasks of the reference server (2025-11-25) with `@modelcontextprotocol/sdk` 1: made, watched, answered, cancelled.
//
//   tasks.mjs URL PREFIXES
//
// PREFIXES is a JSON array: what stands before the tool's own name, once for each server behind URL. One line of JSON for each of
// them, without ids, and one with all ids.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  ElicitRequestSchema,
  RELATED_TASK_META_KEY,
  TaskStatusNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const TOOL = "simulate-research-query";
const POLLS_MAX = 400;
const POLL_MS = 25;

const [url, prefixes] = process.argv.slice(2);
const asked = new Map();
const announced = new Set();

const client = new Client({ name: "tollgate-testkit", version: "1.0.0" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  asked.set(params._meta?.[RELATED_TASK_META_KEY]?.taskId, params.message);
  return { action: "accept", content: { interpretation: "snake" } };
});
client.setNotificationHandler(TaskStatusNotificationSchema, async ({ params }) => {
  announced.add(`${params.taskId} ${params.status}`);
});
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
await client.listTools();
const tasks = client.experimental.tasks;

/** Begins a call that becomes a task: its id, and a stream of what comes of it. */
async function begin(name, given) {
  const options = { task: { ttl: 300000 } };
  const stream = tasks.callToolStream({ name, arguments: given }, CallToolResultSchema, options);
  const { value } = await stream.next();
  if (value.type !== "taskCreated") throw new Error(`no task: ${JSON.stringify(value)}`);
  return { id: value.task.taskId, created: value.task.status, stream };
}

/** A notification travels on a stream of its own. */
async function until(seen) {
  for (let polls = 0; !seen() && polls < POLLS_MAX; polls += 1) {
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  return seen();
}

async function use(prefix) {
  const name = prefix + TOOL;
  const { id, created, stream } = await begin(name, { topic: "python", ambiguous: true });
  const statuses = [];
  let result;
  for await (const message of stream) {
    if (message.type === "taskStatus" && message.task.taskId !== id) throw new Error("another task");
    if (message.type === "taskStatus" && message.task.status !== statuses.at(-1)) statuses.push(message.task.status);
    if (message.type === "result") result = message.result;
    if (message.type === "error") throw message.error;
  }
  const dropped = await begin(name, { topic: "go" });
  const cancelled = await tasks.cancelTask(dropped.id);
  const refused = await tasks.getTask("nobody's").then(
    () => "found",
    ({ code }) => code,
  );
  const seen = {
    created,
    asked: asked.get(id),
    waited: statuses.includes("input_required"),
    ended: (await tasks.getTask(id)).status,
    text: result.content[0].text,
    related: result._meta?.[RELATED_TASK_META_KEY]?.taskId === id,
    again: (await tasks.getTaskResult(id, CallToolResultSchema)).content[0].text === result.content[0].text,
    announced: await until(() => announced.has(`${id} completed`)),
    cancelled: [cancelled.taskId === dropped.id, cancelled.status, (await tasks.getTask(dropped.id)).status],
    unknown: refused,
  };
  return { seen, ids: [id, dropped.id] };
}

const all = await Promise.all(JSON.parse(prefixes).map(use));
const listed = [];
let cursor;
do {
  const page = await tasks.listTasks(cursor);
  listed.push(...page.tasks.map(({ taskId, status }) => [taskId, status]));
  cursor = page.nextCursor;
} while (cursor !== undefined);
for (const { seen, ids } of all) {
  const status = (wanted) => listed.find(([id]) => id === wanted)?.[1];
  console.log(JSON.stringify({ ...seen, listed: ids.map(status) }));
}
console.log(JSON.stringify({ ids: all.flatMap(({ ids }) => ids) }));
await client.close();
process.exit(0);
